//! Parses a log record in either form: a JSON line, or a plain message with its fields as labels, as Loki stores
//! records from OTLP. Pure.

use serde_json::{Map, Value};

use crate::clients::loki::LogLine;
use crate::clients::prometheus::Labels;
use crate::tui::format;
use crate::tui::format::one_line;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) at_ns: i64,
    /// ERROR, WARN, INFO, DEBUG, TRACE, or the record's own word in capitals.
    pub(crate) level: String,
    pub(crate) service: String,
    /// 32 hexadecimal digits; `None` if the record belongs to no request.
    pub(crate) trace_id: Option<String>,
    pub(crate) message: String,
    /// The other fields in short: `2.1 ms user=17`.
    pub(crate) details: String,
    /// The line as it was logged.
    pub(crate) line: String,
    /// The labels that the store has beside the line.
    pub(crate) labels: Labels,
}

/// The fields that may have the level, the sender's own first.
const LEVELS: &[&str] = &["level", "severity_text", "severity", "detected_level"];
/// The fields that may have the trace id.
const TRACES: &[&str] = &["trace_id", "traceid", "traceId", "traceID"];
/// The fields of a JSON line that may have the message.
const MESSAGES: &[&str] = &["message", "msg", "body"];

impl Record {
    /// The short name of the service.
    pub(crate) fn short_service(&self) -> &str {
        let short = self.service.strip_prefix("concertctl-");
        short.unwrap_or(&self.service)
    }

    pub(crate) fn new(line: LogLine) -> Record {
        let LogLine {
            at_ns,
            labels,
            line,
        } = line;
        let json = object(&line);
        let field = |names: &[&str]| {
            let of_line = |name: &&str| json.as_ref()?.get(*name)?.as_str().map(str::to_owned);
            let beside = |name: &&str| labels.get(*name).cloned();
            let mut found = names.iter().filter_map(of_line);
            found.find(|value| !value.is_empty()).or_else(|| {
                let mut found = names.iter().filter_map(beside);
                found.find(|value| !value.is_empty())
            })
        };
        let message = match &json {
            Some(_) => field(MESSAGES).unwrap_or_else(|| line.clone()),
            None => line.clone(),
        };
        let details = match &json {
            Some(json) => details(of_json(json)),
            None => details(
                labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.clone())),
            ),
        };
        Record {
            at_ns,
            level: level(&field(LEVELS).unwrap_or_default()),
            service: field(&["service_name"]).unwrap_or_default(),
            trace_id: field(TRACES).filter(|id| is_trace_id(id)),
            message: one_line(&message),
            details,
            line,
            labels,
        }
    }

    /// All fields, for the record in full. Names of nested fields have dots. A field that both the line and a label
    /// have appears once.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        match object(&self.line) {
            Some(object) => object
                .iter()
                .for_each(|(name, value)| flatten(name, value, &mut fields)),
            None => fields.push(("message".into(), self.line.clone())),
        }
        let of_line = fields.len();
        for (name, value) in &self.labels {
            let is_in_line = fields[..of_line]
                .iter()
                .any(|(known, text)| text == value && label_name(known) == *name);
            let is_level = name == "detected_level" && level(value) == self.level;
            if !is_in_line && !is_level && !name.starts_with("__error") {
                fields.push((name.clone(), value.clone()));
            }
        }
        fields
    }
}

fn object(line: &str) -> Option<Map<String, Value>> {
    if !line.starts_with('{') {
        return None;
    }
    serde_json::from_str(line).ok()
}

/// The canonical name of a level.
fn level(word: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("ERR", "ERROR"),
        ("FATAL", "ERROR"),
        ("CRIT", "ERROR"),
        ("WARN", "WARN"),
        ("INFO", "INFO"),
        ("NOTICE", "INFO"),
        ("DEBUG", "DEBUG"),
        ("TRACE", "TRACE"),
    ];
    let word = word.to_uppercase();
    let known = WORDS.iter().find(|(begin, _)| word.starts_with(begin));
    known.map_or(word, |(_, level)| (*level).to_owned())
}

fn is_trace_id(text: &str) -> bool {
    text.len() == 32
        && text.chars().all(|c| c.is_ascii_hexdigit())
        && text.chars().any(|c| c != '0')
}

/// The name of a field as a label in Loki.
fn label_name(field: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    field.chars().map(allowed).collect()
}

/// The fields that the message of an access record already contains.
const IN_MESSAGE: &[&str] = &["method", "route", "status"];
/// Fields that have a column of their own, or that describe the origin of a record and not the event.
const ORIGIN: &[&str] = &[
    "app",
    "cluster",
    "container",
    "detected_level",
    "env",
    "filename",
    "flags",
    "instance",
    "job",
    "level",
    "logger",
    "message",
    "msg",
    "namespace",
    "node_name",
    "observed_timestamp",
    "parent_span_id",
    "pod",
    "severity",
    "severity_number",
    "severity_text",
    "span",
    "span_id",
    "stream",
    "target",
    "time",
    "timestamp",
    "trace_flags",
    "trace_id",
    "ts",
];
/// The prefixes of such fields in OpenTelemetry's resources and scopes.
const ORIGINS: &[&str] = &[
    "__error",
    "cloud_",
    "code_",
    "container_",
    "deployment_",
    "host_",
    "k8s_",
    "os_",
    "process_",
    "scope_",
    "service_",
    "telemetry_",
    "thread_",
];
/// The longest value of a detail, in characters. A stack trace is longer.
const MAX_VALUE: usize = 200;

/// The scalar fields of `additional_data`, or else of the line itself.
fn of_json(json: &Map<String, Value>) -> impl Iterator<Item = (&str, String)> {
    let data = json.get("additional_data").and_then(Value::as_object);
    data.unwrap_or(json).iter().filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name.as_str(), text))
    })
}

/// The fields in short: `2.1 ms user=17`. For an access record, only the fields that its message does not contain.
fn details<'a>(fields: impl Iterator<Item = (&'a str, String)>) -> String {
    let happened = |(name, value): &(&str, String)| {
        !ORIGIN.contains(name)
            && !ORIGINS.iter().any(|begin| name.starts_with(begin))
            && value.len() <= MAX_VALUE
    };
    let fields: Vec<_> = fields.filter(happened).collect();
    let has = |wanted: &str| fields.iter().any(|(name, _)| *name == wanted);
    let in_message = if has("route") && has("status") {
        IN_MESSAGE
    } else {
        &[]
    };
    let (took, rest): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .filter(|(name, _)| !in_message.contains(name))
        .partition(|(name, value)| *name == "duration_ms" && value.parse::<f64>().is_ok());
    let took = took.iter().filter_map(|(_, ms)| {
        let (number, unit) = format::latency(ms.parse::<f64>().ok()? / 1000.0);
        Some(format!("{number} {unit}"))
    });
    let rest = rest.iter().map(|(name, value)| format!("{name}={value}"));
    one_line(&took.chain(rest).collect::<Vec<_>>().join(" "))
}

fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (inner, value) in object {
                flatten(&format!("{name}.{inner}"), value, fields);
            }
        }
        Value::String(text) => fields.push((name.to_owned(), text.clone())),
        other => fields.push((name.to_owned(), other.to_string())),
    }
}
