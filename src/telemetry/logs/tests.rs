use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::subscriber::with_default;
use tracing::{Level, debug, error, info, warn};

use super::json::{MAX_LINE_BYTES, TRUNCATION_MARK};
use super::*;
use crate::telemetry::{RequestSpan, TraceContext};

const WAIT: Duration = Duration::from_secs(10);

fn config(output: LogOutput) -> LogConfig {
    LogConfig {
        service_name: "concertctl-api",
        output,
        filter: "info".into(),
        queue: 1000,
        limits: LogLimits::default(),
        traces: TraceConfig::default(),
    }
}

/// The lines that `work` logs.
fn lines_of(config: LogConfig, work: impl FnOnce()) -> Vec<String> {
    let (subscriber, logs) = build(config).unwrap();
    let mut records = logs.subscribe(10_000);
    with_default(subscriber, work);
    assert!(logs.flush(WAIT));
    std::iter::from_fn(|| records.try_recv())
        .map(|record| record.line().to_owned())
        .collect()
}

/// Runs `work` as part of a request.
fn request(context: TraceContext, work: impl FnOnce()) {
    RequestSpan::begin(context, Instant::now(), false).run(work);
}

fn one_line_of(work: impl FnOnce()) -> Value {
    let lines = lines_of(config(LogOutput::None), work);
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap_or_else(|e| panic!("{e}: {}", lines[0]))
}

#[test]
fn a_line_has_exactly_the_fields_of_the_format_in_order() {
    let context = TraceContext {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        span_id: 0xabc,
        parent_span_id: None,
        sampled: None,
    };
    let lines = lines_of(config(LogOutput::None), || {
        request(context, || {
            info!(
                status = 200u64,
                took = 1.5,
                user = "u\"1\"",
                ok = true,
                none = f64::NAN,
                delta = -3,
                "ans\nwered"
            );
        });
    });
    let line = &lines[0];
    let keys = [
        "{\"timestamp\":\"",
        "\",\"level\":\"INFO\"",
        ",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"",
        ",\"span_id\":\"0000000000000abc\"",
        ",\"parent_span_id\":null",
        ",\"service_name\":\"concertctl-api\"",
        ",\"message\":\"ans\\nwered\"",
        ",\"additional_data\":{",
    ];
    let mut rest = line.as_str();
    for key in keys {
        let at = rest
            .find(key)
            .unwrap_or_else(|| panic!("no {key} in {rest} of {line}"));
        // Only the timestamp may be between these two keys.
        assert!(
            at == 0 || at == "2026-11-23T05:49:40.123456Z".len(),
            "{line}"
        );
        rest = &rest[at + key.len()..];
    }
    let value: Value = serde_json::from_str(line).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 8, "{line}");
    assert_eq!(
        value["additional_data"],
        json!({
            "target": "concertctl::telemetry::logs::tests", "status": 200, "took": 1.5,
            "user": "u\"1\"", "ok": true, "none": null, "delta": -3,
        })
    );
    let timestamp = value["timestamp"].as_str().unwrap();
    let parsed: jiff::Timestamp = timestamp.parse().unwrap();
    assert_eq!(timestamp.len(), 27);
    assert!(timestamp.ends_with('Z'));
    let age = jiff::Timestamp::now().duration_since(parsed);
    assert!(age.as_secs() < 60 && !age.is_negative(), "{timestamp}");
}

#[test]
fn outside_a_request_the_ids_are_null() {
    let value = one_line_of(|| warn!("alone"));
    assert_eq!(value["level"], "WARN");
    for id in ["trace_id", "span_id", "parent_span_id"] {
        assert_eq!(value[id], Value::Null, "{id}");
    }
}

