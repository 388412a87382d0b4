//! The JSON Schema of scenario files, generated from the types that parse them. Editors use it for completion. The
//! types in this file have their own parser, so their schema is written by hand.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::Scenario;
use super::durations::{Pause, Time};
use super::thresholds::{Business, Group, Thresholds};
use crate::size::Size;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration: numbers with units, such as 15s, 1m30s, 250ms, 1us. A 0 needs no unit.",
            "anyOf": [
                { "type": "string", "pattern": "^([0-9.]+ *(h|m|s|ms|us|µs) *)+$" },
                { "enum": [0, "0"] },
            ],
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes with its unit, such as 400MB or 1GiB.",
            "type": "string",
            "pattern": "^[0-9]+ *([kKmMgG]([iI]?[bB])?|[bB])?$",
        })
    }
}

impl JsonSchema for Pause {
    fn schema_name() -> Cow<'static, str> {
        "Pause".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration, a range (200ms..800ms, each value equally likely), or a distribution: exp MEAN, normal MEAN DEVIATION, lognormal MEDIAN SIGMA.",
            "anyOf": [
                { "type": "string", "examples": ["300ms", "200ms..800ms", "exp 500ms", "normal 500ms 100ms", "lognormal 500ms 0.5"] },
                { "enum": [0] },
            ],
        })
    }
}

/// A field with the name of a business limit sets that limit. A field with any other name is a group of requests.
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
            "Limits on groups of requests, and business limits, such as the seats sold.".into(),
        );
        schema
    }
}

/// The JSON Schema (draft 2020-12) of a scenario file.
///
/// # Panics
/// Never, because the keys of a schema are text, so it can be written as JSON.
#[must_use]
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Scenario);
    schema.insert("title".to_owned(), "A concertctl scenario".into());
    let text = serde_json::to_string_pretty(&schema);
    text.expect("the keys of a schema are text") + "\n"
}
