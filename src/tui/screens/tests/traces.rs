//! Snapshots of an opened trace: the waterfall, a span in full, and a missing trace.

use super::*;
use crate::clients::tempo::{FoundTrace, Kind, Span, SpanEvent, Status, Trace};
use crate::tui::event::Event;
use crate::tui::navigation;
use crate::tui::screens::traces::{Coverage, Open};
use crate::tui::update::update;

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const MS: u64 = 1_000_000;

fn span(id: u8, parent: Option<u8>, name: &str, from: u64, took: u64) -> Span {
    Span {
        id: format!("{id:016x}"),
        parent: parent.map(|id| format!("{id:016x}")),
        service: "concertctl-api".into(),
        name: name.into(),
        kind: Kind::Internal,
        offset_ns: from * MS,
        duration_ns: took * MS,
        status: Status::Unset,
        attributes: Default::default(),
        events: Vec::new(),
        more_events: 0,
    }
}

/// The server's spans of a reservation that waited for a connection and failed.
fn spans() -> Vec<Span> {
    let mut root = span(1, Some(0xfe), "POST /reservations", 2, 1_516);
    root.kind = Kind::Server;
    root.status = Status::Error("503 no connection within 1.5 s".into());
    let mut acquire = span(5, Some(1), "db.acquire", 12, 1_501);
    acquire.status = Status::Error("the pool is exhausted".into());
    acquire.attributes = [
        ("db.system.name", "postgresql"),
        ("concert.pool.waiting", "41"),
        ("concert.pool.size", "16"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    vec![
        root,
        span(2, Some(1), "queue.check", 3, 2),
        span(3, Some(2), "redis.script", 3, 1),
        span(4, Some(1), "seat.lock", 6, 5),
        acquire,
    ]
}

/// The same with the spans of the load generator.
fn both() -> Vec<Span> {
    let mut client = span(0xfe, None, "POST /reservations", 0, 1_521);
    client.service = "concertctl-load".into();
    client.kind = Kind::Client;
    let mut all = vec![client];
    all.extend(spans());
    all
}

/// Traces for a list.
pub(crate) fn found() -> Vec<FoundTrace> {
    let api = "concertctl-api";
    let trace = |n: u64, service: &str, name: &str, age_s: u64, duration_ms, errors| FoundTrace {
        id: format!(
            "{:08x}77b34da6a3ce929d0e0e{n:04x}",
            0x4bf9_2f35 + n * 0x0101_0101
        ),
        service: service.into(),
        name: name.into(),
        start_ns: (NOW as u64 - age_s * 1000) * 1_000_000,
        duration_ms,
        errors,
    };
    vec![
        trace(
            1,
            "concertctl-load",
            "POST /reservations",
            12,
            1_521,
            Some(2),
        ),
        trace(
            2,
            api,
            "GET /concerts/{concert_id}/dates/{date_id}/seats",
            48,
            803,
            Some(0),
        ),
        trace(
            3,
            api,
            "POST /reservations/{reservation_id}/payment",
            61,
            640,
            Some(1),
        ),
        trace(4, api, "GET /concerts/{concert_id}/dates", 300, 212, None),
        trace(5, api, "POST /queue", 840, 7, Some(0)),
        trace(6, api, "GET /queue", 840, 0, Some(0)),
    ]
}

fn opened(state: State, spans: Option<Vec<Span>>) -> Model {
    let mut model = state(Screen::Logs);
    model.logs.text = "seat".into();
    navigation::to_trace(&mut model, ID);
    if let Some(spans) = spans {
        let trace = Trace {
            id: ID.into(),
            start_ns: (NOW as u64 - 60_000) * MS,
            duration_ns: 1_521 * MS,
            spans,
        };
        model.traces.take_trace(ID, Ok(Some(trace)));
    }
    model
}

/// The trace of the picture in the documentation.
pub(crate) fn pictured() -> Model {
    opened(ok, Some(both()))
}

#[test]
fn a_waterfall_in_every_state_and_size_matches_its_snapshot() {
    for size in SIZES {
        shot("waterfall_ok", &opened(ok, Some(both())), size);
        shot("waterfall_one_service", &opened(ok, Some(spans())), size);
        shot("waterfall_stale", &opened(stale, Some(both())), size);
        shot("waterfall_error", &opened(error, None), size);
        shot("waterfall_asking", &opened(ok, None), size);
        let mut missing = opened(ok, None);
        missing.traces.take_trace(ID, Ok(None));
        shot("waterfall_missing", &missing, size);
    }
    shot("waterfall_ok", &opened(ok, Some(both())), (200, 60));
    let mut refused = opened(ok, None);
    let reason = "unusable answer: \"x\" is no id".to_owned();
    refused.traces.take_trace(ID, Err(reason));
    shot("waterfall_refused", &refused, SIZES[0]);
    let mut ascii = opened(ok, Some(both()));
    ascii.settings.ascii = true;
    ascii.settings.colour = false;
    let drawn = buffer(&ascii, SIZES[0]);
    assert!(drawn.content.iter().all(|cell| cell.symbol().is_ascii()));
    shot("waterfall_ascii", &ascii, SIZES[0]);
}

#[test]
fn a_span_in_full_matches_its_snapshots() {
    for size in SIZES {
        let mut model = opened(ok, Some(both()));
        model.dialog = Some(Dialog::Span(0));
        shot("span", &model, size);
    }
}

/// Spans of a service that records exceptions: one was caught, and one ended its span.
fn thrown() -> Vec<Span> {
    let exception = |at_ms: u64, what: &str, says: &str| {
        SpanEvent {
        offset_ns: at_ms * MS,
        name: "exception".into(),
        attributes: [
            ("exception.type", what),
            ("exception.message", says),
            (
                "exception.stacktrace",
                "java.io.IOException: broken pipe\n\tat shop.Pay.send(Pay.java:41)\n\tat shop.Pay.run(Pay.java:17)",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    }
    };
    let mut spans = spans();
    spans[0].events = vec![
        SpanEvent {
            offset_ns: 4 * MS,
            name: "retry".into(),
            attributes: [("attempt".to_owned(), "2".to_owned())].into(),
        },
        exception(1_510, "java.io.IOException", "broken pipe"),
    ];
    spans[0].more_events = 3;
    spans[1].events = vec![exception(3, "java.lang.IllegalStateException", "closed")];
    spans
}

#[test]
fn exceptions_are_listed_in_their_span_and_marked_in_the_waterfall() {
    for size in SIZES {
        let mut model = opened(ok, Some(thrown()));
        model.traces.open.as_mut().unwrap().row = 0;
        let drawn = text(&buffer(&model, size));
        let row = |name: &str| {
            let line = drawn.lines().find(|line| line.contains(name));
            line.unwrap_or_else(|| panic!("{name}:\n{drawn}"))
                .to_owned()
        };
        assert!(row("queue.check").contains('▲'), "it was caught");
        assert!(!row("seat.lock").contains('▲'));
        model.dialog = Some(Dialog::Span(0));
        shot("span_exception", &model, size);
        let drawn = text(&buffer(&model, size));
        assert!(
            drawn.contains("java.io.IOException: broken pipe"),
            "{drawn}"
        );
    }
}

#[test]
fn a_list_states_which_traces_it_may_lack() {
    let mut model = ok(Screen::Traces);
    for (coverage, says) in [
        (Coverage::All, "6 traces"),
        (Coverage::From(64), "6 traces, all from 64 ms on"),
        (Coverage::Part, "6 traces, slower ones may be missing"),
    ] {
        model.traces.take(found(), coverage);
        for size in SIZES {
            let drawn = text(&buffer(&model, size));
            assert!(drawn.contains(&format!(" {says} ")), "{says}:\n{drawn}");
        }
    }
}

#[test]
fn other_lists_of_traces_match_their_snapshots() {
    let mut model = ok(Screen::Traces);
    model.traces.text = "seats".into();
    model.traces.chosen = 1;
    shot("traces_filtered", &model, SIZES[0]);
    let mut model = empty(Screen::Traces);
    model.traces.next_order();
    let event = Event::Traces {
        asked: model.traces.asked(),
        found: vec![],
        coverage: Coverage::All,
    };
    update(&mut model, NOW, event);
    shot("traces_none_failed", &model, SIZES[0]);
}

#[test]
fn records_of_a_trace_or_a_time_match_their_snapshots() {
    let mut model = opened(ok, Some(both()));
    let keys = crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char('L'));
    update(&mut model, NOW, Event::Key(keys));
    let asked = |model: &Model, lines| Event::Logs {
        query: model.logs.asked(),
        lines,
        skipped: false,
    };
    let event = asked(&model, log_lines());
    update(&mut model, NOW, event);
    for size in SIZES {
        shot("logs_of_trace", &model, size);
    }
    let mut nothing = model.clone();
    nothing.logs.records.clear();
    shot("logs_of_trace_empty", &nothing, SIZES[0]);
}

/// The row of the span in which the trace waited.
fn waiting(model: &Model, size: (u16, u16)) -> String {
    let text = text(&buffer(model, size));
    let marked = |line: &&str| line.starts_with('│') && line.contains(['◀', '▶']);
    let line = text.lines().find(marked);
    line.unwrap_or_else(|| panic!("no span is marked as waiting:\n{text}"))
        .to_owned()
}

#[test]
fn the_span_that_waited_shows_its_own_time_wherever_its_bar_is() {
    let of_three = |waits: &str| {
        let took = |name: &str| if name == waits { 721 } else { 400 };
        let mut spans = vec![span(1, None, "root", 0, 1_521)];
        let mut from = 0;
        for (id, name) in (2..).zip(["early", "middle", "late"]) {
            spans.push(span(id, Some(1), name, from, took(name)));
            from += took(name);
        }
        opened(ok, Some(spans))
    };
    for size in [(80, 24), (81, 25), (120, 40), (200, 60)] {
        let line = waiting(&opened(ok, Some(both())), size);
        assert!(
            line.contains("db.acquire") && line.contains("waited here 1.50 s"),
            "{line}"
        );
        for waits in ["early", "middle", "late"] {
            let line = waiting(&of_three(waits), size);
            assert!(line.contains(waits) && line.contains("721 ms"), "{line}");
            let bar = line.matches('█').count();
            assert!(bar > 3, "the bar is still seen: {line}");
        }
    }
}

#[test]
fn no_trace_makes_the_drawing_panic_at_any_size() {
    let sizes = [(80, 24), (113, 29), (120, 40), (250, 80)];
    let mut odd = spans();
    odd[1].duration_ns = u64::MAX;
    odd[2].offset_ns = u64::MAX;
    odd[3].name = "\x1b[2J좌석 ".repeat(40);
    odd[4].parent = Some(odd[4].id.clone());
    for spans in [vec![], spans(), both(), odd] {
        for row in 0..spans.len().max(1) {
            let mut model = opened(ok, Some(spans.clone()));
            model.traces.open.as_mut().unwrap().row = row;
            for size in sizes {
                buffer(&model, size);
                model.dialog = Some(Dialog::Span(3));
                buffer(&model, size);
                model.dialog = None;
            }
        }
    }
    let mut model = ok(Screen::Traces);
    model.traces.open = Some(Open::new("", false));
    buffer(&model, sizes[0]);
}
