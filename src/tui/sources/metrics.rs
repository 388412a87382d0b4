//! Polls metrics: current values each second, and the past of new queries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;

use crate::clients::ClientError;
use crate::clients::loki::Loki;
use crate::clients::prometheus::{Labels, Prometheus, Series};
use crate::tui::dashboard::panel::{LabelQuery, Query, line_count};
use crate::tui::event::Event;
use crate::tui::sources::clients::{Clients, EVERY, now_ms};
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;
use crate::tui::sources::series::QueryAnswer;
use crate::tui::zoom::Zoom;

/// Labels are searched in the last hour, the span of the longest chart.
const LABELS_SPAN_MS: i64 = 3_600_000;
/// The most names or values of labels that are taken from an answer.
const MAX_LABELS: usize = 1_000;
/// The most concurrent queries.
const AT_ONCE: usize = 4;

pub(crate) struct Metrics {
    prometheus: Prometheus,
    /// The source for the metric queries of boards that are LogQL.
    loki: Loki,
    plan: watch::Receiver<Plan>,
    /// The plan for which the past was fetched; `None` after a failure, which may have left a gap.
    past_of: Option<Wanted>,
}

impl Metrics {
    pub(crate) fn new(clients: &Clients, plan: &watch::Receiver<Plan>) -> Metrics {
        Metrics {
            prometheus: clients.prometheus.clone(),
            loki: clients.loki.clone(),
            plan: plan.clone(),
            past_of: None,
        }
    }
}

impl Poll for Metrics {
    type Wanted = Wanted;

    fn wanted(&self, plan: &Plan) -> Option<Wanted> {
        Some(Wanted(plan.queries.clone(), plan.zoom, plan.end))
    }

    async fn ask(&mut self, wanted: &Wanted) -> Answer {
        let past_of = self.past_of.take();
        let event = self.round(wanted, past_of.as_ref()).await?;
        // The model dropped the answers that the plan no longer wants, so their past must be fetched again.
        self.past_of = Some(wanted.still(&self.plan.borrow().queries));
        Ok((vec![event], every(wanted.0.len())))
    }
}

/// The interval of polls: longer for many queries, but short enough that charts have no gaps.
fn every(queries: usize) -> Duration {
    let rounds = u32::try_from(1 + queries / 16).unwrap_or(u32::MAX);
    EVERY * rounds.min(4)
}

/// The queries, the zoom, and the time at which the charts are frozen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted(BTreeSet<Query>, Zoom, Option<i64>);

impl Wanted {
    /// The same, without queries that are not among `queries`.
    fn still(&self, queries: &BTreeSet<Query>) -> Wanted {
        let queries = self.0.intersection(queries).cloned().collect();
        Wanted(queries, self.1, self.2)
    }

    /// The queries whose past is missing, if the past was fetched for `before`.
    fn without_past(&self, before: Option<&Wanted>) -> Vec<Query> {
        let known = before.filter(|before| (before.1, before.2) == (self.1, self.2));
        let missing = |query: &&Query| known.is_none_or(|known| !known.0.contains(*query));
        self.0.iter().filter(missing).cloned().collect()
    }
}

impl Metrics {
    /// Fetches the current values of all wanted queries, and the past that is missing.
    async fn round(&self, wanted: &Wanted, past_of: Option<&Wanted>) -> Result<Event, ClientError> {
        let Wanted(queries, zoom, still) = wanted;
        let at = now_ms();
        let new = wanted.without_past(past_of);
        let past = if !new.is_empty() {
            let step = zoom.step_ms();
            // Whole steps, so that the points of all requests have the same times.
            let end = still.map_or(at, |end| end.min(at).saturating_add(step));
            let end = end - end.rem_euclid(step);
            let times = (end - zoom.span_ms(), end, step);
            let range = |query: Query| async move {
                let answer = self.range(&query, times).await;
                (query, answer)
            };
            Some(asked(new.into_iter().map(range).collect()).await?)
        } else {
            None
        };
        let instant = |query: &Query| {
            let query = Query::clone(query);
            async move {
                let answer = self.instant(&query, at).await;
                (query, answer)
            }
        };
        let now = asked(queries.iter().map(instant).collect()).await?;
        Ok(Event::Metrics { at, now, past })
    }

    async fn range(
        &self,
        query: &str,
        (start, end, step): (i64, i64, i64),
    ) -> Result<QueryAnswer, ClientError> {
        if LabelQuery::of(query).is_some() {
            return Ok(Ok(Vec::new())); // Names of labels have no past.
        }
        match line_count(query) {
            Some(logql) => of_loki(self.loki.range(logql, (start, end, step)).await),
            None => self.prometheus.range(query, start, end, step).await.map(Ok),
        }
    }

    async fn instant(&self, query: &str, at: i64) -> Result<QueryAnswer, ClientError> {
        if let Some(asked) = LabelQuery::of(query) {
            return labels(&self.prometheus, asked, at).await.map(Ok);
        }
        match line_count(query) {
            Some(logql) => of_loki(self.loki.instant(logql, at).await),
            None => self.prometheus.instant(query, at).await.map(Ok),
        }
    }
}

/// Turns a failure of Loki into a refused query: it concerns Loki's panels only and must not fail the round of
/// Prometheus.
fn of_loki(answer: Result<Vec<Series>, ClientError>) -> Result<QueryAnswer, ClientError> {
    Ok(answer.map_err(|error| format!("Loki: {error}")))
}

/// Fetches names or values of labels, as series with these labels.
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

/// Runs [`AT_ONCE`] queries at a time. A source that cannot be reached fails the round. A refused query counts as an
/// answer, unless the source refuses all queries.
async fn asked<F>(queries: Vec<F>) -> Result<BTreeMap<Query, QueryAnswer>, ClientError>
where
    F: Future<Output = (Query, Result<QueryAnswer, ClientError>)>,
{
    let mut answers = BTreeMap::new();
    let mut refused = None;
    let mut stream = stream::iter(queries).buffer_unordered(AT_ONCE);
    while let Some((query, answer)) = stream.next().await {
        let answer = match answer {
            Ok(answer) => answer,
            // These statuses mean a wrong query; other refusals concern credentials or rates.
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
    fn the_past_is_fetched_for_new_queries_and_for_all_after_a_change_of_time() {
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
        // The model dropped its answer during the request.
        assert_eq!(missing(&before, Some(&before.still(&now.0))), ["a"]);
    }

    #[tokio::test]
    async fn the_number_of_concurrent_queries_is_bounded() {
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
                (Query::from(n.to_string()), Ok(Ok(Vec::new())))
            }
        };
        let answers = asked((0..50).map(one).collect()).await.unwrap();
        assert_eq!((answers.len(), most.into_inner()), (50, AT_ONCE));
    }
}
