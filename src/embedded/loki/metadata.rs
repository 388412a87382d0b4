//! Structured metadata: what a line has beside its text, under the names that Loki's OTLP mapping
//! gives them. So one query finds a record here and in a Loki that was sent it by OTLP.

use super::chunk::Metadata;
use super::json::{self, Value};

/// Metadata whose values do not stand in a record as they are.
pub(super) const DERIVED: &[&str] = &["detected_level", "severity_number"];

/// Level as the log writes it, as Loki detects it, and OpenTelemetry's number of it.
const LEVELS: &[(&str, &str, &str)] = &[
    ("TRACE", "trace", "1"),
    ("DEBUG", "debug", "5"),
    ("INFO", "info", "9"),
    ("WARN", "warn", "13"),
    ("ERROR", "error", "17"),
];

/// Where the log keeps a record's own fields; as attributes they have no prefix.
const ATTRIBUTES: &str = "additional_data_";

/// Calls `found(name, value)` for each. A record's level becomes `severity_text`, `severity_number` and
/// `detected_level`; `trace_id`, `span_id` and what stands in `additional_data` keep their names.
pub(super) fn read(line: &str, metadata: Metadata<'_>, found: &mut dyn FnMut(&str, Value<'_>)) {
    // What is no JSON has no metadata: the line is still found by its text.
    let _no_metadata = match metadata {
        Metadata::Stored("") => Ok(()),
        Metadata::Stored(object) => json::flatten(object, &mut |name, value| found(name, value)),
        Metadata::OfRecord => json::flatten(line, &mut |name, value| match name {
            "level" => level(value, found),
            "trace_id" | "span_id" => found(name, value),
            _ => {
                if let Some(name) = name.strip_prefix(ATTRIBUTES) {
                    found(name, value);
                }
            }
        }),
    };
}

fn level(value: Value<'_>, found: &mut dyn FnMut(&str, Value<'_>)) {
    found("severity_text", value);
    let (Value::Text(text) | Value::Plain(text) | Value::Escaped(text)) = value;
    if let Some((_, detected, number)) = LEVELS.iter().find(|(level, ..)| *level == text) {
        found("severity_number", Value::Plain(number));
        found("detected_level", Value::Plain(detected));
    }
}
