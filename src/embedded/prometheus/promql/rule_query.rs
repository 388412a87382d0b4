//! Queries of rules: the check of the type, the text, and the rows.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use promql_parser::parser::value::ValueType;

use super::{Context, Query, QueryError, QueryLimits, QueryResult};
use crate::embedded::go_numbers::go_g;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::Tsdb;
use crate::embedded::quoted::literal_length;

impl Query {
    /// Refuses a query that returns a string or a range vector.
    pub(crate) fn check_rule(&self) -> Result<(), QueryError> {
        match self.expr.value_type() {
            ValueType::Vector | ValueType::Scalar => Ok(()),
            other => Err(QueryError::BadData(format!(
                "a rule needs a scalar or an instant vector, this is of type {other}"
            ))),
        }
    }

    /// The rows at one time (milliseconds since 1970). A scalar is one row without labels. Blocks until the result is
    /// there, at most [`QueryLimits::timeout`].
    pub(crate) fn rows(
        &self,
        tsdb: &Tsdb,
        limits: &QueryLimits,
        at: i64,
    ) -> Result<Vec<(Labels, f64)>, QueryError> {
        let ctx = Context {
            tsdb,
            limits,
            deadline: Instant::now() + limits.timeout,
            canceled: Arc::default(),
        };
        match self.instant(&ctx, at)? {
            QueryResult::Vector(rows) => Ok(rows.into_iter().map(|(l, (_, v))| (l, v)).collect()),
            QueryResult::Scalar((_, v)) => Ok(vec![(Labels::empty(), v)]),
            QueryResult::String(..) | QueryResult::Matrix(_) => Err(QueryError::BadData(
                "rule result is not a vector or scalar".to_owned(),
            )),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_go_numbers(&self.expr.to_string()))
    }
}

/// Writes numbers like Go: with an exponent from a million on and below a ten-thousandth.
fn with_go_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => literal_length(rest).unwrap_or(rest.len()),
            '0'..='9' => {
                let digits = |c: char| !(c.is_ascii_alphanumeric() || c == '.');
                let length = rest.find(digits).unwrap_or(rest.len());
                // A duration has a unit. A time after @ is written to the millisecond.
                let number = rest[..length].parse::<f64>().ok();
                if let Some(number) = number.filter(|_| !out.ends_with("@ ")) {
                    out.push_str(&go_g(number, None));
                    rest = &rest[length..];
                    continue;
                }
                length
            }
            c if c.is_ascii_alphabetic() || c == '_' || c == ':' => {
                let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
                let length = rest.find(word).unwrap_or(rest.len());
                if &rest[..length] == "Inf" && !out.ends_with('-') {
                    out.push('+');
                }
                length
            }
            c => c.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::with_go_numbers;

    #[test]
    fn numbers_are_written_as_go_writes_them_and_nothing_else_is_touched() {
        for (given, written) in [
            ("m * 1000000", "m * 1e+06"),
            ("m * 1234567.5", "m * 1.2345675e+06"),
            ("m > 100000", "m > 100000"),
            ("vector(Inf) > -Inf", "vector(+Inf) > -Inf"),
            ("m > 0.0001", "m > 0.0001"),
            ("m > 0.00001", "m > 1e-05"),
            ("rate(m1000000[1000000s])", "rate(m1000000[1000000s])"),
            ("m @ 1609746000.000", "m @ 1609746000.000"),
            (
                r#"m{a="1000000 \" 2000000"}"#,
                r#"m{a="1000000 \" 2000000"}"#,
            ),
        ] {
            assert_eq!(with_go_numbers(given), written);
        }
    }
}
