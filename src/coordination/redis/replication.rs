//! Replication: applies the changes of the shared queue to this server's state.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::scripts::{self, call};
use super::{Causes, RedisCoordination};
use crate::clock as service;
use crate::coordination::{Flow, Replication, Unavailable};
use crate::domain::queue::{Admission, Follow};
use crate::domain::{Place, Timestamp};

/// The largest number of list entries in one answer.
const PAGE: usize = 1_000;
/// The largest number of consecutive answers. The next call continues.
const PAGES: usize = 1_000;

/// The progress of this server's replication.
#[derive(Default)]
pub(super) struct Replica {
    generation: Option<String>,
    /// The number of the last ended place that was applied.
    ended: u64,
    /// The number of applied changes of the settings.
    changes: u64,
    /// The causes of the last requested recovery, and the number of changes of the settings at that time.
    asked: Option<(Causes, u64)>,
}

impl Replica {
    /// Records changes made here. An older answer must not undo them.
    pub(super) fn knows_changes(&mut self, changes: u64) {
        self.changes = self.changes.max(changes);
    }

    pub(super) fn asked(&self) -> Option<(Causes, u64)> {
        self.asked
    }

    /// Restarts the replication from the beginning.
    pub(super) fn begin(&mut self) {
        *self = Replica::default();
    }
}

/// An answer of the script with the changes since the last one.
struct Changes {
    /// The time of the answer by Redis's clock.
    at: Timestamp,
    generation: Option<String>,
    numbers: Vec<Option<i64>>,
    /// The source of the rate of admission, the rate, and whether users are admitted.
    flow: Vec<Option<String>>,
    batches: Vec<String>,
    ended: Vec<(u64, u64)>,
}

impl Changes {
    fn number(&self, at: usize) -> u64 {
        let number = self.numbers.get(at).copied().flatten();
        number.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
    }

    fn seq(&self) -> Place {
        Place(self.number(0))
    }

    fn ended_so_far(&self) -> u64 {
        self.number(2)
    }

    fn settings_changes(&self) -> u64 {
        self.number(3)
    }

    fn admission(&self) -> Admission {
        Admission {
            batch: self.number(4),
            every_ms: self.number(5),
            paused: self.number(6) != 0,
            opens_at: self.numbers.get(7).copied().flatten().map(Timestamp),
            follow: match self.text(0) {
                Some("objective") => Follow::Objective,
                _ => Follow::Settings,
            },
        }
    }

    fn text(&self, at: usize) -> Option<&str> {
        self.flow.get(at)?.as_deref()
    }

    fn flow(&self) -> Flow {
        let rate = self.text(1).and_then(|text| text.parse().ok());
        Flow::new(rate.unwrap_or(0.0), self.text(2) == Some("1"))
    }

    fn due(&self) -> Option<i64> {
        self.numbers.get(8).copied().flatten()
    }
}

impl RedisCoordination {
    /// Brings this server's state up to date with the shared queue, and reconnects when a probe is due.
    pub async fn replicate(&self) -> Replication {
        self.locks.revive();
        if !self.queue.revive().await {
            return Replication::Unreachable;
        }
        if self.is_available() {
            match self.pull().await {
                Ok(()) => self.send_unsent().await,
                // A single call timed out.
                Err(Unavailable) if self.is_available() => return Replication::Unreachable,
                // The queue was empty, or the connection was closed.
                Err(Unavailable) => {}
            }
        }
        let causes = self.causes();
        if *self.recovered.lock() == Some(causes) {
            return Replication::UpToDate;
        }
        match self.inspect_before_recovery(causes).await {
            Ok(_) => Replication::NeedsRecovery,
            Err(Unavailable) => Replication::Unreachable,
        }
    }

    /// Reads the state of the queue before a recovery because of `causes`; `true`: the queue is complete.
    pub(super) async fn inspect_before_recovery(
        &self,
        causes: Causes,
    ) -> Result<bool, Unavailable> {
        // The queue may be outdated, so only its clock and its number of changes are used.
        let answer = self.fetch_changes(u64::MAX).await?;
        self.replica.lock().asked = Some((causes, answer.settings_changes()));
        Ok(answer.generation.is_some())
    }

