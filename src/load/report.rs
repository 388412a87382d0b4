//! The summary as text for a terminal.

use std::fmt::Write as _;

use super::judge::{Ending, Judged, Outcome, Unit, Verdict};
use super::plan::number;
use super::summary::{Latency, OperationSummary, Summary};

/// Whether text may carry colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// ANSI colours.
    Ansi,
    /// Text alone.
    None,
}

impl Colours {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colours::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Colours::None => text.to_owned(),
        }
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// The whole report: table, users, thresholds, audit, generator, verdict.
#[must_use]
pub fn text(summary: &Summary, colours: Colours) -> String {
    let mut out = String::new();
    table(&mut out, summary, colours);
    people(&mut out, summary);
    thresholds(&mut out, summary, colours);
    truth(&mut out, summary, colours);
    generator(&mut out, summary);
    verdict(&mut out, summary, colours);
    out
}

/// Writes a line; a `String` takes all text.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        let _ = writeln!($out, $($text)*);
    };
}

fn table(out: &mut String, summary: &Summary, colours: Colours) {
    let head = format!(
        "{:<9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11} {:>8} {:>7}",
        "", "count", "per s", "avg", "p50", "p95", "p99", "max", "service p95", "refused", "errors"
    );
    line!(out, "{}", colours.dim(&head));
    let mut phase = None;
    for row in &summary.operations {
        if phase != Some(row.phase) {
            phase = Some(row.phase);
            line!(out, "{}", colours.dim(&format!("phase {}", row.phase)));
        }
        table_row(out, row, colours);
    }
    if summary.operations.is_empty() {
        line!(out, "no request was measured");
    }
    line!(out, "{}", colours.dim("latency of successes, from the instant a request was due; refused: intended, such as a taken seat"));
}

fn table_row(out: &mut String, row: &OperationSummary, colours: Colours) {
    let time = |of: Option<Latency>, part: fn(&Latency) -> f64| {
        of.map_or_else(|| "–".to_owned(), |of| millis(part(&of)))
    };
    let latency = |part| time(row.latency, part);
    let errors = format!("{:>7}", number(row.errors as f64));
    let errors = if row.errors > 0 {
        colours.bad(&errors)
    } else {
        errors
    };
    let faults: Vec<String> = row
        .faults
        .iter()
        .map(|(fault, count)| format!("{fault} {}", number(*count as f64)))
        .collect();
    let faults = if faults.is_empty() {
        String::new()
    } else {
        format!("  ({})", faults.join(", "))
    };
    line!(
        out,
        "  {:<7} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11} {:>8} {errors}{faults}",
        row.operation,
        number(row.count as f64),
        number(row.rate),
        latency(|of| of.avg),
        latency(|of| of.p50),
        latency(|of| of.p95),
        latency(|of| of.p99),
        latency(|of| of.max),
        time(row.service, |of| of.p95),
        number(row.refused as f64),
    );
}

fn people(out: &mut String, summary: &Summary) {
    let users: Vec<String> = summary
        .users
        .iter()
        .map(|(state, count)| format!("{state} {}", number(*count as f64)))
        .collect();
    line!(out, "\nusers       {}", users.join(" · "));
    let fairness = &summary.fairness;
    let eta = fairness.eta_error.map_or_else(
        || "no wait was promised".to_owned(),
        |eta| {
            format!(
                "promised wait off by p50 {}, p95 {}, max {}",
                gap(eta.p50),
                gap(eta.p95),
                gap(eta.max)
            )
        },
    );
    line!(
        out,
        "fairness    {} inversions in {} answers · {eta}",
        number(fairness.inversions as f64),
        number(fairness.checks as f64)
    );
}

/// A difference: 1 µs is the least that a histogram holds, and stands for none.
fn gap(value: f64) -> String {
    if value <= 0.001 {
        "0".to_owned()
    } else {
        millis(value)
    }
}

fn thresholds(out: &mut String, summary: &Summary, colours: Colours) {
    if summary.thresholds.is_empty() {
        return;
    }
    line!(out, "\nthresholds");
    let width = summary
        .thresholds
        .iter()
        .map(|judged| judged.name.chars().count())
        .max()
        .unwrap_or(0);
    for judged in &summary.thresholds {
        let (sign, note) = match judged.outcome {
            Outcome::Passed => (colours.good("✓"), ""),
            Outcome::Missed => (colours.bad("✗"), "  missed"),
            Outcome::NoData => (colours.bad("✗"), ""),
        };
        let relation = if judged.unit == Unit::PerSecond {
            "≥"
        } else {
            "≤"
        };
        let limit = value(judged, judged.limit);
        let measured = judged
            .measured
            .map_or_else(|| "no data".to_owned(), |measured| value(judged, measured));
        line!(
            out,
            "  {sign} {:<width$} {relation} {limit:<10} {measured}{note}",
            judged.name
        );
    }
}

