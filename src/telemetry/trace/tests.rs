use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::*;
use crate::telemetry::logs::{self, LogConfig, LogLimits, LogOutput, Logs};

const NEVER: Duration = Duration::from_secs(3_600);

fn config(slow: Duration, ratio: f64) -> LogConfig {
    LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: "info".to_owned(),
        queue: 1_000,
        limits: LogLimits::default(),
        traces: TraceConfig {
            slow,
            ratio,
            ..TraceConfig::default()
        },
    }
}

/// Runs `work` with its own logging. Returns the traces that were kept.
fn traces_of(config: LogConfig, work: impl FnOnce(&Logs)) -> Vec<Arc<TraceRecord>> {
    let (subscriber, logs) = logs::build(config).unwrap();
    let mut kept = logs.traces().subscribe(2_000);
    tracing::subscriber::with_default(subscriber, || work(&logs));
    std::iter::from_fn(|| kept.try_recv()).collect()
}

fn described() -> RootSpan {
    RootSpan {
        name: "GET /queue".into(),
        kind: SpanKind::Server,
        attributes: vec![("http.route", "/queue".into())],
        error: None,
    }
}

/// A request that runs `work`.
fn request(failed: bool, work: impl FnOnce()) -> TraceContext {
    let context = TraceContext::fresh();
    let began = Instant::now();
    let span = RequestSpan::begin(context, began, true);
    span.run(work);
    let _kept = span.end(began.elapsed(), failed, described);
    context
}

#[test]
fn steps_are_children_of_the_request_in_the_order_of_their_ends() {
    let mut context = None;
    let kept = traces_of(config(NEVER, 1.0), |_| {
        context = Some(request(false, || {
            let mut lock = Step::begin("seat.lock");
            lock.note("concert.lock.outcome", "acquired");
            drop(Step::begin("db.acquire").asks("sqlite"));
            drop(lock);
        }));
    });
    let context = context.unwrap();
    let [trace] = &kept[..] else {
        panic!("{} traces", kept.len())
    };
    assert_eq!(trace.trace_id, context.trace_id);
    let [root, acquire, lock] = &trace.spans[..] else {
        panic!("{trace:?}")
    };
    assert_eq!((&*root.name, root.kind), ("GET /queue", SpanKind::Server));
    assert_eq!((root.span_id, root.parent_span_id), (context.span_id, None));
    assert_eq!(
        (&*acquire.name, acquire.kind),
        ("db.acquire", SpanKind::Client)
    );
    assert_eq!(&*lock.name, "seat.lock");
    let outcome = ("concert.lock.outcome", Value::from("acquired"));
    assert_eq!(lock.attributes, [outcome]);
    for step in [acquire, lock] {
        assert_eq!(step.parent_span_id, Some(root.span_id));
        assert!(step.start_ns >= root.start_ns);
        let end = |span: &SpanRecord| span.start_ns + span.duration_ns;
        assert!(end(step) <= end(root), "{step:?} in {root:?}");
    }
    assert!(lock.start_ns <= acquire.start_ns);
}

#[test]
fn failed_and_slow_requests_are_kept_whatever_the_ratio() {
    let kept = traces_of(config(NEVER, 0.0), |_| {
        request(false, || {});
        request(true, || {});
    });
    assert_eq!(kept.len(), 1);
    let kept = traces_of(config(Duration::ZERO, 0.0), |_| {
        request(false, || {});
    });
    assert_eq!(kept.len(), 1);
}

#[test]
fn of_the_others_the_ratio_is_kept_and_the_same_ones_everywhere() {
    let (one, other) = [0, 1]
        .map(|_| {
            Traces::new(TraceConfig {
                slow: NEVER,
                ratio: 0.25,
                ..TraceConfig::default()
            })
        })
        .into();
    let ids: Vec<u128> = (0..4_000).map(|_| TraceContext::fresh().trace_id).collect();
    let keeps = |traces: &Traces, id| traces.worth_keeping(id, Duration::ZERO, false);
    let kept = ids.iter().filter(|id| keeps(&one, **id)).count();
    assert!((800..1_200).contains(&kept), "{kept} of 4,000 at 0.25");
    assert!(ids.iter().all(|id| keeps(&one, *id) == keeps(&other, *id)));
}

#[test]
fn a_step_that_continues_after_the_answer_is_part_of_the_trace() {
    let kept = traces_of(config(NEVER, 1.0), |_| {
        let mut handle = TraceHandle::default();
        request(false, || handle = TraceHandle::current());
        let elsewhere = std::thread::spawn(move || {
            let began = Instant::now();
            handle
                .step_since("commit", began)
                .end_after(Duration::from_millis(3));
        });
        elsewhere.join().unwrap();
    });
    let names: Vec<_> = kept[0].spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["GET /queue", "commit"]);
    assert_eq!(kept[0].spans[1].duration_ns, 3_000_000);
}

#[test]
fn a_trace_collects_nothing_unless_it_is_kept_and_has_a_subscriber() {
    let (subscriber, logs) = logs::build(config(NEVER, 1.0)).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        request(false, || assert_eq!(Step::begin("seat.lock").ids(), None));
        let _wanted = logs.traces().subscribe(10);
        request(false, || assert!(Step::begin("seat.lock").ids().is_some()));
    });
    assert_eq!(Step::begin("outside of any request").ids(), None);
}

