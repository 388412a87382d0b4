//! Admission: which server admits the next batch, and when.

use std::time::{Duration, Instant};

use super::RedisCoordination;
use super::scripts::{self, call};
use crate::coordination::{Claim, Unavailable};
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp};

/// Ended places are deleted this long after they expired, because the servers' clocks may differ. In milliseconds.
const CLOCKS_DIFFER_BY: i64 = 60_000;

impl RedisCoordination {
    /// Claims the batch that is due. Only one server gets it.
    pub async fn claim(&self) -> Result<Option<Claim>, Unavailable> {
        if !self.is_available() {
            return Err(Unavailable);
        }
        // Redis has answered until when no batch is due, so no call is needed before then.
        if Instant::now() < *self.claim_after.lock() {
            return Ok(None);
        }
        let id: u64 = rand::random();
        let keys = &self.keys;
        let mut claim = call(&scripts::CLAIM, &[&keys.ready, &keys.queue]);
        claim
            .arg(id)
            .arg(millis(self.options.claim_lease))
            .arg(self.deadline());
        type Answer = (String, u64, Option<u64>, i64, Option<i64>);
        let (_, first, watermark, now, due): Answer = self.ask(&claim).await?;
        if let Some(watermark) = watermark {
            self.state.set_coming(Place(watermark));
        }
        self.set_due(due);
        let Some(watermark) = watermark else {
            // The wait is at most the time until this server learns of changed settings.
            let wait = Duration::from_millis(first).min(self.options.replication_interval);
            *self.claim_after.lock() = Instant::now() + wait;
            return Ok(None);
        };
        Ok(Some(Claim {
            from: Place(first),
            watermark: Place(watermark),
            at: Timestamp(now).after(self.options.lead),
            id,
        }))
    }

    /// Admits a claimed batch, which must be durable. Returns `false` if the claim had expired and another server has
    /// the batch.
    ///
    /// # Errors
    /// [`Unavailable`]. The batch is kept, and the background replication sends it again.
    pub async fn publish(&self, claim: Claim) -> Result<bool, Unavailable> {
        let keys = &self.keys;
        let mut publish = call(
            &scripts::PUBLISH,
            &[&keys.ready, &keys.queue, &keys.batches, &keys.ended],
        );
        let now = self.service_clock.now();
        let long_ago = Timestamp(now.0.saturating_sub(CLOCKS_DIFFER_BY));
        publish
            .arg(claim.id)
            .arg(claim.watermark.0)
            .arg(claim.at.0)
            .arg(self.state.expired_up_to(long_ago).0)
            .arg(millis(self.options.notice));
        let answer: Result<(String,), Unavailable> = self.ask(&publish).await;
        let Ok((outcome,)) = answer else {
            self.unsent.lock().batch = Some(claim);
            return Err(Unavailable);
        };
        // The batch is replicated, because another server may have published the previous batch, and batches apply in
        // order.
        let _: Result<(), Unavailable> = self.pull().await;
        Ok(outcome == "ok")
    }

    /// Returns a claimed batch that could not be made durable. It is retried after `pause`.
    pub async fn put_back(&self, claim: Claim, pause: Duration) {
        self.state.clear_coming();
        let keys = &self.keys;
        let mut put_back = call(&scripts::PUT_BACK, &[&keys.ready, &keys.queue]);
        put_back.arg(claim.id).arg(millis(pause));
        // If this does not reach Redis, the claim expires.
        let answer: Result<(String, Option<i64>), Unavailable> = self.ask(&put_back).await;
        if let Ok((_, due @ Some(_))) = answer {
            self.set_due(due);
            *self.claim_after.lock() = Instant::now() + pause;
        }
    }

    /// Applies admission settings, which must be durable, on every server.
    pub async fn set_admission(&self, admission: Admission, now: Timestamp) {
        self.state.set_admission(admission, now);
        let opens = admission.opens_at.map(|at| at.0.to_string());
        let keys = &self.keys;
        let mut set = call(&scripts::SET_ADMISSION, &[&keys.ready, &keys.queue]);
        set.arg(admission.batch)
            .arg(admission.every_ms)
            .arg(u8::from(admission.paused))
            .arg(opens.unwrap_or_default())
            .arg(self.deadline())
            .arg(admission.follow.label());
        let answer: Result<(String, Option<u64>), Unavailable> = self.ask(&set).await;
        match answer {
            Ok((_, Some(changes))) => self.replica.lock().knows_changes(changes),
            // Recovery reads them from the database.
            _ => self.request_recovery(),
        }
        *self.claim_after.lock() = Instant::now();
    }

    /// Stores the due time of the next batch by the service's time.
    pub(super) fn set_due(&self, due: Option<i64>) {
        let ahead = self.clock.ahead(Instant::now(), self.service_clock.now());
        let due = due.map(|due| Timestamp(due.saturating_sub(ahead)));
        *self.state.next_due.lock() = due;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
