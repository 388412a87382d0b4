//! Aggregations with a parameter: `topk`, `bottomk`, `quantile`, `count_values`.

use std::collections::HashMap;

use promql_parser::parser::{AggregateExpr, Expr, LabelModifier};

use super::QueryError;
use super::aggregate::group_key;
use super::eval::{Evaluator, unwrap_parens};
use super::quantile;
use super::value::{ABSENT, Column, is_absent};
use crate::embedded::prometheus::exposition::is_name;
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

/// The columns of each group. Groups are in order of appearance.
fn groups(columns: &[Column], modifier: Option<&LabelModifier>) -> Vec<(Labels, Vec<usize>)> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<usize>)> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let key = group_key(&column.labels, modifier);
        let place = *places.entry(key).or_insert_with_key(|key| {
            groups.push((key.clone(), vec![]));
            groups.len() - 1
        });
        groups[place].1.push(i);
    }
    groups
}

fn param(expr: &AggregateExpr) -> Result<&Expr, QueryError> {
    expr.param
        .as_deref()
        .ok_or_else(|| QueryError::BadData(format!("parse error: {} takes a parameter", expr.op)))
}

/// `topk` and `bottomk`: the series of each group with the largest or smallest values, step by step.
pub(super) fn extremes(
    ev: &Evaluator<'_>,
    expr: &AggregateExpr,
    largest: bool,
) -> Result<Vec<Column>, QueryError> {
    let ks = ev.scalar(param(expr)?)?;
    let mut columns = ev.vector(&expr.expr)?;
    let ks = ks.into_iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    let mut order = Vec::with_capacity(columns.len());
    for (_, members) in groups(&columns, expr.modifier.as_ref()) {
        ev.budget.spend(ev.steps.count)?;
        for (step, k) in ks.iter().enumerate() {
            let mut best = Best::new(largest, *k);
            for &i in &members {
                let cell = &mut columns[i].values[step];
                if !is_absent(*cell) {
                    best.offer(*cell, i);
                    *cell = ABSENT;
                }
            }
            let ranked = best.ranked();
            for &(v, i) in &ranked {
                columns[i].values[step] = v;
            }
            if step == 0 {
                order.extend(ranked.iter().map(|(_, i)| *i));
            }
        }
    }
    if ev.steps.count == 1 {
        // The result of an instant query is sorted.
        let mut columns: Vec<_> = columns.into_iter().map(Some).collect();
        return Ok(order.iter().filter_map(|i| columns[*i].take()).collect());
    }
    columns.retain(|c| !c.is_empty());
    Ok(columns)
}

/// The number of series to keep. A number larger than the number of series keeps all.
fn whole(k: f64) -> Result<usize, QueryError> {
    // The upper bound is the largest float below 2^63.
    let fits = (-9_223_372_036_854_775_808.0..=9_223_372_036_854_774_784.0).contains(&k);
    if !fits {
        return Err(QueryError::Execution(format!(
            "Scalar value {k} overflows int64"
        )));
    }
    Ok(k.max(0.0) as usize)
}

/// The best values so far, in a heap with the worst one at the front. Prometheus uses the same heap moves, so the
/// same of several equal values stay.
struct Best {
    largest: bool,
    k: usize,
    heap: Vec<(f64, usize)>,
}

impl Best {
    fn new(largest: bool, k: usize) -> Self {
        let heap = Vec::new();
        Self { largest, k, heap }
    }

    fn is_worse(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.largest { a < b } else { a > b }
    }

    fn worse_at(&self, i: usize, j: usize) -> bool {
        self.is_worse(self.heap[i].0, self.heap[j].0)
    }

    fn offer(&mut self, v: f64, place: usize) {
        if self.heap.len() < self.k {
            self.heap.push((v, place));
            self.up(self.heap.len() - 1);
            return;
        }
        let Some(&(worst, _)) = self.heap.first() else {
            return;
        };
        let better = if self.largest { worst < v } else { worst > v };
        if better || (worst.is_nan() && !v.is_nan()) {
            self.heap[0] = (v, place);
            self.down();
        }
    }

