//! Snapshots of each screen × {80×24, 120×40} × {ok, stale, empty, error}, also without colour and Unicode.

pub(crate) mod acting;
pub(crate) mod alert;
pub(crate) mod boards;
pub(crate) mod drills;
pub(crate) mod faults;
pub(crate) mod fixtures;
mod pictures;
pub(crate) mod sources;
pub(crate) mod traces;

use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::api::ops::{Follow, SeedPhase, SeedProgress};
use crate::load::Verdict;
use crate::tui::input::dialog::question::Question;
use crate::tui::input::dialog::{AlertForm, Dialog, LaunchDialog, PathField, SeedDialog, Stage};
use crate::tui::model::{Model, NoticeKind, RunState, Screen};
use crate::tui::screens::tests::fixtures::*;

/// Makes a console in some state that shows this screen.
type State = fn(Screen) -> Model;

fn buffer(model: &Model, (width, height): (u16, u16)) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(model, &mut buffer);
    buffer
}

fn text(buffer: &Buffer) -> String {
    as_lines(buffer).join("\n")
}

fn shot(name: &str, model: &Model, size: (u16, u16)) {
    let name = format!("{name}_{}x{}", size.0, size.1);
    insta::assert_snapshot!(name, text(&buffer(model, size)));
}

#[test]
fn every_screen_in_every_state_and_size_matches_its_snapshot() {
    let states: [(&str, State); 4] = [
        ("ok", ok),
        ("stale", stale),
        ("empty", empty),
        ("error", error),
    ];
    for screen in Screen::ALL {
        for (state, model) in &states {
            for size in SIZES {
                shot(
                    &format!("{}_{state}", screen.title().to_lowercase()),
                    &model(*screen),
                    size,
                );
            }
        }
    }
}

#[test]
fn verdicts_match_their_snapshots() {
    let mut model = ok(Screen::Load);
    for (name, verdict) in [("missed", Verdict::Failed), ("passed", Verdict::Passed)] {
        model.load.run = Some(run(RunState::Ended(outcome(verdict))));
        for size in SIZES {
            shot(&format!("load_{name}"), &model, size);
        }
    }
    model.load.run = Some(run(RunState::Failed(
        "the server at 127.0.0.1:8080 does not answer".into(),
    )));
    shot("load_failed", &model, SIZES[0]);
}

#[test]
fn dialogs_match_their_snapshots() {
    let small = SIZES[0];
    let with = |dialog: Dialog| {
        let mut model = ok(Screen::Overview);
        model.load.run = None;
        model.dialog = Some(dialog);
        model
    };
    shot("help", &with(Dialog::Help(0)), (80, 24));
    shot("help", &with(Dialog::Help(0)), (120, 60));
    shot("help_scrolled", &with(Dialog::Help(500)), small);
    shot(
        "seed_choose",
        &with(Dialog::Seed(SeedDialog::default())),
        small,
    );
    shot(
        "seed_confirm",
        &with(Dialog::Seed(SeedDialog {
            stage: Stage::Confirm,
            ..SeedDialog::default()
        })),
        small,
    );
    shot(
        "seed_type",
        &with(Dialog::Seed(SeedDialog {
            chosen: 1,
            stage: Stage::Type("ons".into()),
            ..SeedDialog::default()
        })),
        small,
    );
    shot(
        "launch_choose",
        &with(Dialog::Launch(LaunchDialog::default())),
        small,
    );
    shot(
        "launch_phase",
        &with(Dialog::Launch(LaunchDialog {
            stage: Stage::Phase(1),
            ..LaunchDialog::default()
        })),
        small,
    );
    shot(
        "launch_file",
        &with(Dialog::Launch(LaunchDialog {
            chosen: 3,
            stage: Stage::Path(PathField {
                path: "rehearsals/서울-콘서트.yaml".into(),
                wrong: Some("rehearsals/서울-콘서트.yaml:3:9: users: there is no such field; write one of phases, dataset".into()),
                reading: false,
            }),
            ..LaunchDialog::default()
        })),
        small,
    );
    shot(
        "launch_used",
        &with(Dialog::Launch(LaunchDialog {
            stage: Stage::Confirm,
            ..LaunchDialog::default()
        })),
        small,
    );
    shot(
        "launch_needed",
        &with(Dialog::Launch(LaunchDialog {
            chosen: 1,
            phase: Some(1),
            stage: Stage::Confirm,
        })),
        small,
    );
    shot(
        "raise",
        &with(Dialog::Raise(AlertForm {
            focus: 2,
            summary: "payments hang".into(),
            ..AlertForm::default()
        })),
        small,
    );
    let question = Question {
        title: "Quit?",
        lines: vec![
            "A rehearsal is under way. It will be stopped. The users that it registered stay in the queue."
                .into(),
        ],
        yes: "quit",
        effects: vec![],
    };
    shot("ask", &with(Dialog::Ask(question)), small);
    let mut model = ok(Screen::Logs);
    model.logs.move_by(-1);
    model.dialog = Some(Dialog::Record(0));
    shot("record", &model, small);
}

