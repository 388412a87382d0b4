//! Links between screens and back: from a record to its trace and its spans, from a trace to its records.

use super::*;
use crate::clients::loki::LogLine;
use crate::clients::tempo::{FoundTrace, Kind, Span, Status as SpanStatus, Trace};
use crate::tui::navigation;
use crate::tui::screens::logs::{Level, LogAim};
use crate::tui::screens::traces::{Asked, Coverage, Order, State};

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn line(n: i64, trace: Option<&str>) -> LogLine {
    let trace = trace.map_or("null".into(), |id| format!("\"{id}\""));
    LogLine {
        at_ns: NOW * 1_000_000 + n,
        labels: Labels::new(),
        line: format!(r#"{{"level":"ERROR","message":"record {n}","trace_id":{trace}}}"#),
    }
}

fn take_logs(model: &mut Model, lines: Vec<LogLine>) {
    let query = model.logs.asked();
    let skipped = false;
    let event = Event::Logs {
        query,
        lines,
        skipped,
    };
    update(model, NOW, event);
}

/// Three records. The middle one is chosen and belongs to a trace.
fn on_a_record() -> Model {
    let mut model = console(None, 0);
    keys(&mut model, "3");
    take_logs(
        &mut model,
        vec![line(1, None), line(2, Some(ID)), line(3, None)],
    );
    press(&mut model, KeyCode::Up);
    model
}

fn trace(id: &str) -> Trace {
    let span = |n: u8, parent: Option<u8>, offset_ns, duration_ns| Span {
        id: format!("{n:016x}"),
        parent: parent.map(|n| format!("{n:016x}")),
        service: "concertctl-api".into(),
        name: format!("span {n}"),
        kind: Kind::Internal,
        offset_ns,
        duration_ns,
        status: SpanStatus::Unset,
        attributes: Default::default(),
        events: Vec::new(),
        more_events: 0,
    };
    Trace {
        id: id.into(),
        start_ns: NOW as u64 * 1_000_000,
        duration_ns: 9_000_000,
        spans: vec![span(1, None, 0, 9_000_000), span(2, Some(1), 1, 8_000_000)],
    }
}

fn answer(model: &mut Model, id: &str, trace: Option<Trace>) {
    let event = Event::Trace {
        id: id.into(),
        trace: Ok(trace),
    };
    update(model, NOW, event);
}

fn found(id: &str, duration_ms: u64) -> FoundTrace {
    FoundTrace {
        id: id.into(),
        service: "concertctl-api".into(),
        name: format!("GET /{duration_ms}"),
        start_ns: NOW as u64 * 1_000_000,
        duration_ms,
        errors: None,
    }
}

fn on_the_list() -> Model {
    let mut model = console(None, 0);
    keys(&mut model, "4");
    let event = Event::Traces {
        asked: model.traces.asked(),
        found: vec![found(ID, 90), found("b", 50), found("c", 10)],
        coverage: Coverage::All,
    };
    update(&mut model, NOW, event);
    model
}

#[test]
fn links_lead_from_a_record_to_its_trace_to_a_span_and_back() {
    let mut model = on_a_record();
    keys(&mut model, "\nt");
    assert_eq!(model.screen, Screen::Traces);
    assert!(model.dialog.is_none());
    let plan = model.plan();
    assert_eq!((plan.trace.as_deref(), plan.traces), (Some(ID), None));
    answer(&mut model, ID, Some(trace(ID)));
    let row = |model: &Model| model.traces.open.as_ref().map(|open| open.row);
    assert_eq!(row(&model), Some(1), "the span that waited is chosen");
    press(&mut model, KeyCode::Up);
    assert_eq!(row(&model), Some(0));
    keys(&mut model, "\n");
    assert!(matches!(model.dialog, Some(Dialog::Span(0))));
    press(&mut model, KeyCode::Esc);
    assert!(model.dialog.is_none() && row(&model).is_some());
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.screen, Screen::Logs);
    assert!(matches!(model.dialog, Some(Dialog::Record(_))));
    assert_eq!(
        model.logs.chosen().map(|record| record.message.as_str()),
        Some("record 2")
    );
    press(&mut model, KeyCode::Esc);
    assert!(model.dialog.is_none() && model.screen == Screen::Logs);
    assert!(model.traces.open.is_none(), "no trace is open");
}

