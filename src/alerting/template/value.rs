//! The values of a template: their kinds, their truth, and their text in Go.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::embedded::go_numbers::go_g;

/// A value of the template language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A complex number without a real part, such as `1i`.
    Imaginary(f64),
    /// A time of `toTime`, in UTC.
    Time(Timestamp),
    /// Labels, or the arguments of `args`. A missing key reads as empty text.
    Map(BTreeMap<String, Value>),
    List(Vec<Value>),
    /// A structure with fixed fields, in the order in which Go prints them.
    Record(Vec<(&'static str, Value)>),
}

impl Value {
    /// A map of texts, such as labels.
    pub(super) fn texts<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
        let entry = |(name, text): (&str, &str)| (name.to_owned(), Value::Text(text.to_owned()));
        Value::Map(pairs.map(entry).collect())
    }

    /// The truth of a value for `if`, `with`, `and`, `or` and `not`. A value is true if it is neither zero nor empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(n) => *n != 0,
            Value::Float(n) => *n != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Imaginary(n) => *n != 0.0,
            Value::Record(_) | Value::Time(_) => true,
        }
    }

    /// The name of the type in Go's messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Map(_) => "map[string]string",
            Value::List(_) => "template.queryResult",
            Value::Record(_) => "struct",
            Value::Imaginary(_) => "complex128",
            Value::Time(_) => "*time.Time",
        }
    }

    /// The field, or the entry of a map.
    pub(super) fn field(&self, name: &str) -> Result<Value, String> {
        let missing = || format!("can't evaluate field {name} in type {}", self.type_name());
        match self {
            Value::Map(map) => {
                let entry = map.get(name).cloned();
                Ok(entry.unwrap_or_else(|| Value::Text(String::new())))
            }
            Value::Record(fields) => {
                let field = fields.iter().find(|(field, _)| *field == name);
                field.map(|(_, value)| value.clone()).ok_or_else(missing)
            }
            Value::Time(time) => part_of(*time, name).ok_or_else(missing),
            _ => Err(missing()),
        }
    }

    /// Converts to a number like Prometheus's functions, which parse texts.
    pub(super) fn to_float(&self) -> Result<f64, String> {
        match self {
            Value::Float(n) => Ok(*n),
            Value::Int(n) => Ok(*n as f64),
            Value::Text(text) => text
                .parse()
                .map_err(|_| format!("parsing {text:?}: invalid syntax")),
            other => Err(format!("can't convert {} to float", other.type_name())),
        }
    }

    /// The text of a value. Other kinds are an error.
    pub(super) fn to_text(&self) -> Result<&str, String> {
        match self {
            Value::Text(text) => Ok(text),
            other => Err(format!(
                "wrong type for value; expected string; got {}",
                other.type_name()
            )),
        }
    }
}

/// A number with its sign.
fn signed(n: f64) -> String {
    let text = go_g(n, None);
    match text.starts_with(['+', '-']) {
        true => text,
        false => format!("+{text}"),
    }
}

/// The methods of Go's `time.Time` that take no argument.
fn part_of(time: Timestamp, name: &str) -> Option<Value> {
    let civil = time.to_zoned(TimeZone::UTC).datetime();
    let text = |format: &str| Value::Text(civil.strftime(format).to_string());
    let nanosecond = i64::from(civil.subsec_nanosecond());
    Some(match name {
        "Year" => Value::Int(civil.year().into()),
        "Month" => text("%B"),
        "Day" => Value::Int(civil.day().into()),
        "Hour" => Value::Int(civil.hour().into()),
        "Minute" => Value::Int(civil.minute().into()),
        "Second" => Value::Int(civil.second().into()),
        "Nanosecond" => Value::Int(nanosecond),
        "Weekday" => text("%A"),
        "YearDay" => Value::Int(civil.date().day_of_year().into()),
        // Go counts from before the epoch downwards, with positive nanoseconds.
        "Unix" => Value::Int(
            time.as_nanosecond()
                .div_euclid(1_000_000_000)
                .try_into()
                .ok()?,
        ),
        "UnixMilli" => Value::Int(time.as_nanosecond().div_euclid(1_000_000).try_into().ok()?),
        "UnixMicro" => Value::Int(time.as_nanosecond().div_euclid(1_000).try_into().ok()?),
        "UnixNano" => Value::Int(time.as_nanosecond().try_into().ok()?),
        "UTC" => Value::Time(time),
        "String" => Value::Text(Value::Time(time).to_string()),
        _ => return None,
    })
}

/// Writes the value like Go's `fmt.Print`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("<nil>"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::Float(n) => f.write_str(&go_g(*n, None)),
            Value::Text(text) => f.write_str(text),
            Value::Map(map) => {
                let entries = map.iter().map(|(name, value)| format!("{name}:{value}"));
                write!(f, "map[{}]", entries.collect::<Vec<_>>().join(" "))
            }
            Value::List(list) => {
                let items = list.iter().map(Value::to_string);
                write!(f, "[{}]", items.collect::<Vec<_>>().join(" "))
            }
            Value::Imaginary(n) => write!(f, "(0{}i)", signed(*n)),
            Value::Time(time) => {
                write!(f, "{} +0000 UTC", time.strftime("%Y-%m-%d %H:%M:%S%.f"))
            }
            Value::Record(fields) => {
                let values = fields.iter().map(|(_, value)| value.to_string());
                write!(f, "{{{}}}", values.collect::<Vec<_>>().join(" "))
            }
        }
    }
}
