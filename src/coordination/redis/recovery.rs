//! Recovery: raises the shared queue to the durable state, after a loss and before this server first uses it.

use std::time::Instant;

use super::scripts::{self, call};
use super::{Causes, RedisCoordination};
use crate::coordination::Unavailable;
use crate::domain::queue::QueueSnapshot;
use crate::domain::{Place, Timestamp, UserId};

/// The largest number of places or batches in one script. Redis answers no other client during a script, which takes
/// about a millisecond.
const PART: usize = 1_000;

/// A number of changes that no queue can have. A recovery with this number keeps the settings of the queue.
const KEEP_SETTINGS: u64 = u64::MAX;

impl RedisCoordination {
    /// Raises the shared queue to the snapshot, then replicates it. The snapshot must be read after `replicate` asked
    /// for a recovery.
    ///
    /// # Errors
    /// [`Unavailable`], also if no recovery was asked for. The parts that were already raised stay raised.
    pub async fn recover(&self, snapshot: &QueueSnapshot) -> Result<(), Unavailable> {
        let asked = self.replica.lock().asked();
        let (causes, changes) = asked.ok_or(Unavailable)?;
        self.recover_as_of(snapshot, causes, changes).await
    }

    /// The recovery before the first use.
    pub(super) async fn first_recovery(&self, snapshot: &QueueSnapshot) -> Result<(), Unavailable> {
        let causes = self.causes();
        let complete = self.inspect_before_recovery(causes).await?;
        let (_, changes) = self.replica.lock().asked().ok_or(Unavailable)?;
        // The settings of a complete queue may be newer than the snapshot.
        let changes = if complete { KEEP_SETTINGS } else { changes };
        self.recover_as_of(snapshot, causes, changes).await?;
        // The settings may also be older, if Redis lost them. The next recovery with a newer snapshot decides.
        self.request_recovery();
        Ok(())
    }

    /// Raises the queue. The settings of the snapshot replace the queue's only if the queue still has `changes` changes
    /// of its settings. `causes` are those that this recovery settles.
    async fn recover_as_of(
        &self,
        snapshot: &QueueSnapshot,
        causes: Causes,
        changes: u64,
    ) -> Result<(), Unavailable> {
        let floor = self.expired_in(snapshot);
        self.restore_places(snapshot, floor).await?;
        self.restore_batches(snapshot, floor).await?;
        self.restore_queue(snapshot, changes).await?;
        self.replica.lock().begin();
        *self.recovered.lock() = Some(causes);
        self.pull().await
    }

    /// The last place of the newest batch whose admissions have expired. Place 0 if there is none.
    fn expired_in(&self, snapshot: &QueueSnapshot) -> Place {
        let now = self.clock.at(Instant::now());
        let expired = |(_, at): &&(Place, Timestamp)| now >= at.after(self.options.active_for);
        let expired = snapshot.admissions.iter().take_while(expired).last();
        expired.map_or(Place(0), |(watermark, _)| *watermark)
    }

    async fn restore_places(
        &self,
        snapshot: &QueueSnapshot,
        floor: Place,
    ) -> Result<(), Unavailable> {
        let keys = &self.keys;
        for part in snapshot.places.chunks(PART) {
            let ended = part.iter().filter(|place| place.2 && place.0 > floor);
            let live: Vec<&(Place, UserId, bool)> = part.iter().filter(|place| !place.2).collect();
            let mut restore = call(
                &scripts::RESTORE_PLACES,
                &[&keys.queue, &keys.users, &keys.ended],
            );
            restore.arg(live.len());
            for (place, user, _) in live {
                restore.arg(user.0).arg(place.0);
            }
            for (place, ..) in ended {
                restore.arg(place.0);
            }
            let _: (String,) = self
                .queue
                .run(&restore, self.options.replication_timeout)
                .await?;
        }
        Ok(())
    }

    async fn restore_batches(
        &self,
        snapshot: &QueueSnapshot,
        floor: Place,
    ) -> Result<(), Unavailable> {
        // The newest expired batch represents all earlier ones.
        let from = snapshot
            .admissions
            .partition_point(|(watermark, _)| *watermark < floor);
        for part in snapshot.admissions[from..].chunks(PART) {
            let mut restore = call(&scripts::RESTORE_BATCHES, &[&self.keys.batches]);
            for (watermark, at) in part {
                restore.arg(watermark.0).arg(at.0);
            }
            let _: (String,) = self
                .queue
                .run(&restore, self.options.replication_timeout)
                .await?;
        }
        Ok(())
    }

    async fn restore_queue(
        &self,
        snapshot: &QueueSnapshot,
        changes: u64,
    ) -> Result<(), Unavailable> {
        let admission = snapshot.admission.unwrap_or_default();
        let opens = admission.opens_at.map(|at| at.0.to_string());
        let last_batch = snapshot.admissions.last();
        let due = last_batch.map(|(_, at)| at.after(admission.every()).0.to_string());
        let last = snapshot.last().max(self.state.registered());
        let generation: u64 = rand::random();
        let keys = &self.keys;
        let mut restore = call(&scripts::RESTORE_QUEUE, &[&keys.ready, &keys.queue]);
        restore
            .arg(format!("{generation:016x}"))
            .arg(last.0)
            .arg(snapshot.watermark().0)
            .arg(changes)
            .arg(admission.batch)
            .arg(admission.every_ms)
            .arg(u8::from(admission.paused))
            .arg(opens.unwrap_or_default())
            .arg(due.unwrap_or_default())
            .arg(self.deadline())
            .arg(admission.follow.label());
        let (outcome,): (String,) = self
            .queue
            .run(&restore, self.options.replication_timeout)
            .await?;
        match outcome.as_str() {
            "ok" => Ok(()),
            _ => Err(Unavailable),
        }
    }
}
