//! The time cursor, the palette, the mouse, and pasting.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;
use crate::tui::sources::panels::CHARTS;
use crate::tui::time_view::TimeView;

fn mouse(model: &mut Model, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    let modifiers = KeyModifiers::NONE;
    update(
        model,
        NOW,
        Event::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers,
        }),
    )
}

#[test]
fn escape_closes_the_part_opened_last_and_0_makes_the_charts_live() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "e");
    assert_eq!(model.enlarged, Some(CHARTS[0]));
    press(&mut model, KeyCode::Down);
    assert_eq!(model.enlarged, Some(CHARTS[1]));
    press(&mut model, KeyCode::Left);
    assert!(model.time.cursor.is_some());
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.enlarged, None);
    assert!(model.time.cursor.is_some());
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.time.cursor, None);
    keys(&mut model, "[");
    assert!(model.time.end.is_some());
    assert_eq!(model.plan().end, model.time.end, "that time is fetched");
    keys(&mut model, "0");
    assert_eq!(model.time, TimeView::default());
}

#[test]
fn the_palette_runs_the_chosen_action_unless_it_is_off() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, ":raise an alert\n");
    assert!(
        matches!(model.dialog, Some(Dialog::Raise(_))),
        "{:?}",
        model.dialog
    );
    let mut model = console(Some("demo"), 0);
    model.settings.read_only = true;
    assert_eq!(keys(&mut model, ":pause or resume admission\n"), []);
    assert!(
        notice(&model).starts_with("read-only"),
        "{}",
        notice(&model)
    );
    keys(&mut model, ":nothing like it\n");
    assert!(
        matches!(model.dialog, Some(Dialog::Palette(_))),
        "it stays open"
    );
    press(&mut model, KeyCode::Esc);
    assert!(model.dialog.is_none());
}

#[test]
fn pasted_text_goes_into_the_palette_and_runs_nothing() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, ":");
    let effects = update(&mut model, NOW, Event::Paste("quit\nquit".into()));
    assert_eq!(effects, []);
    assert!(
        matches!(&model.dialog, Some(Dialog::Palette(open)) if open.text.text() == "quit quit")
    );
}

#[test]
fn the_evidence_of_an_open_alert_is_fetched_and_escape_closes_it() {
    let mut model = console(None, 0);
    let alerts = vec![alert("HighErrorRate", "critical", AlertState::Active)];
    update(&mut model, NOW, Event::Alerts(alerts));
    assert_eq!(model.plan().evidence, None, "the alert is not open");
    keys(&mut model, "6");
    let wanted = model
        .plan()
        .evidence
        .expect("the evidence of the open alert");
    assert_eq!(wanted.alert["alertname"], "HighErrorRate");
    keys(&mut model, "\n");
    assert!(model.alerts.open);
    press(&mut model, KeyCode::Esc);
    assert!(!model.alerts.open);
}

#[test]
fn a_click_on_a_tab_shows_its_screen_and_a_dialog_takes_no_clicks() {
    let mut model = console(None, 0);
    model.size = (120, 40);
    let click = MouseEventKind::Down(MouseButton::Left);
    let tab = |model: &mut Model, column| mouse(model, click, column, 0);
    let column = (13..120).find(|x| {
        tab(&mut model, *x);
        model.screen == Screen::Load
    });
    assert!(column.is_some());
    model.screen = Screen::Overview;
    keys(&mut model, "?");
    tab(&mut model, column.unwrap());
    assert_eq!(model.screen, Screen::Overview);
}

#[test]
fn the_wheel_moves_the_choice() {
    let mut model = console(None, 0);
    let names = ["A", "B", "C", "D", "E"];
    let alerts = names.map(|name| alert(name, "critical", AlertState::Active));
    update(&mut model, NOW, Event::Alerts(alerts.into()));
    model.screen = Screen::Alerts;
    mouse(&mut model, MouseEventKind::ScrollDown, 3, 5);
    assert_eq!(model.alerts.row, 3);
    mouse(&mut model, MouseEventKind::ScrollUp, 3, 5);
    assert_eq!(model.alerts.row, 0);
}

#[test]
fn a_long_pasted_text_is_cut() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, ":");
    update(&mut model, NOW, Event::Paste("x".repeat(1_000_000)));
    assert!(
        matches!(&model.dialog, Some(Dialog::Palette(open)) if open.text.text().len() == MAX_INPUT)
    );
}

#[test]
fn a_cut_of_the_rate_is_marked_while_admission_follows_the_objective() {
    let mut model = console(Some("demo"), 0);
    let mut see = |rate, follow| {
        let mut now = status(Some("demo"), 0);
        (now.admission.rate, now.admission.follow) = (rate, follow);
        let event = Event::Ops(Box::new((now, SeedProgress::default())));
        update(&mut model, NOW, event);
        let marks = crate::tui::timeline::marks(&model);
        marks.into_iter().map(|mark| mark.text).collect::<Vec<_>>()
    };
    assert!(see(33.3, Follow::Settings).is_empty());
    let another_setting = see(8.0, Follow::Objective);
    assert!(another_setting.is_empty(), "{another_setting:?}");
    assert!(
        see(20.0, Follow::Objective).is_empty(),
        "an increase is not marked"
    );
    let cut = "admission follows the objective: 20 → 14 a second";
    assert_eq!(see(14.0, Follow::Objective), [cut]);
}
