//! The top of the page: the verdict, and the key figures.

use std::time::Instant;

use maud::{Markup, html};

use super::markup::{NO_DATA, esc};
use crate::load::judge::Verdict;
use crate::load::model::{Class, Operation};
use crate::load::plan::number;
use crate::load::recorder::BUYERS;
use crate::load::report::format::{ending, instant, millis, trimmed};
use crate::load::summary::Summary;

/// The page's title.
pub(super) fn title(summary: &Summary) -> String {
    format!("{}: {}", summary.scenario, summary.verdict.as_str())
}

/// The verdict, the scenario, the time, and the reasons against "passed".
pub(super) fn verdict(summary: &Summary) -> Markup {
    let (class, sign, word) = match summary.verdict {
        Verdict::Passed => ("good", "✓", "Passed"),
        Verdict::Failed => ("bad", "✗", "Failed"),
        Verdict::Inconclusive => ("unsure", "?", "Inconclusive"),
    };
    let mut parts = vec![
        instant(&summary.started_at),
        format!("{:.1} s", summary.elapsed_seconds),
        ending(summary.ending).to_owned(),
    ];
    if let Some(phase) = summary.phase {
        parts.insert(0, format!("phase {phase} alone"));
    }
    if !summary.shards.is_empty() {
        parts.push(format!("parts {}", summary.shards.join(", ")));
    }
    let load_reduced = "An operator paused it, slowed it down or cut a phase short: it asked less of the server than \
                        the scenario says.";
    let reasons = summary.reasons.iter().map(String::as_str);
    let reasons: Vec<&str> = reasons
        .chain(summary.load_reduced.then_some(load_reduced))
        .collect();
    html! {
        header class={ "verdict " (class) } {
            h1 {
                span class="sign" aria-hidden="true" { (sign) }
                " "
                span id="verdict" { (word) }
            }
            p class="scenario" {
                strong { (esc(&summary.scenario)) }
                " "
                (esc(&summary.settings.title))
            }
            p { (esc(&parts.join(" · "))) }
            @if !reasons.is_empty() {
                ul class="reasons" {
                    @for reason in reasons { li { (esc(reason)) } }
                }
            }
        }
    }
}

/// A number in a box. `bad` marks a number that should be 0 and is not.
struct Key {
    name: &'static str,
    value: Option<String>,
    note: String,
    bad: bool,
}

impl Key {
    fn new(name: &'static str, value: Option<String>, note: impl Into<String>) -> Key {
        Key {
            name,
            value,
            note: note.into(),
            bad: false,
        }
    }

    /// A count that should be 0.
    fn none(name: &'static str, count: Option<u64>, note: impl Into<String>) -> Key {
        Key {
            bad: count.is_some_and(|count| count > 0),
            ..Key::new(name, count.map(count_of), note)
        }
    }
}

fn count_of(count: u64) -> String {
    number(count as f64)
}

/// The key figures.
pub(super) fn key_figures(summary: &Summary) -> Markup {
    html! {
        dl class="keys" {
            @for key in all(summary) {
                div class=(if key.bad { "bad" } else { "" }) {
                    dt { (key.name) }
                    dd class="value" {
                        @if key.bad { "✗ " }
                        (esc(key.value.as_deref().unwrap_or(NO_DATA)))
                    }
                    dd class="aside" { (esc(&key.note)) }
                }
            }
        }
    }
}

fn all(summary: &Summary) -> Vec<Key> {
    let sum = |of: fn(&crate::load::summary::OperationSummary) -> u64| -> u64 {
        summary.operations.iter().map(of).sum()
    };
    let (requests, errors) = (sum(|row| row.count), sum(|row| row.errors));
    let audit = summary.audit.as_ref();
    let fairness = &summary.fairness;
    let lookup = summary.lookup.as_ref();
    let share = 100.0 * errors as f64 / requests.max(1) as f64;
    let checked = lookup.map_or(0, |it| it.checked);
    let failed = &summary.unacknowledged;
    vec![
        Key::new(
            "Users",
            Some(count_of(summary.settings.everybody())),
            paid(summary),
        ),
        rate(summary, requests),
        Key::new(
            "p95 outside the queue",
            p95(summary).map(millis),
            "from the instant it was due",
        ),
        Key::none(
            "Errors",
            (requests > 0).then_some(errors),
            format!("{} % of {} requests", trimmed(share), count_of(requests)),
        ),
        Key::new(
            "Seats sold",
            audit.map(|it| count_of(it.seats_sold)),
            format!("of {}", count_of(summary.dataset.on_sale_seats)),
        ),
        Key::none(
            "Oversold",
            audit.map(|it| it.oversold_seats),
            "seats with two owners",
        ),
        Key::none(
            "Inversions",
            (fairness.checks > 0).then_some(fairness.inversions),
            format!("in {} answers of the queue", count_of(fairness.checks)),
        ),
        Key::none(
            "Lost",
            lookup.map(|it| it.missing),
            format!("of {} successes that clients saw", count_of(checked)),
        ),
        Key::none(
            "Unacknowledged",
            failed.total,
            format!(
                "done, of {} writes that failed for the client",
                count_of(failed.checked)
            ),
        ),
    ]
}

fn paid(summary: &Summary) -> String {
    let paid = summary.users.get("paid").copied().unwrap_or(0);
    format!("{} paid", count_of(paid))
}

fn rate(summary: &Summary, requests: u64) -> Key {
    let points = summary.timeline.points.iter().map(|it| it.tps);
    let peak = points.filter(|it| it.is_finite()).reduce(f64::max);
    let mean = match summary.elapsed_seconds > 0.0 {
        true => number(requests as f64 / summary.elapsed_seconds),
        false => "–".to_owned(),
    };
    Key::new("Peak requests/s", peak.map(number), format!("mean {mean}"))
}

/// The p95 of the buyers' successes outside the queue, over the whole run.
fn p95(summary: &Summary) -> Option<f64> {
    let frame = summary.histograms.frame(Instant::now()).ok()?;
    let outside = Operation::ALL.iter().copied();
    let outside: Vec<Operation> = outside.filter(|it| !it.is_queue()).collect();
    let cell = frame.total(BUYERS, &outside, Class::Ok)?;
    (!cell.latency.is_empty()).then(|| cell.latency.value_at_quantile(0.95) as f64 / 1e3)
}
