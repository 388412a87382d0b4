//! `label_replace` and `label_join`, which change the labels of values.

use promql_parser::parser::{Call, Expr};
use regex::{Captures, Regex};

use super::QueryError;
use super::eval::{Evaluator, unwrap_parens};
use super::value::{Column, merge_same_labels};
use crate::embedded::prometheus::exposition::is_name;
use crate::embedded::regex::{Dialect, anchored};

/// The largest label value that these functions make, in bytes. Replacements can repeat their input.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// This many bytes count as one sample of the budget.
const BYTES_PER_SAMPLE: usize = 8;

/// `label_replace(vector, destination, replacement, source, pattern)`.
pub(super) fn replace(ev: &Evaluator<'_>, call: &Call) -> Result<Vec<Column>, QueryError> {
    let [destination, replacement, source, pattern] = [1, 2, 3, 4].map(|i| text(call, i));
    let (destination, replacement, source) = (destination?, replacement?, source?);
    let pattern = pattern?;
    let mut columns = ev.vector(first(call)?)?;
    let pattern = anchored(pattern, Dialect::Prometheus2).map_err(|_| {
        let reason = format!("invalid regular expression in label_replace(): {pattern}");
        QueryError::Execution(reason)
    })?;
    check_name(destination, "destination", call)?;
    for column in &mut columns {
        let value = match pattern.captures(column.labels.get(source)) {
            None => continue,
            Some(found) => expand(replacement, &pattern, &found)?,
        };
        ev.budget.spend(value.len() / BYTES_PER_SAMPLE)?;
        column.labels = column.labels.with(destination, &value);
    }
    merge_same_labels(columns)
}

/// `label_join(vector, destination, separator, source...)`.
pub(super) fn join(ev: &Evaluator<'_>, call: &Call) -> Result<Vec<Column>, QueryError> {
    let (destination, separator) = (text(call, 1)?, text(call, 2)?);
    let sources = (3..call.args.len())
        .map(|i| text(call, i))
        .collect::<Result<Vec<_>, _>>()?;
    let mut columns = ev.vector(first(call)?)?;
    for source in &sources {
        check_name(source, "source", call)?;
    }
    check_name(destination, "destination", call)?;
    for column in &mut columns {
        let mut value = String::new();
        for (i, source) in sources.iter().enumerate() {
            if i > 0 {
                push(&mut value, separator)?;
            }
            push(&mut value, column.labels.get(source))?;
        }
        ev.budget.spend(value.len() / BYTES_PER_SAMPLE)?;
        column.labels = column.labels.with(destination, &value);
    }
    merge_same_labels(columns)
}

fn first(call: &Call) -> Result<&Expr, QueryError> {
    let found = call.args.args.first();
    found.map(|a| &**a).ok_or_else(|| missing(call))
}

/// Evaluates an argument that is a string.
fn text(call: &Call, i: usize) -> Result<&str, QueryError> {
    match call.args.args.get(i).map(|a| unwrap_parens(a)) {
        Some(Expr::StringLiteral(s)) => Ok(&s.val),
        _ => Err(missing(call)),
    }
}

fn missing(call: &Call) -> QueryError {
    let name = call.func.name;
    QueryError::BadData(format!(
        "parse error: an argument is missing in call to {name:?}"
    ))
}

fn check_name(name: &str, role: &str, call: &Call) -> Result<(), QueryError> {
    if is_name(name, false) {
        return Ok(());
    }
    let function = call.func.name;
    Err(QueryError::Execution(format!(
        "invalid {role} label name in {function}(): {name}"
    )))
}

fn push(value: &mut String, more: &str) -> Result<(), QueryError> {
    if value.len() + more.len() > MAX_VALUE_BYTES {
        return Err(QueryError::Execution(format!(
            "a label's value of more than {MAX_VALUE_BYTES} bytes"
        )));
    }
    value.push_str(more);
    Ok(())
}

/// Fills the groups of a pattern into a template by Go's rules: `$name` extends over letters, digits and underscores,
/// and a dollar sign without a name stands for itself.
fn expand(template: &str, pattern: &Regex, found: &Captures<'_>) -> Result<String, QueryError> {
    let mut value = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        push(&mut value, before)?;
        if let Some(after) = after.strip_prefix('$') {
            push(&mut value, "$")?;
            rest = after;
        } else if let Some((name, after)) = reference(after) {
            push(&mut value, group(name, pattern, found))?;
            rest = after;
        } else {
            push(&mut value, "$")?;
            rest = after;
        }
    }
    push(&mut value, rest)?;
    Ok(value)
}

/// The name after a dollar sign, with or without braces, and the rest of the text.
fn reference(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('{');
    let name_on = inside.unwrap_or(text);
    let end = name_on
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(name_on.len());
    let (name, rest) = name_on.split_at(end);
    let rest = match inside {
        Some(_) => rest.strip_prefix('}')?,
        None => rest,
    };
    (!name.is_empty()).then_some((name, rest))
}

/// The text of a group, empty if there is no such group.
fn group<'h>(name: &str, pattern: &Regex, found: &Captures<'h>) -> &'h str {
    let numeric =
        name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let matched = match name.parse::<usize>() {
        Ok(number) if numeric => found.get(number),
        _ if pattern.capture_names().flatten().any(|n| n == name) => found.name(name),
        _ => None,
    };
    matched.map_or("", |m| m.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(pattern: &str) -> Regex {
        anchored(pattern, Dialect::Prometheus2).unwrap()
    }

    #[test]
    fn templates_are_read_as_go_reads_them() {
        let pattern = compiled("(?P<word>[a-z]+)-([0-9]+)(x)?");
        let found = pattern.captures("seat-42").unwrap();
        let with = |template: &str| expand(template, &pattern, &found).unwrap();
        assert_eq!(with("$2 of $1"), "42 of seat");
        assert_eq!(with("${1}x$word"), "seatxseat");
        assert_eq!(with("$1x"), "", "the name is \"1x\"");
        assert_eq!(with("a$3b-$9"), "a-");
        assert_eq!(with("$0"), "seat-42");
        assert_eq!(with("$01"), "");
        assert_eq!(with("5$ $$ ${ ${1 $-"), "5$ $ ${ ${1 $-");
    }

    #[test]
    fn values_are_bounded() {
        let pattern = compiled("(.*)");
        let long = "x".repeat(1000);
        let found = pattern.captures(&long).unwrap();
        assert!(expand(&"$1".repeat(60), &pattern, &found).is_ok());
        assert!(expand(&"$1".repeat(70), &pattern, &found).is_err());
    }
}