#[test]
fn within_a_request_a_record_carries_its_ids_and_the_callers() {
    let context = TraceContext::from_traceparent(Some(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ));
    let value = one_line_of(|| request(context, || error!("in the request")));
    assert_eq!(value["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(value["span_id"], format!("{:016x}", context.span_id));
    assert_eq!(value["parent_span_id"], "00f067aa0ba902b7");
}

#[test]
fn a_wrong_filter_is_refused_in_plain_words() {
    let mut wrong = config(LogOutput::None);
    wrong.filter = "a=b=c".into();
    let error = format!("{:#}", build(wrong).err().unwrap());
    assert!(
        error.contains("--log: \"a=b=c\" is not a filter: write a level"),
        "{error}"
    );
    assert!(!error.contains("error parsing"), "{error}");
}

#[test]
fn an_errors_trace_survives_a_strict_filter() {
    let mut strict = config(LogOutput::None);
    strict.filter = "error".into();
    let lines = lines_of(strict, || {
        request(TraceContext::fresh(), || {
            info!("not wanted");
            error!("wanted");
        });
    });
    assert_eq!(lines.len(), 1);
    let value: Value = serde_json::from_str(&lines[0]).unwrap();
    assert!(value["trace_id"].is_string(), "{value}");
}

#[test]
fn the_load_generator_logs_under_its_own_name() {
    for (target, service) in [
        ("concertctl::load", "concertctl-load"),
        ("concertctl::load::user", "concertctl-load"),
        ("concertctl::loading", "concertctl-api"),
    ] {
        let value = match target {
            "concertctl::load" => one_line_of(|| info!(target: "concertctl::load", "x")),
            "concertctl::load::user" => {
                one_line_of(|| info!(target: "concertctl::load::user", "x"))
            }
            _ => one_line_of(|| info!(target: "concertctl::loading", "x")),
        };
        assert_eq!(value["service_name"], service, "{target}");
    }
}

#[test]
fn libraries_are_quiet_unless_asked_for() {
    let noise = || {
        info!(target: "hyper::proto", "noise");
        warn!(target: "hyper::proto", "trouble");
        debug!("ours, below the filter");
    };
    assert_eq!(lines_of(config(LogOutput::None), noise).len(), 1);
    let mut asked = config(LogOutput::None);
    asked.filter = "info,hyper=info".into();
    assert_eq!(lines_of(asked, noise).len(), 2);
}

#[test]
fn a_bad_filter_is_named_in_the_error() {
    let mut bad = config(LogOutput::None);
    bad.filter = "concertctl=loud".into();
    let error = build(bad).err().unwrap();
    assert!(
        format!("{error:#}").contains("\"concertctl=loud\""),
        "{error:#}"
    );
}

#[test]
fn a_line_is_bounded_and_still_json() {
    let long = "\u{1}é\"".repeat(20_000);
    let fields = one_line_of(|| info!(a = %long, b = ?long, c = long, "{long}"));
    let text = fields.to_string();
    assert!(text.len() <= MAX_LINE_BYTES, "{}", text.len());
    assert!(
        fields["message"]
            .as_str()
            .unwrap()
            .ends_with(TRUNCATION_MARK)
    );
    assert!(
        fields["additional_data"]["a"]
            .as_str()
            .unwrap()
            .ends_with(TRUNCATION_MARK)
    );
    assert_eq!(fields["additional_data"]["truncated"], true);
}

#[test]
fn control_characters_are_escaped() {
    let all: String = (0u8..0x80)
        .map(char::from)
        .chain("é\u{2028}😀".chars())
        .collect();
    let value = one_line_of(|| info!(all, "{all}"));
    assert_eq!(value["message"], all);
    assert_eq!(value["additional_data"]["all"], all);
}

#[test]
fn a_value_that_logs_while_it_is_formatted_does_not_break_the_line() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info!("from within");
            f.write_str("chatty")
        }
    }
    let lines = lines_of(config(LogOutput::None), || info!(value = ?Chatty, "outer"));
    for line in &lines {
        let value: Value = serde_json::from_str(line).unwrap();
        if value["message"] == "outer" {
            assert_eq!(value["additional_data"]["value"], "chatty");
        }
    }
}

fn count_lines(path: &Path) -> u64 {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| {
            let _: Value = serde_json::from_str(line).unwrap();
            1
        })
        .sum()
}

#[test]
fn under_pressure_records_are_dropped_and_every_one_is_counted() {
    const THREADS: u64 = 4;
    const EACH: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut small = config(LogOutput::File(path.clone()));
    small.queue = 16;
    let (subscriber, logs) = build(small).unwrap();
    let dispatch = tracing::Dispatch::new(subscriber);
    let start = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    start.wait();
                    for n in 0..EACH {
                        info!(n, "pressure");
                    }
                });
            });
        }
    });
    assert!(logs.flush(WAIT));
    let written = count_lines(&path);
    assert!(
        logs.dropped() > 0,
        "the queue never filled: the test shows nothing"
    );
    assert_eq!(written + logs.dropped(), THREADS * EACH);
}

#[test]
fn a_slow_subscriber_misses_records_and_delays_no_other() {
    let (subscriber, logs) = build(config(LogOutput::None)).unwrap();
    let mut slow = logs.subscribe(2);
    with_default(subscriber, || (0..10).for_each(|n| info!(n, "tick")));
    assert!(logs.flush(WAIT));
    assert_eq!(logs.dropped(), 0);
    assert_eq!(slow.missed(), 8);
    assert!(slow.try_recv().is_some());
}

#[test]
fn a_subscriber_learns_that_logging_ended() {
    let (subscriber, logs) = build(config(LogOutput::None)).unwrap();
    let mut records = logs.subscribe(10);
    logs.set_instance("127.0.0.1:1");
    with_default(subscriber, || info!("last words"));
    assert!(logs.close(WAIT));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let record = tokio::time::timeout(WAIT, records.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(record.instance(), Some("127.0.0.1:1"));
        assert_eq!(record.level(), Level::INFO);
        assert!(
            tokio::time::timeout(WAIT, records.recv())
                .await
                .unwrap()
                .is_none()
        );
    });
}

#[test]
fn a_slow_query_is_reported_by_name_from_the_threshold_on() {
    let value = one_line_of(|| {
        let threshold = Duration::from_millis(100);
        let nowhere = crate::telemetry::TraceHandle::default();
        let step = nowhere.step("seat.list");
        slow_query("seat.list", Duration::from_micros(99_999), threshold, &step);
        slow_query("seat.list", threshold, threshold, &step);
    });
    assert_eq!(value["level"], "WARN");
    assert_eq!(value["additional_data"]["statement"], "seat.list");
    assert_eq!(value["additional_data"]["duration_ms"], 100.0);
}

#[test]
fn logging_is_installed_once_and_later_calls_join_it() {
    let first = init(config(LogOutput::None)).unwrap();
    let mut records = first.subscribe(10_000);
    let second = init(config(LogOutput::File("/no/such/dir/log".into()))).unwrap();
    info!("after both");
    assert!(second.flush(WAIT));
    let found = std::iter::from_fn(|| records.try_recv()).any(|r| r.line().contains("after both"));
    assert!(
        found,
        "the second handle does not belong to the first's logging"
    );
}

#[test]
fn an_unwritable_log_file_is_named_in_the_error() {
    let error = build(config(LogOutput::File("/no/such/dir/log".into())))
        .err()
        .unwrap();
    assert!(
        format!("{error:#}").contains("/no/such/dir/log"),
        "{error:#}"
    );
}