fn value(judged: &Judged, value: f64) -> String {
    match judged.unit {
        Unit::Milliseconds => millis(value),
        Unit::Share => format!("{} %", trimmed(value * 100.0)),
        Unit::PerSecond => format!("{}/s", number(value)),
        Unit::Count => number(value),
    }
}

fn truth(out: &mut String, summary: &Summary, colours: Colours) {
    if let Some(audit) = &summary.audit {
        let violations = audit.violations();
        let word = match violations {
            0 => colours.good("clean"),
            count => colours.bad(&format!("{} violations", number(count as f64))),
        };
        line!(
            out,
            "\naudit       {word}: {} sold, {} held, {} free · {} oversold · {} reservations, {} paid · {} places",
            number(audit.seats_sold as f64),
            number(audit.seats_pending as f64),
            number(audit.seats_available as f64),
            number(audit.oversold_seats as f64),
            number(audit.reservations as f64),
            number(audit.reservations_paid as f64),
            number(audit.places as f64),
        );
    }
    if let Some(lookup) = &summary.lookup {
        let (checked, missing) = (number(lookup.checked as f64), number(lookup.missing as f64));
        let text = format!("{missing} lost of {checked} successes that clients saw");
        line!(
            out,
            "look-up     {}",
            if lookup.missing == 0 {
                text
            } else {
                colours.bad(&text)
            }
        );
        for example in &lookup.examples {
            line!(out, "            {example}");
        }
    }
    if let Some(problem) = &summary.audit_problem {
        line!(
            out,
            "audit       {}",
            colours.bad(&format!("could not be had: {problem}"))
        );
    }
}

fn generator(out: &mut String, summary: &Summary) {
    let generator = &summary.generator;
    let lag = generator.lag.map_or_else(
        || "–".to_owned(),
        |lag| format!("p99 {}, max {}", millis(lag.p99), millis(lag.max)),
    );
    let busiest = generator.busiest.map_or_else(
        || "not known".to_owned(),
        |share| {
            format!(
                "{:.0} % of a core, {:.0} % waiting for one",
                share.running * 100.0,
                share.queued * 100.0
            )
        },
    );
    let mut text = format!(
        "{} threads on {} cores, {} connections · late by {lag} · busiest thread {busiest}",
        generator.workers,
        generator.cores,
        number(generator.connections as f64)
    );
    if let Some(wait) = generator.connection_wait {
        let _ = write!(text, " · wait for a connection p99 {}", millis(wait.p99));
    }
    line!(out, "generator   {text}");
}

fn verdict(out: &mut String, summary: &Summary, colours: Colours) {
    let word = summary.verdict.as_str();
    let word = match summary.verdict {
        Verdict::Passed => colours.paint("1;32", word),
        Verdict::Failed => colours.paint("1;31", word),
        Verdict::Inconclusive => colours.paint("1;33", word),
    };
    let ending = match summary.ending {
        Ending::Complete => "complete",
        Ending::Stopped => "stopped by hand",
        Ending::TimeOver => "cut at its longest duration",
        Ending::ServerLost => "server lost",
    };
    let phase = summary
        .phase
        .map_or_else(String::new, |phase| format!(", phase {phase} alone"));
    line!(
        out,
        "\nverdict     {word}  ({}{phase}, {:.1} s, {ending})",
        summary.scenario,
        summary.elapsed_seconds
    );
    for reason in &summary.reasons {
        line!(out, "            {reason}");
    }
}

/// Milliseconds with as many digits as say something.
fn millis(value: f64) -> String {
    match value {
        value if value >= 60_000.0 => format!("{} s", trimmed(value / 1e3)),
        value if value >= 100.0 => format!("{value:.0} ms"),
        value if value >= 1.0 => format!("{value:.1} ms"),
        value => format!("{} µs", trimmed(value * 1e3)),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (value, text) in [
            (0.001, "1 µs"),
            (0.25, "250 µs"),
            (1.26, "1.3 ms"),
            (500.0, "500 ms"),
            (90_500.0, "90.5 s"),
        ] {
            assert_eq!(millis(value), text);
        }
    }
}
