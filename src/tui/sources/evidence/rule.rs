//! Splits the expression of an alert's rule for a chart: the figure that the rule judges, and its limit. Pure.

use promql_parser::parser::token::{
    T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, TokenType,
};
use promql_parser::parser::{BinaryExpr, Expr};

use crate::embedded::prometheus::promql::parse_expr;

/// The parts of a rule's expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// The query of the judged figure.
    pub(crate) query: String,
    /// The limit; `None` if only the presence of the figure counts, as with `absent(…)`.
    pub(crate) limit: Option<Limit>,
}

/// The limit of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Limit {
    /// A number.
    Number(f64),
    /// Another figure, which is drawn too.
    Query(String),
}

/// Splits `expr`; `None` if it cannot be parsed. Of several conditions only the first is drawn. Those after `and` and
/// `unless` restrict when the alert fires. One after `or` makes it fire too, and is not shown.
pub(crate) fn judged(expr: &str) -> Option<Judged> {
    let expr = parse_expr(expr).ok()?;
    let first = first_condition(&expr);
    let Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) = first else {
        return Some(Judged {
            query: first.to_string(),
            limit: None,
        });
    };
    if !op.is_comparison_operator() {
        return Some(Judged {
            query: first.to_string(),
            limit: None,
        });
    }
    let (figure, limit) = match (number(lhs), number(rhs)) {
        (Some(limit), None) => (rhs, Limit::Number(limit)),
        (_, Some(limit)) => (lhs, Limit::Number(limit)),
        (None, None) => (lhs, Limit::Query(rhs.to_string())),
    };
    Some(Judged {
        query: figure.to_string(),
        limit: Some(limit),
    })
}

fn first_condition(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inside) => first_condition(&inside.expr),
        Expr::Binary(both)
            if [T_LAND, T_LOR, T_LUNLESS]
                .map(TokenType::new)
                .contains(&both.op) =>
        {
            first_condition(&both.lhs)
        }
        other => other,
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(inside) => number(&inside.expr),
        Expr::Unary(inside) => number(&inside.expr).map(|number| -number),
        _ => None,
    }
}

/// The side of the limit on which the alert fires: `above`, `below`, or `None` for an equality.
pub(crate) fn side(expr: &str) -> Option<&'static str> {
    let expr = parse_expr(expr).ok()?;
    let Expr::Binary(BinaryExpr { op, lhs, .. }) = first_condition(&expr) else {
        return None;
    };
    let above = [T_GTR, T_GTE].map(TokenType::new).contains(op);
    let below = [T_LSS, T_LTE].map(TokenType::new).contains(op);
    let turned = number(lhs).is_some();
    match (above, below) {
        (true, _) if turned => Some("below"),
        (_, true) if turned => Some("above"),
        (true, _) => Some("above"),
        (_, true) => Some("below"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(expr: &str) -> Option<Limit> {
        judged(expr).unwrap().limit
    }

    #[test]
    fn the_first_condition_is_split_at_its_comparison() {
        let it = judged("errors / requests > 0.01 and 15 * errors >= 5").unwrap();
        assert_eq!(it.query, "errors / requests");
        assert_eq!(it.limit, Some(Limit::Number(0.01)));
        assert_eq!(limit("(a < (0.1))"), Some(Limit::Number(0.1)));
        assert_eq!(limit("3 < a"), Some(Limit::Number(3.0)));
        assert_eq!(judged("3 < a").unwrap().query, "a");
        assert_eq!(
            limit("a >= ignoring (state) b"),
            Some(Limit::Query("b".into()))
        );
        assert_eq!(limit("absent(up)"), None);
        assert_eq!(limit("a - b"), None);
        assert_eq!(judged("sum("), None);
    }

    #[test]
    fn a_rule_that_is_nested_too_deep_gives_no_figure() {
        // Within the largest length of a query. A recursion over this many levels could exhaust the stack.
        let levels = 8_000;
        let deep = format!("{}up{} == 0", "(".repeat(levels), ")".repeat(levels));
        assert_eq!(judged(&deep), None);
        assert_eq!(side(&format!("{deep} > 1")), None);
    }

    #[test]
    fn a_function_that_the_parser_knows_by_its_later_name_gives_a_figure() {
        let it = judged("holt_winters(a[5m], 0.5, 0.5) > 1").unwrap();
        assert_eq!(it.limit, Some(Limit::Number(1.0)));
    }

    #[test]
    fn the_side_of_the_limit_is_that_of_the_alert() {
        let sides = [
            "a > 1 and b < 2",
            "a <= 1",
            "1 > a",
            "up == 0",
            "absent(up)",
        ]
        .map(side);
        assert_eq!(
            sides,
            [Some("above"), Some("below"), Some("below"), None, None]
        );
    }

    #[test]
    fn every_shipped_rule_can_be_drawn() {
        let text = include_str!("../../../../otel/prometheus/alerts.yml");
        let file: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let groups = file["groups"].as_array().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        let mut drawn = 0;
        for rule in rules.filter(|rule| rule["alert"].is_string()) {
            let it = judged(rule["expr"].as_str().unwrap());
            let it = it.unwrap_or_else(|| panic!("{rule}"));
            parse_expr(&it.query).unwrap_or_else(|error| panic!("{rule}: {error}"));
            if let Some(Limit::Query(limit)) = it.limit {
                parse_expr(&limit).unwrap();
            }
            drawn += 1;
        }
        assert!(drawn > 25, "{drawn}");
    }
}
