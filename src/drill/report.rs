//! A drill's report as text, and the matrix of a suite.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::run::Report;
use super::verdict::{Outcome, Verdict};

/// The report of one drill, for people.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for expectation in &report.expectations {
        let mark = match expectation.outcome {
            Outcome::Met => '✓',
            Outcome::Late | Outcome::Missed => '✗',
            Outcome::NotExercised => '·',
        };
        let seconds =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1} s"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {mark} {:<36} {:>8}   budget {:>6.0} s   worst case {:>8}",
            expectation.what,
            seconds(expectation.measured),
            expectation.budget,
            seconds(expectation.predicted),
        );
    }
    let word = report.verdict.word();
    let _ = writeln!(text, "  verdict  {word}");
    if let Verdict::Failed(reasons) | Verdict::Inconclusive(reasons) = &report.verdict {
        for reason in reasons {
            let _ = writeln!(text, "           {reason}");
        }
    }
    text
}

/// What one alert did in one drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    InTime,
    Late,
    Missed,
    False,
    Allowed,
    Nothing,
}

impl Cell {
    const fn word(self) -> &'static str {
        match self {
            Cell::InTime => "in time",
            Cell::Late => "late",
            Cell::Missed => "missed",
            Cell::False => "FALSE",
            Cell::Allowed => "allowed",
            Cell::Nothing => "",
        }
    }
}

fn cell(report: &Report, alert: &str) -> Cell {
    let about = |what: &str| {
        let fires = format!("{alert} fires");
        what == fires
    };
    if let Some(expectation) = report.expectations.iter().find(|it| about(&it.what)) {
        return match expectation.outcome {
            Outcome::Met => Cell::InTime,
            Outcome::Late => Cell::Late,
            Outcome::Missed | Outcome::NotExercised => Cell::Missed,
        };
    }
    if report.false_alarms.iter().any(|it| it.alert == alert) {
        return Cell::False;
    }
    match report.fired.contains_key(alert) {
        true => Cell::Allowed,
        false => Cell::Nothing,
    }
}

/// Alerts × drills, with precision and recall of each alert.
///
/// Recall: of the drills that expect the alert, those in which it fired in time. Precision: of the
/// drills in which it fired, those that expect or allow it.
#[must_use]
pub fn matrix(reports: &[Report]) -> String {
    let mut alerts: BTreeSet<&str> = BTreeSet::new();
    for report in reports {
        alerts.extend(
            report
                .expectations
                .iter()
                .filter_map(|it| it.alert.as_deref()),
        );
        alerts.extend(report.fired.keys().map(String::as_str));
    }
    let mut text = String::new();
    let mut sums = Score::default();
    for alert in alerts {
        let cells = reports.iter().map(|report| (report, cell(report, alert)));
        let cells: Vec<_> = cells.filter(|(_, cell)| *cell != Cell::Nothing).collect();
        let score = Score::of(cells.iter().map(|(_, cell)| *cell));
        let _ = writeln!(text, "{alert}   {score}");
        for (report, cell) in cells {
            let _ = writeln!(text, "  {:<28} {}", report.drill, cell.word());
        }
        sums.add(score);
    }
    let _ = writeln!(text, "all alerts   {sums}");
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for report in reports {
        let word = report.verdict.word();
        *verdicts.entry(word).or_default() += 1;
    }
    let verdicts: Vec<String> = verdicts
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    let _ = writeln!(text, "{} drills: {}", reports.len(), verdicts.join(", "));
    text
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Score {
    expected: usize,
    in_time: usize,
    fired: usize,
    right: usize,
}

impl Score {
    fn of(cells: impl Iterator<Item = Cell>) -> Score {
        let mut score = Score::default();
        for cell in cells {
            let expected = matches!(cell, Cell::InTime | Cell::Late | Cell::Missed);
            let fired = !matches!(cell, Cell::Missed | Cell::Nothing);
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
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |part: usize, of: usize| match of {
            0 => "–".to_owned(),
            of => format!("{:.2}", part as f64 / of as f64),
        };
        write!(
            f,
            "recall {} ({} of {}), precision {} ({} of {})",
            share(self.in_time, self.expected),
            self.in_time,
            self.expected,
            share(self.right, self.fired),
            self.right,
            self.fired
        )
    }
}

/// The exit code of several drills: the worst of them.
#[must_use]
pub fn exit_code(reports: &[Report]) -> u8 {
    let codes = reports.iter().map(|report| report.verdict.exit_code());
    codes.max().unwrap_or(0)
}
