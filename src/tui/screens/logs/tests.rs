//! Queries, records, and the list that keeps them.

use super::*;
use crate::clients::prometheus::Labels;

fn line(at_ns: i64, text: &str) -> LogLine {
    LogLine {
        at_ns,
        labels: Labels::from([("level".into(), "warn".into())]),
        line: text.into(),
    }
}

#[test]
fn the_query_is_built_from_the_filter_and_quotes_cannot_break_out() {
    assert_eq!(query("", Level::All), r#"{service_name=~".+"}"#);
    assert_eq!(
        query("seat 7", Level::Error),
        r#"{service_name=~".+"} |~ "(?i)seat" |~ "(?i)(7|\"duration_ms\"\\s*:\\s*6|^[^{])" | json | detected_level=~"(?i)(err.*|fatal|crit.*)" or level=~"(?i)(err.*|fatal|crit.*)" or severity_text=~"(?i)(err.*|fatal|crit.*)""#
    );
    let of_trace = |level| query_of("", level, Some("ab\"c0"));
    assert_eq!(
        [of_trace(Level::All), of_trace(Level::Error)],
        [
            r#"{service_name=~".+"} | json | trace_id="abc0""#,
            r#"{service_name=~".+"} | json | trace_id="abc0" | detected_level=~"(?i)(err.*|fatal|crit.*)" or level=~"(?i)(err.*|fatal|crit.*)" or severity_text=~"(?i)(err.*|fatal|crit.*)""#
        ]
    );
}

#[test]
fn overlapping_answers_add_each_record_once_and_in_order() {
    let mut logs = Logs::default();
    logs.merge(
        vec![line(10, "a"), line(20, "b"), line(20, "b2")],
        &Zone::default(),
    );
    logs.merge(
        vec![
            line(15, "late"),
            line(20, "b2"),
            line(20, "b"),
            line(30, "c"),
        ],
        &Zone::default(),
    );
    let seen: Vec<_> = logs
        .records
        .iter()
        .map(|record| record.line.as_str())
        .collect();
    assert_eq!(seen, ["a", "late", "b", "b2", "c"]);
    assert_eq!(logs.cursor, 4);
}

#[test]
fn the_oldest_records_are_dropped_and_a_frozen_choice_stays_in_range() {
    let mut logs = Logs::default();
    logs.merge(
        (0..MAX_RECORDS as i64 + 50)
            .map(|at| line(at, "x"))
            .collect(),
        &Zone::default(),
    );
    assert_eq!(logs.records.len(), MAX_RECORDS);
    assert_eq!(logs.records[0].at_ns, 50);
    logs.move_by(-3);
    assert!(logs.frozen);
    logs.move_by(isize::MIN);
    assert_eq!(logs.cursor, 0);
    logs.move_by(isize::MAX);
    assert_eq!(logs.cursor, MAX_RECORDS - 1);
}

#[test]
fn the_details_of_an_access_record_omit_what_its_message_contains() {
    let details = |data: &str| {
        let text = format!(r#"{{"message":"m","additional_data":{data}}}"#);
        Record::new(line(1, &text)).details
    };
    assert_eq!(
        details(
            r#"{"duration_ms":2.148,"method":"POST","route":"/x","span":"request","status":409,"target":"t","user":17}"#
        ),
        "2.1 ms user=17"
    );
    assert_eq!(
        details(r#"{"batch":500,"status":"late","reason":null}"#),
        "batch=500 status=late"
    );
}

#[test]
fn a_trace_id_is_found_in_the_line_or_in_the_labels() {
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let trace = |line: &LogLine| Record::new(line.clone()).trace_id;
    let json = line(1, &format!(r#"{{"trace_id":"{id}"}}"#));
    assert_eq!(trace(&json).as_deref(), Some(id));
    let mut beside = line(1, "plain words");
    beside.labels.insert("trace_id".into(), id.into());
    assert_eq!(trace(&beside).as_deref(), Some(id));
    for odd in ["", "0", &"0".repeat(32), "4bf92f3577b34da6a3ce929d0e0e473/"] {
        let odd = line(1, &format!(r#"{{"trace_id":"{odd}"}}"#));
        assert_eq!(trace(&odd), None);
    }
}

#[test]
fn a_json_line_is_parsed_and_any_other_line_is_a_message() {
    let record = Record::new(line(
        1,
        r#"{"level":"ERROR","service_name":"api","message":"two\nlines","additional_data":{"route":"/x","n":3,"none":{}},"trace_id":null}"#,
    ));
    assert_eq!(
        (record.level.as_str(), record.service.as_str()),
        ("ERROR", "api")
    );
    assert_eq!(record.message, "two lines");
    let fields = record.fields();
    assert!(fields.contains(&("additional_data.route".into(), "/x".into())));
    assert!(fields.contains(&("additional_data.n".into(), "3".into())));
    assert!(fields.contains(&("trace_id".into(), "null".into())));
    assert_eq!(record.trace_id, None);

    let plain = Record::new(line(1, "not json \x1b[2J"));
    assert_eq!(
        (plain.level.as_str(), plain.message.as_str()),
        ("WARN", "not json  [2J")
    );
    assert_eq!(
        plain.fields(),
        [
            ("message".to_owned(), "not json \x1b[2J".to_owned()),
            ("level".to_owned(), "warn".to_owned())
        ]
    );
}

/// A record as Loki stores it from OTLP: the line is the message, all fields are labels.
fn by_otlp(message: &str, beside: &[(&str, &str)]) -> Record {
    let labels = beside
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Record::new(LogLine {
        at_ns: 1,
        labels: labels.collect(),
        line: message.into(),
    })
}

#[test]
fn the_fields_of_a_plain_message_come_from_its_labels() {
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let record = by_otlp(
        "POST /reservations failed with 500",
        &[
            ("service_name", "concertctl-api"),
            ("service_instance_id", "10.0.0.7:9464"),
            ("severity_text", "ERROR"),
            ("severity_number", "17"),
            ("detected_level", "error"),
            ("trace_id", id),
            ("span_id", "00f067aa0ba902b7"),
            ("observed_timestamp", "1"),
            ("scope_name", "concertctl"),
            ("target", "concertctl::http"),
            ("method", "POST"),
            ("route", "/reservations"),
            ("status", "500"),
            ("duration_ms", "612.4"),
            ("user", "17"),
        ],
    );
    assert_eq!(record.level, "ERROR");
    assert_eq!(record.service, "concertctl-api");
    assert_eq!(record.trace_id.as_deref(), Some(id));
    assert_eq!(record.message, "POST /reservations failed with 500");
    assert_eq!(record.details, "612 ms user=17");
    let fields = record.fields();
    assert_eq!(fields[0].0, "message");
    for (name, value) in [("status", "500"), ("duration_ms", "612.4"), ("user", "17")] {
        assert!(
            fields.contains(&(name.to_owned(), value.to_owned())),
            "{name}"
        );
    }
    assert!(!fields.iter().any(|(name, _)| name == "detected_level"));
}

#[test]
fn a_stack_trace_is_a_field_but_not_a_detail() {
    let stack = "at a\n".repeat(100);
    let record = by_otlp(
        "payment failed",
        &[
            ("detected_level", "critical"),
            ("exception_type", "java.io.IOException"),
            ("exception_stacktrace", &stack),
            ("k8s_pod_name", "shop-1"),
            ("__error__", "JSONParserErr"),
        ],
    );
    assert_eq!(record.level, "ERROR");
    assert_eq!(record.details, "exception_type=java.io.IOException");
    let fields = record.fields();
    assert!(fields.contains(&("exception_stacktrace".into(), stack)));
    assert!(!fields.iter().any(|(name, _)| name == "__error__"));
}

#[test]
fn a_field_of_both_line_and_labels_appears_once() {
    let mut line = line(
        1,
        r#"{"level":"warn","additional_data":{"status":409,"ok":true}}"#,
    );
    let beside = [("additional_data_status", "409"), ("instance", "a:1")];
    line.labels
        .extend(beside.map(|(n, v)| (n.to_owned(), v.to_owned())));
    let fields = Record::new(line).fields();
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "additional_data.ok",
            "additional_data.status",
            "level",
            "instance"
        ]
    );
}

#[test]
fn levels_are_recognized_in_every_spelling() {
    let level = |word: &str| by_otlp("m", &[("severity_text", word)]).level;
    for (word, known) in [
        ("Warning", "WARN"),
        ("FATAL", "ERROR"),
        ("err", "ERROR"),
        ("Information", "INFO"),
        ("ERROR2", "ERROR"),
        ("unknown", "UNKNOWN"),
    ] {
        assert_eq!(level(word), known);
    }
    assert_eq!(by_otlp("m", &[]).level, "");
}

#[test]
fn records_that_differ_only_in_their_labels_are_two() {
    let of_user = |user: &str| LogLine {
        at_ns: 1,
        labels: Labels::from([("user".into(), user.into())]),
        line: "charged".into(),
    };
    let mut logs = Logs::default();
    logs.merge(
        vec![of_user("1"), of_user("2"), of_user("1")],
        &Zone::default(),
    );
    assert_eq!(logs.records.len(), 2);
}
