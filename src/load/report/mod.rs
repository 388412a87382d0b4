//! The summary as text for a terminal and as a page for a browser (`html`).

use std::fmt::Write as _;

mod comparison;
pub(crate) mod format;
pub(crate) mod html;

use self::format::{
    busiest, connections, ending, gap, megabytes, millis, millis_without_unit, name, value,
};
pub use self::html::html;
use super::judge::{Outcome, Verdict};
use super::plan::number;
use super::summary::{Latency, OperationSummary, Summary};
use super::unacknowledged::Unacknowledged;
use crate::cells;

/// Whether text may carry colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// ANSI colours.
    Ansi,
    /// Plain text.
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

/// The whole report: table, users, thresholds, audit, baseline, generator, verdict.
#[must_use]
pub fn text(summary: &Summary, colours: Colours) -> String {
    let mut out = String::new();
    table(&mut out, summary, colours);
    traces(&mut out, summary);
    people(&mut out, summary);
    thresholds(&mut out, summary, colours);
    audit(&mut out, summary, colours);
    if let Some(baseline) = &summary.baseline {
        comparison::section(&mut out, baseline, colours);
    }
    connections_opened(&mut out, summary);
    generator(&mut out, summary);
    verdict(&mut out, summary, colours);
    out
}

/// Writes a line. Writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        let _ = writeln!($out, $($text)*);
    };
}

/// The largest width of a line. Every terminal is at least this wide.
const WIDTH: usize = 80;

fn table(out: &mut String, summary: &Summary, colours: Colours) {
    let head = format!(
        "{:<8}{:>9}{:>7}{:>6}{:>6}{:>7}{:>7}{:>7}{:>8}{:>8}{:>7}",
        "ms", "count", "per s", "avg", "p50", "p95", "p99", "max", "service", "refused", "errors"
    );
    line!(out, "{}", colours.dim(&head));
    let mut traffic = None;
    for row in &summary.operations {
        if traffic != row.traffic.as_ref() {
            traffic = row.traffic.as_ref();
            line!(
                out,
                "{}",
                colours.dim(traffic.map_or("buyers", String::as_str))
            );
        }
        table_row(out, row, colours);
    }
    if summary.operations.is_empty() {
        line!(out, "no request was measured");
    }
    for note in [
        "latency of successes from the instant a request was due; service: p95 from the",
        "instant it was sent; refused: as intended, such as a seat that is taken",
    ] {
        line!(out, "{}", colours.dim(note));
    }
}

