//! The set operators: `and`, `or`, `unless`.

use std::collections::HashMap;

use promql_parser::parser::token::{T_LAND, T_LOR, TokenId};

use super::QueryError;
use super::eval::Evaluator;
use super::matching::Matching;
use super::value::{ABSENT, Column, is_absent, merge_same_labels};
use crate::embedded::prometheus::labels::Labels;

/// The steps at which a vector has a series, by signature.
struct Presence(HashMap<Labels, Vec<bool>>);

impl Presence {
    fn of(
        ev: &Evaluator<'_>,
        matching: &Matching<'_>,
        side: &[Column],
    ) -> Result<Self, QueryError> {
        let mut at: HashMap<Labels, Vec<bool>> = HashMap::new();
        for column in side {
            ev.budget.spend(ev.steps.count)?;
            let steps = at
                .entry(matching.signature(&column.labels))
                .or_insert_with(|| vec![false; ev.steps.count]);
            for (present, v) in steps.iter_mut().zip(&column.values) {
                *present |= !is_absent(*v);
            }
        }
        Ok(Self(at))
    }

    /// Keeps the cells of a column at the steps that have (or lack) a series of its signature.
    fn keep(&self, matching: &Matching<'_>, column: &mut Column, where_present: bool) {
        let steps = self.0.get(&matching.signature(&column.labels));
        for (step, v) in column.values.iter_mut().enumerate() {
            if steps.is_some_and(|s| s[step]) != where_present {
                *v = ABSENT;
            }
        }
    }
}

/// Evaluates a set operator. It keeps or removes the value of a series step by step.
pub(super) fn eval(
    ev: &Evaluator<'_>,
    matching: &Matching<'_>,
    op: TokenId,
    mut lhs: Vec<Column>,
    mut rhs: Vec<Column>,
) -> Result<Vec<Column>, QueryError> {
    if op == T_LOR {
        let on_left = Presence::of(ev, matching, &lhs)?;
        for column in &mut rhs {
            on_left.keep(matching, column, false);
        }
        rhs.retain(|c| !c.is_empty());
        lhs.append(&mut rhs);
        return merge_same_labels(lhs);
    }
    let on_right = Presence::of(ev, matching, &rhs)?;
    for column in &mut lhs {
        on_right.keep(matching, column, op == T_LAND);
    }
    lhs.retain(|c| !c.is_empty());
    Ok(lhs)
}
