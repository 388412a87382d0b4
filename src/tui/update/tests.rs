//! Keys and events as they come, and what the console makes of them.

use super::feeds::TPS_WINDOW_MS;
use super::*;
use crate::api::ops::{
    AdmissionChange, AdmissionState, Dataset, Opening, QueueState, SeedPhase, SeedProgress,
    SeedRequest, Status,
};
use crate::clients::alertmanager::{Alert, AlertState};
use crate::clients::prometheus::Labels;
use crate::tui::dialog::{Dialog, Stage};
use crate::tui::load_port::Progress;
use crate::tui::load_port::Scenario;
use crate::tui::model::RunState;
use crate::tui::model::Settings;

/// 2026-06-01 12:00:00 UTC.
const NOW: i64 = 1_780_315_200_000;

fn status(profile: Option<&str>, registered: u64) -> Status {
    Status {
        version: String::new(),
        api_addr: "127.0.0.1:8080".into(),
        dataset: profile.map(|profile| Dataset {
            profile: profile.into(),
            concerts: 5,
            dates: 20,
            seats: 10_000,
            users: 2_000,
            on_sale_concert: 1,
            on_sale_seats: 2_000,
            popular_seats: 400,
            seats_per_date: 500,
            seeded_at: String::new(),
        }),
        queue: QueueState {
            registered,
            ..QueueState::default()
        },
        admission: AdmissionState {
            batch: 500,
            every_ms: 15_000,
            paused: false,
            opens_at_ms: None,
            open: true,
        },
    }
}

fn console(profile: Option<&str>, registered: u64) -> Model {
    let mut model = Model {
        now: NOW,
        ..Model::default()
    };
    let scenario = |name: &str, dataset: &str| Scenario {
        name: name.into(),
        title: String::new(),
        dataset: dataset.into(),
        users: 1,
        phases: vec!["register".into(), "open".into()],
    };
    model.load.scenarios = vec![
        scenario("onsale-short", "demo"),
        scenario("onsale", "onsale"),
    ];
    update(
        &mut model,
        NOW,
        Event::Ops(Box::new((
            status(profile, registered),
            SeedProgress::default(),
        ))),
    );
    model
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(
        model,
        NOW,
        Event::Key(KeyEvent::new(code, KeyModifiers::NONE)),
    )
}

/// Presses the keys of `text`, one after the other; the effects of the last.
fn keys(model: &mut Model, text: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in text.chars() {
        effects = press(
            model,
            if c == '\n' {
                KeyCode::Enter
            } else {
                KeyCode::Char(c)
            },
        );
    }
    effects
}

fn notice(model: &Model) -> &str {
    model.notice.as_ref().map_or("", |notice| &notice.text)
}

fn seed(profile: &str, replace: bool) -> Vec<Effect> {
    vec![Effect::Seed(SeedRequest {
        profile: Some(profile.into()),
        profile_yaml: None,
        replace,
    })]
}

fn alert(name: &str, severity: &str, state: AlertState) -> Alert {
    let mut alert = Alert {
        starts_at: "2026-06-01T11:00:00Z".into(),
        ..Alert::default()
    };
    alert.labels = Labels::from([
        ("alertname".into(), name.into()),
        ("severity".into(), severity.into()),
    ]);
    alert.status.state = state;
    alert
}

#[test]
fn an_empty_server_is_seeded_with_two_keys_and_a_full_one_asks_first() {
    assert_eq!(keys(&mut console(None, 0), "s\n"), seed("demo", false));
    let mut full = console(Some("demo"), 100);
    assert_eq!(keys(&mut full, "s\n"), []);
    assert!(matches!(&full.dialog, Some(Dialog::Seed(dialog)) if dialog.stage == Stage::Confirm));
    assert_eq!(keys(&mut full, "\n"), [], "Enter is not a yes");
    assert_eq!(keys(&mut full, "y"), seed("demo", true));
    assert!(full.dialog.is_none());
}

#[test]
fn a_no_or_escape_leaves_the_data_alone() {
    for no in [KeyCode::Char('n'), KeyCode::Esc, KeyCode::Char('q')] {
        let mut model = console(Some("demo"), 100);
        keys(&mut model, "s\n");
        assert_eq!(press(&mut model, no), []);
        assert!(model.dialog.is_none());
    }
}

