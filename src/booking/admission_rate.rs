//! Admission that follows the objective: in each [`STEP`] every server measures its buying requests, and one server
//! runs the control law and applies the decision to all. The law is in `domain::admission_control`. `coordination`
//! collects the measurements and chooses the server that decides.

use std::collections::VecDeque;

use tokio::time::MissedTickBehavior;

use super::{ActiveDataset, Booking};
use crate::coordination::Unavailable;
use crate::domain::Epoch;
use crate::domain::admission_control::{
    Decision, Measurement, OBJECTIVE, RECENT, Reason, STEP, State, WINDOW, step,
};
use crate::domain::queue::{Admission, Follow};
use crate::telemetry::{BuyingCounts, Latencies};

/// The counts and the watermark at each of the last steps, oldest first. A measurement is the difference between two
/// entries, so [`WINDOW`] steps need one entry more.
#[derive(Default)]
struct Window {
    /// The dataset that is measured.
    epoch: Option<Epoch>,
    steps: VecDeque<(BuyingCounts, u64)>,
}

impl Window {
    /// Adds the entry of this step and removes the entries that are older than the window. A new dataset begins a new
    /// window, because it has its own watermark and measurements of the earlier dataset say nothing about it.
    fn push(&mut self, epoch: Epoch, now: BuyingCounts, watermark: u64) {
        if self.epoch.replace(epoch) != Some(epoch) {
            self.steps.clear();
        }
        self.steps.push_back((now, watermark));
        while self.steps.len() > WINDOW as usize + 1 {
            self.steps.pop_front();
        }
    }

    /// Compares the newest entry with the oldest, and with the one from [`RECENT`] steps ago.
    fn measure(&self) -> Measurement {
        let (Some((now, watermark)), Some((first, first_watermark))) =
            (self.steps.back(), self.steps.front())
        else {
            return Measurement::default();
        };
        let recent_index = self.steps.len().saturating_sub(RECENT as usize + 1);
        let recent = self
            .steps
            .get(recent_index)
            .map_or(first, |(counts, _)| counts);
        let errors = now.errors.saturating_sub(first.errors);
        let answered = now.answered.since(&first.answered);
        Measurement {
            samples: answered.count() + errors,
            p95: answered.p95(),
            recent_p95: now.answered.since(&recent.answered).p95(),
            errors,
            oldest: now.oldest,
            saturated: is_saturated(&now.waits.since(&recent.waits)),
            admitted: watermark.saturating_sub(*first_watermark),
        }
    }
}

/// Returns whether requests wait too long for a database connection: the 95th percentile of the wait is more than half
/// of the objective. The alert rule `ConnectionWaitHigh` has the same limit, as a number of seconds.
fn is_saturated(waits: &Latencies) -> bool {
    waits.p95() > OBJECTIVE / 2
}

/// Runs one step of the control law each [`STEP`]. Skips the step if the admission of the active dataset does not
/// follow the objective. Never returns.
pub(super) async fn run(booking: &Booking) {
    // Export each reason as zero before its first decision.
    for reason in Reason::ALL {
        booking.metrics.admission_decision(reason.label(), 0);
    }
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut window = Window::default();
    loop {
        ticks.tick().await;
        // A skipped step empties the window, because a measurement must not span a time without steps.
        let Ok(dataset) = booking.dataset() else {
            window = Window::default();
            continue;
        };
        if dataset.admission().follow == Follow::Objective {
            let watermark = dataset.queue().watermark().0;
            let epoch = dataset.info().epoch;
            window.push(epoch, booking.metrics.buying(), watermark);
            decide(booking, &dataset, window.measure()).await;
        } else {
            window = Window::default();
        }
        let rate = dataset.admission_rate();
        let cap = dataset.admission().cap().rate();
        booking.metrics.set_admission_rate(rate, cap);
    }
}

/// Makes one decision for all servers, if it is this server's turn. `own` is the measurement of this server.
async fn decide(booking: &Booking, dataset: &ActiveDataset, own: Measurement) {
    // `None` means that another server decides this step. An error means that the shared queue does not answer, so no
    // server admits users.
    let Ok(Some(turn)) = dataset.coordination.turn(&own).await else {
        return;
    };
    let cap = dataset.admission().cap();
    let before = turn.state.unwrap_or_else(|| State::start(cap));
    let (next, decision) = step(before, &turn.worst, dataset.queue().waiting(), cap);
    let applied = dataset
        .coordination
        .apply_decision(&turn, next, &decision)
        .await;
    // `false` means that another server has decided since then, and its decision stands.
    if let Ok(false) | Err(Unavailable) = applied {
        return;
    }
    booking
        .metrics
        .admission_decision(decision.reason.label(), 1);
    let is_changed = turn.state.is_none_or(|state| state.rate != decision.rate);
    if is_changed || !decision.admits {
        report(&before, &decision, &turn.worst, cap.rate());
    }
}

fn report(before: &State, decision: &Decision, worst: &Measurement, cap: f64) {
    tracing::info!(
        rate = decision.rate,
        before = before.rate,
        cap,
        admits = decision.admits,
        reason = decision.reason.label(),
        p95_ms = millis(worst.p95),
        oldest_ms = millis(worst.oldest),
        errors = worst.errors,
        samples = worst.samples,
        "the rate of admission was decided"
    );
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl ActiveDataset {
    /// The current rate of admission, in users per second.
    fn admission_rate(&self) -> f64 {
        rate_of(&self.admission(), self.queue().flow().rate)
    }
}

/// The rate of the settings, or the `decided` rate while admission follows the objective.
fn rate_of(admission: &Admission, decided: f64) -> f64 {
    match admission.follow {
        Follow::Settings => admission.cap().rate(),
        Follow::Objective => decided,
    }
}

impl Booking {
    /// The current rate of admission under the settings `admission`, in users per second. While admission follows the
    /// objective, it is the last decided rate, which is at most the rate of the settings.
    #[must_use]
    pub fn admission_rate(&self, admission: &Admission) -> f64 {
        let decided = self.dataset().map_or(0.0, |it| it.queue().flow().rate);
        rate_of(admission, decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_measurement_is_of_the_window_and_its_last_steps() {
        let mut window = Window::default();
        assert_eq!(window.measure(), Measurement::default());
        for second in 0..20_u64 {
            let counts = BuyingCounts {
                errors: second.min(5),
                oldest: Duration::from_secs(second),
                ..BuyingCounts::default()
            };
            window.push(Epoch(1), counts, 100 * second);
        }
        let measured = window.measure();
        assert_eq!(
            (measured.errors, measured.samples),
            (0, 0),
            "the errors are older than the window"
        );
        assert_eq!(measured.admitted, 1_000);
        assert_eq!(measured.oldest, Duration::from_secs(19));
    }
    #[test]
    fn a_measurement_is_of_one_dataset() {
        let mut window = Window::default();
        let counts = |errors| BuyingCounts {
            errors,
            ..BuyingCounts::default()
        };
        window.push(Epoch(1), counts(0), 0);
        window.push(Epoch(1), counts(40), 500);
        assert_eq!(window.measure().errors, 40);
        // Another dataset replaces it between two steps.
        window.push(Epoch(2), counts(90), 3);
        let measured = window.measure();
        assert_eq!((measured.errors, measured.admitted), (0, 0));
        window.push(Epoch(2), counts(91), 10);
        let measured = window.measure();
        assert_eq!((measured.errors, measured.admitted), (1, 7));
    }
}
