//! The functions of templates: Go's own
//! (<https://pkg.go.dev/text/template#hdr-Functions>) and Prometheus's
//! (<https://prometheus.io/docs/prometheus/2.42/configuration/template_reference/>).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use regex::Regex;

use super::Data;
use super::humanize::{
    go_duration, humanize, humanize_1024, humanize_duration, humanize_percentage,
};
use super::printf::sprintf;
use super::value::Value;
use crate::embedded::go_numbers::go_g;
use crate::embedded::prometheus::promql::parse_duration;
use crate::embedded::regex::compile;

const NAMES: [&str; 47] = [
    "call",
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "args",
    "reReplaceAll",
    "safeHtml",
    "match",
    "title",
    "toUpper",
    "toLower",
    "graphLink",
    "tableLink",
    "sortByLabel",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "pathPrefix",
    "externalURL",
    "parseDuration",
    "urlQueryEscape",
    "toDuration",
];

/// Returns whether Go or Prometheus has a function of that name.
pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

type Outcome = Result<Value, String>;

/// Calls the function `name` with `arguments`.
pub(super) fn call(name: &str, arguments: &[Value], data: &Data<'_>) -> Outcome {
    match (name, arguments) {
        ("print", values) => Ok(Value::Text(print(values))),
        ("println", values) => Ok(Value::Text(println(values))),
        ("printf", [format, values @ ..]) => Ok(Value::Text(sprintf(format.to_text()?, values))),
        ("html", values) => Ok(Value::Text(escape_html(&print(values)))),
        ("js", values) => Ok(Value::Text(escape_js(&print(values)))),
        ("urlquery", values) => Ok(Value::Text(escape_query(&print(values)))),
        ("urlQueryEscape", [text]) => Ok(Value::Text(escape_query(text.to_text()?))),
        ("eq", [first, others @ ..]) if !others.is_empty() => equal_to_any(first, others),
        ("ne", [a, b]) => Ok(Value::Bool(compare(a, b, true)? != Ordering::Equal)),
        ("lt", [a, b]) => Ok(Value::Bool(compare(a, b, false)? == Ordering::Less)),
        ("le", [a, b]) => Ok(Value::Bool(is_at_most(a, b)?)),
        ("gt", [a, b]) => Ok(Value::Bool(compare(a, b, false)? == Ordering::Greater)),
        ("ge", [a, b]) => Ok(Value::Bool(is_at_most(b, a)?)),
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), index),
        ("slice", [value, bounds @ ..]) if bounds.len() <= 2 => slice(value, bounds),
        ("args", values) => Ok(args(values)),
        ("query", [expression]) => query(expression.to_text()?, data),
        ("first", [Value::List(list)]) => {
            let first = list.first().cloned();
            first.ok_or_else(|| "first() called on vector with no elements".to_owned())
        }
        ("label", [name, sample]) => sample.field("Labels")?.field(name.to_text()?),
        ("value", [sample]) => sample.field("Value"),
        ("strvalue", [sample]) => sample.field("Labels")?.field("__value__"),
        ("sortByLabel", [name, Value::List(list)]) => sort_by_label(name.to_text()?, list),
        ("externalURL", []) => Ok(Value::Text(data.external_url.to_owned())),
        ("pathPrefix", []) => Ok(Value::Text(path_of(data.external_url))),
        // No value of a template is a function.
        ("call", [function, ..]) => Err(format!("non-function of type {}", function.type_name())),
        _ => texts(name, arguments),
    }
}

