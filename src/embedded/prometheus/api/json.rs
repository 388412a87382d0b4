//! Writes results as JSON directly, because a range over many series consists mostly of numbers.

use std::fmt::Write;

use crate::embedded::go_numbers::go_e_shortest;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::promql::{Point, QueryResult};

/// The `data` of a query's answer.
pub(super) fn result(result: &QueryResult) -> String {
    let mut out = String::new();
    let kind = match result {
        QueryResult::Scalar(_) => "scalar",
        QueryResult::String(..) => "string",
        QueryResult::Vector(_) => "vector",
        QueryResult::Matrix(_) => "matrix",
    };
    // Writing to a String cannot fail.
    let _ = write!(out, r#"{{"resultType":"{kind}","result":"#);
    match result {
        QueryResult::Scalar(p) => point(&mut out, *p),
        QueryResult::String(t, text) => {
            out.push('[');
            time(&mut out, *t);
            out.push(',');
            string(&mut out, text);
            out.push(']');
        }
        QueryResult::Vector(rows) => list(&mut out, rows, |out, (metric, p)| {
            out.push_str(r#"{"metric":"#);
            labels(out, metric);
            out.push_str(r#","value":"#);
            point(out, *p);
            out.push('}');
        }),
        QueryResult::Matrix(rows) => list(&mut out, rows, |out, (metric, points)| {
            out.push_str(r#"{"metric":"#);
            labels(out, metric);
            out.push_str(r#","values":"#);
            list(out, points, |out, p| point(out, *p));
            out.push('}');
        }),
    }
    out.push('}');
    out
}

/// A list of label sets.
pub(super) fn label_sets(sets: &[Labels]) -> String {
    let mut out = String::new();
    list(&mut out, sets, labels);
    out
}

fn list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        string(out, name);
        out.push(':');
        string(out, value);
    }
    out.push('}');
}

fn string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn point(out: &mut String, (t, v): Point) {
    out.push('[');
    time(out, t);
    out.push_str(",\"");
    number(out, v);
    out.push_str("\"]");
}

/// Writes seconds, with milliseconds only if they are not zero.
fn time(out: &mut String, t: i64) {
    let sign = if t < 0 { "-" } else { "" };
    let (seconds, ms) = (t.unsigned_abs() / 1000, t.unsigned_abs() % 1000);
    let _ = match ms {
        0 => write!(out, "{sign}{seconds}"),
        ms => write!(out, "{sign}{seconds}.{ms:03}"),
    };
}

/// Writes a value like Go: the shortest form that parses back, with an exponent for very large and very small values.
fn number(out: &mut String, v: f64) {
    let size = v.abs();
    let _ = if v.is_nan() {
        write!(out, "NaN")
    } else if v.is_infinite() {
        write!(out, "{}", if v > 0.0 { "+Inf" } else { "-Inf" })
    } else if size < 1e15 && v.trunc() == v && v != 0.0 {
        // Most samples are whole numbers, which are faster to write as integers.
        write!(out, "{}", v as i64)
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write!(out, "{}", go_e_shortest(v))
    } else {
        write!(out, "{v}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_go_writes_them() {
        let text = |v| {
            let mut out = String::new();
            number(&mut out, v);
            out
        };
        assert_eq!(text(0.1 + 0.2), "0.30000000000000004");
        assert_eq!(text(1e21), "1e+21");
        assert_eq!(text(1e20), "100000000000000000000");
        assert_eq!(text(-1.5e-7), "-1.5e-07");
        assert_eq!(text(1e-300), "1e-300");
        assert_eq!(text(-0.0), "-0");
        assert_eq!(text(0.0), "0");
        assert_eq!(text(-1234.0), "-1234");
        assert_eq!(text(f64::NEG_INFINITY), "-Inf");
        assert_eq!(text(f64::NAN), "NaN");
    }

    #[test]
    fn times_are_seconds() {
        let text = |t| {
            let mut out = String::new();
            time(&mut out, t);
            out
        };
        assert_eq!(text(1_700_000_000_000), "1700000000");
        assert_eq!(text(1_500), "1.500");
        assert_eq!(text(-1_001), "-1.001");
    }
}
