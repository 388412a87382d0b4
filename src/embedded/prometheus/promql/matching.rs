//! Vector matching: pairs the series of two vectors one to one, or many to one with `group_left` and `group_right`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use promql_parser::parser::{BinaryExpr, LabelModifier, VectorMatchCardinality};

use super::QueryError;
use super::binary::Operation;
use super::eval::Evaluator;
use super::value::{Column, is_absent, merge_or, merge_same_labels};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

const MANY_TO_ONE_IS_EXPLICIT: &str =
    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
const NOT_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

/// The labels that must be equal for two series to match.
pub(super) struct Matching<'a> {
    on: bool,
    labels: &'a [String],
    cardinality: Cardinality<'a>,
}

/// The side that may have several series per match, and the labels that it takes over from the other side.
enum Cardinality<'a> {
    OneToOne,
    ManyLeft(&'a [String]),
    ManyRight(&'a [String]),
}

/// The labels that are taken over from the one side, and its value at each step.
type Partner<'c> = (Labels, Cow<'c, [f64]>);

impl<'a> Matching<'a> {
    pub(super) fn new(expr: &'a BinaryExpr) -> Self {
        let modifier = expr.modifier.as_ref();
        let (on, labels) = match modifier.and_then(|m| m.matching.as_ref()) {
            Some(LabelModifier::Include(l)) => (true, &l.labels[..]),
            Some(LabelModifier::Exclude(l)) => (false, &l.labels[..]),
            None => (false, &[][..]),
        };
        let cardinality = match modifier.map(|m| &m.card) {
            Some(VectorMatchCardinality::ManyToOne(l)) => Cardinality::ManyLeft(&l.labels),
            Some(VectorMatchCardinality::OneToMany(l)) => Cardinality::ManyRight(&l.labels),
            _ => Cardinality::OneToOne,
        };
        Self {
            on,
            labels,
            cardinality,
        }
    }

    fn names(&self, label: &str) -> bool {
        self.labels.iter().any(|l| l == label)
    }

    /// The labels by which series match.
    pub(super) fn signature(&self, labels: &Labels) -> Labels {
        labels.filter(|n| match self.on {
            true => self.names(n),
            false => n != METRIC_NAME && !self.names(n),
        })
    }