#[test]
fn the_large_dataset_wants_its_name_typed() {
    let mut model = console(None, 0);
    assert_eq!(keys(&mut model, "sj\nonsal\n"), []);
    assert_eq!(keys(&mut model, "y"), [], "a y is a letter here");
    press(&mut model, KeyCode::Backspace);
    assert_eq!(keys(&mut model, "e\n"), seed("onsale", false));
}

#[test]
fn a_launch_asks_and_says_what_becomes_of_the_data() {
    let start = |scenario: &str, phase: Option<&str>, reseed| {
        vec![Effect::StartLoad {
            scenario: scenario.into(),
            phase: phase.map(str::to_owned),
            reseed,
        }]
    };
    // Nothing there, or another dataset: it is seeded first.
    assert_eq!(
        keys(&mut console(None, 0), "l\ny"),
        start("onsale-short", None, true)
    );
    assert_eq!(
        keys(&mut console(Some("other"), 0), "l\ny"),
        start("onsale-short", None, true)
    );
    // The right one, untouched: it is used as it is.
    assert_eq!(
        keys(&mut console(Some("demo"), 0), "l\ny"),
        start("onsale-short", None, false)
    );
    // An earlier run in it: seeded anew.
    assert_eq!(
        keys(&mut console(Some("demo"), 9), "l\ny"),
        start("onsale-short", None, true)
    );
    assert_eq!(
        keys(&mut console(Some("demo"), 9), "ljj\ny"),
        start("onsale-short", Some("open"), true)
    );
    // The large one is not seeded by a single y.
    let mut model = console(Some("demo"), 0);
    assert_eq!(keys(&mut model, "ljjj\ny"), []);
    assert_eq!(keys(&mut model, "onsale\n"), start("onsale", None, true));
    assert_eq!(model.screen, Screen::Load);
}

#[test]
fn while_a_rehearsal_runs_nothing_else_is_begun_and_leaving_asks() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "l\ny");
    for key in ["s", "l"] {
        assert_eq!(keys(&mut model, key), []);
        assert!(model.dialog.is_none());
        assert!(notice(&model).contains("stop it first"));
    }
    assert_eq!(keys(&mut model, "q"), []);
    assert_eq!(keys(&mut model, "n"), []);
    assert_eq!(keys(&mut model, "qy"), [Effect::Quit]);
    assert_eq!(keys(&mut model, "xy"), [Effect::StopLoad]);
    assert_eq!(model.load.run.as_ref().unwrap().state, RunState::Stopping);
    let ctrl_c = || Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(update(&mut model, NOW, ctrl_c()), [], "the first asks");
    assert_eq!(
        update(&mut model, NOW, ctrl_c()),
        [Effect::Quit],
        "the second means it"
    );
}

#[test]
fn quitting_an_idle_console_does_not_ask_and_works_in_dialogs() {
    assert_eq!(keys(&mut console(None, 0), "q"), [Effect::Quit]);
    let mut model = console(None, 0);
    keys(&mut model, "a");
    let ctrl_c = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(update(&mut model, NOW, ctrl_c), [Effect::Quit]);
}

#[test]
fn pausing_is_immediate_and_the_same_key_resumes() {
    let mut model = console(Some("demo"), 0);
    let paused = |effects: Vec<Effect>| match effects.as_slice() {
        [
            Effect::Admission(
                AdmissionChange {
                    paused,
                    batch: None,
                    every_ms: None,
                    opening: None,
                },
                _,
            ),
        ] => *paused,
        other => panic!("{other:?}"),
    };
    assert_eq!(paused(keys(&mut model, "p")), Some(true));
    let mut now = status(Some("demo"), 0);
    now.admission.paused = true;
    update(
        &mut model,
        NOW,
        Event::Ops(Box::new((now, SeedProgress::default()))),
    );
    assert_eq!(paused(keys(&mut model, "p")), Some(false));
}

