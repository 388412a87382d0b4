//! The Tempo HTTP API: searching traces, and one trace whole.
//!
//! Understands both versions of Tempo's answers and plain OTLP JSON: `batches` or `resourceSpans`,
//! ids in base64 or in hexadecimal digits, kinds and statuses as names or as numbers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::http::{ClientError, HttpSource, decode, refusal};

/// Spans read of one trace.
const MAX_SPANS: usize = 20_000;

/// The Tempo API at one address.
#[derive(Clone, Debug)]
pub struct Tempo(HttpSource);

/// What is sought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceSearch {
    /// Names and values, all of which the trace must hold somewhere: `service.name`, `name`,
    /// `http.route`; `error` = `true`.
    pub tags: Vec<(String, String)>,
    /// Of the whole trace, in milliseconds.
    pub min_ms: Option<u64>,
    /// Of the whole trace, in milliseconds.
    pub max_ms: Option<u64>,
    /// Unix seconds, both included: from, to.
    pub window: Option<(u64, u64)>,
    /// How many at most; the newest are told of.
    pub limit: usize,
}

/// A trace that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTrace {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The service of its first span.
    pub service: String,
    /// The name of its first span.
    pub name: String,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Spans that failed, if the source tells.
    pub errors: Option<u64>,
}

/// A trace whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Unix nanoseconds of its first span's start.
    pub start_ns: u64,
    /// From its first span's start to its last one's end, in nanoseconds.
    pub duration_ns: u64,
    /// Its spans, those that began first first.
    pub spans: Vec<Span>,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The span that it was part of; of the first span, the caller's, which may be unknown here.
    pub parent: Option<String>,
    /// The service that it is from.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What it was to its parent.
    pub kind: Kind,
    /// From the trace's start to its own, in nanoseconds.
    pub offset_ns: u64,
    /// In nanoseconds.
    pub duration_ns: u64,
    /// How it ended.
    pub status: Status,
    /// Its own attributes, not those of its resource; values as text.
    pub attributes: BTreeMap<String, String>,
}

/// What a span was to its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Not told.
    #[default]
    Unspecified,
    /// Something within a process.
    Internal,
    /// Served a request.
    Server,
    /// Asked somebody else.
    Client,
    /// Sent a message.
    Producer,
    /// Took a message.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nobody said.
    #[default]
    Unset,
    /// Somebody looked and said that it was well.
    Ok,
    /// It failed, for this reason if one is told.
    Error(String),
}

impl Tempo {
    /// Asks `source`.
    #[must_use]
    pub fn new(source: HttpSource) -> Tempo {
        Tempo(source)
    }

    /// `GET /api/search`: the newest traces that are meant, newest first.
    ///
    /// # Errors
    /// [`ClientError`]; a refused search carries Tempo's own message.
    pub async fn search(&self, search: &TraceSearch) -> Result<Vec<FoundTrace>, ClientError> {
        let mut query = vec![("limit", search.limit.max(1).to_string())];
        if !search.tags.is_empty() {
            query.push(("tags", logfmt(&search.tags)));
        }
        let durations = [
            ("minDuration", search.min_ms),
            ("maxDuration", search.max_ms),
        ];
        for (name, ms) in durations {
            query.extend(ms.map(|ms| (name, format!("{ms}ms"))));
        }
        if let Some((from, to)) = search.window {
            query.push(("start", from.to_string()));
            query.push(("end", to.to_string()));
        }
        let request = self.0.get("api/search").query(&query);
        let (status, body) = self.0.send(request).await?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        let answer: SearchAnswer = decode(&body)?;
        let mut found: Vec<_> = answer
            .traces
            .into_iter()
            .map(FoundTrace::try_from)
            .collect::<Result<_, _>>()?;
        found.sort_by_key(|trace| std::cmp::Reverse(trace.start_ns));
        Ok(found)
    }

    /// `GET /api/traces/<id>`; `None`: there is no such trace (any more).
    ///
    /// # Errors
    /// [`ClientError`]; an id that is none is refused by Tempo.
    pub async fn trace(&self, id: &str) -> Result<Option<Trace>, ClientError> {
        // The id becomes part of a path.
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(ClientError::Malformed(format!("{id:?} is no trace id")));
        }
        let request = self.0.get(&format!("api/traces/{id}"));
        let request = request.header(reqwest::header::ACCEPT, "application/json");
        let (status, body) = self.0.send(request).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        trace(id, decode(&body)?).map(Some)
    }
}

