//! Finds expressions with the same value at each step. They are evaluated only at the first step.
//!
//! This is required for correct results, not only for speed. 2.42 evaluates such an expression at the first step, so
//! the parameter of an aggregation over `@`, for example, has its value there.

use promql_parser::parser::Expr;

use super::functions::{Kind, lookup};

/// Returns whether an expression has the same value at each step, because `@` fixes everything that it reads.
pub(super) fn is_step_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => true,
        Expr::VectorSelector(vs) => vs.at.is_some(),
        Expr::MatrixSelector(ms) => ms.vs.at.is_some(),
        Expr::Subquery(sq) => sq.at.is_some(),
        Expr::Paren(p) => is_step_invariant(&p.expr),
        Expr::Unary(u) => is_step_invariant(&u.expr),
        Expr::Binary(b) => is_step_invariant(&b.lhs) && is_step_invariant(&b.rhs),
        Expr::Aggregate(a) => is_step_invariant(&a.expr),
        Expr::Call(c) => {
            let reads_step = lookup(c.func.name).is_some_and(Kind::reads_step);
            !reads_step && c.args.args.iter().all(|a| is_step_invariant(a))
        }
        Expr::Extension(_) => false,
    }
}

/// Returns whether an expression contains `@`.
pub(super) fn names_a_time(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => false,
        Expr::VectorSelector(vs) => vs.at.is_some(),
        Expr::MatrixSelector(ms) => ms.vs.at.is_some(),
        Expr::Subquery(sq) => sq.at.is_some() || names_a_time(&sq.expr),
        Expr::Paren(p) => names_a_time(&p.expr),
        Expr::Unary(u) => names_a_time(&u.expr),
        Expr::Binary(b) => names_a_time(&b.lhs) || names_a_time(&b.rhs),
        Expr::Aggregate(a) => {
            names_a_time(&a.expr) || a.param.as_ref().is_some_and(|p| names_a_time(p))
        }
        Expr::Call(c) => c.args.args.iter().any(|a| names_a_time(a)),
    }
}
