//! The served OpenAPI document as the fuzzer reads it, and the check of answers against it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Answer;

pub(super) struct Document {
    root: Value,
}

/// An operation of the document.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: reqwest::Method,
    pub(super) path: String,
    /// Each parameter: name, location (`path`, `query`, `header`), schema.
    pub(super) parameters: Vec<(String, String, Value)>,
    /// The schema of the request body, if there is one.
    pub(super) body: Option<Value>,
    /// The responses by status.
    pub(super) responses: BTreeMap<u16, Value>,
}

impl Document {
    pub(super) fn new(root: Value) -> Document {
        Document { root }
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        let mut found = Vec::new();
        for (path, item) in self.root["paths"].as_object().unwrap() {
            for (method, call) in item.as_object().unwrap() {
                found.push(operation(path, method, call));
            }
        }
        found
    }

    /// Follows a `$ref`.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(to) => {
                let at = to
                    .strip_prefix('#')
                    .expect("a reference inside the document");
                let found = self.root.pointer(at);
                found.unwrap_or_else(|| panic!("the reference {to} has no target"))
            }
            None => schema,
        }
    }

    /// The mistake in `answer` as an answer to `operation`, if there is one.
    pub(super) fn objection(&self, operation: &Operation, answer: &Answer) -> Option<String> {
        let declared = match operation.responses.get(&answer.status) {
            Some(declared) => declared,
            None => return Some("the status is not declared".to_owned()),
        };
        for (name, header) in declared["headers"].as_object().into_iter().flatten() {
            let Some(value) = answer.header(name) else {
                return Some(format!("the declared header {name} is missing"));
            };
            let value = match self.resolve(&header["schema"])["type"].as_str() {
                Some("integer") => value.parse::<i64>().map_or(Value::Null, Value::from),
                _ => Value::from(value),
            };
            if let Err(why) = self.check(&header["schema"], &value, name) {
                return Some(why);
            }
        }
        let Some(content) = declared["content"].as_object() else {
            return (!answer.text.is_empty()).then(|| "a body that is not declared".to_owned());
        };
        let kind = answer.header("content-type").unwrap_or_default();
        let Some(media) = content.get(kind) else {
            return Some(format!("the content type {kind:?} is not declared"));
        };
        let body: Value = match serde_json::from_str(&answer.text) {
            Ok(body) => body,
            Err(error) => return Some(format!("the body is not JSON: {error}")),
        };
        if let Err(why) = self.check(&media["schema"], &body, "body") {
            return Some(why);
        }
        (answer.status >= 400 && kind.starts_with("application/problem"))
            .then(|| problem_objection(declared, answer, &body))
            .flatten()
    }

    /// Checks `value` against `schema`. Panics at a keyword that this check does not support.
    pub(super) fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolve(schema);
        let wrong = |why: String| Err(format!("{at}: {why}: {value}"));
        for (keyword, rule) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "description" | "format" | "properties" | "propertyNames" => {}
                "type" => {
                    let types: Vec<&str> = match rule {
                        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                        one => one.as_str().into_iter().collect(),
                    };
                    if !types.iter().any(|name| is_of(name, value)) {
                        return wrong(format!("is not {rule}"));
                    }
                }
                "enum" if !rule.as_array().unwrap().contains(value) => {
                    return wrong(format!("is none of {rule}"));
                }
                "enum" => {}
                "minimum" if value.as_f64() < rule.as_f64() => {
                    return wrong(format!("is below {rule}"));
                }
                "minimum" => {}
                "pattern" => {
                    let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                    if !value.as_str().is_some_and(|text| pattern.is_match(text)) {
                        return wrong(format!("does not match {rule}"));
                    }
                }
                "required" => {
                    for name in rule.as_array().unwrap() {
                        if value.get(name.as_str().unwrap()).is_none() {
                            return wrong(format!("has no {name}"));
                        }
                    }
                }
                "items" => {
                    for (index, item) in value.as_array().unwrap().iter().enumerate() {
                        self.check(rule, item, &format!("{at}[{index}]"))?;
                    }
                }
                "additionalProperties" => {
                    for (name, item) in value.as_object().unwrap() {
                        self.check(rule, item, &format!("{at}.{name}"))?;
                    }
                }
                other => panic!("the test does not support the schema keyword {other}"),
            }
        }
        let Some(properties) = schema["properties"].as_object() else {
            return Ok(());
        };
        for (name, item) in value.as_object().into_iter().flatten() {
            match properties.get(name) {
                Some(rule) => self.check(rule, item, &format!("{at}.{name}"))?,
                None => return wrong(format!("{name} is not declared")),
            }
        }
        Ok(())
    }
}

fn operation(path: &str, method: &str, call: &Value) -> Operation {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let parameters = call["parameters"].as_array().into_iter().flatten();
    let responses = call["responses"].as_object().unwrap().iter();
    Operation {
        id: text(&call["operationId"]),
        method: method.to_uppercase().parse().unwrap(),
        path: path.to_owned(),
        parameters: parameters
            .map(|one| (text(&one["name"]), text(&one["in"]), one["schema"].clone()))
            .collect(),
        body: call
            .pointer("/requestBody/content/application~1json/schema")
            .cloned(),
        responses: responses
            .map(|(status, response)| (status.parse().unwrap(), response.clone()))
            .collect(),
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("there is no type {other}"),
    }
}

/// The mistake in a problem document: its code must be declared for the status, and it must not show internals.
fn problem_objection(declared: &Value, answer: &Answer, body: &Value) -> Option<String> {
    let code = body["code"].as_str().unwrap_or_default();
    let codes = declared["description"].as_str().unwrap_or_default();
    if !codes.split(", ").any(|declared| declared == code) {
        return Some(format!("{code} is none of {codes}"));
    }
    if body["status"] != answer.status {
        return Some("the status in the body is another".to_owned());
    }
    let shown = answer.text.to_lowercase();
    ["sqlite", "select ", "insert ", "panick", ".rs:", "/tmp"]
        .into_iter()
        .find(|inner| shown.contains(inner))
        .map(|inner| format!("shows {inner:?}"))
}
