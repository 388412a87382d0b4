//! A dashboard's variables, and queries with them filled in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::read::{list, object, text, tidy};
use super::{DashboardError, Query};

/// Most variables of a dashboard, and most values of one.
const MAX_VARIABLES: usize = 32;
const MAX_VALUES: usize = 100;
/// Longest value kept, in bytes.
const MAX_VALUE: usize = 1_024;
/// No query grows beyond this, whatever its variables hold.
const MAX_FILLED: usize = 64 * 1024;
/// Grafana's word for all values at once.
pub(in crate::tui) const ALL: &str = "$__all";
/// Four scrapes of Grafana's default 15 s: what a rate needs to see two samples for certain.
const RATE_INTERVAL: &str = "1m";

/// A variable as the file has it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Variable {
    pub(in crate::tui) name: String,
    /// Values that the file names.
    choices: Vec<String>,
    /// Chosen in the file.
    current: Vec<String>,
    /// Where more values are learned: a query, and the label that holds them.
    asks: Option<(String, String)>,
    has_all: bool,
    /// What stands for all values.
    all_value: Option<String>,
    hidden: bool,
}

pub(super) fn read(root: &Value, path: &str) -> Result<Vec<Variable>, DashboardError> {
    let Some(templating) = root.get("templating") else {
        return Ok(Vec::new());
    };
    let path = format!("{path}.templating");
    let all = list(object(templating, &path)?, "list", &path)?;
    let mut variables = Vec::new();
    for (index, json) in all.iter().take(MAX_VARIABLES).enumerate() {
        let json = object(json, &format!("{path}.list[{index}]"))?;
        let name = text(json, "name");
        if !name.is_empty() && name.bytes().all(is_name) {
            variables.push(variable(json, name));
        }
    }
    Ok(variables)
}

fn variable(json: &Value, name: &str) -> Variable {
    let kind = text(json, "type");
    let current = json.pointer("/current/value").unwrap_or(&Value::Null);
    let mut current = strings(current);
    let mut choices: Vec<String> = json
        .get("options")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .flat_map(|option| strings(option.get("value").unwrap_or(&Value::Null)))
        .filter(|value| value != ALL)
        .take(MAX_VALUES)
        .collect();
    let query = text(json, "query");
    match kind {
        "constant" | "textbox" if current.is_empty() => current = kept(query).into_iter().collect(),
        "custom" | "interval" if choices.is_empty() => {
            // `name : value` has a name of its own for people.
            let value = |one: &str| {
                let (_, value) = one.split_once(" : ").unwrap_or(("", one));
                kept(value.trim())
            };
            choices = query
                .split(',')
                .take(MAX_VALUES)
                .filter_map(value)
                .collect();
        }
        _ => {}
    }
    if current.is_empty() || current == ["$__auto_interval"] {
        current = choices.first().cloned().into_iter().collect();
    }
    Variable {
        name: name.to_owned(),
        asks: (kind == "query").then(|| asks(json)).flatten(),
        has_all: json.get("includeAll") == Some(&Value::Bool(true)),
        all_value: kept(text(json, "allValue")),
        hidden: kind == "constant" || json.get("hide").and_then(Value::as_u64) == Some(2),
        choices,
        current,
    }
}

fn kept(value: &str) -> Option<String> {
    (!value.is_empty() && value.len() <= MAX_VALUE).then(|| value.to_owned())
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => kept(text).into_iter().collect(),
        Value::Number(number) => vec![number.to_string()],
        Value::Array(list) => {
            let texts = list.iter().filter_map(Value::as_str);
            texts.take(MAX_VALUES).filter_map(kept).collect()
        }
        _ => Vec::new(),
    }
}

/// `label_values(SELECTOR, LABEL)` as PromQL, and the label.
fn asks(json: &Value) -> Option<(String, String)> {
    let query = match json.get("query")? {
        Value::String(query) => query.as_str(),
        other => text(other, "query"),
    };
    let inner = query
        .trim()
        .strip_prefix("label_values(")?
        .strip_suffix(')')?;
    let (selector, label) = inner.rsplit_once(',')?;
    let label = label.trim();
    let usable = !label.is_empty() && label.bytes().all(is_name) && inner.len() <= MAX_VALUE;
    let query = format!("group by ({label}) ({})", selector.trim());
    usable.then(|| (query, label.to_owned()))
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A variable with its value of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filled {
    name: String,
    values: Vec<String>,
    /// All values, and what stands for them.
    all: Option<String>,
    choices: Vec<String>,
    hidden: bool,
}

/// What the variables are at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Scope {
    filled: Vec<Filled>,
    queries: Vec<Query>,
    step_ms: i64,
    span_ms: i64,
}

impl Scope {
    /// The variables as picked, else as in the file; `learned` gives the values of a label that a
    /// query's answer has.
    pub(in crate::tui) fn new(
        variables: &[Variable],
        picks: &BTreeMap<String, String>,
        learned: impl Fn(&str, &str) -> Vec<String>,
        (step_ms, span_ms): (i64, i64),
    ) -> Scope {
        let mut scope = Scope {
            step_ms,
            span_ms,
            ..Scope::default()
        };
        for variable in variables {
            let mut choices = variable.choices.clone();
            let mut known = Vec::new();
            if let Some((query, label)) = &variable.asks {
                let query = scope.fill(query);
                known = learned(&query, label);
                known.truncate(MAX_VALUES);
                for value in &known {
                    if !choices.contains(value) {
                        choices.push(value.clone());
                    }
                }
                scope.queries.push(Query::from(query));
            }
            let mut values = match picks.get(&variable.name) {
                Some(pick) => vec![pick.clone()],
                None => variable.current.clone(),
            };
            // As Grafana does: a value that is nowhere any more gives way to the first there is.
            let gone = |value: &String| value != ALL && !known.contains(value);
            if !known.is_empty() && values.iter().all(gone) {
                values = known[..1].to_vec();
            }
            let all = values.iter().any(|value| value == ALL).then(|| {
                let given = variable.all_value.clone();
                let of_choices = || match choices.as_slice() {
                    some if !some.is_empty() && variable.asks.is_none() => alternatives(some),
                    _ => ".*".into(),
                };
                given.unwrap_or_else(of_choices)
            });
            if variable.has_all {
                choices.insert(0, ALL.to_owned());
            }
            scope.filled.push(Filled {
                name: variable.name.clone(),
                values,
                all,
                choices,
                hidden: variable.hidden,
            });
        }
        scope
    }

