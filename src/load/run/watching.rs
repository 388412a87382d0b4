//! What is watched while a run is under way: the server's queue, the pace, and its silence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::api::ops::{Audit, QueueState};
use crate::load::ops::Ops;

const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Between the end of an audit and the next: it reads much, and must not be a load of its own.
const AUDIT_EVERY: Duration = Duration::from_secs(5);
/// Of more news than this nobody reads.
const NEWS: usize = 16;

/// What the server said of itself.
#[derive(Default)]
pub(super) struct Seen {
    pub queue: Mutex<Option<QueueState>>,
    pub audits: Mutex<Audits>,
    /// What is to be marked.
    pub news: Mutex<Vec<String>>,
}

/// Audits while the run is under way.
#[derive(Clone, Copy, Default)]
pub(super) struct Audits {
    pub count: u64,
    /// Violations that one of them found at most.
    pub worst: u64,
    /// Violations that the last one found.
    pub last: Option<u64>,
}

/// Asks the server for its queue once a second. While it does not answer, the last word stands.
pub(super) async fn queue(ops: Ops, seen: Arc<Seen>) {
    loop {
        if let Ok(status) = ops.status().await {
            *seen.queue.lock() = Some(status.queue);
        }
        tokio::time::sleep(STATUS_EVERY).await;
    }
}

/// Has the books audited every few seconds.
pub(super) async fn truth(ops: Ops, seen: Arc<Seen>) {
    loop {
        tokio::time::sleep(AUDIT_EVERY).await;
        let Ok(audit) = ops.audit().await else {
            continue;
        };
        let violations = Audit::violations(&audit);
        let mut audits = seen.audits.lock();
        audits.count += 1;
        audits.last = Some(violations);
        if violations > audits.worst {
            audits.worst = violations;
            let mut news = seen.news.lock();
            if news.len() < NEWS {
                news.push(format!("the audit finds {violations} violations"));
            }
        }
    }
}

/// Requests per second over about the last second.
pub(super) struct Pace(Vec<(Instant, u64)>);

impl Pace {
    pub(super) fn new(begun: Instant) -> Pace {
        Pace(vec![(begun, 0)])
    }

    pub(super) fn per_second(&mut self, requests: u64) -> f64 {
        let now = Instant::now();
        self.0.push((now, requests));
        if self.0.len() > 5 {
            self.0.remove(0);
        }
        let (from, before) = self.0[0];
        let seconds = now.duration_since(from).as_secs_f64();
        if seconds > 0.0 {
            requests.saturating_sub(before) as f64 / seconds
        } else {
            0.0
        }
    }
}

/// How long requests have been failing without any answer in between.
pub(super) struct Silence {
    answered: u64,
    unanswered: u64,
    since: Instant,
}

impl Silence {
    pub(super) fn new(begun: Instant) -> Silence {
        Silence {
            answered: 0,
            unanswered: 0,
            since: begun,
        }
    }

    pub(super) fn lasts(&mut self, answered: u64, unanswered: u64) -> Duration {
        // Nobody asked or somebody was answered: no silence.
        if answered != self.answered || unanswered == self.unanswered {
            (self.answered, self.unanswered, self.since) = (answered, unanswered, Instant::now());
            return Duration::ZERO;
        }
        self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_without_an_answer_count_as_silence() {
        let mut silence = Silence::new(Instant::now());
        assert_eq!(silence.lasts(0, 0), Duration::ZERO, "nobody asked");
        assert!(silence.lasts(0, 1) > Duration::ZERO, "a failure");
        assert!(silence.lasts(0, 1) > Duration::ZERO, "and nothing since");
        assert_eq!(silence.lasts(1, 2), Duration::ZERO, "an answer");
        assert_eq!(silence.lasts(1, 2), Duration::ZERO, "nobody asked since");
        assert!(silence.lasts(1, 3) > Duration::ZERO);
    }
}
