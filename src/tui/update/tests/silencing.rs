//! The stages of alerts; acknowledging, silencing, ending a silence.

use super::*;
use crate::clients::alertmanager::{Matcher, PostableSilence, Silence, SilenceState};
use crate::clients::prometheus::{RuleAlert, RuleState};
use crate::tui::screens::alerts::Stage;

const MINUTE: i64 = 60_000;

fn on_alerts(list: Vec<Alert>) -> Model {
    let mut model = console(Some("demo"), 0);
    model.screen = Screen::Alerts;
    model.settings.who = "mona".into();
    update(&mut model, NOW, Event::Alerts(list));
    model
}

fn suppressed(name: &str, by: &str) -> Alert {
    let mut alert = alert(name, "warning", AlertState::Suppressed);
    alert.status.silenced_by = vec![by.to_owned()];
    alert
}

fn silence(id: &str, comment: &str, labels: &Labels) -> Silence {
    let mut silence = Silence {
        id: id.into(),
        matchers: Matcher::exactly(labels),
        starts_at: "2026-06-01T11:55:00Z".into(),
        ends_at: "2026-06-01T12:25:00Z".into(),
        created_by: "sam".into(),
        comment: comment.into(),
        ..Silence::default()
    };
    silence.status.state = SilenceState::Active;
    silence
}

fn of_rule(name: &str, state: RuleState) -> RuleAlert {
    RuleAlert {
        labels: Labels::from([
            ("alertname".into(), name.into()),
            ("severity".into(), "warning".into()),
        ]),
        state,
        active_at: "2026-06-01T11:59:30Z".into(),
        ..RuleAlert::default()
    }
}

fn stages(model: &Model) -> Vec<(String, Stage)> {
    let rows = model.alerts.rows.iter();
    rows.map(|row| (name(&row.alert), row.stage)).collect()
}

fn posted(effects: &[Effect]) -> &PostableSilence {
    match effects {
        [Effect::Silence(silence, _)] => silence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_list_shows_every_stage_and_resolved_alerts_for_some_minutes() {
    let (seen, quiet) = (suppressed("Seen", "ack"), suppressed("Quiet", "quiet"));
    let firing = alert("Fires", "critical", AlertState::Active);
    let over = alert("Over", "warning", AlertState::Active);
    let list = vec![firing.clone(), seen.clone(), quiet.clone(), over];
    let mut model = on_alerts(list);
    let silences = vec![
        silence("ack", "Acknowledged: on it", &seen.labels),
        silence("quiet", "maintenance", &quiet.labels),
    ];
    update(&mut model, NOW, Event::Silences(silences));
    let rules = Ok(vec![
        of_rule("Coming", RuleState::Pending),
        of_rule("Fires", RuleState::Firing),
    ]);
    update(&mut model, NOW, Event::RuleAlerts(rules));
    let left = || vec![firing.clone(), seen.clone(), quiet.clone()];
    update(&mut model, NOW + MINUTE, Event::Alerts(left()));
    let wanted = [
        ("Fires", Stage::Firing),
        ("Coming", Stage::Pending),
        ("Seen", Stage::Acknowledged),
        ("Quiet", Stage::Silenced),
        ("Over", Stage::Resolved),
    ];
    let wanted = wanted.map(|(name, stage)| (name.to_owned(), stage));
    assert_eq!(stages(&model), wanted);
    let since: Vec<Option<i64>> = model.alerts.rows.iter().map(|row| row.since).collect();
    let ago = |minutes: i64| Some(NOW - minutes * MINUTE);
    assert_eq!(
        since,
        [
            ago(60),
            Some(NOW - MINUTE / 2),
            ago(5),
            ago(5),
            Some(NOW + MINUTE)
        ]
    );
    update(&mut model, NOW + 5 * MINUTE, Event::Tick);
    assert_eq!(model.alerts.rows.len(), 5);
    update(&mut model, NOW + 7 * MINUTE, Event::Tick);
    assert_eq!(model.alerts.rows.len(), 4, "five minutes after its end");
}

#[test]
fn an_alert_that_comes_back_is_no_longer_resolved() {
    let a = alert("A", "warning", AlertState::Active);
    let mut model = on_alerts(vec![a.clone()]);
    update(&mut model, NOW, Event::Alerts(vec![]));
    assert_eq!(stages(&model), [("A".into(), Stage::Resolved)]);
    update(&mut model, NOW, Event::Alerts(vec![a]));
    assert_eq!(stages(&model), [("A".into(), Stage::Firing)]);
}

#[test]
fn the_choice_stays_on_its_alert_when_its_stage_changes() {
    let a = alert("A", "warning", AlertState::Active);
    let mut model = on_alerts(vec![a.clone(), alert("B", "warning", AlertState::Active)]);
    assert_eq!(name(&model.alerts.chosen().unwrap().alert), "A");
    model.alerts.choose(0);
    let list = vec![
        suppressed("A", "x"),
        alert("B", "warning", AlertState::Active),
    ];
    update(&mut model, NOW, Event::Alerts(list));
    assert_eq!(model.alerts.row, 1);
    assert_eq!(name(&model.alerts.chosen().unwrap().alert), "A");
}

#[test]
fn acknowledging_silences_exactly_this_alert_with_a_name_and_an_end() {
    let a = alert("A", "critical", AlertState::Active);
    let mut model = on_alerts(vec![a.clone()]);
    let effects = keys(&mut model, "A\n");
    let silence = posted(&effects);
    assert_eq!(silence.matchers, Matcher::exactly(&a.labels));
    assert_eq!(silence.created_by, "mona");
    assert_eq!(silence.comment, "acknowledged in concertctl tui");
    assert_eq!(silence.starts_at, "2026-06-01T12:00:00Z");
    assert_eq!(silence.ends_at, "2026-06-01T12:30:00Z");
    assert!(
        matches!(effects.as_slice(), [Effect::Silence(_, action)] if action == "alert A acknowledged by mona for 30 min")
    );
    let effects = keys(&mut model, "A2\t\ton it\n");
    assert_eq!(posted(&effects).created_by, "mona2");
    assert_eq!(posted(&effects).comment, "acknowledged: on it");
}

#[test]
fn an_acknowledgement_needs_an_end_and_a_name() {
    for (typed, mistake) in [
        ("\t0\n", "1m to 24h"),
        ("\t\u{15}25h\n", "1m to 24h"),
        ("\t\u{15}\n", "such as 30m"),
        ("\u{15}\n", "who sees to it"),
    ] {
        let mut model = on_alerts(vec![alert("A", "critical", AlertState::Active)]);
        keys(&mut model, "A");
        let mut effects = Vec::new();
        for c in typed.chars() {
            let key = match c {
                '\u{15}' => KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL),
                '\n' => KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
                '\t' => KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE),
                c => KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE),
            };
            effects = update(&mut model, NOW, Event::Key(key));
        }
        assert_eq!(effects, [], "{typed:?}");
        let wrong = match &model.dialog {
            Some(Dialog::Form(form)) => form.wrong.clone().unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        assert!(wrong.contains(mistake), "{typed:?}: {wrong}");
    }
}

