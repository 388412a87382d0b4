//! Compares the sources: the figures of the server, of Prometheus and of the load generator, and the clocks. A
//! disagreement that lasts for some seconds is reported. Pure.

use std::collections::VecDeque;

use crate::api::ops::QueueState;
use crate::tui::connection::{Link, Source};
use crate::tui::format;
use crate::tui::model::Model;
use crate::tui::sources::checks::Check;
use crate::tui::sources::panels::{PanelId, SOLD, Unit};

/// The greatest age of a figure of Prometheus: a scrape interval and the duration of a scrape.
const SCRAPE_MS: i64 = 20_000;
/// A disagreement must last this long to be reported: a shorter one may be chance.
const LASTS_MS: i64 = 5_000;
/// The most reports of the server that are kept: four a second arrive while it is seeding.
const MAX_ANSWERS: usize = 100;
/// The greatest normal difference, as a share, of two rates that client and server measure over the same time.
const RATE_SHARE: f64 = 0.25;
/// Rates that differ by less than this, per second, count as equal.
const RATE_LEAST: f64 = 20.0;
/// The age of a rehearsal from which its rate is compared: rates are over ten seconds, so a younger one still grows.
const RATE_AFTER_MS: i64 = 15_000;
/// The smallest difference of clocks that is reported, in seconds.
const CLOCK_S: i64 = 5;

/// A disagreement that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disagreement {
    /// The compared figures. `None` for the clocks.
    pub(crate) check: Option<Check>,
    /// The complete text.
    pub(crate) text: String,
    /// The figure of the other source in short: `server 500`.
    pub(crate) short: String,
}

/// Two fresh figures of the same quantity.
pub(crate) struct Pair {
    /// Whether the difference is greater than a scrape interval explains.
    differ: bool,
    text: String,
    short: String,
}

/// Stores how far the clock of a source is ahead, in seconds; negative if it is behind.
pub(crate) fn clock(model: &mut Model, source: Source, seconds: i64) {
    model.checks.ahead.insert(source.name(), seconds);
}

/// Stores the queue figures that the server reported.
pub(crate) fn note_queue(model: &mut Model) {
    let now = model.now;
    let Some(queue) = model.status.as_ref().map(|status| status.queue) else {
        return;
    };
    note(&mut model.checks.reported, now, queue);
}

/// Adds a value and drops old ones. One value from before the window stays, because it applied when the window began.
fn note<T>(list: &mut VecDeque<(i64, T)>, now: i64, what: T) {
    list.push_back((now, what));
    while list.len() > MAX_ANSWERS || list.get(1).is_some_and(|(at, _)| *at <= now - SCRAPE_MS) {
        list.pop_front();
    }
}

/// Compares all figures. Call it after each update of a figure.
pub(crate) fn compare(model: &mut Model) {
    let now = model.now;
    let run = model.load.run.as_ref().filter(|run| run.is_under_way());
    match run.map(|run| run.progress.seats_paid) {
        Some(sold) => note(&mut model.checks.sold, now, sold),
        None => model.checks.sold.clear(),
    }
    for check in Check::ALL {
        let differ = pair(model, check).is_some_and(|pair| pair.differ);
        if differ {
            model.checks.since.entry(check).or_insert(now);
        } else {
            model.checks.since.remove(&check);
        }
    }
}

/// All disagreements, those of clocks last.
pub(crate) fn disagreements(model: &Model) -> Vec<Disagreement> {
    let lasting = |check: &Check| {
        let since = *model.checks.since.get(check)?;
        let pair = pair(model, *check)?;
        let lasts = model.now - since >= LASTS_MS;
        lasts.then(|| Disagreement {
            check: Some(*check),
            text: format!("{}, for {}", pair.text, format::span(model.now - since)),
            short: pair.short,
        })
    };
    let figures = Check::ALL.iter().filter_map(lasting);
    let far = model
        .checks
        .ahead
        .iter()
        .filter(|(_, ahead)| ahead.saturating_abs() >= CLOCK_S);
    let clocks = far.map(|(name, ahead)| {
        let by = format::span(ahead.saturating_abs().saturating_mul(1000));
        let side = if *ahead > 0 { "ahead of" } else { "behind" };
        Disagreement {
            check: None,
            text: format!("the clock of {name} is {by} {side} this machine's"),
            short: String::new(),
        }
    });
    figures.chain(clocks).collect()
}

