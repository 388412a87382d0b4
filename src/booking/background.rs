//! Background work: admission, replication of the shared queue, expiry of holds, gauges, deletion of old
//! answers.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{ActiveDataset, Booking, admission_rate};
use crate::coordination::{Replication, Unavailable};
use crate::domain::Timestamp;
use crate::telemetry::ReservationOutcome;

/// The most holds that are ended, or answers that are deleted, in one transaction.
const SWEEP: u32 = 1_000;
const TICK: Duration = Duration::from_secs(1);
/// The time for which the first answer to a keyed request is kept, in milliseconds.
const ANSWERS_KEPT: i64 = 24 * 3600 * 1_000;

/// Runs the background work until `stop`.
pub async fn run(booking: Arc<Booking>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = async { tokio::join!(admit(&booking), admission_rate::run(&booking), sweep(&booking), replicate(&booking)); } => {}
    }
}

/// Admits each batch when it is due. A batch is durable before its users are admitted.
async fn admit(booking: &Booking) {
    loop {
        let Ok(dataset) = booking.dataset() else {
            booking.admission_changed.notified().await;
            continue;
        };
        admit_due(booking, &dataset).await;
        // The wait is short, because an operator may change the opening time or the settings meanwhile.
        let wait = dataset
            .queue()
            .next_in(dataset.now())
            .unwrap_or(TICK)
            .min(TICK);
        drop(dataset);
        let changed = booking.admission_changed.notified();
        // A change of the settings may end the wait early. That only leads to another check.
        drop(tokio::time::timeout(wait.max(Duration::from_millis(1)), changed).await);
    }
}

async fn admit_due(booking: &Booking, dataset: &ActiveDataset) {
    let claim = match dataset.coordination.claim(dataset.now()).await {
        Ok(Some(claim)) => claim,
        Ok(None) | Err(Unavailable) => return,
    };
    if let Err(error) = dataset.store.admit(claim.watermark, claim.at).await {
        dataset.coordination.put_back(claim, TICK).await;
        tracing::error!(%error, "a batch could not be admitted and is tried again");
        return;
    }
    let admitted = claim.watermark.0 - claim.from.0;
    match dataset.coordination.publish(claim).await {
        Ok(true) => {
            booking.metrics.admitted(admitted);
            tracing::info!(mark = claim.watermark.0, admitted, "a batch was admitted");
        }
        Ok(false) => tracing::warn!(
            mark = claim.watermark.0,
            "a batch took so long that another server admitted it"
        ),
        // The batch is durable. The next recovery of the queue publishes it and does not count it again.
        Err(Unavailable) => {
            booking.metrics.admitted(admitted);
            tracing::warn!(
                mark = claim.watermark.0,
                "a batch is durable, but the shared queue did not take it yet; recovery will publish it"
            );
        }
    }
}

/// Replicates the shared queue. After a loss of the queue, recovers it from the database.
async fn replicate(booking: &Booking) {
    let mut was_unreachable = false;
    loop {
        let mut pause = TICK;
        if let Ok(dataset) = booking.dataset() {
            pause = dataset.coordination.replication_interval().unwrap_or(TICK);
            replicate_once(booking, &dataset, &mut was_unreachable).await;
        }
        // A new dataset has other settings, so it is replicated at once.
        drop(tokio::time::timeout(pause, booking.activated.notified()).await);
    }
}

async fn replicate_once(booking: &Booking, dataset: &ActiveDataset, was_unreachable: &mut bool) {
    let found = dataset.coordination.replicate().await;
    let is_reachable = match found {
        Replication::UpToDate => true,
        Replication::Unreachable => false,
        Replication::NeedsRecovery => recover(booking, dataset).await,
    };
    booking
        .metrics
        .set_coordination(dataset.coordination.backend(), is_reachable);
    match (is_reachable, *was_unreachable) {
        (false, false) => tracing::error!(
            backend = dataset.coordination.backend(),
            "the shared queue does not answer: admission is paused, places and reservations go on"
        ),
        (true, true) => tracing::info!(
            backend = dataset.coordination.backend(),
            "the shared queue is back: admission goes on"
        ),
        _ => {}
    }
    *was_unreachable = !is_reachable;
}

async fn recover(booking: &Booking, dataset: &ActiveDataset) -> bool {
    let snapshot = match booking.queue_snapshot(&dataset.store).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::error!(%error, "the shared queue cannot be restored yet: the database did not return its snapshot; the server tries again");
            return false;
        }
    };
    let restored = dataset.coordination.recover(&snapshot).await.is_ok();
    if restored {
        tracing::info!(
            last = snapshot.last().0,
            mark = snapshot.watermark().0,
            "the shared queue was restored from the database"
        );
    }
    restored
}

async fn sweep(booking: &Booking) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(dataset) = booking.dataset() {
            expire_holds(booking, &dataset).await;
            let old = Timestamp(dataset.now().0 - ANSWERS_KEPT);
            if let Err(error) = dataset.store.forget_answers(old, SWEEP).await {
                tracing::warn!(%error, "stored answers older than a day could not be deleted; the server tries again");
            }
            set_gauges(booking, &dataset).await;
        }
    }
}

async fn expire_holds(booking: &Booking, dataset: &ActiveDataset) {
    loop {
        match dataset.store.expire_holds(dataset.now(), SWEEP).await {
            Ok(settled) => {
                dataset.end_admissions(&settled.ended).await;
                let expired = settled.outcome;
                (0..expired).for_each(|_| booking.metrics.reservation(ReservationOutcome::Expired));
                if expired < SWEEP.into() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, "expired holds could not be ended; the server tries again");
                return;
            }
        }
    }
}

async fn set_gauges(booking: &Booking, dataset: &ActiveDataset) {
    let now = dataset.now();
    let counts = dataset.queue().counts(now);
    booking
        .metrics
        .set_queue(counts.waiting, counts.active, counts.watermark);
    let admission = dataset.queue().admission();
    booking.metrics.set_admission(
        admission.batch,
        admission.every().as_secs_f64(),
        admission.paused,
        admission.opens_at.is_some_and(|opens| opens <= now),
    );
    if let Ok(seats) = dataset.store.seat_counts().await {
        booking
            .metrics
            .set_seats(seats.available, seats.pending, seats.unavailable);
    }
}
