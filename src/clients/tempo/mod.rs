//! The Tempo HTTP API: searches traces, and reads a whole trace.
//!
//! It reads both versions of Tempo's answers and plain OTLP JSON: `batches` or `resourceSpans`, ids in base64 or
//! hexadecimal digits, kinds and statuses as names or numbers.

mod json;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::http::{ClientError, HttpSource, decode};
use json::{found, trace};

/// The Tempo API at one address.
#[derive(Clone, Debug)]
pub struct Tempo(HttpSource);

/// The conditions of a search for traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceSearch {
    /// Names and values. The trace must contain all of them, in any span: `service.name`, `name`, `http.route`.
    pub tags: Vec<(String, String)>,
    /// Only traces with a failed span.
    pub failed: bool,
    /// The shortest duration of the whole trace, in milliseconds.
    pub min_ms: Option<u64>,
    /// The longest duration of the whole trace, in milliseconds.
    pub max_ms: Option<u64>,
    /// The first and the last second, as Unix seconds.
    pub window: Option<(u64, u64)>,
    /// The largest number of traces. Tempo returns those that it finds first, roughly the newest.
    pub limit: usize,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Newest first.
    pub traces: Vec<FoundTrace>,
    /// Whether the source searched all its data. If not, there may be more traces even if fewer than the limit were
    /// found.
    pub is_whole: bool,
}

/// A trace that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Failed spans, if the source counts them.
    pub errors: Option<u64>,
}

/// A whole trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The start of its first span, in Unix nanoseconds.
    pub start_ns: u64,
    /// The time from the start of its first span to the end of its last one, in nanoseconds.
    pub duration_ns: u64,
    /// Its spans, by start time.
    pub spans: Vec<Span>,
}

/// One span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The parent span. For the first span, this is the caller's span, which may be unknown here.
    pub parent: Option<String>,
    /// The service that it is from.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The kind of the span.
    pub kind: Kind,
    /// The time from the start of the trace to the start of the span, in nanoseconds.
    pub offset_ns: u64,
    /// In nanoseconds.
    pub duration_ns: u64,
    /// The status of the span.
    pub status: Status,
    /// The attributes of the span, without those of its resource. Values are texts.
    pub attributes: BTreeMap<String, String>,
    /// Events within the span, such as exceptions.
    #[serde(default)]
    pub events: Vec<SpanEvent>,
    /// The number of events that were not read.
    #[serde(default)]
    pub more_events: u64,
}

/// An event during a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanEvent {
    /// The time from the trace's start to the event, in nanoseconds.
    pub offset_ns: u64,
    /// The name of the event. For an exception, it is `exception`.
    pub name: String,
    /// Values as text.
    pub attributes: BTreeMap<String, String>,
}

impl SpanEvent {
    /// Returns whether it is an exception, by OpenTelemetry's conventions.
    #[must_use]
    pub fn is_exception(&self) -> bool {
        self.name == "exception" || self.attributes.contains_key("exception.type")
    }
}

/// The kind of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Unknown.
    #[default]
    Unspecified,
    /// Work within a process.
    Internal,
    /// A request that was served.
    Server,
    /// A request that was sent.
    Client,
    /// A message that was sent.
    Producer,
    /// A message that was received.
    Consumer,
}

/// The status of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not set.
    #[default]
    Unset,
    /// Marked as successful.
    Ok,
    /// Failed, with the reason or an empty text.
    Error(String),
}

impl Tempo {
    /// A client of `source`.
    #[must_use]
    pub fn new(source: HttpSource) -> Tempo {
        Tempo(source)
    }

    /// The address of the source.
    #[must_use]
    pub fn source(&self) -> &HttpSource {
        &self.0
    }

    /// `GET /api/search`.
    ///
    /// # Errors
    /// [`ClientError`]. After a refusal it contains Tempo's own message.
    pub async fn search(&self, search: &TraceSearch) -> Result<Found, ClientError> {
        let request = self.0.get("api/search").query(&search.params());
        read_found(&self.0.accepted(request).await?, search.failed)
    }

    /// `GET /api/traces/<id>`. `None` when the trace does not exist (any more).
    ///
    /// # Errors
    /// [`ClientError`]. Tempo refuses an invalid id.
    pub async fn trace(&self, id: &str) -> Result<Option<Trace>, ClientError> {
        // The id becomes part of a path.
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(ClientError::Malformed(format!("{id:?} is not a trace id")));
        }
        let request = self.0.get(&format!("api/traces/{id}"));
        let request = request.header(reqwest::header::ACCEPT, "application/json");
        match self.0.accepted(request).await {
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            body => read_trace(id, &body?).map(Some),
        }
    }
}

impl TraceSearch {
    fn params(&self) -> Vec<(&'static str, String)> {
        let mut params = vec![("limit", self.limit.max(1).to_string())];
        if self.tags.is_empty() {
            params.push(("q", self.traceql()));
            params.push(("spss", "1".to_owned()));
        } else {
            // Tags compare values of any type as text, which TraceQL cannot do.
            let mut tags = self.tags.clone();
            tags.extend(self.failed.then(|| ("error".to_owned(), "true".to_owned())));
            params.push(("tags", logfmt(&tags)));
            let durations = [("minDuration", self.min_ms), ("maxDuration", self.max_ms)];
            for (name, ms) in durations {
                params.extend(ms.map(|ms| (name, format!("{ms}ms"))));
            }
        }
        if let Some((from, to)) = self.window {
            params.push(("start", from.to_string()));
            params.push(("end", to.to_string()));
        }
        params
    }

    /// The conditions besides tags. With `q`, Tempo ignores all other parameters except times and limits.
    fn traceql(&self) -> String {
        let failed = self.failed.then(|| "status = error".to_owned());
        let least = self.min_ms.map(|ms| format!("traceDuration >= {ms}ms"));
        let most = self.max_ms.map(|ms| format!("traceDuration <= {ms}ms"));
        let conditions: Vec<String> = [failed, least, most].into_iter().flatten().collect();
        match conditions.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", conditions.join(" && ")),
        }
    }
}

/// The traces in an answer's body; `failed`: the search was for traces with a failed span.
pub(crate) fn read_found(body: &[u8], failed: bool) -> Result<Found, ClientError> {
    found(decode(body)?, failed)
}

/// The trace with that id in the body of an answer.
pub(crate) fn read_trace(id: &str, body: &[u8]) -> Result<Trace, ClientError> {
    trace(id, decode(body)?)
}

/// Writes values in quotes, so that they may contain any character.
fn logfmt(tags: &[(String, String)]) -> String {
    let tags = tags.iter().map(|(name, value)| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{name}=\"{}\"", escaped.replace('\n', "\\n"))
    });
    tags.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