/// The functions of strings and numbers. Refuses a function that neither it nor `call` implements.
fn texts(name: &str, arguments: &[Value]) -> Outcome {
    let text = |made: String| Ok(Value::Text(made));
    match (name, arguments) {
        ("reReplaceAll", [pattern, with, of]) => {
            let pattern = pattern_of(pattern)?;
            let made = pattern.replace_all(of.to_text()?, with.to_text()?);
            text(made.into_owned())
        }
        ("match", [pattern, of]) => Ok(Value::Bool(pattern_of(pattern)?.is_match(of.to_text()?))),
        ("safeHtml", [of]) => text(of.to_text()?.to_owned()),
        ("title", [of]) => text(title(of.to_text()?)),
        ("toUpper", [of]) => text(of.to_text()?.chars().map(upper).collect()),
        ("toLower", [of]) => text(of.to_text()?.chars().map(lower).collect()),
        ("graphLink", [of]) => text(graph_link(of.to_text()?, 0)),
        ("tableLink", [of]) => text(graph_link(of.to_text()?, 1)),
        ("stripPort", [of]) => text(strip_port(of.to_text()?).to_owned()),
        ("stripDomain", [of]) => text(strip_domain(of.to_text()?)),
        ("humanize", [of]) => text(humanize(of.to_float()?)),
        ("humanize1024", [of]) => text(humanize_1024(of.to_float()?)),
        ("humanizeDuration", [of]) => text(humanize_duration(of.to_float()?)),
        ("humanizePercentage", [of]) => text(humanize_percentage(of.to_float()?)),
        ("humanizeTimestamp", [of]) => text(timestamp(of.to_float()?)?),
        ("toTime", [of]) => match of.to_float()? {
            seconds if seconds.is_finite() => Ok(Value::Time(time_of(seconds)?)),
            seconds => text(timestamp(seconds)?),
        },
        ("toDuration", [of]) => text(go_duration(of.to_float()?)),
        ("parseDuration", [of]) => {
            let given = of.to_text()?;
            let parsed = parse_duration(given);
            let parsed = parsed.ok_or_else(|| format!("not a valid duration string: {given:?}"))?;
            Ok(Value::Float(parsed.as_secs_f64()))
        }
        (_, given) => {
            let types: Vec<_> = given.iter().map(Value::type_name).collect();
            Err(format!("does not take ({})", types.join(", ")))
        }
    }
}

/// Like Go's `fmt.Sprint`: a space separates two values if neither is a string.
fn print(values: &[Value]) -> String {
    let mut out = String::new();
    let mut before: Option<&Value> = None;
    for value in values {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if before.is_some_and(|before| !is_text(before) && !is_text(value)) {
            out.push(' ');
        }
        let _ = write!(out, "{value}");
        before = Some(value);
    }
    out
}

