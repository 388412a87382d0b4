//! The measurements as tables.

use maud::{Markup, html};

use super::markup::{NO_DATA, Table, facts, figures, remark, sentence, words};
use crate::load::baseline::{Baseline, Change, Compared};
use crate::load::judge::{Judged, Outcome};
use crate::load::plan::number;
use crate::load::report::comparison;
use crate::load::report::format::{self, gap, limit, millis_without_unit, value};
use crate::load::summary::{Latency, OperationSummary, Summary};
use crate::load::unacknowledged::Unacknowledged;

fn count(count: u64) -> String {
    number(count as f64)
}

/// The thresholds with their measured values.
pub(super) fn thresholds(summary: &Summary) -> Markup {
    let columns = [
        words("threshold"),
        words("outcome"),
        figures("limit"),
        figures("measured"),
        words("window"),
    ];
    let mut table = Table::new("Thresholds", &columns);
    for judged in &summary.thresholds {
        let (class, outcome) = match judged.outcome {
            Outcome::Passed => ("good", "✓ kept"),
            Outcome::Missed => ("bad", "✗ missed"),
            Outcome::NoData => ("bad", "✗ no data"),
        };
        let measured = judged.measured.map(|it| value(judged, it));
        table.row_of(
            class,
            &[
                judged.name.clone(),
                outcome.to_owned(),
                limit(judged),
                measured.unwrap_or_else(|| NO_DATA.to_owned()),
                window(judged),
            ],
        );
    }
    table.markup()
}

fn window(judged: &Judged) -> String {
    let worst = judged.worst_at.map(|it| format!("worst at {it:.0} s"));
    match (judged.window, worst) {
        (Some(window), Some(worst)) => format!("any {window} s, {worst}"),
        (Some(window), None) => format!("any {window} s"),
        (None, _) => "whole\u{a0}run".to_owned(),
    }
}

/// Requests by operation: first the buyers', then each traffic group's.
pub(super) fn operations(summary: &Summary) -> Markup {
    let columns = [
        words("operation"),
        figures("count"),
        figures("per s"),
        figures("ok"),
        figures("refused"),
        figures("errors"),
        figures("avg"),
        figures("p50"),
        figures("p95"),
        figures("p99"),
        figures("max"),
        figures("service p95"),
        figures("refusal p95"),
        figures("error p95"),
    ];
    let mut table = Table::new("Requests by operation", &columns);
    let mut before = None;
    for row in &summary.operations {
        if before != Some(&row.traffic) {
            table.group(row.traffic.as_deref().unwrap_or("buyers"));
            before = Some(&row.traffic);
        }
        operation(&mut table, row);
    }
    let statuses = &summary.statuses;
    let statuses = [
        (statuses.success, "2xx"),
        (statuses.client, "4xx"),
        (statuses.server, "5xx"),
        (statuses.none, "without an answer"),
    ];
    let statuses = statuses.map(|(of, name)| format!("{} {name}", count(of)));
    html! {
        (table.markup())
        (sentence(&format!("Answers: {}.", statuses.join(", "))))
        (remark(
            "Times in ms, of successes, from the instant a request was due; service: from the instant it was \
             sent. Refused: as intended, such as a seat that is taken."
        ))
    }
}

fn operation(table: &mut Table<'_>, row: &OperationSummary) {
    let time = |of: Option<Latency>, part: fn(&Latency) -> f64| {
        of.map_or_else(|| "–".to_owned(), |of| millis_without_unit(part(&of)))
    };
    let cells = [
        row.operation.to_string(),
        count(row.count),
        number(row.rate),
        count(row.ok),
        count(row.refused),
        count(row.errors),
        time(row.latency, |it| it.avg),
        time(row.latency, |it| it.p50),
        time(row.latency, |it| it.p95),
        time(row.latency, |it| it.p99),
        time(row.latency, |it| it.max),
        time(row.service, |it| it.p95),
        time(row.refusal_latency, |it| it.p95),
        time(row.error_latency, |it| it.p95),
    ];
    table.row_of(if row.errors > 0 { "bad" } else { "" }, &cells);
    let error_counts = row.error_counts.iter();
    let error_counts = error_counts.map(|(error_kind, of)| format!("{error_kind} {}", count(*of)));
    let error_counts: Vec<String> = error_counts.collect();
    if !error_counts.is_empty() {
        table.note(&format!("✗ errors: {}", error_counts.join(", ")));
    }
}

/// Single requests with the ids of their traces.
pub(super) fn exemplars(summary: &Summary) -> Markup {
    let columns = [
        words("request"),
        words("ended"),
        figures("at, s"),
        figures("latency, ms"),
        words("trace"),
    ];
    let mut table = Table::new("Slowest and failed requests", &columns);
    for (group, requests) in [
        ("slowest", &summary.exemplars.slowest),
        ("failed, the last", &summary.exemplars.failed),
    ] {
        if requests.is_empty() {
            continue;
        }
        table.group(group);
        for request in requests {
            let of = request.traffic.as_deref().unwrap_or("buyers");
            table.row(&[
                format!("{} ({of})", request.operation),
                request.ending(),
                format!("{:.1}", request.at_seconds),
                format!("{:.1}", request.latency_ms),
                request.trace_id.clone(),
            ]);
        }
    }
    table.markup()
}

/// Users by their final state.
pub(super) fn users(summary: &Summary) -> Markup {
    let all = summary.users.values().sum::<u64>().max(1) as f64;
    let columns = [words("state"), figures("users"), figures("share")];
    let mut table = Table::new("Users by state", &columns);
    for (state, users) in &summary.users {
        let share = format!("{:.1} %", 100.0 * *users as f64 / all);
        table.row(&[state.clone(), count(*users), share]);
    }
    table.markup()
}

