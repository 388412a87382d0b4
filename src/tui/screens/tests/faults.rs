//! The dialog of faults, and the notice of a fault on every screen.

use super::*;
use crate::api::fault_fields;
use crate::api::faults::FaultKind;
use crate::tui::faults::tests::latency;
use crate::tui::input::faults::FaultsDialog;
use crate::tui::input::forms::Form;

/// A console whose server has a fault that ends in 18 s.
fn faulty(screen: Screen) -> Model {
    let mut model = ok(screen);
    model.load.run = None;
    let fault = latency("2026-06-01T11:59:48Z", "2026-06-01T12:00:18Z");
    model.faults.take(vec![fault], NOW);
    model
}

#[test]
fn the_dialog_and_the_form_of_a_fault_match_their_snapshots() {
    let small = SIZES[0];
    let mut model = ok(Screen::Overview);
    model.load.run = None;
    model.dialog = Some(Dialog::Faults(FaultsDialog::default()));
    shot("faults_none", &model, small);
    let mut model = faulty(Screen::Overview);
    let mut forms = fault_fields::forms().iter();
    let at = forms
        .position(|form| form.kind == FaultKind::Latency)
        .unwrap();
    model.dialog = Some(Dialog::Faults(FaultsDialog { chosen: at }));
    for size in SIZES {
        shot("faults_active", &model, size);
    }
    let form = &fault_fields::forms()[at];
    let mut form = Form::fault(form, "127.0.0.1:8081");
    form.fields[0].text = "800ms".into();
    form.focus = 1;
    model.dialog = Some(Dialog::Form(form));
    shot("fault_form", &model, small);
}

#[test]
fn every_screen_names_a_fault_at_every_size() {
    for screen in Screen::ALL {
        for size in SIZES {
            let text = text(&buffer(&faulty(*screen), size));
            let line = text.lines().nth(1).unwrap();
            let notices = ["▼ latency, 18 s left", "▼ fault 18 s", "▼ 18 s"];
            assert!(notices.iter().any(|notice| line.contains(notice)), "{line}");
        }
    }
}

#[test]
fn a_fault_is_marked_on_the_charts() {
    let marked = |model: &Model| {
        let text = text(&buffer(model, SIZES[1]));
        // The header also names the fault, so it is left out.
        text.lines()
            .skip(2)
            .filter(|line| line.contains('▼'))
            .count()
    };
    let mut model = faulty(Screen::Overview);
    // The fault begins early enough that its mark does not overlap other text below the charts.
    let fault = latency("2026-06-01T11:58:00Z", "2026-06-01T12:00:18Z");
    model.faults.take(vec![fault], NOW);
    let with = marked(&model);
    model.faults = Default::default();
    assert!(with > marked(&model), "a mark on the charts");
}
