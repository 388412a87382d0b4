//! Reads the fields of untrusted JSON. Errors name the place in the file.

use serde_json::Value;

use crate::cells;
use crate::tui::format::one_line;

/// The longest title, legend or text that is kept, in characters.
pub(crate) const MAX_TEXT: usize = 120;

/// The field that holds the original path of a panel after its conversion to the classic form.
pub(crate) const PATH: &str = "__path";

/// The field that holds, after that conversion, a panel's own values of variables, by their names.
pub(crate) const FIXED: &str = "__fixed";

pub(crate) fn error(place: &str, what: impl Into<String>) -> DashboardError {
    DashboardError {
        place: place.to_owned(),
        what: what.into(),
        too_large: false,
    }
}

/// An error about a dashboard that exceeds a bound.
pub(crate) fn too_large(place: &str, what: impl Into<String>) -> DashboardError {
    DashboardError {
        too_large: true,
        ..error(place, what)
    }
}

/// The text in one line, cut to [`MAX_TEXT`].
pub(crate) fn tidy(text: &str) -> String {
    cells::cut(one_line(text).trim(), MAX_TEXT)
}

pub(crate) fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A finite number; old files write some numbers as strings.
pub(crate) fn number(of: &Value, name: &str) -> Option<f64> {
    let value = of.get(name)?;
    let number = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

/// The array in a field; empty if the field is absent.
pub(crate) fn list<'a>(
    of: &'a Value,
    name: &str,
    path: &str,
) -> Result<&'a [Value], DashboardError> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(error(
            &format!("{path}.{name}"),
            format!("expected a list, found {}", kind_of(other)),
        )),
    }
}

pub(crate) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Value, DashboardError> {
    if value.is_object() {
        return Ok(value);
    }
    let what = format!("expected an object, found {}", kind_of(value));
    Err(error(path, what))
}

pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A mistake in a file, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct DashboardError {
    /// Line and column, or a path as in `$.panels[3].targets`.
    pub(crate) place: String,
    pub(crate) what: String,
    /// The file is well-formed and exceeds a bound.
    too_large: bool,
}

impl DashboardError {
    /// What to do about the mistake.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        if self.too_large {
            "split the dashboard and give one of its parts"
        } else {
            "export the dashboard from Grafana as JSON and give that file"
        }
    }
}
