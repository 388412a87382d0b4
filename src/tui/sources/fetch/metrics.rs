//! Metrics: values now each second, and the past of what was not asked before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clients::ClientError;
use crate::clients::prometheus::{Labels, Prometheus, Series};
use crate::tui::dashboard::{LabelQuery, Query};
use crate::tui::event::Event;
use crate::tui::model::{Plan, Source};
use crate::tui::sources::fetch::{Backoff, EVERY, now_ms, pause};
use crate::tui::sources::series::QueryAnswer;
use crate::tui::window::Zoom;

/// How far back labels are looked for: an hour, as the longest chart.
const LABELS_SPAN_MS: i64 = 3_600_000;
/// Most names or values of labels taken from an answer.
const MAX_LABELS: usize = 1_000;
/// Queries under way at once.
const AT_ONCE: usize = 4;

pub(crate) async fn follow(
    source: Prometheus,
    mut plan: watch::Receiver<Plan>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    // For which plan the past was fetched; the source may have gaps of ours after a failure.
    let mut past_of: Option<Wanted> = None;
    loop {
        let started = Instant::now();
        let wanted = Wanted::of(&plan.borrow_and_update());
        match round(&source, &wanted, past_of.as_ref()).await {
            Ok(event) => {
                backoff = Backoff::default();
                // What nobody wants any more by now is dropped: its past will be missing.
                past_of = Some(wanted.still(&plan.borrow().queries));
                if events.send(event).await.is_err() {
                    return;
                }
                let every = every(wanted.0.len());
                pause(started + every, &mut plan, &wanted, Wanted::of).await;
            }
            Err(error) => {
                past_of = None;
                let asked = source.source().response_meta().retry_after();
                let (event, wait) = backoff.down_for(Source::Prometheus, &error, asked);
                if events.send(event).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Screens that ask much ask less often, but often enough that the charts have no gaps.
fn every(queries: usize) -> Duration {
    let rounds = u32::try_from(1 + queries / 16).unwrap_or(u32::MAX);
    EVERY * rounds.min(4)
}

/// What of the plan the metrics follow.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted(BTreeSet<Query>, Zoom, Option<i64>);

impl Wanted {
    pub(crate) fn of(plan: &Plan) -> Wanted {
        Wanted(plan.queries.clone(), plan.zoom, plan.end)
    }

    /// Without what is no longer among `queries`.
    fn still(&self, queries: &BTreeSet<Query>) -> Wanted {
        let queries = self.0.intersection(queries).cloned().collect();
        Wanted(queries, self.1, self.2)
    }

    /// Of which queries the past is missing, if it was fetched for those of `before`.
    fn without_past(&self, before: Option<&Wanted>) -> Vec<Query> {
        let known = before.filter(|before| (before.1, before.2) == (self.1, self.2));
        let missing = |query: &&Query| known.is_none_or(|known| !known.0.contains(*query));
        self.0.iter().filter(missing).cloned().collect()
    }
}

/// Values now of all that is wanted, and the past where it is missing.
pub(crate) async fn round(
    source: &Prometheus,
    wanted: &Wanted,
    past_of: Option<&Wanted>,
) -> Result<Event, ClientError> {
    let Wanted(queries, zoom, still) = wanted;
    let at = now_ms();
    let new = wanted.without_past(past_of);
    let past = if !new.is_empty() {
        let step = zoom.step_ms();
        // Whole steps: the points of two fetches fall on the same times.
        let end = still.map_or(at, |end| end.min(at).saturating_add(step));
        let end = end - end.rem_euclid(step);
        let range = |query: Query| async move {
            let answer = match LabelQuery::of(&query) {
                // What labels there are has no past.
                Some(_) => Ok(Vec::new()),
                None => source.range(&query, end - zoom.span_ms(), end, step).await,
            };
            (query, answer)
        };
        Some(asked(new.into_iter().map(range).collect()).await?)
    } else {
        None
    };
    let instant = |query: &Query| {
        let query = Query::clone(query);
        async move {
            let answer = match LabelQuery::of(&query) {
                Some(asked) => labels(source, asked, at).await,
                None => source.instant(&query, at).await,
            };
            (query, answer)
        }
    };
    let now = asked(queries.iter().map(instant).collect()).await?;
    Ok(Event::Metrics { at, now, past })
}

/// Names or values of labels, as series that have them.
async fn labels(
    source: &Prometheus,
    asked: LabelQuery<'_>,
    at: i64,
) -> Result<Vec<Series>, ClientError> {
    let since = at - LABELS_SPAN_MS;
    let (label, texts) = match asked {
        LabelQuery::Names => ("label", source.label_names(since, at).await?),
        LabelQuery::Values(label) => (label, source.label_values(label, since, at).await?),
    };
    let series = texts.into_iter().take(MAX_LABELS).map(|text| Series {
        labels: Labels::from([(label.to_owned(), text)]),
        points: vec![(at, 1.0)],
    });
    Ok(series.collect())
}

/// A few at once. A source that cannot be reached fails as a whole; one that refuses a query has
/// answered, unless it refuses all of them.
async fn asked<F>(queries: Vec<F>) -> Result<BTreeMap<Query, QueryAnswer>, ClientError>
where
    F: Future<Output = (Query, Result<Vec<Series>, ClientError>)>,
{
    let mut answers = BTreeMap::new();
    let mut refused = None;
    let mut stream = stream::iter(queries).buffer_unordered(AT_ONCE);
    while let Some((query, answer)) = stream.next().await {
        let answer = match answer {
            Ok(series) => Ok(series),
            // A wrong query; the other refusals are of who asks or how often.
            Err(
                error @ (ClientError::Refused {
                    status: 400 | 404..=428 | 430..=499,
                    ..
                }
                | ClientError::Malformed(_)
                | ClientError::TooLarge),
            ) => {
                let reason = error.to_string();
                refused = Some(error);
                Err(reason)
            }
            Err(error) => return Err(error),
        };
        answers.insert(query, answer);
    }
    match refused {
        Some(error) if answers.values().all(Result::is_err) => Err(error),
        _ => Ok(answers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_fetched_of_what_is_new_and_of_all_for_another_time() {
        let wanted = |queries: &[&str], end| {
            let queries = queries.iter().map(|query| Query::from(*query)).collect();
            Wanted(queries, Zoom::default(), end)
        };
        let missing = |now: &Wanted, before: Option<&Wanted>| -> Vec<String> {
            let missing = now.without_past(before);
            missing.iter().map(ToString::to_string).collect()
        };
        let (before, now) = (wanted(&["a", "b"], None), wanted(&["b", "c"], None));
        assert_eq!(missing(&now, None), ["b", "c"]);
        assert_eq!(missing(&now, Some(&before)), ["c"]);
        assert_eq!(missing(&wanted(&["a"], Some(7)), Some(&before)), ["a"]);
        // It was dropped while the answer was on its way.
        assert_eq!(missing(&before, Some(&before.still(&now.0))), ["a"]);
    }

    #[tokio::test]
    async fn no_more_queries_are_under_way_than_a_source_is_to_bear() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = |n: usize| {
            let (under_way, most) = (&under_way, &most);
            async move {
                most.fetch_max(
                    1 + under_way.fetch_add(1, Ordering::SeqCst),
                    Ordering::SeqCst,
                );
                tokio::task::yield_now().await;
                under_way.fetch_sub(1, Ordering::SeqCst);
                (Query::from(n.to_string()), Ok(Vec::new()))
            }
        };
        let answers = asked((0..50).map(one).collect()).await.unwrap();
        assert_eq!((answers.len(), most.into_inner()), (50, AT_ONCE));
    }
}
