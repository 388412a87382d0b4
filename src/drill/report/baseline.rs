//! The comparison with an earlier run: each figure before and now, and the figures that are now later than their
//! budget.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::Report;
use super::document::Document;
use crate::drill::verdict::Expectation;

/// A difference of fewer seconds is no change, because a poll sees an event late by that much.
const LEAST: f64 = 1.0;
/// A smaller relative difference is no change.
const NOISE: f64 = 0.1;

/// How a figure differs from that of the earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// By less than a second, or by less than 10 %.
    Same,
    /// Earlier, or less.
    Better,
    /// Later, or more.
    Worse,
    /// It happened before and not now.
    Lost,
    /// It did not happen before and does now.
    Gained,
}

impl Change {
    /// The change in words, with a sign.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Change::Same => "the same",
            Change::Better => "✓ better",
            Change::Worse => "✗ worse",
            Change::Lost => "✗ does not happen any more",
            Change::Gained => "✓ happens now",
        }
    }
}

/// One figure before and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// The drill.
    pub drill: String,
    /// What was measured: `SlowBuying fires`.
    pub what: String,
    /// Whether it is in seconds; a count otherwise.
    pub is_time: bool,
    /// Of the earlier run.
    pub before: Option<f64>,
    /// Of this one.
    pub now: Option<f64>,
    /// The budget of this run, for what has one.
    pub budget: Option<f64>,
    /// How they compare.
    pub change: Change,
    /// It kept the budget before, and does not now.
    pub became_late: bool,
}

/// This run beside an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// When the earlier one began, RFC 3339.
    pub started_at: String,
    /// The program's version then.
    pub version: String,
    /// What was not the same in both, so that figures may differ for that reason.
    pub differs: Vec<String>,
    /// Every figure that both have.
    pub figures: Vec<Figure>,
}

impl Comparison {
    /// The figures that were within their budget before and are not now.
    pub fn became_late(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().filter(|it| it.became_late)
    }
}

/// Compares `now` with `before`.
///
/// # Errors
/// The two have no drill in common.
pub fn compare(now: &Document, before: &Document) -> Result<Comparison, String> {
    let of = |name: &str| before.drills.iter().find(|it| it.drill == name);
    let pairs = now
        .drills
        .iter()
        .filter_map(|it| Some((it, of(&it.drill)?)));
    let pairs: Vec<(&Report, &Report)> = pairs.collect();
    let Some((_, first)) = pairs.first() else {
        return Err("the baseline is of other drills: none is in both".to_owned());
    };
    let alone = now.drills.iter().filter(|it| of(&it.drill).is_none());
    let alone = alone.map(|it| format!("{} is not in the earlier run", it.drill));
    let mut differs: Vec<String> = alone.collect();
    differs.extend(
        pairs
            .iter()
            .flat_map(|(now, before)| differences(now, before)),
    );
    differs.dedup();
    Ok(Comparison {
        started_at: first.started_at.clone(),
        version: first.basis.version.clone(),
        differs,
        figures: pairs
            .iter()
            .flat_map(|(now, before)| figures(now, before))
            .collect(),
    })
}

fn differences(now: &Report, before: &Report) -> Vec<String> {
    let name = &now.drill;
    let (new, old) = (&now.basis, &before.basis);
    let checks = [
        (new.rules != old.rules, "the rules".to_owned()),
        (
            new.version != old.version,
            "the program's version".to_owned(),
        ),
        (now.seed != before.seed, format!("the seed of {name}")),
        (new.faults != old.faults, format!("the faults of {name}")),
        (new.load != old.load, format!("the traffic of {name}")),
        (
            (new.p95_ms, new.error_rate) != (old.p95_ms, old.error_rate),
            format!("the objective of {name}"),
        ),
    ];
    let differ = checks.into_iter().filter(|(differ, _)| *differ);
    differ.map(|(_, what)| what).collect()
}

fn figures(now: &Report, before: &Report) -> Vec<Figure> {
    let mut all = Vec::new();
    for it in &now.expectations {
        let same = |old: &&Expectation| (old.inject, &old.what) == (it.inject, &it.what);
        let Some(old) = before.expectations.iter().find(same) else {
            continue;
        };
        let kept = |measured: Option<f64>, budget| measured.is_some_and(|at| at <= budget);
        all.push(Figure {
            drill: now.drill.clone(),
            what: it.what.clone(),
            is_time: true,
            before: old.measured,
            now: it.measured,
            budget: Some(it.budget),
            change: change(it.measured, old.measured, LEAST),
            became_late: kept(old.measured, old.budget) && !kept(it.measured, it.budget),
        });
    }
    let counts = |of: &Report| {
        [
            ("false alarms", of.false_alarms.len() as f64),
            ("failed requests", of.harm.failed as f64),
            ("people affected", of.harm.people as f64),
            (
                "seconds outside of the objective",
                of.harm.seconds_outside as f64,
            ),
        ]
    };
    for ((what, new), (_, old)) in counts(now).into_iter().zip(counts(before)) {
        all.push(Figure {
            drill: now.drill.clone(),
            what: what.to_owned(),
            is_time: false,
            before: Some(old),
            now: Some(new),
            budget: None,
            change: change(Some(new), Some(old), 0.0),
            became_late: false,
        });
    }
    all
}

fn change(now: Option<f64>, before: Option<f64>, least: f64) -> Change {
    match (now, before) {
        (Some(now), Some(before)) => match now - before {
            apart if apart.abs() <= least.max(NOISE * before.abs()) => Change::Same,
            apart if apart < 0.0 => Change::Better,
            _ => Change::Worse,
        },
        (None, Some(_)) => Change::Lost,
        (Some(_), None) => Change::Gained,
        (None, None) => Change::Same,
    }
}