#[test]
fn opening_and_closing_the_sale_asks() {
    let mut model = console(Some("demo"), 0);
    let opening = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::Admission(change, _)] => change.opening,
        _ => None,
    };
    assert_eq!(keys(&mut model, "o"), []);
    assert_eq!(opening(keys(&mut model, "y")), Some(Opening::Closed));
    let mut closed = status(Some("demo"), 0);
    closed.admission.open = false;
    update(
        &mut model,
        NOW,
        Event::Ops(Box::new((closed, SeedProgress::default()))),
    );
    assert_eq!(opening(keys(&mut model, "oy")), Some(Opening::Now));
}

#[test]
fn a_server_that_is_gone_is_not_operated_and_the_reason_is_said() {
    let mut model = console(Some("demo"), 0);
    let down = Event::Down {
        source: Source::Ops,
        reason: "no answer within 2 s".into(),
        retry_ms: 1000,
    };
    update(&mut model, NOW, down);
    for key in ["s", "l", "p", "o"] {
        assert_eq!(keys(&mut model, key), [], "{key}");
        assert!(
            model.dialog.is_none() && notice(&model).contains("no answer within 2 s"),
            "{key}"
        );
        model.notice = None;
    }
}

#[test]
fn read_only_turns_every_writing_key_off_and_no_other() {
    for binding in keys::BINDINGS {
        let mut model = console(Some("demo"), 0);
        model.settings = Settings {
            read_only: true,
            ..Settings::default()
        };
        model.alerts.list = vec![alert("X", "warning", AlertState::Active)];
        if let keys::Scope::On(screen) = binding.scope {
            model.screen = screen;
        }
        let keys::Key::Plain(code) = binding.keys[0] else {
            continue;
        };
        let effects = press(&mut model, code);
        let refused = notice(&model).starts_with("read-only");
        assert_eq!(refused, binding.writes, "{binding:?}");
        assert!(
            !binding.writes || (effects.is_empty() && model.dialog.is_none()),
            "{binding:?}"
        );
    }
}

#[test]
fn an_alert_is_raised_by_hand_only_when_it_says_what_is_wrong() {
    let mut model = console(None, 0);
    assert_eq!(keys(&mut model, "a\n\n\n"), []);
    assert!(matches!(&model.dialog, Some(Dialog::Raise(form)) if form.wrong.is_some()));
    let effects = keys(&mut model, "pay hangs\n");
    let [Effect::PostAlert(alert, said)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(alert.labels["alertname"], "OperatorAlert");
    assert_eq!(alert.labels["severity"], "warning");
    assert_eq!(alert.labels["source"], "operator");
    assert_eq!(alert.annotations["summary"], "pay hangs");
    assert_eq!(alert.starts_at.as_deref(), Some("2026-06-01T12:00:00Z"));
    assert_eq!(alert.ends_at.as_deref(), Some("2026-07-01T12:00:00Z"));
    assert_eq!(said, "alert OperatorAlert raised");
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
    assert!(!alert.annotations.contains_key("seen"), "nothing was seen");
}

#[test]
fn an_alert_by_hand_says_how_things_stood() {
    let mut model = console(None, 0);
    let series = |number| {
        let points = vec![(NOW, number)];
        let labels = Labels::new();
        Ok(vec![crate::clients::prometheus::Series { labels, points }])
    };
    let now = [(PanelId::Tps, 1_284.0), (PanelId::P95, 0.612)];
    let now = now.map(|(id, number)| (panel(id).query, series(number)));
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
    assert_eq!(alert.annotations["seen"], "TPS 1,284 /s, p95 612 ms");
}

#[test]
fn the_charts_are_zoomed_from_what_they_show_and_fitted_again() {
    let mut model = console(None, 0);
    let mut span = |key: &str| {
        keys(&mut model, key);
        window::shown(&model).span / 1000
    };
    assert_eq!(
        ["-", "-", "-", "+", "+", "+", "+"].map(&mut span),
        [60, 120, 300, 120, 60, 30, 30]
    );
    assert_eq!(span("0"), 30);
    assert_eq!(span("5-"), 60, "on the Load screen too");
}

#[test]
fn a_verdict_is_scrolled_by_pages_and_the_list_is_not() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "l\ny");
    press(&mut model, KeyCode::PageDown);
    assert_eq!(model.load.chosen, 0);
    let scroll = |model: &Model| model.load.run.as_ref().unwrap().scroll;
    assert!(scroll(&model) > 0);
    for _ in 0..100 {
        press(&mut model, KeyCode::PageDown);
    }
    assert!(scroll(&model) <= MAX_SCROLL);
    for _ in 0..100 {
        press(&mut model, KeyCode::PageUp);
    }
    assert_eq!(scroll(&model), 0);
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
    let effects = keys(&mut model, "jr");
    let [Effect::PostAlert(post, said)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(
        post.labels["alertname"], "A",
        "the critical one comes first"
    );
    assert_eq!(post.starts_at.as_deref(), Some("2026-06-01T11:00:00Z"));
    assert_eq!(post.ends_at.as_deref(), Some("2026-06-01T12:00:00Z"));
    assert!(said.contains("its rule raises it again"), "{said}");
}

