//! The JSON Schema of scenario files, generated from the types that parse them. Editors use it for completion.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::Scenario;
use super::durations::{Pause, Time};
use super::thresholds::{Business, Group, Thresholds};

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration: numbers with units, such as 15s, 1m30s, 250ms, 1us; 0 needs none.",
            "anyOf": [
                { "type": "string", "pattern": "^([0-9.]+ *(h|m|s|ms|us|µs) *)+$" },
                { "enum": [0, "0"] },
            ],
        })
    }
}

impl JsonSchema for Pause {
    fn schema_name() -> Cow<'static, str> {
        "Pause".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration, a range of them (200ms..800ms, drawn evenly), or a distribution: exp MEAN, normal MEAN DEVIATION, lognormal MEDIAN SIGMA.",
            "anyOf": [
                { "type": "string", "examples": ["300ms", "200ms..800ms", "exp 500ms", "normal 500ms 100ms", "lognormal 500ms 0.5"] },
                { "enum": [0] },
            ],
        })
    }
}

/// Business limits have fixed names. Every other name is a group.
impl JsonSchema for Thresholds {
    fn schema_name() -> Cow<'static, str> {
        "Thresholds".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Business::json_schema(generator);
        let group = generator.subschema_for::<Group>();
        schema.insert("additionalProperties".to_owned(), group.to_value());
        schema.insert(
            "description".to_owned(),
            "Groups of requests with limits, and limits on what the business sees.".into(),
        );
        schema
    }
}

/// The JSON Schema (draft 2020-12) of a scenario file.
///
/// # Panics
/// Never, because the schema is made from constant types.
#[must_use]
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Scenario);
    schema.insert("title".to_owned(), "A concertctl scenario".into());
    let text = serde_json::to_string_pretty(&schema);
    text.expect("a schema has text keys only") + "\n"
}