#[test]
fn going_back_to_a_live_log_returns_to_the_record_and_freezes() {
    let mut model = on_a_record();
    keys(&mut model, "0");
    take_logs(&mut model, vec![line(4, Some(ID))]);
    assert!(!model.logs.frozen);
    keys(&mut model, "t");
    press(&mut model, KeyCode::Esc);
    take_logs(&mut model, vec![line(5, None)]);
    assert_eq!(
        model.logs.chosen().map(|record| record.message.as_str()),
        Some("record 4")
    );
}

#[test]
fn a_record_without_a_trace_shows_the_reason_and_stays() {
    let mut model = on_a_record();
    press(&mut model, KeyCode::Up);
    keys(&mut model, "t");
    assert_eq!(model.screen, Screen::Logs);
    assert!(notice(&model).contains("no trace"));
    assert!(model.navigation.is_empty());
    keys(&mut console(None, 0), "3t");
}

#[test]
fn a_trace_that_the_source_does_not_have_is_missing_until_it_comes() {
    let mut model = on_a_record();
    keys(&mut model, "t");
    answer(&mut model, ID, None);
    assert_eq!(model.traces.open.as_ref().unwrap().state, State::Missing);
    assert_eq!(model.plan().trace.as_deref(), Some(ID));
    answer(&mut model, "other", Some(trace("other")));
    assert_eq!(model.traces.open.as_ref().unwrap().state, State::Missing);
    answer(&mut model, ID, Some(trace(ID)));
    assert!(model.traces.open.as_ref().unwrap().waterfall().is_some());
}

#[test]
fn links_lead_from_a_trace_to_its_records_and_back_to_trace_and_list() {
    let mut model = on_the_list();
    keys(&mut model, "\n");
    answer(&mut model, ID, Some(trace(ID)));
    keys(&mut model, "L");
    assert_eq!(model.screen, Screen::Logs);
    let plan = model.plan();
    assert!(plan.logs.unwrap().contains(&format!("trace_id=\"{ID}\"")));
    let (from, to) = plan.log_window.unwrap();
    assert!(from < NOW && NOW + 9 < to);
    // Esc first clears a filter that the user typed, and then goes back.
    keys(&mut model, "/seat\n");
    press(&mut model, KeyCode::Esc);
    assert_eq!((model.screen, model.logs.text.as_str()), (Screen::Logs, ""));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.screen, Screen::Traces);
    assert!(model.traces.open.is_some());
    assert!(!model.logs.is_aimed(), "the log shows the tail again");
    press(&mut model, KeyCode::Esc);
    assert!(model.traces.open.is_none() && model.screen == Screen::Traces);
    keys(&mut model, "jL");
    assert!(model.logs.query().contains("trace_id=\"b\""));
}

#[test]
fn a_time_range_replaces_the_tail_until_0_or_esc() {
    for end in [KeyCode::Char('0'), KeyCode::Esc] {
        let mut model = console(None, 0);
        keys(&mut model, "6");
        let aim = LogAim {
            level: Level::Error,
            window: Some((NOW - 5_000, NOW)),
            trace: None,
        };
        navigation::to_logs(&mut model, aim);
        assert_eq!(model.plan().log_window, Some((NOW - 5_000, NOW)));
        // A late answer of the tail does not belong to the time range.
        let event = Event::Logs {
            query: model.logs.query(),
            lines: vec![line(9, None)],
            skipped: false,
        };
        update(&mut model, NOW, event);
        assert!(model.logs.records.is_empty());
        take_logs(&mut model, vec![line(1, None)]);
        assert_eq!(model.logs.records.len(), 1);
        // On a screen that the user chose directly, Esc only goes back to the tail.
        if end == KeyCode::Esc {
            keys(&mut model, "13");
        }
        press(&mut model, end);
        assert_eq!(model.screen, Screen::Logs);
        assert_eq!(model.plan().log_window, None);
        assert!(model.logs.records.is_empty(), "{end:?}");
    }
}

