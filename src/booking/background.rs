//! What happens without being asked: admission, expiry of holds, gauges, forgetting old answers.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Booking, World};
use crate::coordination::{Followed, Unavailable};
use crate::domain::Timestamp;
use crate::telemetry::ReservationOutcome;

/// Holds ended, or answers forgotten, in one transaction.
const SWEEP: u32 = 1_000;
const TICK: Duration = Duration::from_secs(1);
/// How long the first answer to a keyed request is kept.
const ANSWERS_KEPT: i64 = 24 * 3600 * 1_000;

/// Runs the background work until `stop`.
pub async fn run(booking: Arc<Booking>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = async { tokio::join!(admit(&booking), sweep(&booking), follow(&booking)); } => {}
    }
}

/// Lets the next batch in whenever one is due: first on disk, then in force.
async fn admit(booking: &Booking) {
    loop {
        let Ok(world) = booking.world() else {
            booking.admission_changed.notified().await;
            continue;
        };
        admit_due(booking, &world).await;
        // A short ceiling, since the clock may be set meanwhile.
        let wait = world.queue().next_in(world.now()).unwrap_or(TICK).min(TICK);
        drop(world);
        let changed = booking.admission_changed.notified();
        // A wait that ends early or late by a change of settings is simply asked again.
        drop(tokio::time::timeout(wait.max(Duration::from_millis(1)), changed).await);
    }
}

async fn admit_due(booking: &Booking, world: &World) {
    let claim = match world.coordination.claim(world.now()).await {
        Ok(Some(claim)) => claim,
        Ok(None) | Err(Unavailable) => return,
    };
    if let Err(error) = world.store.admit(claim.mark, claim.at).await {
        world.coordination.put_back(claim, TICK).await;
        tracing::error!(%error, "a batch could not be admitted and is tried again");
        return;
    }
    let admitted = claim.mark.0 - claim.from.0;
    match world.coordination.publish(claim).await {
        Ok(true) => {
            booking.metrics.admitted(admitted);
            tracing::info!(mark = claim.mark.0, admitted, "a batch was admitted");
        }
        Ok(false) => tracing::warn!(
            mark = claim.mark.0,
            "a batch took so long that another server admitted it"
        ),
        // It is durable: whoever restores the queue lets it in, and nobody counts it again.
        Err(Unavailable) => {
            booking.metrics.admitted(admitted);
            tracing::warn!(
                mark = claim.mark.0,
                "a batch is durable, but the shared queue could not be told yet"
            );
        }
    }
}

/// Keeps this server's view of the shared queue fresh, and gives the queue back what it lost.
async fn follow(booking: &Booking) {
    let mut away = false;
    loop {
        let mut pause = TICK;
        if let Ok(world) = booking.world() {
            pause = world.coordination.follow_every().unwrap_or(TICK);
            follow_once(booking, &world, &mut away).await;
        }
        // A new dataset is followed from its first instant: its settings are elsewhere.
        drop(tokio::time::timeout(pause, booking.installed.notified()).await);
    }
}

async fn follow_once(booking: &Booking, world: &World, away: &mut bool) {
    let found = world.coordination.follow().await;
    let back = match found {
        Followed::UpToDate => true,
        Followed::Away => false,
        Followed::NeedsRestore => restore(booking, world).await,
    };
    booking
        .metrics
        .set_coordination(world.coordination.backend(), back);
    match (back, *away) {
        (false, false) => tracing::error!(
            backend = world.coordination.backend(),
            "the shared queue does not answer: admission is paused, places and reservations go on"
        ),
        (true, true) => tracing::info!(
            backend = world.coordination.backend(),
            "the shared queue is back: admission goes on"
        ),
        _ => {}
    }
    *away = !back;
}

async fn restore(booking: &Booking, world: &World) -> bool {
    let snapshot = match booking.queue_snapshot(&world.store).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::error!(%error, "the shared queue waits to be restored from the database");
            return false;
        }
    };
    let restored = world.coordination.restore(&snapshot).await.is_ok();
    if restored {
        tracing::info!(
            last = snapshot.last().0,
            mark = snapshot.mark().0,
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
        if let Ok(world) = booking.world() {
            expire_holds(booking, &world).await;
            let old = Timestamp(world.now().0 - ANSWERS_KEPT);
            if let Err(error) = world.store.forget_answers(old, SWEEP).await {
                tracing::warn!(%error, "old answers could not be forgotten");
            }
            set_gauges(booking, &world).await;
        }
    }
}

async fn expire_holds(booking: &Booking, world: &World) {
    loop {
        match world.store.expire_holds(world.now(), SWEEP).await {
            Ok(settled) => {
                world.end(&settled.ended).await;
                let expired = settled.outcome;
                (0..expired).for_each(|_| booking.metrics.reservation(ReservationOutcome::Expired));
                if expired < SWEEP.into() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, "holds that ran out could not be ended");
                return;
            }
        }
    }
}

async fn set_gauges(booking: &Booking, world: &World) {
    let now = world.now();
    let counts = world.queue().counts(now);
    booking
        .metrics
        .set_queue(counts.waiting, counts.active, counts.mark);
    let admission = world.queue().admission();
    booking.metrics.set_admission(
        admission.batch,
        admission.every().as_secs_f64(),
        admission.paused,
        admission.opens_at.is_some_and(|opens| opens <= now),
    );
    if let Ok(seats) = world.store.seat_counts().await {
        booking
            .metrics
            .set_seats(seats.available, seats.pending, seats.unavailable);
    }
}