#[test]
fn status_lines_match_their_snapshots() {
    let mut model = empty(Screen::Overview);
    model.seed = SeedProgress {
        phase: SeedPhase::Running,
        profile: "onsale".into(),
        rows_done: 6_300_000,
        rows_total: 10_030_500,
        rows_per_second: 1_240_000.0,
        elapsed_seconds: 5.0,
        seconds_left: Some(3.2),
        error: None,
    };
    shot("seeding", &model, SIZES[0]);
    shot("seeding", &model, SIZES[1]);
    model.seed = SeedProgress::default();
    model.tell(
        NoticeKind::Failed,
        "not done: seeding demo: refused (409): a dataset is there",
    );
    shot("notice", &model, SIZES[0]);
    let mut model = ok(Screen::Logs);
    model.logs.editing = Some("seat 7".into());
    model.settings.read_only = true;
    shot("filtering_read_only", &model, SIZES[0]);
}

#[test]
fn without_colour_the_text_is_the_same_and_no_cell_is_coloured() {
    for screen in Screen::ALL {
        for size in SIZES {
            let mut model = ok(*screen);
            let coloured = buffer(&model, size);
            model.settings.colour = false;
            let plain = buffer(&model, size);
            assert_eq!(text(&plain), text(&coloured));
            assert!(
                plain
                    .content
                    .iter()
                    .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
            );
            assert!(
                coloured.content.iter().any(|cell| cell.fg != Color::Reset),
                "the frame had colours before"
            );
            // Without colour, the chosen tab must still be distinguishable.
            assert!(
                plain
                    .content
                    .iter()
                    .any(|cell| cell.modifier.contains(Modifier::REVERSED))
            );
        }
    }
}

#[test]
fn in_ascii_every_cell_is_ascii_and_signs_stay_distinct() {
    for model in [ok, stale, empty, error] {
        for screen in Screen::ALL {
            let mut model = model(*screen);
            model.settings.ascii = true;
            let buffer = buffer(&model, (80, 24));
            assert!(
                buffer.content.iter().all(|cell| cell.symbol().is_ascii()),
                "{screen:?}"
            );
            assert!(
                !text(&buffer).contains('?') || text(&buffer).contains("? help"),
                "{}",
                text(&buffer)
            );
        }
    }
    let mut model = ok(Screen::Overview);
    model.settings.ascii = true;
    shot("overview_ascii", &model, SIZES[0]);
}

#[test]
fn old_data_are_dimmed_and_new_ones_are_not() {
    let dimmed = |model: &Model| {
        let buffer = buffer(model, SIZES[0]);
        buffer
            .content
            .iter()
            .filter(|cell| cell.modifier.contains(Modifier::DIM))
            .count()
    };
    assert_eq!(dimmed(&ok(Screen::Overview)), 0);
    assert!(dimmed(&stale(Screen::Overview)) > 500);
}

#[test]
fn a_terminal_that_is_too_small_shows_the_required_size() {
    let model = ok(Screen::Overview);
    for size in [(79, 24), (80, 23), (20, 5), (13, 3)] {
        let text = text(&buffer(&model, size));
        let shown: Vec<&str> = text.split_whitespace().collect();
        let expected = format!("needs 80x24, this is {}x{}", size.0, size.1);
        assert_eq!(shown.join(" "), expected, "{text}");
    }
    for size in [(1, 1), (0, 0), (300, 2), (5, 100)] {
        buffer(&model, size);
    }
}

#[test]
fn no_size_makes_the_drawing_panic() {
    for screen in Screen::ALL {
        for model in [ok(*screen), stale(*screen), empty(*screen), error(*screen)] {
            for size in [
                (80, 24),
                (81, 25),
                (113, 29),
                (114, 30),
                (99, 50),
                (200, 24),
                (250, 80),
            ] {
                buffer(&model, size);
            }
        }
    }
}

/// A verdict like that of the shortest shipped rehearsal, with a summary whose path is long.
fn full_verdict() -> Model {
    let mut model = ok(Screen::Load);
    let mut outcome = outcome(Verdict::Passed);
    outcome.thresholds = (1..=8)
        .map(|n| threshold(&format!("threshold_{n} ≤ 500 ms"), "42 ms", true))
        .collect();
    let path =
        "/home/somebody/.local/share/concertctl/rehearsals/onsale-short-2026-06-01T12-00-00.json";
    outcome.files.as_mut().unwrap().summary = path.into();
    model.load.run = Some(run(RunState::Ended(outcome)));
    model
}

#[test]
fn the_verdict_is_whole_on_the_smallest_screen_with_every_threshold_and_the_path() {
    let text = text(&buffer(&full_verdict(), SIZES[0]));
    for n in 1..=8 {
        assert!(text.contains(&format!("threshold_{n} ≤")), "{text}");
    }
    let path = text.split("summary: ").nth(1).expect("a path");
    let inside = |line: &str| line.split('│').nth(3).unwrap_or(line).trim().to_owned();
    let mut path = path.lines();
    let first = path
        .next()
        .unwrap()
        .split('│')
        .next()
        .unwrap()
        .trim()
        .to_owned();
    let path = first + &path.take(2).map(inside).collect::<String>();
    assert!(
        path.contains("onsale-short-2026-06-01T12-00-00.json"),
        "{path}\n{text}"
    );
    assert!(text.contains("PgDn: more"), "{text}");
}

