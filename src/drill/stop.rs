//! What ends a drill at once. While the traffic runs, the stop conditions are checked against the server's own audit
//! and the answers that users got.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::file::Stop;
use super::objective::Objective;
use crate::clients::HttpSource;
use crate::clients::ops::Ops;
use crate::load::progress::Step;
use crate::load::{PhaseName, Progress};

/// The pause between two checks.
const EVERY: Duration = Duration::from_secs(2);
/// The longest wait for an audit. A fault may keep the server from answering: few requests then wait there.
const ANSWER: Duration = Duration::from_secs(10);

/// Checks the conditions until it is dropped.
#[derive(Debug)]
pub(super) struct StopWatch {
    violated: watch::Receiver<Option<String>>,
    _checking: AbortOnDropHandle<()>,
}

impl StopWatch {
    /// Checks the server at `ops_url`, whose traffic has this `progress`.
    pub(super) fn start(
        stop: Stop,
        ops_url: &str,
        objective: Arc<Objective>,
        progress: watch::Receiver<Progress>,
    ) -> StopWatch {
        let (sender, violated) = watch::channel(None);
        let source = HttpSource::new(ops_url);
        let ops = source.map(|source| Ops::new(source.with_timeout(ANSWER), None));
        let checks = Checks {
            stop,
            ops: ops.ok(),
            objective,
            progress,
        };
        let checking = tokio::spawn(async move {
            if let Some(reason) = checks.until_violated().await {
                sender.send_replace(Some(reason));
            }
        });
        StopWatch {
            violated,
            _checking: AbortOnDropHandle::new(checking),
        }
    }

    /// The condition that was violated, if one was.
    pub(super) fn reason(&self) -> Option<String> {
        self.violated.borrow().clone()
    }

    /// Waits until a condition is violated, and returns it.
    pub(super) async fn violated(&self) -> String {
        let mut violated = self.violated.clone();
        let reason = violated.wait_for(Option::is_some).await.ok();
        match reason.and_then(|reason| reason.clone()) {
            Some(reason) => reason,
            // The traffic is over, and no condition was violated.
            None => std::future::pending().await,
        }
    }
}

struct Checks {
    stop: Stop,
    ops: Option<Ops>,
    objective: Arc<Objective>,
    progress: watch::Receiver<Progress>,
}

impl Checks {
    /// The condition that is violated, or `None` when the traffic has ended.
    async fn until_violated(mut self) -> Option<String> {
        let is_running = |progress: &Progress| matches!(progress.step, Step::Running(_));
        drop(self.progress.wait_for(is_running).await.ok()?);
        tokio::select! {
            reason = self.answers() => reason,
            reason = self.audits() => reason,
        }
    }

    /// Counts what users got.
    async fn answers(&self) -> Option<String> {
        loop {
            let reason = too_many_failed(self.stop, self.objective.failed());
            if reason.is_some() || !self.goes_on().await {
                return reason;
            }
        }
    }

    /// Counts what the database has.
    async fn audits(&self) -> Option<String> {
        let ops = self.ops.as_ref()?;
        // Of other buyers. If they were not counted before the sale opened, payments are only looked up after the run.
        let mut paid_before = None;
        loop {
            // Counted before the audit, so that the audit has to contain all of them.
            let acknowledged = self.objective.paid();
            if let Ok(audit) = ops.audit().await {
                if self.is_closed() {
                    paid_before = Some(audit.reservations_paid);
                }
                let paid = paid_before.map(|before| audit.reservations_paid.saturating_sub(before));
                let lost = paid.map_or(0, |paid| acknowledged.saturating_sub(paid));
                let reason = broken(self.stop, audit.oversold_seats, lost);
                if reason.is_some() {
                    return reason;
                }
            }
            if !self.goes_on().await {
                return None;
            }
        }
    }

    fn is_closed(&self) -> bool {
        matches!(
            self.progress.borrow().step,
            Step::Running(PhaseName::Register)
        )
    }

    /// Waits for the next check; whether there is one.
    async fn goes_on(&self) -> bool {
        tokio::time::sleep(EVERY).await;
        self.progress.has_changed().is_ok()
    }
}

/// The condition that `failed` buying requests violate.
fn too_many_failed(stop: Stop, failed: u64) -> Option<String> {
    let most = stop.failed.filter(|most| failed > *most)?;
    Some(format!(
        "stopped: {failed} buying requests failed (stop.buying.failed: {most})"
    ))
}

/// The condition that `oversold` seats and `lost` payments violate.
fn broken(stop: Stop, oversold: u64, lost: u64) -> Option<String> {
    if oversold > stop.oversold {
        let most = stop.oversold;
        return Some(format!(
            "stopped: {oversold} seats are sold twice (stop.oversold: {most})"
        ));
    }
    let most = stop.lost;
    (lost > most).then(|| {
        format!("stopped: {lost} acknowledged payments are not in the database (stop.lost: {most})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_violated_above_its_limit_and_is_named() {
        let stop = Stop {
            oversold: 1,
            lost: 2,
            failed: Some(3),
        };
        assert_eq!(broken(stop, 1, 2), None);
        assert_eq!(too_many_failed(stop, 3), None);
        for (reason, name) in [
            (broken(stop, 2, 0), "stop.oversold: 1"),
            (broken(stop, 0, 3), "stop.lost: 2"),
            (too_many_failed(stop, 4), "stop.buying.failed: 3"),
        ] {
            let reason = reason.unwrap();
            assert!(reason.contains(name), "{reason}");
        }
        let unlimited = too_many_failed(Stop::default(), u64::MAX);
        assert_eq!(unlimited, None, "no number was given");
    }
}