/// The order of the queue, the accuracy of its promises, and the number of dropped arrivals.
pub(super) fn fairness(summary: &Summary) -> Markup {
    let fairness = &summary.fairness;
    let inversions = format!(
        "{} in {} answers",
        count(fairness.inversions),
        count(fairness.checks)
    );
    let promised = fairness.eta_error.map_or_else(
        || "no wait was promised".to_owned(),
        |it| {
            format!(
                "p50 {}, p95 {}, max {}",
                gap(it.p50),
                gap(it.p95),
                gap(it.max)
            )
        },
    );
    let dropped = summary.dropped.iter();
    let dropped: Vec<String> = dropped
        .map(|(traffic, of)| format!("{} of {traffic}", count(*of)))
        .collect();
    let dropped = match dropped.is_empty() {
        true => "none".to_owned(),
        false => dropped.join(", "),
    };
    facts(&[
        ("Inversions", inversions),
        ("Promised wait off by", promised),
        ("Dropped arrivals", dropped),
    ])
}

/// The audit after the run, and its comparison with what clients saw.
pub(super) fn audit(summary: &Summary) -> Markup {
    let columns = [words("after the run"), figures("count")];
    let mut table = Table::new("Audit", &columns);
    if let Some(audit) = &summary.audit {
        for (name, of) in [
            ("Seats sold", audit.seats_sold),
            ("Seats held", audit.seats_pending),
            ("Seats free", audit.seats_available),
            ("Reservations", audit.reservations),
            ("Reservations paid", audit.reservations_paid),
            ("Places in the queue", audit.places),
        ] {
            table.row(&[name.to_owned(), count(of)]);
        }
        table.group("violations: each must be 0");
        for (name, of) in [
            ("Seats with two owners", audit.oversold_seats),
            (
                "Taken seats without a reservation",
                audit.seats_without_reservation,
            ),
            (
                "Reservations without their seat",
                audit.reservations_without_seat,
            ),
            (
                "Paid reservations not in the ledger",
                audit.paid_without_ledger,
            ),
            (
                "Ledger payments without a reservation",
                audit.ledger_without_paid,
            ),
            ("Users whose balance is wrong", audit.wrong_balances),
            ("Places given twice", audit.duplicate_places),
        ] {
            let (class, sign) = if of > 0 {
                ("bad", "✗ ")
            } else {
                ("good", "✓ ")
            };
            table.row_of(class, &[name.to_owned(), format!("{sign}{}", count(of))]);
        }
    }
    let audits = &summary.audits;
    html! {
        @if let Some(problem) = &summary.audit_problem {
            (sentence(&format!("✗ Audit or look-up failed: {problem}")))
        }
        (table.markup())
        @if audits.count > 0 {
            (sentence(&format!(
                "Audits during the run: {}; violations in the worst: {}.",
                count(audits.count),
                count(audits.worst)
            )))
        }
        (lookup(summary))
        (unacknowledged(&summary.unacknowledged))
    }
}

/// A finding with examples below it.
fn finding(text: &str, examples: &[String]) -> Markup {
    html! {
        (sentence(text))
        @for example in examples { (sentence(example)) }
    }
}

fn lookup(summary: &Summary) -> Markup {
    let Some(lookup) = &summary.lookup else {
        return sentence("Look-up: no data.");
    };
    let sign = if lookup.missing == 0 { "✓" } else { "✗" };
    let (missing, checked) = (count(lookup.missing), count(lookup.checked));
    let text = format!("Look-up: {sign} {missing} lost of {checked} successes that clients saw.");
    finding(&text, &lookup.examples)
}

fn unacknowledged(found: &Unacknowledged) -> Markup {
    let sign = match (found.total, found.unchecked) {
        (Some(0), 0) => "✓",
        _ => "✗",
    };
    let text = format!("Unacknowledged: {sign} {}.", format::unacknowledged(found));
    finding(&text, &found.examples)
}

/// The capacity estimate beside the measurements.
pub(super) fn estimate(summary: &Summary) -> Markup {
    let columns = [words("quantity"), words("expected"), words("measured")];
    let mut table = Table::new("Estimate and reality", &columns);
    for line in &summary.estimate {
        let measured = line.measured.clone().unwrap_or_else(|| "–".to_owned());
        table.row(&[line.quantity.clone(), line.expected.clone(), measured]);
    }
    table.markup()
}

/// The comparison with an earlier run: first the changes, then the rest.
pub(super) fn baseline(baseline: &Baseline) -> Markup {
    let has_changed = |it: &&Compared| matches!(it.change, Change::Better | Change::Worse);
    let (changed, rest): (Vec<_>, Vec<_>) = baseline.compared.iter().partition(has_changed);
    html! {
        (sentence(&comparison::with(baseline)))
        @if !changed.is_empty() { (comparison_table(&changed)) }
        (sentence(&format!("{}.", comparison::rest(baseline))))
        @if !rest.is_empty() {
            details {
                summary { "Equal values, and values of too few requests" }
                (comparison_table(&rest))
            }
        }
    }
}

fn comparison_table(lines: &[&Compared]) -> Markup {
    let columns = [
        words("number"),
        words("outcome"),
        figures("before"),
        figures("now"),
        figures("change"),
    ];
    let mut table = Table::new("Beside the baseline", &columns);
    for it in lines {
        let (class, outcome) = match it.change {
            Change::Better => ("good", "✓ better"),
            Change::Worse => ("bad", "✗ worse"),
            Change::Same => ("", "the same"),
            Change::TooFew => ("", "too few"),
        };
        table.row_of(
            class,
            &[
                it.name.clone(),
                outcome.to_owned(),
                comparison::value(&it.name, it.before),
                comparison::value(&it.name, it.now),
                comparison::by(it),
            ],
        );
    }
    table.markup()
}