    fn up(&mut self, mut child: usize) {
        while child > 0 {
            let parent = (child - 1) / 2;
            if !self.worse_at(child, parent) {
                break;
            }
            self.heap.swap(parent, child);
            child = parent;
        }
    }

    fn down(&mut self) {
        let (mut parent, n) = (0, self.heap.len());
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            if left >= n {
                return;
            }
            let child = match right < n && self.worse_at(right, left) {
                true => right,
                false => left,
            };
            if !self.worse_at(child, parent) {
                return;
            }
            self.heap.swap(parent, child);
            parent = child;
        }
    }

    /// Values and indices, the best one first and NaN last.
    fn ranked(mut self) -> Vec<(f64, usize)> {
        let largest = self.largest;
        self.heap.sort_by(|(a, _), (b, _)| {
            let by_value = if largest {
                b.partial_cmp(a)
            } else {
                a.partial_cmp(b)
            };
            by_value.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        });
        self.heap
    }
}

/// `quantile` of each group's values at each step.
pub(super) fn quantiles(
    ev: &Evaluator<'_>,
    expr: &AggregateExpr,
) -> Result<Vec<Column>, QueryError> {
    let q = ev.scalar(param(expr)?)?;
    let columns = ev.vector(&expr.expr)?;
    let mut results = Vec::new();
    for (labels, members) in groups(&columns, expr.modifier.as_ref()) {
        ev.budget.spend(ev.steps.count)?;
        let at = |step: usize| {
            let cells = members.iter().map(|i| columns[*i].values[step]);
            let present: Vec<f64> = cells.filter(|v| !is_absent(*v)).collect();
            match present.is_empty() {
                true => ABSENT,
                false => quantile::of_values(q[step], present),
            }
        };
        let values = (0..ev.steps.count).map(at).collect();
        results.push(Column { labels, values });
    }
    Ok(results)
}

/// `count_values`: the number of series with the same value. The value becomes a label.
pub(super) fn count_values(
    ev: &Evaluator<'_>,
    expr: &AggregateExpr,
) -> Result<Vec<Column>, QueryError> {
    let label = match unwrap_parens(param(expr)?) {
        Expr::StringLiteral(s) => s.val.as_str(),
        _ => "",
    };
    if !is_name(label, false) {
        return Err(QueryError::Execution(format!(
            "invalid label name {label:?}"
        )));
    }
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut results: Vec<Column> = Vec::new();
    for column in ev.vector(&expr.expr)? {
        // The values of a column repeat, and making labels is expensive, so they are cached.
        let mut known: HashMap<u64, usize> = HashMap::new();
        let cells = column.values.iter().enumerate();
        for (step, v) in cells.filter(|(_, v)| !is_absent(**v)) {
            let place = match known.get(&v.to_bits()) {
                Some(&place) => place,
                None => {
                    ev.budget.spend(1)?;
                    let labelled = column.labels.with(label, &as_label(*v));
                    let labels = count_key(&labelled, label, expr.modifier.as_ref());
                    let next = results.len();
                    let place = *places.entry(labels.clone()).or_insert(next);
                    if place == next {
                        ev.budget.spend(ev.steps.count)?;
                        let values = vec![ABSENT; ev.steps.count];
                        results.push(Column { labels, values });
                    }
                    known.insert(v.to_bits(), place);
                    place
                }
            };
            let cell = &mut results[place].values[step];
            *cell = if is_absent(*cell) { 1.0 } else { *cell + 1.0 };
        }
    }
    Ok(results)
}

/// The labels of a group of equal values: the grouping labels and the value.
fn count_key(labels: &Labels, label: &str, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => labels.filter(|n| n == label),
        Some(LabelModifier::Include(by)) => {
            labels.filter(|n| n == label || by.labels.iter().any(|b| b == n))
        }
        Some(LabelModifier::Exclude(without)) => {
            labels.filter(|n| n != METRIC_NAME && !without.labels.iter().any(|w| w == n))
        }
    }
}

/// Writes a value as a label, with all digits and without an exponent.
fn as_label(v: f64) -> String {
    match v {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => format!("{v}"),
    }
}
