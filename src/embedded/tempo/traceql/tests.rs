use std::sync::Arc;

use proptest::prelude::*;

use super::super::trace::Trace;
use super::*;
use crate::telemetry::{SpanKind, SpanRecord, TraceRecord, Value};

/// One span: a failed request that took 150 ms.
fn trace() -> Trace {
    let span = SpanRecord {
        name: "GET /queue".into(),
        kind: SpanKind::Server,
        span_id: 1,
        parent_span_id: None,
        start_ns: 1_000,
        duration_ns: 150_000_000,
        attributes: vec![
            ("http.response.status_code", Value::Int(503)),
            ("http.route", Value::Text("/queue".into())),
            ("share", Value::Float(0.5)),
            ("cached", Value::Bool(false)),
            ("odd name", Value::Int(1)),
            ("service.name", Value::Text("of the span".into())),
        ],
        error: Some("pool exhausted".into()),
    };
    Trace::new(
        0,
        &Arc::new(TraceRecord {
            trace_id: 1,
            service_name: "concertctl-api",
            instance: Some("127.0.0.1:8080".into()),
            spans: vec![span],
        }),
    )
}

fn passes(query: &str) -> bool {
    let expr = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let trace = trace();
    let shortest = expr.shortest_ns();
    let passes = trace.spans().any(|span| expr.passes(&trace, span));
    assert!(!passes || expr.may_pass(&trace), "{query} is passed over");
    assert!(
        !passes || trace.duration_ns() >= shortest,
        "{query} is passed over"
    );
    passes
}

#[test]
fn every_field_is_compared_with_values_of_its_type() {
    for (query, expected) in [
        ("{}", true),
        ("{ true }", true),
        ("{ false }", false),
        ("{ resource.service.name = \"concertctl-api\" }", true),
        ("{ .service.name = \"of the span\" }", true),
        ("{ .service.name = \"concertctl-api\" }", false),
        ("{ .service.instance.id =~ \".*:8080\" }", true),
        ("{ span.service.instance.id != nil }", false),
        ("{ span.http.response.status_code >= 500 }", true),
        ("{span.http.response.status_code>=500}", true),
        ("{ span.http.response.status_code < 503 }", false),
        ("{ span.http.response.status_code = 503.0 }", true),
        ("{ span.http.response.status_code = \"503\" }", false),
        ("{ span.http.response.status_code != \"503\" }", false),
        ("{ span.share < 1 }", true),
        ("{ span.share > -0.5 }", true),
        ("{ span.cached = false }", true),
        ("{ span.cached != false }", false),
        ("{ span.\"odd name\" = 1 }", true),
        ("{ .missing != 1 }", false),
        ("{ .missing !~ \"x\" }", false),
        ("{ .missing = nil }", true),
        ("{ .http.route = nil }", false),
        ("{ .http.route != nil }", true),
        ("{ name = `GET /queue` }", true),
        ("{ name =~ \"/queue\" }", false),
        ("{ name =~ \".*/queue|x\" }", true),
        ("{ name !~ \"GET.*\" }", false),
        ("{ name > \"A\" }", true),
        ("{ kind = server && status = error }", true),
        ("{ kind != server || status != error }", false),
        ("{ statusMessage =~ \"pool.*\" }", true),
        ("{ duration > 100ms }", true),
        ("{ duration > 150ms }", false),
        ("{ duration = 150ms }", true),
        ("{ span:duration >= 0.15s && trace:duration < 1h }", true),
        ("{ duration > 150000000 }", false),
        ("{ duration >= 150000000 }", true),
        (
            "{ rootName = \"GET /queue\" && rootServiceName = \"concertctl-api\" }",
            true,
        ),
        (
            "{ trace:rootName != \"GET /queue\" || trace:rootService = \"x\" }",
            false,
        ),
        ("{ traceDuration > 1s }", false),
    ] {
        assert_eq!(passes(query), expected, "{query}");
    }
}

/// In Tempo's grammar neither operator binds more tightly.
#[test]
fn and_and_or_bind_alike_from_left_to_right() {
    assert!(!passes("{ true || true && false }"));
    assert!(passes("{ true || (true && false) }"));
    assert!(passes("{ false && true || true }"));
}