#[test]
fn the_bell_rings_for_a_new_alert_only() {
    let mut model = console(None, 0);
    let (a, b) = (
        alert("A", "warning", AlertState::Active),
        alert("B", "info", AlertState::Suppressed),
    );
    let mut heard =
        |list: Vec<Alert>| update(&mut model, NOW, Event::Alerts(list)) == [Effect::Bell];
    assert!(!heard(vec![]));
    assert!(heard(vec![a.clone()]));
    assert!(!heard(vec![a.clone()]), "the same again");
    assert!(!heard(vec![a.clone(), b]), "a silenced one");
    assert!(!heard(vec![]), "none left");
    assert!(heard(vec![a]), "back again");
}

#[test]
fn alerts_that_were_there_before_the_console_do_not_ring() {
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
fn the_filter_is_typed_applied_left_and_cleared() {
    let mut model = console(None, 0);
    keys(&mut model, "/seat 7q\n");
    assert_eq!(
        (model.screen, model.logs.text.as_str()),
        (Screen::Logs, "seat 7q")
    );
    assert!(model.plan().logs.unwrap().contains(r#"|= "seat 7q""#));
    keys(&mut model, "/x");
    press(&mut model, KeyCode::Esc);
    assert_eq!(
        model.logs.text, "seat 7q",
        "leaving keeps the filter that was"
    );
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.logs.text, "");
    keys(&mut model, "vvv");
    assert!(model.plan().logs.unwrap().ends_with(r#"level=~"ERROR""#));
}

#[test]
fn answers_to_an_earlier_filter_are_not_mixed_in() {
    let mut model = console(None, 0);
    keys(&mut model, "/new\n");
    let line = crate::clients::loki::LogLine {
        at_ns: 1,
        labels: Labels::new(),
        line: "old".into(),
    };
    update(
        &mut model,
        NOW,
        Event::Logs {
            query: "{old}".into(),
            lines: vec![line],
            skipped: false,
        },
    );
    assert!(model.logs.records.is_empty());
    assert_eq!(model.source(Source::Loki).link, Link::Up);
}

#[test]
fn pasted_text_never_presses_keys() {
    let mut model = console(None, 0);
    update(&mut model, NOW, Event::Paste("qsl\ny".into()));
    assert!(model.dialog.is_none());
    keys(&mut model, "/");
    update(&mut model, NOW, Event::Paste("a\x1b[31mb".into()));
    assert_eq!(model.logs.editing.as_deref(), Some("a[31mb"));
    update(&mut model, NOW, Event::Paste("x".repeat(10_000)));
    assert_eq!(model.logs.editing.unwrap().chars().count(), MAX_INPUT);
}

#[test]
fn a_failed_source_keeps_its_data_and_tells_age_and_reason() {
    let mut model = console(Some("demo"), 7);
    let down = Event::Down {
        source: Source::Ops,
        reason: "refused".into(),
        retry_ms: 4_000,
    };
    update(&mut model, NOW + 9_000, down);
    assert_eq!(
        model.source(Source::Ops).stale(model.now),
        Some((9_000, "refused"))
    );
    assert_eq!(model.status.as_ref().unwrap().queue.registered, 7);
    assert_eq!(
        model.source(Source::Loki).stale(model.now),
        None,
        "never heard of is not stale"
    );
}

#[test]
fn the_end_of_a_seeding_is_told_in_the_status_line() {
    let seeding = |phase, error: Option<&str>| SeedProgress {
        phase,
        profile: "demo".into(),
        rows_done: 12_025,
        elapsed_seconds: 0.41,
        error: error.map(str::to_owned),
        ..SeedProgress::default()
    };
    let told = |phase, error| {
        let mut model = console(None, 0);
        for progress in [seeding(SeedPhase::Running, None), seeding(phase, error)] {
            update(
                &mut model,
                NOW,
                Event::Ops(Box::new((status(None, 0), progress))),
            );
        }
        notice(&model).to_owned()
    };
    assert_eq!(
        told(SeedPhase::Done, None),
        "demo is seeded: 12,025 rows in 410 ms"
    );
    assert!(told(SeedPhase::Cancelled, None).contains("cancelled"));
    assert!(told(SeedPhase::Failed, Some("disk full")).contains("disk full"));
}

#[test]
fn notices_go_away_by_themselves() {
    let mut model = console(None, 0);
    update(
        &mut model,
        NOW,
        Event::Done {
            what: "admission paused".into(),
            result: Ok(()),
        },
    );
    assert_eq!(notice(&model), "admission paused");
    update(&mut model, NOW + NOTICE_MS + 1, Event::Tick);
    assert!(model.notice.is_none());
    let failed = Event::Done {
        what: "not done: x".into(),
        result: Err("refused (401): \x1b[2Jno".into()),
    };
    update(&mut model, NOW, failed);
    assert_eq!(notice(&model), "not done: x: refused (401):  [2Jno");
}

#[test]
fn screens_are_reached_by_number_and_tab_and_kept_numbers_say_so() {
    let mut model = console(None, 0);
    for (key, screen) in [
        ("3", Screen::Logs),
        ("5", Screen::Load),
        ("6", Screen::Alerts),
        ("1", Screen::Overview),
    ] {
        keys(&mut model, key);
        assert_eq!(model.screen, screen);
    }
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.screen, Screen::Logs);
    press(&mut model, KeyCode::BackTab);
    press(&mut model, KeyCode::BackTab);
    assert_eq!(model.screen, Screen::Alerts);
    keys(&mut model, "2");
    assert_eq!(model.screen, Screen::Alerts);
    assert!(notice(&model).contains("kept"));
}

#[test]
fn no_key_in_any_state_breaks_the_console() {
    let codes: Vec<KeyCode> = (' '..='~')
        .map(KeyCode::Char)
        .chain([
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Tab,
            KeyCode::BackTab,
        ])
        .chain([
            KeyCode::Backspace,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Null,
        ])
        .collect();
    proptest::proptest!(|(presses in proptest::collection::vec(0..codes.len(), 0..60), full: bool)| {
        let mut model = console(full.then_some("demo"), u64::from(full));
        for press_of in presses {
            press(&mut model, codes[press_of]);
            let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 80, 24));
            crate::tui::screens::draw(&model, &mut buffer);
        }
    });
}

#[test]
fn the_rehearsals_tps_is_taken_over_the_window_that_the_servers_is() {
    let window = panel(PanelId::Tps).window;
    assert_eq!(window, format!("{}s", TPS_WINDOW_MS / 1000));
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "l\ny");
    let mut tps = |second: i64, requests: u64| {
        let progress = Progress {
            requests,
            ..Progress::default()
        };
        update(
            &mut model,
            NOW + second * 1000,
            Event::LoadProgress(Box::new(progress)),
        );
        model.load.run.as_ref().unwrap().tps_now()
    };
    assert_eq!(tps(0, 0), 0.0);
    assert_eq!(tps(5, 500), 50.0);
    let after: Vec<f64> = (6..40)
        .map(|second| tps(second, second as u64 * 100))
        .collect();
    assert_eq!(after[20], 100.0);
    assert_eq!(tps(60, 3_900), 0.0, "nothing answered for a whole window");
    assert!(model.load.run.as_ref().unwrap().requests.len() < 20);
}
