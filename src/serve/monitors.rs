//! Background tasks that observe the database and the system's clock. Others act while a fault is injected: they hold
//! database connections (`pool_exhaustion`), or block pushes to the collector (`telemetry_gone`).

use std::sync::Arc;
use std::time::Duration;

use super::datasets::Datasets;
use crate::booking::Booking;
use crate::clock::{CHECK_EVERY, Clock};
use crate::faults::{FaultKind, Faults, Injected};
use crate::telemetry::{ClockStep, Deliveries, Metrics};

/// The pause between two checks of a shared database.
const SHARED_INTERVAL: Duration = Duration::from_millis(250);
/// The pause for the embedded database. It does not come and go, and a check costs its one writer a commit.
const SQLITE_INTERVAL: Duration = Duration::from_secs(1);
/// A database that takes longer to answer counts as down.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_000);
/// The pause between two checks whether the active dataset was replaced.
const REPLACED_INTERVAL: Duration = Duration::from_millis(100);

/// Keeps the gauge `concert_database_up` up to date.
pub(super) async fn database(datasets: Arc<Datasets>, metrics: Metrics, faults: Faults) {
    let mut was_up = true;
    loop {
        let delayed_before = faults.database_is_delayed();
        let (backend, problem) = datasets.database_problem(ANSWER_TIMEOUT).await;
        // The fault keeps the one writer busy. This does not mean that the database is down.
        let delayed = backend == "sqlite" && (delayed_before || faults.database_is_delayed());
        let up = counts_as_up(problem.is_none(), delayed, was_up);
        match (was_up, up) {
            (true, false) => {
                let problem = problem.unwrap_or_default();
                tracing::error!(backend, "the database does not answer: {problem}");
            }
            (false, true) => tracing::info!(backend, "the database answers again"),
            _ => {}
        }
        metrics.set_database(backend, up);
        was_up = up;
        let pause = match backend {
            "sqlite" => SQLITE_INTERVAL,
            _ => SHARED_INTERVAL,
        };
        tokio::time::sleep(pause).await;
    }
}

/// Compares the service's time with the system's clock, and reports each change of the clock.
pub(super) async fn clock(clock: Clock, metrics: Metrics, faults: Faults) {
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        clock.set_wall_ahead(faults.clock_step_ms());
        if let Some(step) = clock.check() {
            let (back, seconds) = (step.by_ms < 0, seconds(step.by_ms.saturating_abs()));
            metrics.clock_step(match back {
                true => ClockStep::Back,
                false => ClockStep::Forward,
            });
            tracing::warn!(
                by_seconds = if back { -seconds } else { seconds },
                "the system's clock was set {} by {seconds:.1} s; the sale goes on by the server's own \
                 time, which approaches the system's clock by 1 % of the time that passes: to take it \
                 over at once, restart the server",
                if back { "back" } else { "forward" },
            );
        }
        metrics.set_clock_offset(seconds(clock.wall_ahead_ms()));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "spans of years are far below 2^53 ms"
)]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}

/// A database that an injected fault delays cannot answer, so its last state stays.
fn counts_as_up(answers: bool, delayed: bool, was_up: bool) -> bool {
    answers || (delayed && was_up)
}

/// Takes connections while the fault is injected. After a switch it takes those of the new dataset.
pub(super) async fn pool_exhaustion(booking: Arc<Booking>, faults: Faults) {
    loop {
        let injected = faults.wait_for(FaultKind::PoolExhaustion).await;
        tokio::select! {
            () = injected.over() => {}
            () = take_connections(&booking, &injected) => {}
        }
    }
}

/// Takes the connections. It never returns.
async fn take_connections(booking: &Booking, injected: &Injected) {
    loop {
        let Ok(dataset) = booking.dataset() else {
            tokio::time::sleep(REPLACED_INTERVAL).await;
            continue;
        };
        let replaced = async {
            while booking
                .dataset()
                .is_ok_and(|now| Arc::ptr_eq(&now, &dataset))
            {
                tokio::time::sleep(REPLACED_INTERVAL).await;
            }
        };
        tokio::select! {
            () = dataset.hold_connections(injected.connections()) => {}
            () = replaced => {}
        }
    }
}

/// Blocks pushes to the collector while the fault is injected.
pub(super) async fn telemetry_gone(deliveries: Deliveries, faults: Faults) {
    loop {
        let injected = faults.wait_for(FaultKind::TelemetryGone).await;
        deliveries.cut_off(true);
        injected.over().await;
        deliveries.cut_off(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_a_fault_keeps_busy_is_up_only_if_it_was_before() {
        assert!(counts_as_up(false, true, true));
        assert!(!counts_as_up(false, true, false));
        assert!(!counts_as_up(false, false, true), "nothing keeps it busy");
        assert!(counts_as_up(true, true, false), "it is back");
    }
}