#[test]
fn unsupported_syntax_is_refused_with_its_position() {
    for (query, why) in [
        ("", "expected {, found the end"),
        ("{", "a field is missing"),
        ("{ name = }", "a value is missing"),
        ("{ name = \"a\" ", "expected }, found the end"),
        ("{ .a = 1 } | count() > 2", "col 12: | after the braces"),
        ("{ .a = 1 } && { .b = 2 }", "&& after the braces"),
        ("{ } >> { }", ">> after the braces"),
        ("{ !(.a = 1) }", "! is not supported"),
        ("{ .a + 1 = 2 }", "+ after a field"),
        ("{ .a = .b }", "comparing two fields"),
        ("{ 1 = .a }", "left of the comparison"),
        ("{ .a }", "} after a field"),
        ("{ event.name = \"x\" }", "the scope event"),
        ("{ parent.a = 1 }", "the scope parent"),
        ("{ childCount > 1 }", "the field childCount"),
        ("{ trace:id = \"1\" }", "the field trace:id"),
        ("{ status = \"error\" }", "never of the type"),
        ("{ status > error }", "equal or unequal"),
        ("{ status = server }", "server is not a value here"),
        ("{ duration = \"1s\" }", "never of the type"),
        ("{ name = 5 }", "never of the type"),
        ("{ name = nil }", "never of the type"),
        ("{ .a = error }", "error is not a value here"),
        ("{ .a =~ 5 }", "must be a text"),
        ("{ .a =~ \"a)(b\" }", "invalid regular expression"),
        ("{ .a =~ \"(\" }", "invalid regular expression"),
        ("{ .a > 5parsecs }", "neither a number nor a duration"),
        ("{ .a = \"x }", "closing quote"),
        ("{ .a = \"\\q\" }", "unknown escape"),
        ("{ . = 1 }", "a name must follow the dot"),
        ("{ .a = - \"x\" }", "a number must follow"),
        ("{ .a = 1 ; }", "unexpected character"),
        ("{ (.a = 1 }", "expected ), found }"),
    ] {
        let error = parse(query).expect_err(query).to_string();
        assert!(
            error.starts_with("invalid TraceQL query: parse error at col ") && error.contains(why),
            "{query}: {error}"
        );
    }
    let deep = format!("{{ {}true{} }}", "(".repeat(2_000), ")".repeat(2_000));
    assert!(parse(&deep).unwrap_err().to_string().contains("too many"));
    let long = format!("{{ true{} }}", "||true".repeat(800));
    assert!(passes(&long));
}

#[test]
fn the_name_of_a_field_is_read_alone() {
    let either = Field::Either("service.name".into());
    assert_eq!(parse_field(".service.name").unwrap(), either);
    assert_eq!(parse_field("span:name").unwrap(), Field::Name);
    for wrong in ["", "service.name", "name = 1", "{}"] {
        assert!(parse_field(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn almost_queries_do_not_panic(
        parts in proptest::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("("), Just(")"), Just("&&"), Just("||"), Just(".a"), Just("name"),
            Just("duration"), Just("status"), Just("span.http.route"), Just("="), Just("!="), Just(">="),
            Just("=~"), Just("!~"), Just("5"), Just("1.5s"), Just("\"x\""), Just("error"), Just("nil"),
            Just("true"), Just("-"), Just("|"), Just("\""), Just("."), Just("span."), Just("9e999"),
            Just("99999999999y"), Just("é"),
        ], 0..14),
        blank in any::<bool>()
    ) {
        if let Ok(expr) = parse(&parts.join(if blank { " " } else { "" })) {
            let trace = trace();
            let _ = trace.spans().any(|span| expr.passes(&trace, span));
        }
    }
}

#[test]
fn a_query_tells_how_long_its_traces_took_at_least() {
    const MS: u64 = 1_000_000;
    for (query, ms) in [
        ("{}", 0),
        ("{ traceDuration >= 100ms }", 100),
        ("{ status = error && trace:duration > 100ms }", 100),
        ("{ traceDuration > 100ms && traceDuration > 1s }", 1_000),
        ("{ traceDuration > 100ms || traceDuration > 1s }", 100),
        ("{ traceDuration > 100ms || status = error }", 0),
        ("{ traceDuration < 100ms }", 0),
        ("{ duration > 100ms }", 0),
        ("{ traceDuration > -1 }", 0),
    ] {
        assert_eq!(parse(query).unwrap().shortest_ns(), ms * MS, "{query}");
    }
}

#[test]
fn parts_are_found_whatever_the_case() {
    for (text, part, found) in [
        ("POST /Queue", "/queue", true),
        ("ÄPFEL", "äpf", true),
        ("a", "ab", false),
        ("abc", "", true),
        ("", "a", false),
    ] {
        assert_eq!(contains(text, part), found, "{text} {part}");
    }
}