fn table_row(out: &mut String, row: &OperationSummary, colours: Colours) {
    let time = |of: Option<Latency>, part: fn(&Latency) -> f64| {
        of.map_or_else(|| "–".to_owned(), |of| millis_without_unit(part(&of)))
    };
    let latency = |part| time(row.latency, part);
    let errors = format!("{:>7}", number(row.errors as f64));
    let errors = if row.errors > 0 {
        colours.bad(&errors)
    } else {
        errors
    };
    line!(
        out,
        "{:<8}{:>9}{:>7}{:>6}{:>6}{:>7}{:>7}{:>7}{:>8}{:>8}{errors}",
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
    let error_counts = row.error_counts.iter();
    let error_counts =
        error_counts.map(|(error_kind, count)| format!("{error_kind} {}", number(*count as f64)));
    let error_counts: Vec<String> = error_counts.collect();
    if !error_counts.is_empty() {
        paragraph(out, "", &[format!("errors: {}", error_counts.join(", "))]);
    }
}

/// Writes a name and its parts, over as many lines as needed.
fn paragraph(out: &mut String, name: &str, parts: &[String]) {
    const INDENT: usize = 12;
    let mut line = cells::left(name, INDENT);
    let mut first = true;
    for part in parts {
        for (index, word) in part.split(' ').enumerate() {
            let joint = match (first, index) {
                (true, _) => "",
                (_, 0) => " · ",
                _ => " ",
            };
            let used = cells::width(&line) + cells::width(joint) + cells::width(word);
            if used > WIDTH && !first {
                line!(out, "{}", line.trim_end());
                line = cells::left("", INDENT) + word;
            } else {
                line.push_str(joint);
                line.push_str(word);
            }
            first = false;
        }
    }
    line!(out, "{}", line.trim_end());
}

/// Lists single requests with their traces, a few of each kind.
fn traces(out: &mut String, summary: &Summary) {
    const SHOWN: usize = 2;
    for (name, requests) in [
        ("slowest", &summary.exemplars.slowest),
        ("failed", &summary.exemplars.failed),
    ] {
        for (at, request) in requests.iter().take(SHOWN).enumerate() {
            let name = if at == 0 { name } else { "" };
            let what = format!(
                "{} {} {} ms",
                request.operation,
                request.ending(),
                millis_without_unit(request.latency_ms)
            );
            line!(
                out,
                "{name:<12}{}{}",
                cells::left(&what, 34),
                request.trace_id
            );
        }
    }
}

fn people(out: &mut String, summary: &Summary) {
    let users: Vec<String> = summary
        .users
        .iter()
        .map(|(state, count)| format!("{state} {}", number(*count as f64)))
        .collect();
    line!(out, "");
    paragraph(out, "users", &users);
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
    let inversions = format!(
        "{} inversions in {} answers",
        number(fairness.inversions as f64),
        number(fairness.checks as f64)
    );
    paragraph(out, "fairness", &[inversions, eta]);
    let dropped = summary.dropped.iter();
    let dropped: Vec<String> = dropped
        .map(|(traffic, count)| format!("{} of {traffic}", number(*count as f64)))
        .collect();
    if !dropped.is_empty() {
        paragraph(out, "dropped", &dropped);
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
        .map(|judged| cells::width(&name(judged)))
        .max()
        .unwrap_or(0);
    for judged in &summary.thresholds {
        let (sign, note) = match judged.outcome {
            Outcome::Passed => (colours.good("✓"), ""),
            Outcome::Missed => (colours.bad("✗"), "  missed"),
            Outcome::NoData => (colours.bad("✗"), ""),
        };
        let (relation, name) = (judged.relation.sign(), cells::left(&name(judged), width));
        let limit = value(judged, judged.limit);
        let measured = judged
            .measured
            .map_or_else(|| "no data".to_owned(), |measured| value(judged, measured));
        line!(
            out,
            "  {sign} {name} {relation} {limit:<10} {measured}{note}"
        );
    }
}

fn audit(out: &mut String, summary: &Summary, colours: Colours) {
    if let Some(audit) = &summary.audit {
        let violations = audit.violations();
        let word = match violations {
            0 => colours.good("clean"),
            count => colours.bad(&format!("{} violations", number(count as f64))),
        };
        line!(out, "\naudit       {word}");
        let parts = [
            (audit.seats_sold, "sold"),
            (audit.seats_pending, "held"),
            (audit.seats_available, "free"),
            (audit.oversold_seats, "oversold"),
            (audit.reservations, "reservations"),
            (audit.reservations_paid, "paid"),
            (audit.places, "places"),
        ];
        let parts = parts.map(|(count, what)| format!("{} {what}", number(count as f64)));
        paragraph(out, "", &parts);
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
    unacknowledged(out, &summary.unacknowledged, colours);
    if let Some(problem) = &summary.audit_problem {
        line!(
            out,
            "audit       {}",
            colours.bad(&format!("failed: {problem}"))
        );
    }
}

fn unacknowledged(out: &mut String, found: &Unacknowledged, colours: Colours) {
    let text = format::unacknowledged(found);
    let is_good = found.total == Some(0) && found.unchecked == 0;
    line!(
        out,
        "unacked     {}",
        if is_good { text } else { colours.bad(&text) }
    );
    for example in &found.examples {
        line!(out, "            {example}");
    }
}

/// The handshakes, which the latencies of the table do not contain.
fn connections_opened(out: &mut String, summary: &Summary) {
    let connections = &summary.connections;
    if let Some(handshake) = connections.handshake {
        let parts = [
            format!("{} opened", number(connections.opened as f64)),
            format!(
                "TLS handshake p50 {}, p95 {}, beside the latencies above",
                millis(handshake.p50),
                millis(handshake.p95)
            ),
            format!("{} sessions resumed", number(connections.resumed as f64)),
        ];
        paragraph(out, "connections", &parts);
    }
}

fn generator(out: &mut String, summary: &Summary) {
    let generator = &summary.generator;
    let lag = generator.lag.map_or_else(
        || "–".to_owned(),
        |lag| format!("p99 {}, max {}", millis(lag.p99), millis(lag.max)),
    );
    let mut parts = vec![
        format!("{} threads on {} cores", generator.workers, generator.cores),
        connections(summary),
        format!("late by {lag}"),
        format!("busiest thread {}", busiest(generator)),
    ];
    if let Some(wait) = generator.connection_wait {
        parts.push(format!("wait for a connection p99 {}", millis(wait.p99)));
    }
    if let Some(memory) = generator.memory {
        parts.push(megabytes(memory as f64));
    }
    paragraph(out, "generator", &parts);
}

fn verdict(out: &mut String, summary: &Summary, colours: Colours) {
    let word = summary.verdict.as_str();
    let word = match summary.verdict {
        Verdict::Passed => colours.paint("1;32", word),
        Verdict::Failed => colours.paint("1;31", word),
        Verdict::Inconclusive => colours.paint("1;33", word),
    };
    let ending = ending(summary.ending);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_stay_within_the_terminal_and_lose_no_word() {
        let parts: Vec<String> = (1..20).map(|n| format!("{n},000 reservations")).collect();
        let mut out = String::new();
        paragraph(&mut out, "audit", &parts);
        assert!(out.lines().all(|line| cells::width(line) <= WIDTH), "{out}");
        assert!(
            out.lines()
                .skip(1)
                .all(|line| line.starts_with("            "))
        );
        let words = |text: &str| {
            text.replace('·', "")
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&out)[1..], words(&parts.join(" ")));
        let mut long = String::new();
        paragraph(&mut long, "users", &["x".repeat(200)]);
        assert_eq!(long.trim_end(), format!("users       {}", "x".repeat(200)));
    }
}