    /// Waits until this server's copy of the queue is recent enough to say that `place` is not admitted. A copy is old
    /// when this process was stopped or starved. It would let a user wait whom another server has admitted.
    ///
    /// While the shared queue does not answer, this copy is the only information. The time-out of the queue bounds the
    /// wait, and there is no wait after the connection was closed.
    pub async fn catch_up(&self, place: Place) {
        let admitted = || place <= self.state.watermark_at(self.service_clock.now());
        let recent = |began: &Instant| began.elapsed() <= self.options.notice;
        if admitted() || recent(&self.replicated.borrow()) || !self.is_available() {
            return;
        }
        let mut replicated = self.replicated.subscribe();
        let caught_up = replicated.wait_for(recent);
        // After the time-out the old copy answers.
        let _ = tokio::time::timeout(self.options.queue_timeout, caught_up).await;
    }

    /// Applies all changes.
    pub(super) async fn pull(&self) -> Result<(), Unavailable> {
        let began = Instant::now();
        for _ in 0..PAGES {
            let losses = self.losses.load(Ordering::Acquire);
            let cursor = self.replica.lock().ended;
            let answer = self.fetch_changes(cursor).await?;
            if answer.generation.is_none() {
                self.lost(losses);
                return Err(Unavailable);
            }
            let full = answer.batches.len() >= PAGE || answer.ended.len() >= PAGE;
            if !self.apply(answer, losses) {
                return Ok(());
            }
            if !full {
                self.replicated.send_replace(began);
                return Ok(());
            }
        }
        Ok(())
    }

    async fn fetch_changes(&self, ended: u64) -> Result<Changes, Unavailable> {
        let keys = &self.keys;
        let mut follow = call(
            &scripts::FOLLOW,
            &[&keys.ready, &keys.queue, &keys.batches, &keys.ended],
        );
        follow
            .arg(self.state.registered().0)
            .arg(self.state.watermark().0)
            .arg(ended)
            .arg(PAGE);
        let within = self.options.replication_timeout;
        type Answer = (
            i64,
            Option<String>,
            Vec<Option<i64>>,
            Vec<Option<String>>,
            Vec<String>,
            Vec<(u64, u64)>,
        );
        let answer: Answer = self.queue.run(&follow, within).await?;
        let (now, generation, numbers, flow, batches, ended) = answer;
        self.clock.observe(Timestamp(now), Instant::now());
        Ok(Changes {
            at: Timestamp(now),
            generation,
            numbers,
            flow,
            batches,
            ended,
        })
    }

    /// Applies an answer. `false` when further answers would be out of order.
    fn apply(&self, answer: Changes, losses: u64) -> bool {
        let mut replica = self.replica.lock();
        if replica.generation.is_some() && replica.generation != answer.generation {
            // Another server recovered an emptied queue between two calls. This server may know changes that the
            // queue has lost.
            drop(replica);
            self.lost(losses);
            return false;
        }
        replica.generation.clone_from(&answer.generation);
        self.state.registered_up_to(answer.seq());
        // Synchronised clocks show the same instant on all servers. If a clock was set, the times of batches are
        // translated, and a known batch begins within the lead.
        let now = self.service_clock.now();
        let ahead = answer.at.0.saturating_sub(now.0);
        let ahead = if ahead.abs() < service::STEP_MS {
            0
        } else {
            ahead
        };
        let latest = now
            .after(self.options.lead.max(self.options.notice))
            .0
            .saturating_add(service::STEP_MS);
        for batch in &answer.batches {
            let parts = batch.split_once(':');
            let parts =
                parts.and_then(|(watermark, at)| Some((watermark.parse().ok()?, at.parse().ok()?)));
            if let Some((watermark, at)) = parts {
                let at = Timestamp(i64::saturating_sub(at, ahead).min(latest));
                self.state.publish(Place(watermark), at);
            }
        }
        for &(place, number) in &answer.ended {
            self.state.end(Place(place));
            replica.ended = replica.ended.max(number);
        }
        if answer.ended_so_far() < replica.ended {
            // The number went back, so new places may have numbers that were applied before.
            replica.ended = 0;
        }
        if answer.settings_changes() >= replica.changes {
            replica.changes = answer.settings_changes();
            self.state.store_admission(answer.admission());
            self.set_due(answer.due());
        }
        self.state.set_flow(answer.flow());
        true
    }

    /// Requests a recovery. The queue stays in use until then.
    pub(super) fn request_recovery(&self) {
        self.requests.fetch_add(1, Ordering::AcqRel);
    }
}