#[test]
fn the_header_always_shows_dataset_and_sale() {
    for mut model in [ok(Screen::Logs), stale(Screen::Logs)] {
        model.settings.read_only = true;
        model.settings.embedded = true;
        let status = model.status.as_mut().unwrap();
        status.admission.paused = true;
        status.dataset.as_mut().unwrap().profile = "아이유 앙코르 서울 올림픽공원".into();
        let text = text(&buffer(&model, SIZES[0]));
        let line = text.lines().nth(1).unwrap();
        assert!(
            line.contains("아이유 앙코르 …  ▲ admission paused"),
            "{line}"
        );
        assert!(line.contains("read-only") && line.contains("tra"), "{line}");
        assert!(cells::width(line) <= 80, "{line}");
    }
}

#[test]
fn wide_characters_do_not_move_borders() {
    const WIDE: &str = "서울 올림픽공원 아이유 👨‍👩‍👧 cafe\u{301} ";
    for size in SIZES {
        let mut model = ok(Screen::Alerts);
        for row in &mut model.alerts.list {
            row.annotations.insert("summary".into(), WIDE.repeat(9));
        }
        let list = model.alerts.list.clone();
        model.alerts.take(list, NOW);
        model.dialog = Some(Dialog::Raise(AlertForm {
            summary: WIDE.repeat(9).as_str().into(),
            ..AlertForm::default()
        }));
        let drawn = text(&buffer(&model, size));
        let lines: Vec<&str> = drawn.lines().collect();
        for line in &lines[2..lines.len() - 2] {
            let width = cells::width(line);
            assert_eq!(width, usize::from(size.0), "{line}\n{drawn}");
            assert!(line.ends_with(['│', '╮', '╯']), "{line}\n{drawn}");
        }
    }
}

/// If the border of a dialog covers the second half of a wide character, the character is removed.
#[test]
fn half_a_wide_character_becomes_a_blank() {
    let mut buffer = Buffer::with_lines(["가나다"]);
    buffer[(3, 0)].set_symbol("│");
    blank_halves(&mut buffer);
    assert_eq!(text(&buffer), "가 │다");
}

#[test]
fn the_table_below_the_verdict_is_reached_by_scrolling() {
    let mut model = full_verdict();
    let shown = |model: &Model| text(&buffer(model, SIZES[0]));
    assert!(!shown(&model).contains("charge"));
    model.load.run.as_mut().unwrap().scroll = 60;
    let end = shown(&model);
    assert!(
        end.contains("charge") && end.contains("PgUp: back"),
        "{end}"
    );
}

#[test]
fn without_traffic_the_overview_says_so_instead_of_old_figures() {
    let mut model = ok(Screen::Overview);
    model.load.run = None;
    let mut now = metrics(NOW + 1_000);
    now.insert(
        crate::tui::sources::panels::panel(crate::tui::sources::panels::PanelId::Tps)
            .query
            .into(),
        Ok(vec![value(NOW + 1_000, &[], 0.0)]),
    );
    let event = crate::tui::event::Event::Metrics {
        at: NOW + 1_000,
        now,
        past: None,
    };
    crate::tui::update::update(&mut model, NOW + 1_000, event);
    let text = text(&buffer(&model, SIZES[0]));
    assert!(
        text.contains("no traffic") && !text.contains("612 ms"),
        "{text}"
    );
}

#[test]
fn the_overview_shows_the_rate_while_it_is_slowed_and_only_then() {
    let mut model = ok(Screen::Overview);
    let mut shown = |follow, rate| {
        let admission = &mut model.status.as_mut().unwrap().admission;
        (admission.follow, admission.rate) = (follow, rate);
        text(&buffer(&model, SIZES[0]))
    };
    // 500 every 15 s are 33 a second.
    let slowed = shown(Follow::Objective, 8.0);
    assert!(slowed.contains("500 every 15 s, now 8/s"), "{slowed}");
    let whole = shown(Follow::Objective, 500.0 / 15.0);
    assert!(!whole.contains(", now "), "{whole}");
    let set = shown(Follow::Settings, 8.0);
    assert!(!set.contains(", now "), "{set}");
}

#[test]
fn the_documented_pictures_match_the_console() {
    let page = include_str!("../../../docs/console.md");
    let mut passed = ok(Screen::Load);
    passed.load.run = Some(run(RunState::Ended(outcome(Verdict::Passed))));
    let mut pictures: Vec<Model> = Screen::ALL.iter().map(|screen| ok(*screen)).collect();
    pictures.extend([passed, traces::pictured()]);
    for model in pictures {
        let text = text(&buffer(&model, SIZES[0]));
        let picture = format!("```text\n{}\n```", text.trim_end());
        assert!(
            page.contains(&picture),
            "docs/console.md should hold:\n{picture}"
        );
    }
}
