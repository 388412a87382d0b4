//! One task a source: asks by the plan, sends what it learned as events, backs off while the
//! source fails. A source that hangs delays nobody but itself.

pub(crate) mod metrics;
pub(crate) mod once;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clients::ClientError;
use crate::clients::alertmanager::{Alert, AlertState, Alertmanager};
use crate::clients::loki::Loki;
use crate::clients::ops::Ops;
use crate::clients::prometheus::Prometheus;
use crate::clients::tempo::Tempo;
use crate::tui::event::Event;
use crate::tui::model::{Plan, Source};
use crate::tui::sources::board_logs;
use crate::tui::sources::clocks;
use crate::tui::sources::fetch_traces;
use crate::tui::sources::reason::reason;
use crate::tui::sources::tail;

pub(crate) use once::{again, once};

/// Pause between two rounds of metrics, log lines and the server's status.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// The same for alerts.
const EVERY_ALERTS: Duration = Duration::from_secs(2);
/// The same for the server while it is seeding, so that the progress moves.
const EVERY_SEEDING: Duration = Duration::from_millis(250);
/// All that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) prometheus: Prometheus,
    pub(crate) loki: Loki,
    pub(crate) tempo: Tempo,
    pub(crate) alertmanager: Alertmanager,
    pub(crate) ops: Ops,
}

/// Wakes sources after an action, so that its effect is seen at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nudges {
    pub(crate) ops: Arc<Notify>,
    pub(crate) alerts: Arc<Notify>,
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Starts a task for each source.
pub(crate) fn spawn(
    clients: &Clients,
    plan: &watch::Receiver<Plan>,
    nudges: &Nudges,
    events: &mpsc::Sender<Event>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(clocks::watch(clients.clone(), events.clone()));
    tasks.spawn(metrics::follow(
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
    tasks.spawn(crate::tui::sources::evidence::follow(
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
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    const CEILING: f64 = 15.0;
    /// A source that asks for more than this is asked again nevertheless.
    const LONGEST: Duration = Duration::from_secs(60);

    pub(crate) fn next(&mut self) -> Duration {
        let pause = 2f64
            .powi(i32::try_from(self.failures.min(10)).unwrap_or(10))
            .min(Self::CEILING);
        self.failures = self.failures.saturating_add(1);
        Duration::from_secs_f64(pause * rand::random_range(0.8..1.2))
    }

    /// The event that tells of the failure, and when to try again.
    pub(crate) fn down(&mut self, source: Source, error: &ClientError) -> (Event, Duration) {
        self.down_for(source, error, None)
    }

    /// The same; the source itself may have asked to be left alone for a while.
    pub(crate) fn down_for(
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
pub(crate) async fn pause<T: PartialEq>(
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
                let asked = source.source().response_meta().retry_after();
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
                let asked = source.source().response_meta().retry_after();
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
