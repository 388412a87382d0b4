//! What ends a drill at once. While the traffic runs, the stop conditions are checked against the server's own audit
//! and the answers that users got.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::file::Stop;
use super::objective::Objective;
use crate::api::ops::Audit;
use crate::clients::HttpSource;
use crate::clients::ops::Ops;
use crate::load::progress::Step;
use crate::load::{PhaseName, Progress};

/// The pause between two checks.
const EVERY: Duration = Duration::from_secs(2);
/// The longest wait for an audit. A fault may keep the server from answering; the next check asks again.
const ANSWER: Duration = Duration::from_secs(2);

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
            paid_before: None,
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
        match violated.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The traffic is over, and no condition was violated.
            Err(_) => std::future::pending().await,
        }
    }
}

struct Checks {
    stop: Stop,
    ops: Option<Ops>,
    objective: Arc<Objective>,
    progress: watch::Receiver<Progress>,
    /// Paid reservations before the sale opened. `None` if they were not counted in time: then payments are only
    /// looked up after the run.
    paid_before: Option<u64>,
}

impl Checks {
    async fn until_violated(mut self) -> Option<String> {
        let is_running = |progress: &Progress| matches!(progress.step, Step::Running(_));
        // An error means that the traffic has ended.
        drop(self.progress.wait_for(is_running).await.ok()?);
        loop {
            if let Some(reason) = self.check().await {
                return Some(reason);
            }
            tokio::time::sleep(EVERY).await;
            if self.progress.has_changed().is_err() {
                return None;
            }
        }
    }

    async fn check(&mut self) -> Option<String> {
        // Counted before the audit, so that the audit has to contain all of them.
        let acknowledged = self.objective.paid();
        let audit = match &self.ops {
            Some(ops) => ops.audit().await.ok(),
            None => None,
        };
        let is_closed = matches!(
            self.progress.borrow().step,
            Step::Running(PhaseName::Register)
        );
        if let Some(audit) = &audit
            && is_closed
        {
            self.paid_before = Some(audit.reservations_paid);
        }
        let paid = audit.as_ref().zip(self.paid_before);
        let paid = paid.map(|(audit, before)| audit.reservations_paid.saturating_sub(before));
        violation(
            self.stop,
            &Seen {
                oversold: audit.as_ref().map_or(0, |audit: &Audit| audit.oversold_seats),
                lost: paid.map_or(0, |paid| acknowledged.saturating_sub(paid)),
                failed: self.objective.failed(),
            },
        )
    }
}

/// What a check saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Seats that were sold twice.
    oversold: u64,
    /// Acknowledged payments that the database lacks.
    lost: u64,
    /// Buying requests that failed.
    failed: u64,
}

fn violation(stop: Stop, seen: &Seen) -> Option<String> {
    let Seen {
        oversold,
        lost,
        failed,
    } = *seen;
    if oversold > stop.oversold {
        let most = stop.oversold;
        return Some(format!(
            "stopped: {oversold} seats are sold twice (stop.oversold: {most})"
        ));
    }
    if lost > stop.lost {
        let most = stop.lost;
        return Some(format!(
            "stopped: {lost} acknowledged payments are not in the database (stop.lost: {most})"
        ));
    }
    let most = stop.failed.filter(|most| failed > *most)?;
    Some(format!(
        "stopped: {failed} buying requests failed (stop.buying.failed: {most})"
    ))
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
        let within = Seen {
            oversold: 1,
            lost: 2,
            failed: 3,
        };
        assert_eq!(violation(stop, &within), None);
        for (seen, name) in [
            (
                Seen {
                    oversold: 2,
                    ..within
                },
                "stop.oversold: 1",
            ),
            (Seen { lost: 3, ..within }, "stop.lost: 2"),
            (
                Seen {
                    failed: 4,
                    ..within
                },
                "stop.buying.failed: 3",
            ),
        ] {
            let reason = violation(stop, &seen).unwrap();
            assert!(reason.contains(name), "{reason}");
        }
        let many = Seen {
            failed: u64::MAX,
            ..Seen::default()
        };
        assert_eq!(violation(Stop::default(), &many), None, "not asked for");
    }
}
