use super::*;
use crate::clients::http::decode;

/// A trace with one failed request and a statement in it, in the given spellings.
fn spelled(
    list: &str,
    root: &str,
    child: &str,
    server: &str,
    client: &str,
    error: &str,
    number: &str,
) -> String {
    format!(
        r#"{{"{list}":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"api"}}}}]}},
        "scopeSpans":[{{"scope":{{}},"spans":[
          {{"traceId":"x","spanId":{child},"parentSpanId":{root},"name":"db.acquire","kind":{client},
            "startTimeUnixNano":"1300","endTimeUnixNano":"1500","status":{{}}}},
          {{"traceId":"x","spanId":{root},"name":"GET /queue","kind":{server},
            "startTimeUnixNano":"1000","endTimeUnixNano":"2000",
            "attributes":[{{"key":"n","value":{{"intValue":{number}}}}},{{"key":"b","value":{{"boolValue":true}}}},
              {{"key":"f","value":{{"doubleValue":0.5}}}}],
            "status":{{"code":{error},"message":"pool exhausted"}}}}]}}]}}]}}"#
    )
}

#[test]
fn every_spelling_of_a_trace_is_the_same_trace() {
    let base64 = spelled(
        "batches",
        "\"AAAAAAAAAAE=\"",
        "\"//////////8=\"",
        "\"SPAN_KIND_SERVER\"",
        "\"SPAN_KIND_CLIENT\"",
        "\"STATUS_CODE_ERROR\"",
        "\"7\"",
    );
    let hex = spelled(
        "resourceSpans",
        "\"0000000000000001\"",
        "\"FFFFFFFFFFFFFFFF\"",
        "2",
        "3",
        "2",
        "7",
    );
    let wrapped = format!("{{\"trace\":{base64},\"metrics\":{{}}}}");
    let read = |text: &str| trace("A1", decode(text.as_bytes()).unwrap()).unwrap();
    let first = read(&base64);
    assert_eq!(read(&hex), first);
    assert_eq!(read(&wrapped), first);
    assert_eq!(first.id, format!("{}a1", "0".repeat(30)));
    assert_eq!((first.start_ns, first.duration_ns), (1000, 1000));
    let [root, child] = &first.spans[..] else {
        panic!("{first:?}");
    };
    assert_eq!(
        (root.name.as_str(), root.service.as_str()),
        ("GET /queue", "api")
    );
    assert_eq!((root.kind, child.kind), (Kind::Server, Kind::Client));
    assert_eq!(root.status, Status::Error("pool exhausted".into()));
    assert_eq!(child.status, Status::Unset);
    assert_eq!(root.parent, None);
    assert_eq!(child.parent.as_deref(), Some("0000000000000001"));
    assert_eq!(child.id, "f".repeat(16));
    assert_eq!((child.offset_ns, child.duration_ns), (300, 200));
    let attributes: Vec<_> = root.attributes.iter().collect();
    let expected = [("b", "true"), ("f", "0.5"), ("n", "7")];
    assert_eq!(
        attributes,
        expected
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .iter()
            .map(|(a, b)| (a, b))
            .collect::<Vec<_>>()
    );
}

#[test]
fn nonsense_is_an_error_and_not_a_trace() {
    for text in [
        "{}",
        r#"{"batches":3}"#,
        r#"{"batches":[{"scopeSpans":[{"spans":[{"spanId":"zz"}]}]}]}"#,
        r#"{"batches":[{"scopeSpans":[{"spans":[{"spanId":"1","startTimeUnixNano":"soon"}]}]}]}"#,
    ] {
        let read = decode(text.as_bytes()).and_then(|json| trace("1", json));
        assert!(matches!(read, Err(ClientError::Malformed(_))), "{text}");
    }
}

#[test]
fn search_results_are_read_with_and_without_optional_fields() {
    let text =
        br#"{"traces":[{"traceID":"d6e9329d67b6146a","rootServiceName":"api","rootTraceName":"/x",
        "startTimeUnixNano":"1634727903545000000","durationMs":611,
        "serviceStats":{"api":{"spanCount":3,"errorCount":2},"db":{"spanCount":1}}},
        {"traceID":"1"}],"metrics":{}}"#;
    let found = read_found(text, false).unwrap();
    assert!(found.is_whole);
    let [first, second] = &found.traces[..] else {
        panic!("{found:?}");
    };
    assert_eq!(first.id, "0000000000000000d6e9329d67b6146a");
    assert_eq!((first.duration_ms, first.errors), (611, Some(2)));
    assert_eq!((second.start_ns, second.errors), (0, None));
    for none in [r#"{"metrics":{}}"#, r#"{"traces":null}"#] {
        let none = read_found(none.as_bytes(), false).unwrap();
        assert!(none.traces.is_empty());
    }
}