    /// The labels that are taken over from the one side.
    fn included(&self) -> &'a [String] {
        match self.cardinality {
            Cardinality::OneToOne => &[],
            Cardinality::ManyLeft(labels) | Cardinality::ManyRight(labels) => labels,
        }
    }

    /// The labels of a result: those of the many side and those taken over.
    fn result(&self, op: Operation, many: &Labels, taken_over: &Labels) -> Labels {
        let mut labels = match op.is_no_longer_the_metric() {
            true => many.without_name(),
            false => many.clone(),
        };
        if matches!(self.cardinality, Cardinality::OneToOne) {
            labels = labels.filter(|n| self.names(n) == self.on);
        }
        for name in self.included() {
            labels = labels.with(name, taken_over.get(name));
        }
        match op.as_bool {
            true => labels.without_name(),
            false => labels,
        }
    }

    /// Computes an operation between two vectors.
    pub(super) fn combine(
        &self,
        ev: &Evaluator<'_>,
        op: Operation,
        lhs: &[Column],
        rhs: &[Column],
    ) -> Result<Vec<Column>, QueryError> {
        let swapped = matches!(self.cardinality, Cardinality::ManyRight(_));
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let side = if swapped { "left" } else { "right" };
        // Series on the many side count even without a match: duplicates on the one side are refused at each step at
        // which this side has a value.
        let occupied = (0..ev.steps.count)
            .map(|step| many.iter().any(|c| !is_absent(c.values[step])))
            .collect::<Vec<_>>();
        let mut results = Vec::new();
        for (signature, group) in self.groups(many, one) {
            let of_one: Vec<&Column> = group.one.iter().map(|i| &one[*i]).collect();
            refuse_duplicates(&signature, &of_one, &occupied, side)?;
            let partners = self.partners(ev, &of_one)?;
            let mut of_group = Vec::new();
            for column in group.many.iter().map(|i| &many[*i]) {
                for (taken_over, partner) in &partners {
                    ev.budget.spend(ev.steps.count)?;
                    let cells = column.values.iter().zip(partner.iter());
                    let values = cells.map(|(m, o)| match swapped {
                        true => op.cell(*o, *m, *o),
                        false => op.cell(*m, *o, *m),
                    });
                    of_group.push(Column {
                        values: values.collect(),
                        labels: self.result(op, &column.labels, taken_over),
                    });
                }
            }
            results.extend(self.unique(ev, of_group)?);
        }
        merge_same_labels(results)
    }

    /// The series of both sides by signature, in the order of the signatures.
    fn groups(&self, many: &[Column], one: &[Column]) -> Vec<(Labels, Group)> {
        let mut groups: HashMap<Labels, Group> = HashMap::new();
        for (i, column) in one.iter().enumerate() {
            let signature = self.signature(&column.labels);
            groups.entry(signature).or_default().one.push(i);
        }
        for (i, column) in many.iter().enumerate() {
            if let Some(group) = groups.get_mut(&self.signature(&column.labels)) {
                group.many.push(i);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by(|a, b| a.0.cmp(&b.0));
        groups
    }

    /// The one side's value at each step. There are several columns when the labels that are taken over change.
    fn partners<'c>(
        &self,
        ev: &Evaluator<'_>,
        of_one: &[&'c Column],
    ) -> Result<Vec<Partner<'c>>, QueryError> {
        let included = self.included();
        let mut partners: BTreeMap<Labels, Cow<'c, [f64]>> = BTreeMap::new();
        for column in of_one {
            let taken_over = column.labels.filter(|n| included.iter().any(|i| i == n));
            let Some(values) = partners.get_mut(&taken_over) else {
                partners.insert(taken_over, Cow::Borrowed(&column.values));
                continue;
            };
            ev.budget.spend(ev.steps.count)?;
            for (cell, v) in values.to_mut().iter_mut().zip(&column.values) {
                if is_absent(*cell) {
                    *cell = *v;
                }
            }
        }
        Ok(partners.into_iter().collect())
    }

    /// Refuses several results for one match at the same step if their labels are equal.
    fn unique(&self, ev: &Evaluator<'_>, results: Vec<Column>) -> Result<Vec<Column>, QueryError> {
        if !matches!(self.cardinality, Cardinality::OneToOne) {
            return merge_or(results, NOT_UNIQUE);
        }
        if results.len() > 1 {
            let mut matched = vec![false; ev.steps.count];
            for column in &results {
                for (v, matched) in column.values.iter().zip(&mut matched) {
                    if !is_absent(*v) && std::mem::replace(matched, true) {
                        return Err(QueryError::Execution(MANY_TO_ONE_IS_EXPLICIT.to_owned()));
                    }
                }
            }
        }
        Ok(results)
    }
}

/// The indices of series that match.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

fn refuse_duplicates(
    signature: &Labels,
    of_one: &[&Column],
    occupied: &[bool],
    side: &str,
) -> Result<(), QueryError> {
    if of_one.len() < 2 {
        return Ok(());
    }
    for step in (0..occupied.len()).filter(|step| occupied[*step]) {
        let mut present = of_one.iter().filter(|c| !is_absent(c.values[step]));
        if let (Some(first), Some(second)) = (present.next(), present.next()) {
            return Err(QueryError::Execution(format!(
                "found duplicate series for the match group {signature} on the {side} \
                 hand-side of the operation: [{}, {}];many-to-many matching not allowed: \
                 matching labels must be unique on one side",
                second.labels, first.labels
            )));
        }
    }
    Ok(())
}
