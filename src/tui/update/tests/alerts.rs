//! Alerts: raising, resolving, the bell, and the order of the list.

use super::*;
use crate::tui::sources::panels::{PanelId, panel};

#[test]
fn an_alert_by_hand_needs_a_summary() {
    let mut model = console(None, 0);
    assert_eq!(keys(&mut model, "a\n\n\n"), []);
    assert!(matches!(&model.dialog, Some(Dialog::Raise(form)) if form.wrong.is_some()));
    let effects = keys(&mut model, "pay hangs\n");
    let [Effect::PostAlert(alert, action)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(alert.labels["alertname"], "OperatorAlert");
    assert_eq!(alert.labels["severity"], "warning");
    assert_eq!(alert.labels["source"], "operator");
    assert_eq!(alert.annotations["summary"], "pay hangs");
    assert_eq!(alert.starts_at.as_deref(), Some("2026-06-01T12:00:00Z"));
    assert_eq!(alert.ends_at.as_deref(), Some("2026-07-01T12:00:00Z"));
    assert_eq!(action, "alert OperatorAlert raised");
}

#[test]
fn in_the_alert_form_enter_moves_on_and_raises_on_the_last_field() {
    let mut model = console(None, 0);
    keys(&mut model, "a");
    press(&mut model, KeyCode::Up);
    press(&mut model, KeyCode::Up);
    assert_eq!(keys(&mut model, "2\n"), [], "from the name to the severity");
    press(&mut model, KeyCode::Left);
    assert_eq!(
        keys(&mut model, "\n"),
        [],
        "from the severity to the summary"
    );
    let effects = keys(&mut model, "pay hangs\n");
    let [Effect::PostAlert(alert, _)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(alert.labels["alertname"], "OperatorAlert2");
    assert_eq!(alert.labels["severity"], "critical");
    assert!(
        !alert.annotations.contains_key("seen"),
        "no figures are known"
    );
}

#[test]
fn an_alert_by_hand_records_the_current_figures() {
    let mut model = console(None, 0);
    let series = |number| {
        let points = vec![(NOW, number)];
        let labels = Labels::new();
        Ok(vec![crate::clients::prometheus::Series { labels, points }])
    };
    let now = [(PanelId::Tps, 1_284.0), (PanelId::P95, 0.612)];
    let now = now.map(|(id, number)| (panel(id).query.into(), series(number)));
    let metrics = Event::Metrics {
        at: NOW,
        now: now.into_iter().collect(),
        past: None,
    };
    update(&mut model, NOW, metrics);
    let effects = keys(&mut model, "apay hangs\n");
    let [Effect::PostAlert(alert, _)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(alert.annotations["seen"], "TPS 1,284 /s, p95 buy 612 ms");
}

#[test]
fn resolving_posts_the_same_labels_with_an_end_that_is_now() {
    let mut model = console(None, 0);
    let list = vec![
        alert("A", "warning", AlertState::Active),
        alert("B", "critical", AlertState::Active),
    ];
    update(&mut model, NOW, Event::Alerts(list));
    model.screen = Screen::Alerts;
    let effects = keys(&mut model, "jry");
    let [Effect::PostAlert(post, action)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(
        post.labels["alertname"], "A",
        "the critical one comes first"
    );
    assert_eq!(post.starts_at.as_deref(), Some("2026-06-01T11:00:00Z"));
    assert_eq!(post.ends_at.as_deref(), Some("2026-06-01T12:00:00Z"));
    assert!(action.contains("its rule raises it again"), "{action}");
}

#[test]
fn the_bell_rings_for_a_new_alert_only() {
    let mut model = console(None, 0);
    let (a, b) = (
        alert("A", "warning", AlertState::Active),
        alert("B", "info", AlertState::Suppressed),
    );
    let mut rings =
        |list: Vec<Alert>| update(&mut model, NOW, Event::Alerts(list)) == [Effect::Bell];
    assert!(!rings(vec![]));
    assert!(rings(vec![a.clone()]));
    assert!(!rings(vec![a.clone()]), "the same again");
    assert!(!rings(vec![a.clone(), b]), "a silenced one");
    assert!(!rings(vec![]), "none left");
    assert!(rings(vec![a]), "back again");
}

#[test]
fn alerts_from_before_the_start_of_the_console_do_not_ring() {
    let mut model = console(None, 0);
    assert_eq!(
        update(
            &mut model,
            NOW,
            Event::Alerts(vec![alert("A", "page", AlertState::Active)])
        ),
        []
    );
}

#[test]
fn the_choice_follows_the_top_until_the_operator_moves() {
    let mut model = console(None, 0);
    let firing = |names: &[(&str, &str)]| {
        let alerts = names
            .iter()
            .map(|(name, severity)| alert(name, severity, AlertState::Active));
        Event::Alerts(alerts.collect())
    };
    let chosen = |model: &Model| name(&model.alerts.chosen().unwrap().alert);
    update(&mut model, NOW, firing(&[("First", "warning")]));
    keys(&mut model, "6");
    assert_eq!(chosen(&model), "First");
    let two = [("First", "warning"), ("Worse", "P1")];
    update(&mut model, NOW, firing(&two));
    assert_eq!(chosen(&model), "Worse");
    keys(&mut model, "j");
    let three = [two[0], two[1], ("Other", "critical")];
    update(&mut model, NOW, firing(&three));
    assert_eq!(chosen(&model), "First", "the operator looks at it");
    keys(&mut model, "g");
    update(&mut model, NOW, firing(&two[..1]));
    update(&mut model, NOW, firing(&two));
    assert_eq!(chosen(&model), "Worse", "back at the top");
    press(&mut model, KeyCode::Enter);
    update(
        &mut model,
        NOW,
        firing(&[("Another", "critical"), two[0], two[1]]),
    );
    let newest = model.alerts.rows[0].alert.labels["alertname"].clone();
    assert_eq!(
        (chosen(&model).as_str(), newest.as_str()),
        ("Worse", "Another")
    );
}

#[test]
fn an_alert_with_an_unknown_severity_comes_before_warnings() {
    let mut model = console(None, 0);
    let severities = ["info", "warning", "tier-one", "critical"];
    let alerts = severities.map(|severity| alert(severity, severity, AlertState::Active));
    update(&mut model, NOW, Event::Alerts(alerts.to_vec()));
    let rows = model.alerts.rows.iter();
    let order: Vec<String> = rows.map(|row| name(&row.alert)).collect();
    assert_eq!(order, ["critical", "tier-one", "warning", "info"]);
}
