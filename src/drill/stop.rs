//! The conditions that end a drill at once. While the traffic runs, the drill checks them against the server's own
//! audit and the answers that users got.
//!
//! Only one audit runs at a time. A server finishes an audit even if the client has given up, so a second one would
//! compete with it for the database. The report says how many audits were made, and the longest time without one.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::file::Stop;
use super::objective::Objective;
use super::record::StopChecks;
use crate::clients::HttpSource;
use crate::clients::ops::Ops;
use crate::load::progress::Step;
use crate::load::{PhaseName, Progress};

/// The pause between two checks.
const EVERY: Duration = Duration::from_secs(2);
/// The time-out of an audit. A server works on one for at most 130 s, so that the drill never leaves an audit behind.
const ANSWER: Duration = Duration::from_secs(140);

/// Checks the conditions until it is dropped.
#[derive(Debug)]
pub(super) struct StopWatch {
    violated: watch::Receiver<Option<String>>,
    tally: Arc<Mutex<Option<Tally>>>,
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
        let tally = Arc::<Mutex<Option<Tally>>>::default();
        let checks = Checks {
            tally: Arc::clone(&tally),
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
            tally,
            _checking: AbortOnDropHandle::new(checking),
        }
    }

    /// The audits so far; `None` before the traffic runs.
    pub(super) fn checked(&self) -> Option<StopChecks> {
        self.tally.lock().as_ref().map(Tally::checks)
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

/// The audits of a drill.
#[derive(Debug)]
struct Tally {
    made: u64,
    failed: u64,
    /// The end of the last audit, or the beginning of the traffic.
    last: Instant,
    longest_gap: Duration,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            made: 0,
            failed: 0,
            last: Instant::now(),
            longest_gap: Duration::ZERO,
        }
    }

    fn count(&mut self, is_made: bool) {
        match is_made {
            true => {
                self.longest_gap = self.longest_gap.max(self.last.elapsed());
                self.last = Instant::now();
                self.made += 1;
            }
            false => self.failed += 1,
        }
    }

    fn checks(&self) -> StopChecks {
        let gap = self.longest_gap.max(self.last.elapsed());
        StopChecks {
            made: self.made,
            failed: self.failed,
            longest_gap: (gap.as_secs_f64() * 10.0).round() / 10.0,
        }
    }
}

struct Checks {
    tally: Arc<Mutex<Option<Tally>>>,
    stop: Stop,
    ops: Option<Ops>,
    objective: Arc<Objective>,
    progress: watch::Receiver<Progress>,
}

impl Checks {
    /// Returns the condition that is violated, or `None` when the traffic has ended.
    async fn until_violated(mut self) -> Option<String> {
        let is_running = |progress: &Progress| matches!(progress.step, Step::Running(_));
        drop(self.progress.wait_for(is_running).await.ok()?);
        *self.tally.lock() = Some(Tally::new());
        tokio::select! {
            reason = self.answers() => reason,
            reason = self.audits() => reason,
        }
    }

    /// Checks the answers that users got.
    async fn answers(&self) -> Option<String> {
        loop {
            let reason = too_many_failed(self.stop, self.objective.failed());
            if reason.is_some() || !self.goes_on().await {
                return reason;
            }
        }
    }

    /// Checks the audits of the database.
    async fn audits(&self) -> Option<String> {
        let Some(ops) = &self.ops else {
            // `answers` continues without the audits.
            return std::future::pending().await;
        };
        // Payments that the database held before the sale opened. If no audit ran before, lost payments are found only
        // after the run.
        let mut paid_before = None;
        loop {
            // Read before the audit, so that the audit must contain all of these payments.
            let acknowledged = self.objective.paid();
            let audit = ops.audit().await;
            if let Some(tally) = &mut *self.tally.lock() {
                tally.count(audit.is_ok());
            }
            if let Ok(audit) = audit {
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

    /// Waits for the next check. Returns whether the traffic still runs.
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::api::ops::Audit;
    use crate::drill::file::Hypothesis;

    /// Starts a server that works on each audit for `work`, also for a client that has given up. Returns its URL and
    /// the greatest number of audits at a time.
    async fn slow_audits(work: Duration) -> (String, Arc<AtomicUsize>) {
        let (most, under_way) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let greatest = Arc::clone(&most);
        let audit = move || {
            let (greatest, under_way) = (Arc::clone(&greatest), Arc::clone(&under_way));
            let work = tokio::spawn(async move {
                let now = under_way.fetch_add(1, Ordering::Relaxed) + 1;
                greatest.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(work).await;
                under_way.fetch_sub(1, Ordering::Relaxed);
            });
            async move {
                drop(work.await);
                axum::Json(Audit::default())
            }
        };
        let router = axum::Router::new().route("/ops/v1/audit", axum::routing::get(audit));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, most)
    }

    #[tokio::test(start_paused = true)]
    async fn audits_that_take_long_run_one_at_a_time_and_the_gap_is_reported() {
        let (url, most) = slow_audits(Duration::from_secs(15)).await;
        let objective = Arc::new(Objective::new(Hypothesis::default(), 0));
        let (progress, running) = watch::channel(Progress {
            step: Step::Running(PhaseName::Open),
            ..Progress::default()
        });
        let watch = StopWatch::start(Stop::default(), &url, objective, running);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let checks = watch.checked().unwrap();
        assert_eq!(most.load(Ordering::Relaxed), 1, "{checks:?}");
        assert_eq!((checks.made, checks.failed), (3, 0), "{checks:?}");
        assert!((17.0..18.0).contains(&checks.longest_gap), "{checks:?}");
        drop(progress);
    }

    #[tokio::test(start_paused = true)]
    async fn audits_that_could_not_be_made_are_counted() {
        let objective = Arc::new(Objective::new(Hypothesis::default(), 0));
        let (progress, running) = watch::channel(Progress {
            step: Step::Running(PhaseName::Open),
            ..Progress::default()
        });
        // No process listens on port 1.
        let watch = StopWatch::start(Stop::default(), "http://127.0.0.1:1", objective, running);
        tokio::time::sleep(Duration::from_secs(9)).await;
        let checks = watch.checked().unwrap();
        assert!(checks.made == 0 && checks.failed >= 4, "{checks:?}");
        assert!((9.0..10.0).contains(&checks.longest_gap), "{checks:?}");
        drop(progress);
    }

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