#[test]
fn a_silence_needs_a_comment_and_shows_its_matchers() {
    let mut model = on_alerts(vec![alert("A", "critical", AlertState::Active)]);
    assert_eq!(keys(&mut model, "S\n"), []);
    let Some(Dialog::Form(form)) = &model.dialog else {
        panic!("{:?}", model.dialog)
    };
    assert!(form.wrong.is_some());
    assert_eq!(form.about()[1], r#"alertname="A", severity="critical""#);
    let effects = keys(&mut model, "disk is being replaced\n");
    assert_eq!(posted(&effects).comment, "disk is being replaced");
    assert_eq!(posted(&effects).ends_at, "2026-06-01T14:00:00Z");
}

#[test]
fn ending_a_silence_asks_and_shows_its_author_and_matchers() {
    let seen = suppressed("Seen", "ack");
    let mut model = on_alerts(vec![seen.clone()]);
    assert_eq!(keys(&mut model, "U"), []);
    assert!(notice(&model).contains("not known yet"));
    let silences = vec![silence("ack", "acknowledged", &seen.labels)];
    update(&mut model, NOW, Event::Silences(silences));
    keys(&mut model, "A");
    assert!(model.dialog.is_none());
    assert!(
        notice(&model).contains("acknowledged by sam"),
        "{}",
        notice(&model)
    );
    assert_eq!(keys(&mut model, "U"), []);
    let Some(Dialog::Ask(question)) = &model.dialog else {
        panic!("{:?}", model.dialog)
    };
    assert!(
        question.lines[0].contains("By sam") && question.lines[0].contains(r#"alertname="Seen""#)
    );
    let effects = keys(&mut model, "y");
    assert!(matches!(effects.as_slice(), [Effect::EndSilence(id, _)] if id == "ack"));
}

#[test]
fn a_silence_that_is_over_does_not_make_an_alert_acknowledged() {
    let seen = suppressed("Seen", "ack");
    let mut model = on_alerts(vec![seen.clone()]);
    let mut over = silence("ack", "acknowledged", &seen.labels);
    over.status.state = SilenceState::Expired;
    update(&mut model, NOW, Event::Silences(vec![over]));
    assert_eq!(stages(&model), [("Seen".into(), Stage::Silenced)]);
}

#[test]
fn resolving_an_alert_whose_rule_still_holds_warns_that_it_comes_back() {
    let mut a = alert("A", "warning", AlertState::Active);
    // Prometheus adds this label when it sends the alert to Alertmanager.
    a.labels.insert("cluster".into(), "eu".into());
    let mut model = on_alerts(vec![a]);
    let rules = Ok(vec![of_rule("A", RuleState::Firing)]);
    update(&mut model, NOW, Event::RuleAlerts(rules));
    assert_eq!(keys(&mut model, "r"), []);
    let Some(Dialog::Ask(question)) = &model.dialog else {
        panic!("{:?}", model.dialog)
    };
    assert!(question.lines[0].contains("still holds: Prometheus sends the alert again soon"));
    let effects = keys(&mut model, "y");
    assert!(matches!(effects.as_slice(), [Effect::PostAlert(..)]));
}

#[test]
fn an_alert_that_no_person_raised_is_not_resolved_by_one_key_before_its_rule_is_known() {
    let mut model = on_alerts(vec![alert("A", "warning", AlertState::Active)]);
    assert_eq!(keys(&mut model, "r"), []);
    let Some(Dialog::Ask(question)) = &model.dialog else {
        panic!("{:?}", model.dialog)
    };
    assert!(question.lines[0].starts_with("If the condition of A still holds"));
    assert_eq!(keys(&mut model, "n"), []);
    assert!(model.dialog.is_none());
}

#[test]
fn pending_alerts_are_not_resolved_and_resolved_ones_not_silenced() {
    let mut model = on_alerts(vec![]);
    let rules = Ok(vec![of_rule("Coming", RuleState::Pending)]);
    update(&mut model, NOW, Event::RuleAlerts(rules));
    assert_eq!(keys(&mut model, "r"), []);
    assert!(notice(&model).contains("does not fire yet"));
    let a = alert("A", "warning", AlertState::Active);
    let mut model = on_alerts(vec![a]);
    update(&mut model, NOW, Event::Alerts(vec![]));
    for key in ["r", "A", "S", "U"] {
        model.notice = None;
        assert_eq!(keys(&mut model, key), []);
        assert!(
            model.dialog.is_none() && !notice(&model).is_empty(),
            "{key}"
        );
    }
    for key in ["r", "A", "S", "U"] {
        let mut model = on_alerts(vec![]);
        assert_eq!(keys(&mut model, key), []);
        assert!(notice(&model).contains("there is no alert"), "{key}");
    }
}

#[test]
fn an_inhibited_alert_names_the_alert_that_inhibits_it() {
    let mut cause = alert("DatabaseDown", "critical", AlertState::Active);
    cause.fingerprint = "f1".into();
    let inhibited = |name: &str, by: &[&str]| {
        let mut alert = alert(name, "warning", AlertState::Suppressed);
        alert.status.inhibited_by = by.iter().map(|&by| by.to_owned()).collect();
        alert
    };
    let mut both = inhibited("Both", &["f1"]);
    both.status.silenced_by = vec!["s1".into()];
    let model = on_alerts(vec![
        cause,
        inhibited("Slow", &["f1"]),
        inhibited("Unknown", &["f9"]),
        both,
    ]);
    let wanted = [
        ("DatabaseDown", Stage::Firing),
        ("Both", Stage::Silenced),
        ("Slow", Stage::Inhibited),
        ("Unknown", Stage::Inhibited),
    ];
    assert_eq!(
        stages(&model),
        wanted.map(|(name, stage)| (name.to_owned(), stage))
    );
    let inhibitors = model.alerts.rows.iter().map(|row| row.inhibitors.join(" "));
    let inhibitors: Vec<String> = inhibitors.collect();
    assert_eq!(inhibitors, ["", "DatabaseDown", "DatabaseDown", "f9"]);
    let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 120, 40));
    crate::tui::screens::draw(&model, &mut buffer);
    let screen = crate::tui::screens::as_lines(&buffer).join("\n");
    assert!(
        screen.contains("1 firing, 1 silenced, 2 inhibited"),
        "{screen}"
    );
    assert!(screen.contains("by DatabaseDown"), "{screen}");
}
