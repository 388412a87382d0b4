//! Screens, filter, zoom, notices, and the state of sources.

use super::*;
use crate::tui::screens::view::MAX_SCROLL;
use crate::tui::sources::panels::{PanelId, panel};
use crate::tui::window;

#[test]
fn zooming_starts_at_the_visible_range_and_0_fits_the_charts_again() {
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
fn page_keys_scroll_the_verdict_and_not_the_list() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "l\n\ny");
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
fn the_filter_is_typed_applied_cancelled_and_cleared() {
    let mut model = console(None, 0);
    keys(&mut model, "/seat 7q\n");
    assert_eq!(
        (model.screen, model.logs.text.as_str()),
        (Screen::Logs, "seat 7q")
    );
    assert!(
        model
            .plan()
            .logs
            .unwrap()
            .contains(r#"|~ "(?i)seat" |~ "(?i)7q""#)
    );
    keys(&mut model, "/x");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.logs.text, "seat 7q", "Esc keeps the earlier filter");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.logs.text, "");
    keys(&mut model, "vvv");
    assert!(
        model
            .plan()
            .logs
            .unwrap()
            .ends_with(r#"severity_text=~"(?i)(err.*|fatal|crit.*)""#)
    );
}

#[test]
fn answers_to_an_earlier_filter_are_ignored() {
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
fn a_refused_log_query_shows_its_reason_until_the_filter_changes() {
    let mut model = console(None, 0);
    keys(&mut model, "3");
    let reason = "refused (400): parse error at line 1, col 5".to_owned();
    update(&mut model, NOW, Event::LogsRefused { reason });
    for once in [false, true] {
        model.settings.once = once;
        model.notice = None;
        let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 100, 30));
        crate::tui::screens::draw(&model, &mut buffer);
        let screen = crate::tui::screens::as_lines(&buffer).join("\n");
        assert!(screen.contains("parse error at line 1, col 5"), "{screen}");
        assert!(!screen.contains("asking"), "{screen}");
    }
    model.settings.once = false;
    keys(&mut model, "/new\n");
    assert_eq!(model.logs.refused, None);
}

#[test]
fn pasted_text_never_runs_actions() {
    let mut model = console(None, 0);
    update(&mut model, NOW, Event::Paste("qsl\ny".into()));
    assert!(model.dialog.is_none());
    keys(&mut model, "/");
    update(&mut model, NOW, Event::Paste("a\x1b[31mb".into()));
    assert_eq!(model.logs.editing.as_ref().unwrap().text(), "a[31mb");
    update(&mut model, NOW, Event::Paste("x".repeat(10_000)));
    assert_eq!(
        model.logs.editing.unwrap().text().chars().count(),
        MAX_INPUT
    );
}

#[test]
fn a_failed_source_keeps_its_data_with_age_and_reason() {
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
        "a source that never answered has no stale data"
    );
}

#[test]
fn the_status_line_shows_the_end_of_a_seeding() {
    let seeding = |phase, error: Option<&str>| SeedProgress {
        phase,
        profile: "demo".into(),
        rows_done: 12_025,
        elapsed_seconds: 0.41,
        error: error.map(str::to_owned),
        ..SeedProgress::default()
    };
    let notice_after = |phase, error| {
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
        notice_after(SeedPhase::Done, None),
        "demo is seeded: 12,025 rows in 410 ms"
    );
    assert!(notice_after(SeedPhase::Cancelled, None).contains("cancelled"));
    assert!(notice_after(SeedPhase::Failed, Some("disk full")).contains("disk full"));
}

#[test]
fn notices_disappear_after_some_seconds() {
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
fn screens_are_reached_by_number_and_tab() {
    let mut model = console(None, 0);
    for (key, screen) in [
        ("2", Screen::Resources),
        ("3", Screen::Logs),
        ("4", Screen::Traces),
        ("5", Screen::Load),
        ("6", Screen::Alerts),
        ("7", Screen::Drills),
        ("8", Screen::Board),
        ("1", Screen::Overview),
    ] {
        keys(&mut model, key);
        assert_eq!(model.screen, screen);
    }
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.screen, Screen::Resources);
    press(&mut model, KeyCode::BackTab);
    press(&mut model, KeyCode::BackTab);
    assert_eq!(model.screen, Screen::Board);
    keys(&mut model, "8");
    assert_eq!(model.screen, Screen::Board);
}

#[test]
fn the_rehearsals_tps_has_the_same_window_as_the_servers() {
    let window = panel(PanelId::Tps).window;
    assert_eq!(window, format!("{}s", TPS_WINDOW_MS / 1000));
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "l\n\ny");
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
    assert_eq!(
        tps(60, 3_900),
        0.0,
        "no request was answered for a whole window"
    );
    assert!(model.load.run.as_ref().unwrap().requests.len() < 20);
}