/// The disagreement about this figure, if there is one.
pub(crate) fn about(model: &Model, check: Check) -> Option<Disagreement> {
    let all = disagreements(model);
    all.into_iter().find(|one| one.check == Some(check))
}

fn is_up(model: &Model, source: Source) -> bool {
    model.source(source).link == Link::Up
}

fn pair(model: &Model, check: Check) -> Option<Pair> {
    if !is_up(model, Source::Prometheus) {
        return None;
    }
    match check {
        Check::Waiting => queue(model, PanelId::Waiting, "waiting", |queue| queue.waiting),
        Check::Mark => queue(model, PanelId::Admitted, "the admitted mark", |queue| {
            queue.admitted_mark
        }),
        Check::Sold => sold(model),
        Check::Tps => tps(model),
    }
}

/// Prometheus's figure must lie between the least and the greatest that the server reported within a scrape interval.
fn queue(model: &Model, id: PanelId, what: &str, of: fn(&QueueState) -> u64) -> Option<Pair> {
    if !is_up(model, Source::Ops) {
        return None;
    }
    let metrics = model.metrics.get(id).current()?.value()?;
    // After the start a scrape may still show figures from before it.
    let first = model.checks.reported.front()?.0;
    let reported = || {
        model
            .checks
            .reported
            .iter()
            .map(|(_, queue)| number(of(queue)))
    };
    let (least, most) = (reported().reduce(f64::min)?, reported().reduce(f64::max)?);
    let newest = reported().next_back()?;
    let slack = 1.0 + most * 0.01;
    let (seen, own) = (Unit::Count.text(metrics), Unit::Count.text(newest));
    let known = first <= model.now - SCRAPE_MS;
    Some(Pair {
        differ: known && (metrics < least - slack || metrics > most + slack),
        text: format!("{what}: metrics say {seen}, the server {own}"),
        short: format!("server {own}"),
    })
}

/// The server must have sold at least as many seats as this rehearsal bought.
pub(crate) fn sold(model: &Model) -> Option<Pair> {
    let run = model.load.run.as_ref().filter(|run| run.is_under_way())?;
    let metrics = *model.metrics.get(PanelId::Seats).current()?.now.get(SOLD)?;
    let own = number(run.progress.seats_paid);
    // The metrics may not contain the sales of the last scrape interval yet.
    let (at, counted) = *model.checks.sold.front()?;
    let known = at <= model.now - SCRAPE_MS;
    let (seen, own) = (Unit::Count.text(metrics), Unit::Count.text(own));
    Some(Pair {
        differ: known && metrics < number(counted) - 1.0,
        text: format!("sold: metrics say {seen} in all, this rehearsal alone {own}"),
        short: format!("run {own}"),
    })
}

fn tps(model: &Model) -> Option<Pair> {
    let run = model.load.run.as_ref().filter(|run| run.is_under_way())?;
    let began = run.tps.front().map(|(at, _)| *at)?;
    if model.now - began < RATE_AFTER_MS {
        return None;
    }
    let server = model.metrics.get(PanelId::Tps).current()?.value()?;
    let own = run.tps_now();
    let (seen, sent) = (Unit::PerSecond.text(server), Unit::PerSecond.text(own));
    let apart = (server - own).abs();
    Some(Pair {
        differ: apart > RATE_LEAST && apart > RATE_SHARE * server.max(own),
        text: format!("TPS: the server counts {seen}, this rehearsal {sent}"),
        short: format!("run {sent}"),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of people and seats, far below 2^53"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
