//! Finds the traces of a list.
//!
//! A source cannot sort: it gives about the newest traces, up to a limit. The slowest ones are found by the minimum
//! duration of a search: a full answer may leave out slower traces, so the minimum is raised until an answer is not
//! full. That answer contains all traces from its minimum on.

use std::collections::BTreeMap;

use crate::clients::ClientError;
use crate::clients::tempo::{FoundTrace, Tempo, TraceSearch};
use crate::tui::event::Event;
use crate::tui::screens::traces::{Asked, Coverage, LIMIT, Order, SPAN_S};
use crate::tui::sources::clients::now_ms;
use crate::tui::sources::traces::CLOCK_SKEW_S;

/// The most searches of a round for the slowest traces.
const SEARCHES: usize = 10;
/// The number of proven slowest traces that is enough.
const ENOUGH: usize = LIMIT / 4;
/// The factor by which the minimum duration is raised and lowered while no bound is known.
const STEP: u64 = 4;

/// Fetches lists, and remembers the minimum durations between which the last search for the slowest ended.
#[derive(Debug, Default)]
pub(crate) struct Lister {
    asked: Asked,
    /// The minimum duration whose answer was not full.
    floor_ms: u64,
    /// The minimum duration whose answer was full.
    full_ms: Option<u64>,
}

/// The minimum durations that were tried in a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    /// The highest whose answer was full.
    full: Option<u64>,
    /// The lowest whose answer was not full, and the number of traces in it.
    fits: Option<(u64, usize)>,
}

pub(crate) fn search(asked: Asked, limit: usize) -> TraceSearch {
    let now = now_ms() / 1000;
    let seconds = |at: i64| u64::try_from(at).unwrap_or_default();
    TraceSearch {
        failed: asked.order == Order::Failed,
        min_ms: Some(asked.min_ms).filter(|ms| *ms > 0),
        window: Some((seconds(now - SPAN_S), seconds(now + CLOCK_SKEW_S))),
        limit,
        ..TraceSearch::default()
    }
}

impl Lister {
    pub(crate) async fn list(
        &mut self,
        source: &Tempo,
        asked: Asked,
    ) -> Result<Event, ClientError> {
        let mut search = search(asked, LIMIT);
        let (mut found, coverage) = match asked.order {
            Order::Slowest => self.slowest(source, asked, &mut search).await?,
            Order::Failed | Order::Newest => {
                let found = source.search(&search).await?;
                let coverage = match found.is_whole && found.traces.len() < LIMIT {
                    true => Coverage::All,
                    false => Coverage::Part,
                };
                (found.traces, coverage)
            }
        };
        asked.order.arrange(&mut found);
        mark_failed(source, search, &mut found).await?;
        Ok(Event::Traces {
            asked,
            found,
            coverage,
        })
    }

    async fn slowest(
        &mut self,
        source: &Tempo,
        asked: Asked,
        search: &mut TraceSearch,
    ) -> Result<(Vec<FoundTrace>, Coverage), ClientError> {
        if self.asked != asked {
            *self = Lister {
                asked,
                floor_ms: asked.min_ms,
                full_ms: None,
            };
        }
        let mut was_full = self.full_ms.take();
        let mut bounds = Bounds::default();
        let mut all = BTreeMap::new();
        let mut is_whole = true;
        let mut next = Some(self.floor_ms);
        for _ in 0..SEARCHES {
            let Some(floor) = next else {
                break;
            };
            self.floor_ms = floor;
            search.min_ms = Some(floor).filter(|ms| *ms > 0);
            let found = source.search(search).await?;
            let median = bounds.take(floor, &found.traces);
            if found.traces.len() < LIMIT {
                is_whole = found.is_whole;
            }
            all.extend(found.traces.into_iter().map(|it| (it.id.clone(), it)));
            next = bounds.next(asked.min_ms, median, was_full.take());
        }
        let coverage = match bounds.fits {
            Some((floor, _)) if is_whole && floor <= asked.min_ms => Coverage::All,
            Some((floor, _)) if is_whole => Coverage::From(floor),
            _ => Coverage::Part,
        };
        if let Some((floor, _)) = bounds.fits {
            self.floor_ms = floor;
            self.full_ms = bounds.full;
        }
        Ok((all.into_values().collect(), coverage))
    }
}

impl Bounds {
    /// Notes the answer of a search with the minimum `floor`; returns the median of the durations.
    fn take(&mut self, floor: u64, found: &[FoundTrace]) -> u64 {
        if found.len() >= LIMIT {
            self.full = Some(floor);
        } else {
            self.fits = Some((floor, found.len()));
        }
        let mut durations: Vec<u64> = found.iter().map(|it| it.duration_ms).collect();
        durations.sort_unstable();
        durations.get(durations.len() / 2).copied().unwrap_or(floor)
    }

    /// The minimum of the next search, if it can improve the result. `was_full` gave a full answer in the last round.
    fn next(self, min_ms: u64, median: u64, was_full: Option<u64>) -> Option<u64> {
        match (self.full, self.fits) {
            (_, Some((fits, count))) if fits <= min_ms || count >= ENOUGH => None,
            (Some(full), Some((fits, _))) if fits - full <= 1 => None,
            // Durations differ by factors, so the geometric mean halves the interval.
            (Some(full), Some((fits, _))) => {
                let middle = full.max(1).saturating_mul(fits).isqrt();
                Some(middle.clamp(full + 1, fits - 1))
            }
            (None, Some((fits, _))) => {
                let lower = was_full.filter(|full| *full < fits);
                Some(lower.unwrap_or(fits / STEP).max(min_ms))
            }
            (full, None) => {
                let full = full.unwrap_or(min_ms);
                let higher = full.saturating_mul(STEP).max(median);
                Some(higher.max(full.saturating_add(1)))
            }
        }
    }
}

/// Marks the traces with failed spans if the source does not report them itself.
async fn mark_failed(
    source: &Tempo,
    mut search: TraceSearch,
    found: &mut [FoundTrace],
) -> Result<(), ClientError> {
    let fastest = found.iter().map(|it| it.duration_ms).min();
    let Some(fastest) = fastest.filter(|_| found.iter().any(|it| it.errors.is_none())) else {
        return Ok(());
    };
    search.failed = true;
    search.min_ms = Some(fastest).filter(|ms| *ms > 0);
    let failed = match source.search(&search).await {
        Ok(failed) => failed,
        // The list is useful without the marks.
        Err(ClientError::Refused {
            status: 400..=499, ..
        }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let is_all = failed.is_whole && failed.traces.len() < LIMIT;
    let errors: BTreeMap<String, Option<u64>> = failed
        .traces
        .into_iter()
        .map(|it| (it.id, it.errors))
        .collect();
    for trace in found.iter_mut().filter(|it| it.errors.is_none()) {
        trace.errors = match errors.get(&trace.id) {
            Some(errors) => *errors,
            None if is_all => Some(0),
            None => None,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
