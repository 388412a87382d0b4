//! The matrix of alerts and drills, with precision and recall of each alert.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::Report;
use crate::drill::file::OF_INJECTION;
use crate::drill::record::AlertTimes;
use crate::drill::verdict::Outcome;

/// What one alert did in one drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Expected, and it fired within its budget.
    InTime,
    /// Expected, and it fired after its budget.
    Late,
    /// Expected, and it did not fire.
    Missed,
    /// It fired although nothing allows it.
    False,
    /// It fired as a known consequence.
    Allowed,
    /// Expected, in a drill that the system cannot have.
    NotExercised,
    /// Neither expected nor fired.
    Nothing,
}

impl Cell {
    /// The cell in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Cell::InTime => "in time",
            Cell::Late => "late",
            Cell::Missed => "missed",
            Cell::False => "FALSE",
            Cell::Allowed => "allowed",
            Cell::NotExercised => "not exercised",
            Cell::Nothing => "",
        }
    }

    /// The cell as one character, for narrow tables.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Cell::InTime => "✓",
            Cell::Late => "✗ late",
            Cell::Missed => "✗ missed",
            Cell::False => "✗ false",
            Cell::Allowed => "(✓)",
            Cell::NotExercised => "·",
            Cell::Nothing => "",
        }
    }
}

/// The result of an alert in a drill.
pub(super) fn cell(report: &Report, alert: &str) -> Cell {
    let of_alert = |it: &&crate::drill::verdict::Expectation| {
        it.is_firing() && it.alert.as_deref() == Some(alert)
    };
    let mut expected = report.expectations.iter().filter(of_alert).peekable();
    if expected.peek().is_some() {
        // If several faults should raise the alert, the worst outcome counts.
        let cells = expected.map(|it| match it.outcome {
            Outcome::Met => Cell::InTime,
            Outcome::Late => Cell::Late,
            Outcome::Missed | Outcome::NotExercised => Cell::Missed,
        });
        return cells.max_by_key(|cell| *cell as u8).unwrap_or(Cell::Missed);
    }
    if report.false_alarms.iter().any(|it| it.alert == alert) {
        return Cell::False;
    }
    match report.fired.contains_key(alert) {
        true => Cell::Allowed,
        false => Cell::Nothing,
    }
}

/// The result of one spell of an alert, in words.
pub(super) fn result(report: &Report, alert: &str, spell: &AlertTimes) -> &'static str {
    match (cell(report, alert), spell.firing) {
        (Cell::Nothing | Cell::Allowed, None) => "pending only",
        (Cell::Nothing, Some(_)) => "fired before",
        (cell, _) => cell.word(),
    }
}

/// How often an alert did what it should, over several drills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// Drills that expect it.
    pub expected: usize,
    /// Of those, drills in which it fired in time.
    pub in_time: usize,
    /// Drills in which it fired.
    pub fired: usize,
    /// Of those, drills that expect or allow it.
    pub right: usize,
}

impl Score {
    fn of(cells: impl Iterator<Item = Cell>) -> Score {
        let mut score = Score::default();
        for cell in cells {
            let expected = matches!(cell, Cell::InTime | Cell::Late | Cell::Missed);
            let fired = !matches!(cell, Cell::Missed | Cell::NotExercised | Cell::Nothing);
            score.expected += usize::from(expected);
            score.in_time += usize::from(cell == Cell::InTime);
            score.fired += usize::from(fired);
            score.right += usize::from(fired && cell != Cell::False);
        }
        score
    }

    fn add(&mut self, other: Score) {
        self.expected += other.expected;
        self.in_time += other.in_time;
        self.fired += other.fired;
        self.right += other.right;
    }

    /// The share of the drills that expect the alert in which it fired in time: `1.00 (3 of 3)`.
    #[must_use]
    pub fn recall(self) -> String {
        share(self.in_time, self.expected)
    }

    /// The share of the drills in which the alert fired that expect or allow it.
    #[must_use]
    pub fn precision(self) -> String {
        share(self.right, self.fired)
    }
}

fn share(part: usize, of: usize) -> String {
    match of {
        0 => "– (0 of 0)".to_owned(),
        of => format!("{:.2} ({part} of {of})", part as f64 / of as f64),
    }
}

/// One alert over all drills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The alert.
    pub alert: String,
    /// What it did in each drill, in the order of the drills, then of those that were skipped.
    pub cells: Vec<Cell>,
    /// Its precision and recall.
    pub score: Score,
}

/// A drill of a suite that the running system cannot have. It is neither passed nor failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// The drill's name.
    pub drill: String,
    /// Why the system cannot have it.
    pub reason: String,
    /// The alerts that it expects.
    pub alerts: Vec<String>,
}

impl Skipped {
    fn cell(&self, alert: &str) -> Cell {
        match self.alerts.iter().any(|it| it == alert) {
            true => Cell::NotExercised,
            false => Cell::Nothing,
        }
    }
}

/// Alerts × drills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matrix {
    /// One for each alert that was expected or fired, by name.
    pub rows: Vec<Row>,
    /// Over all alerts.
    pub all: Score,
}

impl Matrix {
    /// The matrix of `drills`, and of `skipped` drills that the system cannot have.
    #[must_use]
    pub fn of(drills: &[Report], skipped: &[Skipped]) -> Matrix {
        let not_exercised = skipped.iter().flat_map(|it| &it.alerts);
        let expected = drills.iter().flat_map(|report| {
            let expectations = report.expectations.iter();
            expectations.filter_map(|it| it.alert.as_deref())
        });
        let fired = drills.iter().flat_map(|it| it.fired.keys());
        let others = fired.chain(not_exercised).map(String::as_str);
        // That a fault is injected is neither a detection nor a false alarm.
        let judged = expected
            .chain(others)
            .filter(|alert| *alert != OF_INJECTION);
        let alerts: BTreeSet<&str> = judged.collect();
        let mut matrix = Matrix::default();
        for alert in alerts {
            let held = drills.iter().map(|report| cell(report, alert));
            let cells: Vec<Cell> = held
                .chain(skipped.iter().map(|it| it.cell(alert)))
                .collect();
            let score = Score::of(cells.iter().copied());
            matrix.all.add(score);
            matrix.rows.push(Row {
                alert: alert.to_owned(),
                cells,
                score,
            });
        }
        matrix
    }

    /// The matrix, for a terminal.
    #[must_use]
    pub fn text(&self, drills: &[Report], skipped: &[Skipped]) -> String {
        let mut text = String::new();
        let line = |score: Score| {
            let (recall, precision) = (score.recall(), score.precision());
            format!("recall {recall}, precision {precision}")
        };
        for row in &self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}   {}", row.alert, line(row.score));
            let names = drills.iter().map(|it| &it.drill);
            let names = names.chain(skipped.iter().map(|it| &it.drill));
            let cells = names.zip(&row.cells);
            for (name, cell) in cells.filter(|(_, cell)| **cell != Cell::Nothing) {
                let _ = writeln!(text, "  {name:<28} {}", cell.word());
            }
        }
        let _ = writeln!(text, "all alerts   {}", line(self.all));
        let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
        for report in drills {
            *verdicts.entry(report.verdict.word()).or_default() += 1;
        }
        let verdicts = verdicts.iter().map(|(word, n)| format!("{n} {word}"));
        let verdicts: Vec<String> = verdicts.collect();
        let _ = writeln!(text, "{} drills: {}", drills.len(), verdicts.join(", "));
        for Skipped { drill, reason, .. } in skipped {
            let _ = writeln!(text, "not exercised: {drill}: {reason}");
        }
        text
    }
}
