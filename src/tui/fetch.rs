//! One task a source: asks by the plan, sends what it learned as events, backs off while the
//! source fails. A source that hangs delays nobody but itself.

mod once;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::board_logs;
use super::clocks;
use super::dashboard::Query;
use super::event::Event;
use super::fetch_traces;
use super::model::{Plan, Source};
use super::reason::reason;
use super::series::QueryAnswer;
use super::tail;
use super::window::Zoom;
use crate::clients::ClientError;
use crate::clients::alertmanager::{Alert, AlertState, Alertmanager};
use crate::clients::loki::Loki;
use crate::clients::ops::Ops;
use crate::clients::prometheus::{Prometheus, Series};
use crate::clients::tempo::Tempo;

pub(super) use once::{again, once};

/// Pause between two rounds of metrics, log lines and the server's status.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// The same for alerts.
const EVERY_ALERTS: Duration = Duration::from_secs(2);
/// The same for the server while it is seeding, so that the progress moves.
const EVERY_SEEDING: Duration = Duration::from_millis(250);
/// Queries under way at once.
const AT_ONCE: usize = 4;

/// All that is asked.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub(super) prometheus: Prometheus,
    pub(super) loki: Loki,
    pub(super) tempo: Tempo,
    pub(super) alertmanager: Alertmanager,
    pub(super) ops: Ops,
}

/// Wakes sources after an action, so that its effect is seen at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Nudges {
    pub(super) ops: Arc<Notify>,
    pub(super) alerts: Arc<Notify>,
}

/// Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Starts a task for each source.
pub(super) fn spawn(
    clients: &Clients,
    plan: &watch::Receiver<Plan>,
    nudges: &Nudges,
    events: &mpsc::Sender<Event>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(clocks::watch(clients.clone(), events.clone()));
    tasks.spawn(metrics(
        clients.prometheus.clone(),
        plan.clone(),
        events.clone(),
    ));
    tasks.spawn(tail::follow(
        clients.loki.clone(),
        plan.clone(),
        events.clone(),
    ));
    tasks.spawn(board_logs::follow(
        clients.loki.clone(),
        plan.clone(),
        events.clone(),
    ));
    tasks.spawn(super::evidence::follow(
        clients.prometheus.clone(),
        clients.loki.clone(),
        plan.clone(),
        events.clone(),
    ));
    tasks.spawn(fetch_traces::follow(
        clients.tempo.clone(),
        plan.clone(),
        events.clone(),
    ));
    tasks.spawn(alerts(
        clients.alertmanager.clone(),
        Arc::clone(&nudges.alerts),
        events.clone(),
    ));
    tasks.spawn(rule_alerts(
        clients.prometheus.clone(),
        plan.clone(),
        events.clone(),
    ));
    tasks.spawn(ops(
        clients.ops.clone(),
        plan.clone(),
        Arc::clone(&nudges.ops),
        events.clone(),
    ));
    tasks
}

/// Growing pauses between tries: doubled from one second to a ceiling, scattered by a fifth so
/// that several consoles do not knock together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const CEILING: f64 = 15.0;
    /// A source that asks for more than this is asked again nevertheless.
    const LONGEST: Duration = Duration::from_secs(60);

    pub(super) fn next(&mut self) -> Duration {
        let pause = 2f64
            .powi(i32::try_from(self.failures.min(10)).unwrap_or(10))
            .min(Self::CEILING);
        self.failures = self.failures.saturating_add(1);
        Duration::from_secs_f64(pause * rand::random_range(0.8..1.2))
    }

    /// The event that tells of the failure, and when to try again.
    pub(super) fn down(&mut self, source: Source, error: &ClientError) -> (Event, Duration) {
        self.down_for(source, error, None)
    }

    /// The same; the source itself may have asked to be left alone for a while.
    pub(super) fn down_for(
        &mut self,
        source: Source,
        error: &ClientError,
        asked: Option<Duration>,
    ) -> (Event, Duration) {
        let asked = asked.unwrap_or_default().min(Self::LONGEST);
        let pause = self.next().max(asked);
        let retry_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let reason = reason(source, error);
        (
            Event::Down {
                source,
                reason,
                retry_ms,
            },
            pause,
        )
    }
}

/// Waits until `until`, or until what `part` takes from the plan is no longer `was`.
pub(super) async fn pause<T: PartialEq>(
    until: Instant,
    plan: &mut watch::Receiver<Plan>,
    was: &T,
    part: impl Fn(&Plan) -> T,
) {
    tokio::select! {
        () = sleep_until(until) => {}
        _ = plan.wait_for(|plan| part(plan) != *was) => {}
    }
}