/// Values in quotes, in which anything may stand.
fn logfmt(tags: &[(String, String)]) -> String {
    let tags = tags.iter().map(|(name, value)| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{name}=\"{}\"", escaped.replace('\n', "\\n"))
    });
    tags.collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
struct SearchAnswer {
    /// Left out by Tempo when there are none.
    #[serde(default)]
    traces: Vec<FoundJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct FoundJson {
    #[serde(rename = "traceID")]
    trace_id: String,
    root_service_name: String,
    root_trace_name: String,
    #[serde(deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    duration_ms: u64,
    service_stats: Option<BTreeMap<String, StatsJson>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatsJson {
    #[serde(deserialize_with = "number")]
    error_count: u64,
}

impl TryFrom<FoundJson> for FoundTrace {
    type Error = ClientError;

    fn try_from(json: FoundJson) -> Result<FoundTrace, ClientError> {
        let errors = |stats: BTreeMap<String, StatsJson>| {
            let counts = stats.values().map(|it| it.error_count);
            counts.fold(0u64, u64::saturating_add)
        };
        Ok(FoundTrace {
            id: id(&json.trace_id, 16)?,
            service: json.root_service_name,
            name: json.root_trace_name,
            start_ns: json.start_time_unix_nano,
            duration_ms: json.duration_ms,
            errors: json.service_stats.map(errors),
        })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TraceJson {
    /// The second version of Tempo's API.
    Wrapped {
        trace: Batches,
    },
    Bare(Batches),
}

#[derive(Deserialize)]
struct Batches {
    #[serde(alias = "resourceSpans")]
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    #[serde(default)]
    resource: ResourceJson,
    #[serde(default, alias = "instrumentationLibrarySpans")]
    scope_spans: Vec<ScopeJson>,
}

#[derive(Deserialize, Default)]
struct ResourceJson {
    #[serde(default)]
    attributes: Vec<Pair>,
}

#[derive(Deserialize)]
struct ScopeJson {
    #[serde(default)]
    spans: Vec<SpanJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson {
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: Json,
    #[serde(default, deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(default, deserialize_with = "number")]
    end_time_unix_nano: u64,
    #[serde(default)]
    attributes: Vec<Pair>,
    #[serde(default)]
    status: StatusJson,
}

#[derive(Deserialize, Default)]
struct StatusJson {
    #[serde(default)]
    code: Json,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: Json,
}

/// 64-bit numbers are texts in the JSON of protobuf; some write them as numbers all the same.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let json = Json::deserialize(from)?;
    let number = match &json {
        Json::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    number.ok_or_else(|| serde::de::Error::custom(format!("{json} is no count")))
}

fn trace(id: &str, json: TraceJson) -> Result<Trace, ClientError> {
    let (TraceJson::Wrapped { trace: batches } | TraceJson::Bare(batches)) = json;
    let mut spans = Vec::new();
    for batch in batches.batches {
        let named = batch.resource.attributes.iter();
        let mut named = named.filter(|pair| pair.key == "service.name");
        let service = named.next().map_or_else(String::new, |it| text(&it.value));
        for json in batch.scope_spans.into_iter().flat_map(|it| it.spans) {
            if spans.len() == MAX_SPANS {
                return Err(ClientError::TooLarge);
            }
            spans.push(span(&service, json)?);
        }
    }
    let start_ns = spans.iter().map(|it| it.offset_ns).min().unwrap_or(0);
    for span in &mut spans {
        span.offset_ns -= start_ns;
    }
    spans.sort_by_key(|it| it.offset_ns);
    let ends = spans
        .iter()
        .map(|it| it.offset_ns.saturating_add(it.duration_ns));
    Ok(Trace {
        id: format!("{id:0>32}").to_lowercase(),
        start_ns,
        duration_ns: ends.max().unwrap_or(0),
        spans,
    })
}

/// The offset is the start itself, until that of the trace is known.
fn span(service: &str, json: SpanJson) -> Result<Span, ClientError> {
    let parent = match json.parent_span_id.as_str() {
        "" => None,
        parent => Some(id(parent, 8)?).filter(|id| id.chars().any(|c| c != '0')),
    };
    let (start, end) = (json.start_time_unix_nano, json.end_time_unix_nano);
    let attributes = json.attributes.into_iter();
    Ok(Span {
        id: id(&json.span_id, 8)?,
        parent,
        service: service.to_owned(),
        name: json.name,
        kind: kind(&json.kind),
        offset_ns: start,
        duration_ns: end.saturating_sub(start),
        status: status(&json.status),
        attributes: attributes.map(|it| (it.key, text(&it.value))).collect(),
    })
}

/// An id of so many bytes, in hexadecimal digits (without leading zeros, as Tempo's search has it)
/// or in base64, as hexadecimal digits.
fn id(text: &str, bytes: usize) -> Result<String, ClientError> {
    let digits = bytes * 2;
    // In base64 the same bytes are 24 or 12 characters that end in a padding.
    let padded = text.ends_with('=');
    if !text.is_empty()
        && text.len() <= digits
        && !padded
        && text.chars().all(|c| c.is_ascii_hexdigit())
    {
        return Ok(format!("{text:0>digits$}").to_lowercase());
    }
    match STANDARD.decode(text) {
        Ok(decoded) if decoded.len() == bytes => {
            Ok(decoded.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        _ => Err(ClientError::Malformed(format!("{text:?} is no id"))),
    }
}

fn kind(json: &Json) -> Kind {
    const KINDS: [(&str, Kind); 6] = [
        ("SPAN_KIND_UNSPECIFIED", Kind::Unspecified),
        ("SPAN_KIND_INTERNAL", Kind::Internal),
        ("SPAN_KIND_SERVER", Kind::Server),
        ("SPAN_KIND_CLIENT", Kind::Client),
        ("SPAN_KIND_PRODUCER", Kind::Producer),
        ("SPAN_KIND_CONSUMER", Kind::Consumer),
    ];
    let place = match json {
        Json::String(name) => KINDS.iter().position(|(known, _)| known == name),
        other => other.as_u64().and_then(|it| usize::try_from(it).ok()),
    };
    let known = place.and_then(|place| KINDS.get(place));
    known.map_or(Kind::Unspecified, |(_, kind)| *kind)
}

fn status(json: &StatusJson) -> Status {
    match &json.code {
        code if code == "STATUS_CODE_ERROR" || *code == 2 => Status::Error(json.message.clone()),
        code if code == "STATUS_CODE_OK" || *code == 1 => Status::Ok,
        _ => Status::Unset,
    }
}

/// A value of OTLP's as text: `{"intValue": "7"}` → 7.
fn text(value: &Json) -> String {
    let inner = match value {
        Json::Object(fields) if fields.len() == 1 => fields.values().next(),
        _ => None,
    };
    match inner.unwrap_or(value) {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_was_found_is_read_with_and_without_what_tempo_leaves_out() {
        let text = br#"{"traces":[{"traceID":"d6e9329d67b6146a","rootServiceName":"api","rootTraceName":"/x",
            "startTimeUnixNano":"1634727903545000000","durationMs":611,
            "serviceStats":{"api":{"spanCount":3,"errorCount":2},"db":{"spanCount":1}}},
            {"traceID":"1"}],"metrics":{}}"#;
        let answer: SearchAnswer = decode(text).unwrap();
        let found: Vec<_> = answer
            .traces
            .into_iter()
            .map(|json| FoundTrace::try_from(json).unwrap())
            .collect();
        assert_eq!(found[0].id, "0000000000000000d6e9329d67b6146a");
        assert_eq!((found[0].duration_ms, found[0].errors), (611, Some(2)));
        assert_eq!((found[1].start_ns, found[1].errors), (0, None));
        let none: SearchAnswer = decode(br#"{"metrics":{}}"#).unwrap();
        assert!(none.traces.is_empty());
    }

    #[test]
    fn tags_are_quoted() {
        let tags = [("a", "b \"c\" \\"), ("http.route", "/queue")];
        let tags = tags.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(logfmt(&tags), r#"a="b \"c\" \\" http.route="/queue""#);
    }
}