    /// A scope in which only `name` is known.
    pub(in crate::tui) fn of_one(name: &str, value: &str) -> Scope {
        Scope {
            filled: vec![Filled {
                name: name.to_owned(),
                values: vec![value.to_owned()],
                all: None,
                choices: Vec::new(),
                hidden: true,
            }],
            ..Scope::default()
        }
    }

    /// What is asked to learn the variables' values.
    pub(in crate::tui) fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// For people: names and values, and whether there is another value to pick.
    pub(in crate::tui) fn shown(&self) -> impl Iterator<Item = (&str, String, bool)> {
        let seen = self.filled.iter().filter(|one| !one.hidden);
        seen.map(|one| {
            let value = match &one.all {
                Some(_) => "All".to_owned(),
                None => tidy(&one.values.join(" + ")),
            };
            (one.name.as_str(), value, one.choices.len() > 1)
        })
    }

    /// The value after the present one of the variable at `index` of those that are shown.
    pub(in crate::tui) fn next(&self, index: usize) -> Option<(String, String)> {
        let one = self.filled.iter().filter(|one| !one.hidden).nth(index)?;
        let now = one.values.first();
        let at = one.choices.iter().position(|choice| Some(choice) == now);
        let next = at.map_or(0, |at| at + 1) % one.choices.len().max(1);
        Some((one.name.clone(), one.choices.get(next)?.clone()))
    }

    /// How many values the variable at `index` may have.
    #[cfg(test)]
    pub(super) fn choices(&self, index: usize) -> usize {
        self.filled[index].choices.len()
    }

    /// `source` with every variable that is known in its place; others stay as they are.
    pub(in crate::tui) fn fill(&self, source: &str) -> String {
        let mut filled = String::with_capacity(source.len());
        let mut rest = source;
        while let Some(at) = rest.find(['$', '[']) {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            match reference(rest) {
                Some((name, format, length)) if filled.len() < MAX_FILLED => {
                    match self.value(name, format) {
                        Some(value) => filled.push_str(&value),
                        None => filled.push_str(&rest[..length]),
                    }
                    rest = &rest[length..];
                }
                _ => {
                    filled.push_str(&rest[..1]);
                    rest = &rest[1..];
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, name: &str, format: &str) -> Option<String> {
        let seconds = |ms: i64| (ms / 1000).max(1);
        let own = match name {
            "__rate_interval" => RATE_INTERVAL.to_owned(),
            "__interval" => format!("{}s", seconds(self.step_ms)),
            "__interval_ms" => self.step_ms.max(1).to_string(),
            "__range" => format!("{}s", seconds(self.span_ms)),
            "__range_s" => seconds(self.span_ms).to_string(),
            "__range_ms" => self.span_ms.max(1).to_string(),
            _ => {
                let one = self.filled.iter().find(|one| one.name == name)?;
                return Some(one.text(format));
            }
        };
        Some(own)
    }
}

impl Filled {
    fn text(&self, format: &str) -> String {
        if let Some(all) = &self.all {
            return all.clone();
        }
        match (format, self.values.as_slice()) {
            ("csv", values) => values.join(","),
            ("pipe", values) => values.join("|"),
            ("raw" | "text", [one]) => one.clone(),
            ("regex", [one]) => escaped(one),
            (_, [one]) => one.replace('\\', "\\\\").replace('"', "\\\""),
            (_, values) => alternatives(values),
        }
    }
}

/// One of several values, as a regular expression inside a PromQL string.
fn alternatives(values: &[String]) -> String {
    let mut text = String::from("(");
    for (index, value) in values.iter().enumerate() {
        let bar = if index > 0 { "|" } else { "" };
        let _ = write!(text, "{bar}{}", escaped(value));
    }
    text.push(')');
    text
}

/// The value itself as a regular expression, its backslashes doubled for the string around it.
fn escaped(value: &str) -> String {
    let pattern = regex::escape(value);
    pattern.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A reference at the beginning of `text`: name, format, and how long it is.
fn reference(text: &str) -> Option<(&str, &str, usize)> {
    let braced = |open: &str, close: &str| {
        let inner = text.strip_prefix(open)?;
        let end = inner.find(close)?;
        let (name, format) = inner[..end].split_once(':').unwrap_or((&inner[..end], ""));
        let is_one = !name.is_empty() && name.bytes().all(is_name);
        is_one.then_some((name, format, open.len() + end + close.len()))
    };
    braced("${", "}")
        .or_else(|| braced("[[", "]]"))
        .or_else(|| {
            let inner = text.strip_prefix('$')?;
            let end = inner.bytes().take_while(|byte| is_name(*byte)).count();
            (end > 0).then(|| (&inner[..end], "", 1 + end))
        })
}
