//! Keys and events, and their effects. Actions are tested here, other parts in files of their own.

pub(crate) mod acting;
pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod drills;
pub(crate) mod faults;
pub(crate) mod links;
pub(crate) mod silencing;
pub(crate) mod time;
pub(crate) mod views;

use super::*;
use crate::api::ops::{
    AdmissionChange, AdmissionState, Dataset, Follow, Opening, QueueState, SeedPhase, SeedProgress,
    SeedRequest, Status,
};
use crate::clients::alertmanager::{Alert, AlertState};
use crate::clients::prometheus::Labels;
use crate::load::{PhaseName, Progress, ScenarioInfo};
use crate::tui::event::ProfileFile;
use crate::tui::input::dialog::{Dialog, Stage};
use crate::tui::input::keys::{Key, Scope};
use crate::tui::input::line::MAX_INPUT;
use crate::tui::model::{RunState, RunView, Screen, Settings};
use crate::tui::screens::alerts::name;
use crate::tui::update::feeds::TPS_WINDOW_MS;

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
            follow: Default::default(),
            rate: 0.0,
        },
        consoles: 1,
        memory_bytes: None,
    }
}

fn console(profile: Option<&str>, registered: u64) -> Model {
    let mut model = Model {
        now: NOW,
        ..Model::default()
    };
    let scenario = |name: &str, dataset: &str| ScenarioInfo {
        name: name.into(),
        title: String::new(),
        dataset: dataset.into(),
        users: 1,
        file: None,
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

/// A rehearsal that has just started.
fn running() -> RunView {
    RunView {
        scenario: "onsale-short".into(),
        phase: None,
        state: RunState::Running,
        progress: Progress::default(),
        requests: Default::default(),
        tps: Default::default(),
        p95: Default::default(),
        scroll: 0,
    }
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(
        model,
        NOW,
        Event::Key(KeyEvent::new(code, KeyModifiers::NONE)),
    )
}

/// Presses the keys of `text`; returns the effects of the last one.
fn keys(model: &mut Model, text: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in text.chars() {
        effects = press(
            model,
            match c {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\u{8}' => KeyCode::Backspace,
                c => KeyCode::Char(c),
            },
        );
    }
    effects
}

fn notice(model: &Model) -> &str {
    model.notice.as_ref().map_or("", |notice| &notice.text)
}

fn seed(profile: &str, replace: bool) -> Vec<Effect> {
    let request = SeedRequest {
        profile: Some(profile.into()),
        profile_yaml: None,
        replace,
    };
    vec![Effect::Seed(request, format!("seeding {profile}"))]
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
fn two_keys_seed_an_empty_server_and_a_full_one_asks_first() {
    assert_eq!(keys(&mut console(None, 0), "s\n"), seed("demo", false));
    let mut full = console(Some("demo"), 100);
    assert_eq!(keys(&mut full, "s\n"), []);
    assert!(matches!(&full.dialog, Some(Dialog::Seed(dialog)) if dialog.stage == Stage::Confirm));
    assert_eq!(keys(&mut full, "\n"), [], "Enter does not confirm");
    assert_eq!(keys(&mut full, "y"), seed("demo", true));
    assert!(full.dialog.is_none());
}

#[test]
fn n_and_escape_leave_the_data_unchanged() {
    for no in [KeyCode::Char('n'), KeyCode::Esc, KeyCode::Char('q')] {
        let mut model = console(Some("demo"), 100);
        keys(&mut model, "s\n");
        assert_eq!(press(&mut model, no), []);
        assert!(model.dialog.is_none());
    }
}

#[test]
fn the_large_dataset_is_confirmed_by_typing_its_name() {
    let mut model = console(None, 0);
    assert_eq!(keys(&mut model, "sj\nonsal\n"), []);
    assert_eq!(keys(&mut model, "y"), [], "y is only a letter here");
    press(&mut model, KeyCode::Backspace);
    assert_eq!(keys(&mut model, "e\n"), seed("onsale", false));
}

#[test]
fn a_launch_asks_and_states_its_effect_on_the_data() {
    let start = |scenario: &str, phase: Option<&str>, reseed| {
        vec![Effect::StartLoad {
            scenario: scenario.into(),
            file: None,
            phase: phase.and_then(PhaseName::named),
            reseed,
        }]
    };
    // Without a dataset, or with another one, the rehearsal seeds first.
    assert_eq!(
        keys(&mut console(None, 0), "l\n\ny"),
        start("onsale-short", None, true)
    );
    assert_eq!(
        keys(&mut console(Some("other"), 0), "l\n\ny"),
        start("onsale-short", None, true)
    );
    // The right, unused dataset is kept.
    assert_eq!(
        keys(&mut console(Some("demo"), 0), "l\n\ny"),
        start("onsale-short", None, false)
    );
    // A dataset that holds an earlier run is seeded again.
    assert_eq!(
        keys(&mut console(Some("demo"), 9), "l\n\ny"),
        start("onsale-short", None, true)
    );
    assert_eq!(
        keys(&mut console(Some("demo"), 9), "l\njj\ny"),
        start("onsale-short", Some("open"), true)
    );
    // A single y does not seed the large dataset.
    let mut model = console(Some("demo"), 0);
    assert_eq!(keys(&mut model, "lj\n\ny"), []);
    assert_eq!(keys(&mut model, "onsale\n"), start("onsale", None, true));
    assert_eq!(model.screen, Screen::Load);
}

#[test]
fn while_a_rehearsal_runs_nothing_else_starts_and_quitting_asks() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "l\n\ny");
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
    assert_eq!(
        update(&mut model, NOW, ctrl_c()),
        [],
        "the first Ctrl-C asks"
    );
    assert_eq!(
        update(&mut model, NOW, ctrl_c()),
        [Effect::Quit],
        "the second Ctrl-C quits"
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
fn quitting_warns_about_other_consoles_that_lose_their_server() {
    let mut model = console(Some("demo"), 0);
    let attached = |model: &mut Model, consoles| {
        let mut now = status(Some("demo"), 0);
        now.consoles = consoles;
        update(
            model,
            NOW,
            Event::Ops(Box::new((now, SeedProgress::default()))),
        );
    };
    attached(&mut model, 3);
    assert_eq!(keys(&mut model, "q"), [Effect::Quit], "the server stays");
    model.settings.embedded = true;
    assert_eq!(keys(&mut model, "q"), []);
    let text = match &model.dialog {
        Some(Dialog::Ask(question)) => question.lines.join(" "),
        other => panic!("{other:?}"),
    };
    assert!(text.contains("2 other consoles are attached"), "{text}");
    assert_eq!(keys(&mut model, "nqy"), [Effect::Quit]);
    attached(&mut model, 1);
    assert_eq!(
        keys(&mut model, "q"),
        [Effect::Quit],
        "no other console is attached"
    );
}

#[test]
fn files_are_read_by_their_path_and_the_dialog_shows_mistakes_in_them() {
    let mut model = console(None, 0);
    let last = "j".repeat(model.load.scenarios.len());
    keys(&mut model, &format!("l{last}\n"));
    assert_eq!(keys(&mut model, "\n"), [], "no path, nothing to read");
    let asked = keys(&mut model, "my.yaml\n");
    assert_eq!(asked, [Effect::ReadScenario("my.yaml".into())]);
    assert_eq!(keys(&mut model, "\n"), [], "one file is read at a time");
    let read = |model: &mut Model, read| update(model, NOW, Event::ScenarioRead(read));
    read(&mut model, Err("my.yaml:3: wrong".into()));
    let wrong = match &model.dialog {
        Some(Dialog::Launch(dialog)) => match &dialog.stage {
            Stage::Path(field) => field.wrong.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong.as_deref(), Some("my.yaml:3: wrong"));
    keys(&mut model, "\n");
    let scenario = ScenarioInfo {
        name: "my".into(),
        file: Some("my.yaml".into()),
        ..model.load.scenarios[0].clone()
    };
    let before = model.load.scenarios.len();
    read(&mut model, Ok(scenario));
    assert_eq!(model.load.scenarios.len(), before + 1);
    let started = keys(&mut model, "\ny");
    assert!(
        matches!(&started[..], [Effect::StartLoad { scenario, file: Some(_), .. }] if scenario == "my"),
        "{started:?}"
    );

    let mut model = console(None, 0);
    let asked = keys(&mut model, "sjj\nseats.yaml\n");
    assert_eq!(asked, [Effect::ReadProfile("seats.yaml".into())]);
    let file = ProfileFile {
        path: "seats.yaml".into(),
        yaml: "seats: 1".into(),
    };
    let seeded = update(&mut model, NOW, Event::ProfileRead(Ok(file)));
    assert!(
        matches!(&seeded[..], [Effect::Seed(request, action)]
            if request.profile_yaml.is_some() && action == "seeding seats.yaml"),
        "{seeded:?}"
    );
}

#[test]
fn ctrl_z_suspends_from_dialogs_too() {
    let mut model = console(None, 0);
    let ctrl_z = || Event::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL));
    assert_eq!(update(&mut model, NOW, ctrl_z()), [Effect::Suspend]);
    keys(&mut model, "a");
    assert_eq!(update(&mut model, NOW, ctrl_z()), [Effect::Suspend]);
    assert!(model.dialog.is_some(), "the form stays open");
}

#[test]
fn pausing_and_resuming_ask_first() {
    let mut model = console(Some("demo"), 0);
    let paused = |effects: Vec<Effect>| match effects.as_slice() {
        [
            Effect::Admission(
                AdmissionChange {
                    paused,
                    batch: None,
                    every_ms: None,
                    opening: None,
                    follow: None,
                },
                _,
            ),
        ] => *paused,
        other => panic!("{other:?}"),
    };
    assert_eq!(keys(&mut model, "p"), []);
    assert_eq!(keys(&mut model, "pn"), [], "p and n do not confirm");
    assert!(model.dialog.is_none());
    assert_eq!(paused(keys(&mut model, "py")), Some(true));
    let mut now = status(Some("demo"), 0);
    now.admission.paused = true;
    update(
        &mut model,
        NOW,
        Event::Ops(Box::new((now, SeedProgress::default()))),
    );
    assert_eq!(paused(keys(&mut model, "py")), Some(false));
}

#[test]
fn opening_and_closing_the_sale_ask_first() {
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
fn a_server_that_does_not_answer_is_not_operated_and_the_reason_is_shown() {
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
fn read_only_disables_exactly_the_keys_that_write() {
    for binding in keymap::all() {
        let mut model = console(Some("demo"), 0);
        model.settings = Settings {
            read_only: true,
            ..Settings::default()
        };
        let list = vec![alert("X", "warning", AlertState::Active)];
        update(&mut model, NOW, Event::Alerts(list));
        model.load.run = Some(running());
        if let Scope::On(screen) = binding.scope {
            model.screen = screen;
        }
        let Key::Plain(code) = binding.keys[0] else {
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
fn no_key_in_any_state_makes_the_console_panic() {
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