#[test]
fn a_request_without_end_of_steps_keeps_a_bounded_number_and_says_how_many_more_there_were() {
    let kept = traces_of(config(NEVER, 1.0), |_| {
        request(false, || {
            (0..200).for_each(|_| drop(Step::begin("seat.lock")))
        });
    });
    assert_eq!(kept[0].spans.len(), 129);
    let left_out = ("concert.spans_left_out", Value::Int(72));
    assert!(kept[0].spans[0].attributes.contains(&left_out));
}

#[test]
fn when_everything_is_slow_some_of_it_is_kept_and_the_rest_is_counted() {
    let traces = Traces::new(TraceConfig {
        slow: Duration::ZERO,
        ratio: 0.0,
        ..TraceConfig::default()
    });
    let worth = |_: &u64| traces.worth_keeping(1, Duration::from_secs(1), true);
    let kept = (0..5_000_u64).filter(worth).count() as u64;
    // The calls may spread over two or three seconds.
    assert!((500..=1_500).contains(&kept), "{kept}");
    assert_eq!(kept + traces.passed_over(), 5_000);
}

#[test]
fn the_record_of_a_slow_statement_carries_the_ids_of_its_span() {
    let (subscriber, logs) = logs::build(config(NEVER, 1.0)).unwrap();
    let (mut kept, mut lines) = (logs.traces().subscribe(10), logs.subscribe(10));
    tracing::subscriber::with_default(subscriber, || {
        let mut handle = TraceHandle::default();
        request(false, || handle = TraceHandle::current());
        // The database's thread records a step like this, outside of the request's span.
        let step = handle.step("reservation.create");
        crate::telemetry::slow_query("reservation.create", NEVER, NEVER, &step);
    });
    assert!(logs.flush(Duration::from_secs(10)));
    let trace = kept.try_recv().unwrap();
    let line: Json = serde_json::from_str(lines.try_recv().unwrap().line()).unwrap();
    let [root, statement] = &trace.spans[..] else {
        panic!("{trace:?}")
    };
    assert_eq!(line["trace_id"], format!("{:032x}", trace.trace_id));
    assert_eq!(line["span_id"], format!("{:016x}", statement.span_id));
    assert_eq!(line["parent_span_id"], format!("{:016x}", root.span_id));
    assert_eq!(line["additional_data"]["statement"], "reservation.create");
    let fields: Vec<&String> = line["additional_data"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert!(
        !fields.iter().any(|name| name.ends_with("_id")),
        "{fields:?}"
    );
}

#[test]
fn traces_are_kept_although_the_log_is_off() {
    let off = LogConfig {
        filter: "off".to_owned(),
        ..config(NEVER, 1.0)
    };
    let kept = traces_of(off, |_| {
        request(false, || drop(Step::begin("seat.lock")));
    });
    assert_eq!(kept[0].spans.len(), 2);
}

#[test]
fn no_step_begins_in_a_trace_that_is_not_kept() {
    let (subscriber, logs) = logs::build(config(NEVER, 0.0)).unwrap();
    let _wanted = logs.traces().subscribe(10);
    tracing::subscriber::with_default(subscriber, || {
        let span = RequestSpan::begin(TraceContext::fresh(), Instant::now(), true);
        let ids = || span.run(|| Step::begin("commit").ids());
        assert!(ids().is_some());
        assert_eq!(span.end(Duration::ZERO, false, described), None);
        assert_eq!(ids(), None);
    });
}

#[test]
fn after_a_second_in_which_too_many_came_some_are_kept_again() {
    let traces = Traces::new(TraceConfig {
        slow: Duration::ZERO,
        ratio: 0.0,
        ..TraceConfig::default()
    });
    let worth = || traces.worth_keeping(1, Duration::from_secs(1), true);
    let too_many = (0..100_000).find(|_| !worth());
    assert!(too_many.is_some(), "all were kept");
    let until = Instant::now() + Duration::from_secs(20);
    while !worth() {
        assert!(Instant::now() < until, "none is kept any more");
        std::thread::yield_now();
    }
}

#[test]
fn an_untraced_request_is_not_kept_and_no_trace_is_kept_twice() {
    let kept = traces_of(config(NEVER, 1.0), |_| {
        let end = |span: &RequestSpan| span.end(Duration::ZERO, true, described);
        let untraced = RequestSpan::begin(TraceContext::fresh(), Instant::now(), false);
        assert_eq!(end(&untraced), None);
        let traced = RequestSpan::begin(TraceContext::fresh(), Instant::now(), true);
        assert!(end(&traced).is_some());
        assert_eq!(end(&traced), None);
    });
    assert_eq!(kept.len(), 1);
}

#[test]
fn the_caller_decides_where_it_is_asked_to_and_nothing_is_kept_where_all_is_off() {
    let keeps = |parent, off, flags: &str, failed| {
        let traces = Traces::new(TraceConfig {
            slow: NEVER,
            ratio: if flags == "00" { 1.0 } else { 0.0 },
            parent,
            off,
        });
        let header = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let context = TraceContext::from_traceparent(Some(&header));
        traces.keeps(&context, Duration::ZERO, failed)
    };
    // Without the caller's decision, the ratio would decide otherwise.
    assert!(keeps(true, false, "01", false));
    assert!(!keeps(true, false, "00", false));
    assert!(!keeps(false, false, "01", false));
    assert!(keeps(false, false, "00", false));
    // A failed trace is kept whatever the caller decides, except when tracing is off.
    assert!(keeps(true, false, "00", true));
    assert!(!keeps(true, true, "01", true));
    assert!(!keeps(true, true, "01", false));
}
