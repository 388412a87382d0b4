//! Structured metadata of a line, under the names of Loki's OTLP mapping. So the same query finds a record here and
//! in a Loki that received it by OTLP.

use super::chunk::Metadata;
use super::json::{self, Value};

/// Metadata whose values are computed and do not appear in the record.
pub(super) const DERIVED: &[&str] = &["detected_level", "severity_number"];

/// The log's name of a level, Loki's name, and OpenTelemetry's number.
const LEVELS: &[(&str, &str, &str)] = &[
    ("TRACE", "trace", "1"),
    ("DEBUG", "debug", "5"),
    ("INFO", "info", "9"),
    ("WARN", "warn", "13"),
    ("ERROR", "error", "17"),
];

/// The prefix of a record's own fields in the log. OTLP attributes do not have it.
const ATTRIBUTES: &str = "additional_data_";

/// Calls `found(name, value)` for each item. A record's level becomes `severity_text`, `severity_number` and
/// `detected_level`. `trace_id`, `span_id` and the fields of `additional_data` keep their names.
pub(super) fn read(line: &str, metadata: Metadata<'_>, found: &mut dyn FnMut(&str, Value<'_>)) {
    // A line that is not JSON has no metadata. Queries still find it by its text.
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