#[test]
fn links_lead_from_an_alert_to_its_error_records_to_a_trace_and_back() {
    let mut model = console(None, 0);
    let alerts = vec![
        alert("A", "warning", AlertState::Active),
        alert("B", "critical", AlertState::Active),
    ];
    update(&mut model, NOW, Event::Alerts(alerts));
    keys(&mut model, "6j");
    let chosen = |model: &Model| model.alerts.chosen().map(|row| row.alert.labels.clone());
    let labels = chosen(&model);
    assert!(labels.is_some());
    keys(&mut model, "L");
    assert_eq!(
        (model.screen, model.logs.level),
        (Screen::Logs, Level::Error)
    );
    let (from, to) = model.plan().log_window.unwrap();
    let began = NOW - 3_600_000;
    assert!(from < began && began < to && to <= NOW, "{from} {to}");
    let record = LogLine {
        at_ns: began * 1_000_000,
        ..line(1, Some(ID))
    };
    take_logs(&mut model, vec![record]);
    keys(&mut model, "t");
    assert_eq!(
        navigation::crumbs(&model).as_deref(),
        Some("Alerts › Logs › Traces")
    );
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.logs.records.len(), 1);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.screen, Screen::Alerts);
    assert_eq!(chosen(&model), labels);
    assert!(!model.logs.is_aimed());
    let mut nothing = console(None, 0);
    keys(&mut nothing, "6L");
    assert_eq!(nothing.screen, Screen::Alerts);
}

#[test]
fn choosing_a_screen_by_number_clears_the_stack() {
    for key in ["4", "\t", "1"] {
        let mut model = on_a_record();
        keys(&mut model, "t");
        assert_eq!(model.navigation.len(), 1);
        match key {
            "\t" => drop(press(&mut model, KeyCode::Tab)),
            key => drop(keys(&mut model, key)),
        }
        assert!(model.navigation.is_empty(), "{key:?}");
        let screen = model.screen;
        press(&mut model, KeyCode::Esc);
        assert_eq!(model.screen, screen);
    }
}

#[test]
fn closing_a_linked_trace_after_the_stack_was_cleared_shows_the_list() {
    let mut model = on_a_record();
    keys(&mut model, "t4");
    assert!(model.traces.open.is_some());
    press(&mut model, KeyCode::Esc);
    assert!(model.traces.open.is_none() && model.screen == Screen::Traces);
}

#[test]
fn keys_sort_and_filter_the_list_and_old_answers_are_ignored() {
    let mut model = on_the_list();
    let old = model.traces.asked();
    keys(&mut model, "vd");
    let asked = Asked {
        order: Order::Failed,
        min_ms: 10,
    };
    assert_eq!(model.plan().traces, Some(asked));
    let event = Event::Traces {
        asked: old,
        found: vec![found("d", 7)],
        coverage: Coverage::All,
    };
    update(&mut model, NOW, event);
    assert!(model.traces.list.is_empty());
    assert_eq!(model.source(Source::Tempo).link, Link::Up);
    let mut model = on_the_list();
    keys(&mut model, "/get /50q\n");
    assert_eq!(model.traces.text, "get /50q");
    assert!(model.traces.chosen().is_none());
    keys(&mut model, "\n");
    assert!(model.traces.open.is_none(), "there is nothing to open");
    keys(&mut model, "/");
    press(&mut model, KeyCode::Backspace);
    update(&mut model, NOW, Event::Paste("\x1b".into()));
    keys(&mut model, "\n");
    assert_eq!(model.traces.chosen().map(|it| it.duration_ms), Some(50));
    keys(&mut model, "/x");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.traces.text, "get /50");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.traces.text, "");
}