fn println(values: &[Value]) -> String {
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.join(" ") + "\n"
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Like Go's `url.QueryEscape`.
fn escape_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn equal_to_any(first: &Value, others: &[Value]) -> Outcome {
    for other in others {
        if compare(first, other, true)? == Ordering::Equal {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn is_at_most(a: &Value, b: &Value) -> Result<bool, String> {
    let is_nan = |value: &Value| matches!(value, Value::Float(n) if n.is_nan());
    let order = compare(a, b, false)?;
    Ok(order != Ordering::Greater && !is_nan(a) && !is_nan(b))
}

/// Compares like Go: both values must have the same basic kind. `equality` also allows kinds without an order.
fn compare(a: &Value, b: &Value, equality: bool) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        // NaN equals no value. `is_at_most` handles it separately.
        (Value::Float(a), Value::Float(b)) => Ok(match a.partial_cmp(b) {
            Some(order) => order,
            None if equality => Ordering::Greater,
            None => Ordering::Equal,
        }),
        (Value::Bool(a), Value::Bool(b)) if equality => Ok(a.cmp(b)),
        (Value::Nil, Value::Nil) if equality => Ok(Ordering::Equal),
        (Value::Nil, _) | (_, Value::Nil) if equality => Ok(Ordering::Less),
        (Value::Map(_) | Value::List(_) | Value::Record(_), _) => {
            Err("non-comparable type".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn length(value: &Value) -> Outcome {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::Map(map) => map.len(),
        Value::List(list) => list.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(value: Value, key: &Value) -> Outcome {
    match (&value, key) {
        (Value::Map(_), Value::Text(name)) => value.field(name),
        (Value::List(list), Value::Int(n)) => {
            let item = usize::try_from(*n).ok().and_then(|n| list.get(n)).cloned();
            item.ok_or_else(|| format!("index out of range: {n}"))
        }
        (Value::Text(text), Value::Int(n)) => {
            let byte = usize::try_from(*n)
                .ok()
                .and_then(|n| text.as_bytes().get(n));
            let byte = byte.ok_or_else(|| format!("index out of range: {n}"))?;
            Ok(Value::Int(i64::from(*byte)))
        }
        _ => Err(format!("can't index item of type {}", value.type_name())),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Outcome {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut ends = [0, length];
    for (end, given) in ends.iter_mut().zip(bounds) {
        let Value::Int(n) = given else {
            return Err(format!(
                "cannot index slice with type {}",
                given.type_name()
            ));
        };
        let at = usize::try_from(*n).ok().filter(|at| *at <= length);
        *end = at.ok_or_else(|| format!("index out of range: {n}"))?;
    }
    let [from, to] = ends;
    let part = match value {
        Value::Text(text) => text.get(from..to).map(|part| Value::Text(part.to_owned())),
        Value::List(list) => list.get(from..to).map(|part| Value::List(part.to_vec())),
        _ => None,
    };
    part.ok_or_else(|| format!("invalid slice index: {from} to {to}"))
}

/// The map with `arg0`, `arg1` and so on, for `template`.
fn args(values: &[Value]) -> Value {
    let named = values.iter().enumerate();
    let named = named.map(|(at, value)| (format!("arg{at}"), value.clone()));
    Value::Map(named.collect::<BTreeMap<_, _>>())
}

fn query(expression: &str, data: &Data<'_>) -> Outcome {
    let rows = (data.query)(expression)?;
    let sample = |(labels, value): (crate::embedded::prometheus::labels::Labels, f64)| {
        Value::Record(vec![
            ("Labels", Value::texts(labels.iter())),
            ("Value", Value::Float(value)),
        ])
    };
    Ok(Value::List(rows.into_iter().map(sample).collect()))
}

fn sort_by_label(name: &str, list: &[Value]) -> Outcome {
    let mut keyed = Vec::with_capacity(list.len());
    for sample in list {
        let key = sample.field("Labels")?.field(name)?.to_string();
        keyed.push((key, sample.clone()));
    }
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Value::List(
        keyed.into_iter().map(|(_, sample)| sample).collect(),
    ))
}

fn pattern_of(pattern: &Value) -> Result<Regex, String> {
    compile(pattern.to_text()?).map_err(|reason| format!("error parsing regexp: {reason}"))
}

/// Capitalises the first letter of each word. As in Go, every ASCII character except letters, digits and `_` separates
/// words, but of the other characters only white space does.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        out.push(if inside { c } else { capital(c) });
        inside = match c.is_ascii() {
            true => c.is_ascii_alphanumeric() || c == '_',
            false => c.is_alphanumeric() || inside && !c.is_whitespace(),
        };
    }
    out
}

/// The upper case of a character as one character, as in Go: `ß` stays.
fn upper(c: char) -> char {
    let mut full = c.to_uppercase();
    match (full.next(), full.next()) {
        (Some(one), None) => one,
        // Greek letters with an iota subscript have a single capital letter, although their full upper case has two
        // letters.
        _ => match u32::from(c) {
            code @ 0x1f80..=0x1faf => char::from_u32(code | 8).unwrap_or(c),
            code @ (0x1fb3 | 0x1fc3 | 0x1ff3) => char::from_u32(code + 9).unwrap_or(c),
            _ => c,
        },
    }
}

fn lower(c: char) -> char {
    // The first character of the full lower case is the one that Go uses.
    c.to_lowercase().next().unwrap_or(c)
}

/// The form of a letter at the beginning of a word. Four characters that are pairs of letters have a special form.
fn capital(c: char) -> char {
    match c {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        c => upper(c),
    }
}

fn graph_link(expression: &str, tab: u8) -> String {
    let expression = escape_query(expression);
    format!("/graph?g0.expr={expression}&g0.tab={tab}")
}

/// Host and port of `host:port` or `[v6]:port`.
fn host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(bare) => Some((bare, port)),
        None => (!host.contains([':', '[', ']'])).then_some((host, port)),
    }
}

fn strip_port(text: &str) -> &str {
    host_port(text).map_or(text, |(host, _)| host)
}

fn strip_domain(text: &str) -> String {
    let (host, port) = match host_port(text) {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn path_of(url: &str) -> String {
    let path = reqwest::Url::parse(url).map(|url| url.path().to_owned());
    let path = path.unwrap_or_default();
    path.trim_end_matches('/').to_owned()
}

/// Formats a Unix time in seconds like Go prints a UTC time.
fn timestamp(seconds: f64) -> Result<String, String> {
    if !seconds.is_finite() {
        return Ok(go_g(seconds, Some(4)));
    }
    Ok(Value::Time(time_of(seconds)?).to_string())
}

/// A Unix time in seconds, in whole milliseconds as in Prometheus.
fn time_of(seconds: f64) -> Result<Timestamp, String> {
    let overflows = || {
        let seconds = go_g(seconds, None);
        format!(
            "{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"
        )
    };
    let nanos = seconds * 1e9;
    if nanos.abs() > 2_f64.powi(63) {
        return Err(overflows());
    }
    Timestamp::from_millisecond(nanos as i64 / 1_000_000).map_err(|_| overflows())
}
