//! Compares two answers.

use std::collections::BTreeMap;

use serde_json::Value;

/// A description of the difference.
pub(super) type Difference = String;

/// The relative difference of values that is allowed, because sums are computed in another order.
const TOLERANCE: f64 = 1e-9;

/// The order of rows that an answer must have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// None: instant vectors and results of subqueries.
    Free,
    /// Series are sorted by their labels.
    Labels,
    /// Rows are sorted by value; rows with equal values may be in any order.
    Values,
}

impl Order {
    pub(super) fn of(path: &str, params: &[(&str, &str)]) -> Self {
        let query = params.iter().find(|(name, _)| *name == "query");
        let query = query.map_or("", |(_, query)| query.trim_start_matches('('));
        let sorts = ["sort(", "sort_desc(", "topk", "bottomk"];
        match path {
            "query_range" => Self::Labels,
            // A binary operation after the sort changes the order.
            _ if sorts.iter().any(|s| query.starts_with(s)) && query.ends_with(')') => Self::Values,
            _ => Self::Free,
        }
    }
}

/// Compares status, shape and content. Errors must have the same type, not the same text.
pub(super) fn difference(
    real: &(u16, Value),
    embedded: &(u16, Value),
    expected: Order,
) -> Option<Difference> {
    let (real_status, real) = real;
    let (status, embedded) = embedded;
    if real_status != status || real["status"] != embedded["status"] {
        return Some(format!(
            "HTTP {real_status} {} became HTTP {status} {}",
            excerpt(real),
            excerpt(embedded)
        ));
    }
    if real["errorType"] != embedded["errorType"] {
        return Some(format!("{real} became {embedded}"));
    }
    if real["status"] == "error" {
        return embedded["error"]
            .as_str()
            .is_none_or(str::is_empty)
            .then(|| "an error without a message".to_owned());
    }
    let (a, b) = (&real["data"], &embedded["data"]);
    if a["resultType"] != b["resultType"] {
        return Some(format!("{} became {}", a["resultType"], b["resultType"]));
    }
    match a["resultType"].as_str() {
        Some("vector") => rows(&a["result"], &b["result"], "value")
            .or_else(|| (expected == Order::Values).then(|| ranks(&a["result"], &b["result"]))?),
        Some("matrix") => (expected == Order::Labels)
            .then(|| order(&a["result"], &b["result"]))
            .flatten()
            .or_else(|| rows(&a["result"], &b["result"], "values")),
        Some("scalar") => points(&a["result"], &b["result"]),
        _ if a == b => None,
        _ => Some(format!("{} became {}", excerpt(a), excerpt(b))),
    }
}

fn excerpt(v: &Value) -> String {
    v.to_string().chars().take(300).collect()
}

fn by_metric<'v>(rows: &'v Value, field: &str) -> BTreeMap<String, &'v Value> {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| (row["metric"].to_string(), &row[field]))
        .collect()
}

/// The order of the series of a matrix is part of the answer.
fn order(real: &Value, embedded: &Value) -> Option<Difference> {
    let metrics = |rows: &Value| -> Vec<String> {
        let rows = rows.as_array().unwrap();
        rows.iter().map(|r| r["metric"].to_string()).collect()
    };
    let (a, b) = (metrics(real), metrics(embedded));
    (a != b).then(|| format!("series {a:?} became {b:?}"))
}

/// The values of a sorted vector must come in the same order.
fn ranks(real: &Value, embedded: &Value) -> Option<Difference> {
    let (a, b) = (real.as_array().unwrap(), embedded.as_array().unwrap());
    a.iter()
        .zip(b)
        .find_map(|(a, b)| points(&a["value"], &b["value"]))
        .map(|what| format!("another order: {what}"))
}

fn rows(real: &Value, embedded: &Value, field: &str) -> Option<Difference> {
    let (a, b) = (by_metric(real, field), by_metric(embedded, field));
    let (names, others): (Vec<_>, Vec<_>) = (a.keys().collect(), b.keys().collect());
    if names != others {
        return Some(format!("series {names:?} became {others:?}"));
    }
    a.iter().find_map(|(metric, points_a)| {
        let found = match field {
            "value" => points(points_a, b[metric]),
            _ => series(points_a, b[metric]),
        };
        found.map(|what| format!("{metric}: {what}"))
    })
}

fn series(real: &Value, embedded: &Value) -> Option<Difference> {
    let (a, b) = (real.as_array().unwrap(), embedded.as_array().unwrap());
    if a.len() != b.len() {
        return Some(format!("{} points became {}", a.len(), b.len()));
    }
    a.iter().zip(b).find_map(|(a, b)| points(a, b))
}

fn points(real: &Value, embedded: &Value) -> Option<Difference> {
    let same_time = real[0].as_f64() == embedded[0].as_f64();
    let value = |v: &Value| -> f64 { v[1].as_str().unwrap().parse().unwrap() };
    let (a, b) = (value(real), value(embedded));
    let same_value =
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
    (!same_time || !same_value).then(|| format!("{real} became {embedded}"))
}
