//! Faults by key: the dialog, its form, and ending faults.

use std::time::Duration;

use super::*;
use crate::api::fault_fields;
use crate::api::faults::{Fault, FaultKind};
use crate::tui::faults::tests::latency;

/// The keys that choose a kind in the dialog.
fn to(kind: FaultKind) -> String {
    let mut forms = fault_fields::forms().iter();
    let at = forms.position(|form| form.kind == kind).unwrap();
    format!("!{}", "j".repeat(at))
}

#[test]
fn a_fault_is_injected_from_any_screen_after_a_question_and_always_has_an_end() {
    for screen in Screen::ALL {
        let mut model = console(Some("demo"), 0);
        model.screen = *screen;
        let typed = format!("{}\n800ms\t0.5\t\t\n", to(FaultKind::Latency));
        assert_eq!(keys(&mut model, &typed), []);
        let Some(Dialog::Ask(question)) = &model.dialog else {
            panic!("{screen:?}: {:?}", model.dialog)
        };
        assert!(
            question.lines[0].starts_with("latency for 30s: delay 800ms, share 0.5, at"),
            "{question:?}"
        );
        let fault = Fault::Latency {
            delay: Duration::from_millis(800),
            share: 0.5,
            routes: None,
        };
        let wanted = Effect::InjectFault(
            fault,
            Duration::from_secs(30),
            "fault latency for 30s".into(),
        );
        assert_eq!(keys(&mut model, "y"), [wanted]);
    }
}

#[test]
fn a_mistake_in_a_fault_is_shown_at_its_field_and_no_question_follows() {
    for (typed, mistake, field) in [
        ("\n", "share is missing", 0),
        ("2\n", "0 to 1", 0),
        ("0.5\t404\n", "500 or 503", 1),
        ("0.5\t\t\t2h\n", "for:", 3),
        ("0.5\t\t\t0s\n", "for:", 3),
    ] {
        let mut model = console(Some("demo"), 0);
        keys(&mut model, &format!("{}\n", to(FaultKind::Errors)));
        if let Some(Dialog::Form(form)) = &mut model.dialog {
            // Remove the default first, because keys append to it.
            if field == 3 {
                form.fields[3].text = "".into();
            }
        }
        assert_eq!(keys(&mut model, typed), [], "{typed:?}");
        let Some(Dialog::Form(form)) = &model.dialog else {
            panic!("{typed:?}: {:?}", model.dialog)
        };
        let wrong = form.wrong.as_deref().unwrap_or_default();
        assert!(wrong.contains(mistake), "{typed:?}: {wrong}");
        assert_eq!(form.focus, field, "{typed:?}");
    }
}

#[test]
fn faults_are_ended_without_a_question_and_the_dialog_stays_open() {
    let mut model = console(Some("demo"), 0);
    let fault = latency("2026-06-01T11:59:48Z", "2026-06-01T12:00:18Z");
    update(&mut model, NOW, Event::Faults(vec![fault]));
    let effects = keys(&mut model, &format!("{}c", to(FaultKind::Latency)));
    let ended = Effect::EndFaults(Some(FaultKind::Latency), "fault latency ended".into());
    assert_eq!(effects, [ended]);
    let all = Effect::EndFaults(None, "all faults ended".into());
    assert_eq!(keys(&mut model, "C"), [all]);
    assert!(matches!(model.dialog, Some(Dialog::Faults(_))));
    // Without faults, ending one or all does nothing.
    update(&mut model, NOW, Event::Faults(vec![]));
    assert_eq!(keys(&mut model, "c"), []);
    assert_eq!(keys(&mut model, "C"), []);
}

#[test]
fn without_a_server_the_dialog_of_faults_is_refused_with_the_reason() {
    let mut model = Model::default();
    keys(&mut model, "!");
    assert!(model.dialog.is_none());
    assert!(
        notice(&model).contains("cannot be operated"),
        "{}",
        notice(&model)
    );
}
