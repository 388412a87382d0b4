//! Refuses the unsupported parts of PromQL before any work is done.

use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, VectorSelector, token, value::ValueType,
};

use super::selector::Selector;
use super::{QueryError, aggregate, functions, invariant};

pub(super) fn unsupported(what: &str) -> QueryError {
    QueryError::BadData(format!(
        "parse error: {what} not supported by the embedded Prometheus"
    ))
}

/// Walks the whole expression. The guard has bounded its depth.
pub(super) fn check(expr: &Expr) -> Result<(), QueryError> {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Paren(p) => check(&p.expr),
        Expr::Unary(u) => check(&u.expr),
        Expr::VectorSelector(vs) => check_selector(vs),
        Expr::MatrixSelector(ms) => check_selector(&ms.vs),
        Expr::Aggregate(a) => check_aggregate(a),
        Expr::Binary(b) => check_binary(b),
        Expr::Call(c) => check_call(c),
        Expr::Subquery(sq) => check(&sq.expr),
        Expr::Extension(_) => Err(unsupported("this expression is")),
    }
}

fn check_selector(vs: &VectorSelector) -> Result<(), QueryError> {
    if !vs.matchers.or_matchers.is_empty() {
        return Err(unsupported("\"or\" between label matchers is"));
    }
    Selector::new(vs).map(drop)
}

fn check_aggregate(a: &AggregateExpr) -> Result<(), QueryError> {
    if !aggregate::is_known(a.op.id()) {
        return Err(unsupported(&format!(
            "aggregation operator \"{}\" is",
            a.op
        )));
    }
    if let Some(param) = &a.param {
        // 2.42 reads such a parameter at times that move with the steps.
        if invariant::names_a_time(param) {
            return Err(unsupported("@ within the parameter of an aggregation is"));
        }
        check(param)?;
    }
    check(&a.expr)
}

fn check_binary(b: &BinaryExpr) -> Result<(), QueryError> {
    if let Some(modifier) = &b.modifier
        && (modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some())
    {
        return Err(unsupported("fill modifiers are"));
    }
    check(&b.lhs)?;
    check(&b.rhs)
}

fn check_call(c: &Call) -> Result<(), QueryError> {
    if functions::lookup(c.func.name).is_none() {
        return Err(unsupported(&format!("function \"{}\" is", c.func.name)));
    }
    // The parser takes some numbers for vectors, for example that of `ln(0)`.
    let types = &c.func.arg_types;
    for (i, arg) in c.args.args.iter().enumerate() {
        let expected = types.get(i).or(types.last());
        let given = arg.value_type();
        if expected.is_none_or(|e| *e != given) {
            return Err(QueryError::BadData(format!(
                "parse error: unexpected type {given} in call to function {:?}",
                c.func.name
            )));
        }
        check(arg)?;
    }
    Ok(())
}

/// A range query returns one value per step, which only these types have.
pub(super) fn check_range_type(expr: &Expr) -> Result<(), QueryError> {
    let name = match expr.value_type() {
        ValueType::Vector | ValueType::Scalar => return Ok(()),
        ValueType::Matrix => "range vector",
        ValueType::String => "string",
    };
    Err(QueryError::BadData(format!(
        "invalid expression type \"{name}\" for range query, must be Scalar or instant Vector"
    )))
}

/// Returns whether an operator compares.
pub(super) fn is_comparison(op: token::TokenId) -> bool {
    token::TokenType::new(op).is_comparison_operator()
}