#[test]
fn failed_spans_are_counted_where_tempo_says_nothing_of_services() {
    // Tempo answers `{ status = error }` like this, without statistics or with empty ones.
    let text = br#"{"traces":[
        {"traceID":"1","spanSet":{"spans":[{"spanID":"a"}],"matched":3},
         "spanSets":[{"spans":[{"spanID":"a"}],"matched":3},{"matched":1}]},
        {"traceID":"2","serviceStats":{},"spanSet":{"spans":[{"spanID":"b"}],"matched":2}},
        {"traceID":"3","serviceStats":{"api":{"spanCount":3,"errorCount":1}},"spanSet":{"matched":1}},
        {"traceID":"4"}],"metrics":{"completedJobs":3,"totalJobs":4}}"#;
    let errors = |failed: bool| {
        let found = read_found(text, failed).unwrap();
        assert!(!found.is_whole, "a job is still to be done");
        found.traces.iter().map(|it| it.errors).collect::<Vec<_>>()
    };
    assert_eq!(errors(true), [Some(4), Some(2), Some(1), Some(1)]);
    assert_eq!(errors(false), [None, None, Some(1), None]);
}

#[test]
fn a_search_is_one_query_because_tempo_ignores_the_others() {
    let query = |search: TraceSearch| {
        let params = search.params();
        assert!(!params.iter().any(|(name, _)| *name == "minDuration"));
        let query = params.into_iter().find(|(name, _)| *name == "q");
        query.unwrap().1
    };
    assert_eq!(query(TraceSearch::default()), "{}");
    let all = TraceSearch {
        failed: true,
        min_ms: Some(64),
        max_ms: Some(900),
        ..TraceSearch::default()
    };
    assert_eq!(
        query(all),
        "{ status = error && traceDuration >= 64ms && traceDuration <= 900ms }"
    );
}

#[test]
fn exceptions_are_read_with_their_times_and_no_more_events_than_anybody_reads() {
    let event = r#"{"timeUnixNano":"1200","name":"exception","attributes":[
        {"key":"exception.type","value":{"stringValue":"IOException"}}]}"#;
    let of = |events: usize| {
        let events = vec![event; events].join(",");
        let text = format!(
            r#"{{"batches":[{{"scopeSpans":[{{"spans":[{{"spanId":"1","startTimeUnixNano":"1000",
            "endTimeUnixNano":"2000","events":[{events}],"droppedEventsCount":7}}]}}]}}]}}"#
        );
        let trace = decode(text.as_bytes()).and_then(|json| trace("1", json));
        trace.unwrap().spans.remove(0)
    };
    let span = of(1);
    assert!(span.events[0].is_exception());
    assert_eq!((span.events[0].offset_ns, span.more_events), (200, 7));
    assert_eq!(span.events[0].attributes["exception.type"], "IOException");
    let span = of(150);
    assert_eq!((span.events.len(), span.more_events), (100, 57));
}

#[test]
fn tags_are_quoted() {
    let tags = [("a", "b \"c\" \\"), ("http.route", "/queue")];
    let tags = tags.map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(logfmt(&tags), r#"a="b \"c\" \\" http.route="/queue""#);
}

#[test]
fn no_more_spans_are_read_of_a_trace_than_anybody_can_look_at() {
    let of = |count: usize| {
        let span = r#"{"spanId":"1","startTimeUnixNano":"1","endTimeUnixNano":"2"}"#;
        let spans = vec![span; count].join(",");
        let text = format!(r#"{{"batches":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
        decode(text.as_bytes()).and_then(|json| trace("1", json))
    };
    assert_eq!(of(20_000).unwrap().spans.len(), 20_000);
    assert_eq!(of(20_001).unwrap_err(), ClientError::TooLarge);
}
