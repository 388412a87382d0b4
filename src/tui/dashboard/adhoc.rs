//! Ad hoc filters: label matchers that Grafana adds to every selector of every query.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::Expr;
use serde_json::Value;

use crate::embedded::prometheus::promql::parse_expr;
use crate::tui::dashboard::json::text;
use crate::tui::dashboard::vars::{is_name, kept};

/// The most filters of a dashboard.
const MAX_FILTERS: usize = 16;
/// The longest query that filters are added to, in bytes: a recursion walks its syntax tree.
const MAX_QUERY: usize = 2 * 1024;

/// A label matcher of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    label: String,
    operator: String,
    value: String,
}

/// The filters of an ad hoc variable, including those that Grafana's users cannot remove.
pub(crate) fn filters(json: &Value) -> Vec<Filter> {
    let listed = |name: &str| {
        json.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let filter = |filter: &Value| {
        let label = text(filter, "key");
        let operator = text(filter, "operator");
        let known = matches!(operator, "=" | "!=" | "=~" | "!~");
        let usable = known && !label.is_empty() && label.bytes().all(is_name);
        Some(Filter {
            label: usable.then(|| label.to_owned())?,
            operator: operator.to_owned(),
            value: kept(text(filter, "value"))?,
        })
    };
    let all = listed("baseFilters").chain(listed("filters"));
    all.filter_map(filter).take(MAX_FILTERS).collect()
}

impl Filter {
    /// The filter as the screen shows it.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}{}", self.label, self.operator, self.value)
    }

    fn matcher(&self) -> Option<Matcher> {
        let pattern = || regex::Regex::new(&format!("^(?:{})$", self.value)).ok();
        let op = match self.operator.as_str() {
            "=" => MatchOp::Equal,
            "!=" => MatchOp::NotEqual,
            "=~" => MatchOp::Re(pattern()?),
            _ => MatchOp::NotRe(pattern()?),
        };
        Some(Matcher::new(op, &self.label, &self.value))
    }
}

/// `query` with the filters in each of its selectors. A query that is not PromQL is unchanged: the source reports
/// the mistake.
pub(crate) fn filtered(query: String, filters: &[Filter]) -> String {
    if filters.is_empty() || query.len() > MAX_QUERY {
        return query;
    }
    let matchers: Vec<Matcher> = filters.iter().filter_map(Filter::matcher).collect();
    match parse_expr(&query) {
        Ok(mut expr) => {
            add(&mut expr, &matchers);
            expr.to_string()
        }
        Err(_) => query,
    }
}

fn add(expr: &mut Expr, matchers: &[Matcher]) {
    match expr {
        Expr::VectorSelector(of) => of.matchers.matchers.extend_from_slice(matchers),
        Expr::MatrixSelector(of) => of.vs.matchers.matchers.extend_from_slice(matchers),
        Expr::Aggregate(of) => {
            add(&mut of.expr, matchers);
            if let Some(param) = &mut of.param {
                add(param, matchers);
            }
        }
        Expr::Binary(of) => {
            add(&mut of.lhs, matchers);
            add(&mut of.rhs, matchers);
        }
        Expr::Unary(of) => add(&mut of.expr, matchers),
        Expr::Paren(of) => add(&mut of.expr, matchers),
        Expr::Subquery(of) => add(&mut of.expr, matchers),
        Expr::Call(of) => of.args.args.iter_mut().for_each(|arg| add(arg, matchers)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_are_added_to_every_selector() {
        let filters = filters(&json!({
            "filters": [
                { "key": "job", "operator": "=", "value": "a\"b" },
                { "key": "no label", "operator": "=", "value": "x" },
                { "key": "x", "operator": ">", "value": "1" },
            ],
            "baseFilters": [{ "key": "env", "operator": "=~", "value": "p.*" }],
        }));
        let query = "topk(3, sum by (x) (rate(a[5m]))) / -max_over_time((b{c=\"d\"})[1h:1m])";
        assert_eq!(
            filtered(query.into(), &filters),
            "topk(3, sum by (x) (rate(a{env=~\"p.*\",job=\"a\\\"b\"}[5m]))) / \
             -max_over_time((b{c=\"d\",env=~\"p.*\",job=\"a\\\"b\"})[1h:1m])"
        );
        assert_eq!(filtered("up{".into(), &filters), "up{", "not PromQL");
        assert_eq!(filtered("up".into(), &[]), "up");
    }
}