async fn metrics(source: Prometheus, mut plan: watch::Receiver<Plan>, events: mpsc::Sender<Event>) {
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
                let asked = source.source().heard().retry_after();
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
struct Wanted(BTreeSet<Query>, Zoom, Option<i64>);

impl Wanted {
    fn of(plan: &Plan) -> Wanted {
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

async fn round(
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
            let answer = source.range(&query, end - zoom.span_ms(), end, step).await;
            (query, answer)
        };
        Some(asked(new.into_iter().map(range).collect()).await?)
    } else {
        None
    };
    let instant = |query: &Query| {
        let query = Query::clone(query);
        async move {
            let answer = source.instant(&query, at).await;
            (query, answer)
        }
    };
    let now = asked(queries.iter().map(instant).collect()).await?;
    Ok(Event::Metrics { at, now, past })
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

async fn alerts(source: Alertmanager, nudge: Arc<Notify>, events: mpsc::Sender<Event>) {
    let mut backoff = Backoff::default();
    loop {
        let (event, wait) = match source.alerts().await {
            Ok(alerts) => {
                backoff = Backoff::default();
                if let Some(silences) = silences(&source, &alerts).await
                    && events.send(silences).await.is_err()
                {
                    return;
                }
                (Event::Alerts(alerts), EVERY_ALERTS)
            }
            Err(error) => {
                let asked = source.source().heard().retry_after();
                backoff.down_for(Source::Alertmanager, &error, asked)
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
        let _ = tokio::time::timeout(wait, nudge.notified()).await;
    }
}

/// What hushes these alerts, where one is hushed. A refusal hides no alert: they are told as hushed
/// by nobody known.
async fn silences(source: &Alertmanager, alerts: &[Alert]) -> Option<Event> {
    let hushed = |alert: &Alert| alert.status.state == AlertState::Suppressed;
    if !alerts.iter().any(hushed) {
        return None;
    }
    source.silences().await.ok().map(Event::Silences)
}

/// What the rules hold, while somebody looks. That the source is silent, its metrics tell.
async fn rule_alerts(
    source: Prometheus,
    mut plan: watch::Receiver<Plan>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    while plan.wait_for(|plan| plan.rules).await.is_ok() {
        let answer = source.alerts().await.map_err(|error| error.to_string());
        let wait = if answer.is_ok() {
            backoff = Backoff::default();
            EVERY_ALERTS
        } else {
            backoff.next()
        };
        if events.send(Event::RuleAlerts(answer)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

async fn ops(
    source: Ops,
    mut plan: watch::Receiver<Plan>,
    nudge: Arc<Notify>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    loop {
        let seeding = plan.borrow_and_update().seeding;
        let asked = async { Ok((source.status().await?, source.seed_progress().await?)) };
        let (event, wait) = match asked.await {
            Ok(answer) => {
                backoff = Backoff::default();
                (
                    Event::Ops(Box::new(answer)),
                    if seeding { EVERY_SEEDING } else { EVERY },
                )
            }
            Err(error) => {
                let asked = source.source().heard().retry_after();
                backoff.down_for(Source::Ops, &error, asked)
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
        let _ = tokio::time::timeout(wait, nudge.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_ceiling_and_scatter() {
        let mut backoff = Backoff::default();
        let pauses: Vec<f64> = (0..12).map(|_| backoff.next().as_secs_f64()).collect();
        assert!((0.8..=1.2).contains(&pauses[0]), "{pauses:?}");
        assert!((1.6..=2.4).contains(&pauses[1]), "{pauses:?}");
        assert!(
            pauses.iter().all(|pause| *pause <= Backoff::CEILING * 1.2),
            "{pauses:?}"
        );
        assert!(
            pauses[8..].windows(2).any(|two| two[0] != two[1]),
            "{pauses:?}"
        );
    }

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

    #[test]
    fn a_source_that_asks_for_a_pause_gets_it_but_not_for_ever() {
        let busy = ClientError::Refused {
            status: 503,
            message: String::new(),
        };
        let pause = |asked| {
            let asked = Some(Duration::from_secs(asked));
            let (event, pause) = Backoff::default().down_for(Source::Loki, &busy, asked);
            let ms = i64::try_from(pause.as_millis()).unwrap();
            assert!(matches!(event, Event::Down { retry_ms, .. } if retry_ms == ms));
            pause.as_secs_f64()
        };
        assert_eq!(pause(7), 7.0);
        assert_eq!(pause(3_600), 60.0);
        assert!(pause(0) >= 0.8, "never at once");
    }
}
