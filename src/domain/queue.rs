//! The queue as arithmetic: a place is a number, and everyone up to the admitted-up-to watermark is admitted.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admission_control::Cap;
use super::{Timestamp, UserId};

/// The n-th to register holds place n, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub u64);

/// Where a token stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = WaitStatus)]
pub enum QueueStatus {
    /// Beyond the watermark.
    Wait,
    /// Admitted: may look at seats, reserve and pay.
    Active,
    /// Its time ran out, or it ended with its last hold after a payment.
    Expired,
}

impl QueueStatus {
    /// As the ticketing API writes it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            QueueStatus::Wait => "WAIT",
            QueueStatus::Active => "ACTIVE",
            QueueStatus::Expired => "EXPIRED",
        }
    }
}

/// What decides how many are admitted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// Batch and interval alone.
    #[default]
    Settings,
    /// Batch and interval are the most; fewer are admitted while the service is near its objective.
    Objective,
}

impl Follow {
    /// Both.
    pub const ALL: [Follow; 2] = [Follow::Settings, Follow::Objective];

    #[must_use]
    pub fn is_settings(&self) -> bool {
        *self == Follow::Settings
    }

    /// As settings, scenario files and the operations API write it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Follow::Settings => "settings",
            Follow::Objective => "objective",
        }
    }
}

impl std::fmt::Display for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// The admission settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// How many places the watermark moves by.
    pub batch: u64,
    /// Milliseconds between two batches.
    pub every_ms: u64,
    /// While paused, no batch is admitted.
    pub paused: bool,
    /// No batch is admitted before this; `None`: the sale is closed until somebody opens it.
    pub opens_at: Option<Timestamp>,
    /// Absent in settings that were saved before it was there.
    #[serde(default)]
    pub follow: Follow,
}

impl Default for Admission {
    fn default() -> Self {
        Admission {
            batch: 500,
            every_ms: 15_000,
            paused: false,
            opens_at: Some(Timestamp(0)),
            follow: Follow::Settings,
        }
    }
}

/// Parts of an interval in which people are let in while admission follows the objective.
const ENTRIES: u32 = 10;
/// The shortest time between two parts: each is a durable row.
const ENTRY_FLOOR: Duration = Duration::from_millis(100);

impl Admission {
    /// The bounds within which admission can be set: batch, then interval in milliseconds.
    pub const BOUNDS: (std::ops::RangeInclusive<u64>, std::ops::RangeInclusive<u64>) =
        (1..=1_000_000, 100..=3_600_000);

    /// Time between two batches.
    #[must_use]
    pub const fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms)
    }

    /// The most that is admitted, and the least while admission follows the objective.
    #[must_use]
    pub fn cap(&self) -> Cap {
        Cap::of(self.batch, self.every())
    }

    /// Time between two moments at which people are let in. While admission follows the objective they come
    /// in `ENTRIES` parts of an interval, since a burst is what makes a service slow.
    #[must_use]
    pub fn entry_every(&self) -> Duration {
        match self.follow {
            Follow::Settings => self.every(),
            Follow::Objective => (self.every() / ENTRIES).max(ENTRY_FLOOR).min(self.every()),
        }
    }

    /// How long someone at `position` (1 = next in line) waits, when the next batch is due in
    /// `next_in`. `None` when nothing is known: paused or not yet given an opening time.
    #[must_use]
    pub fn eta(&self, position: u64, next_in: Option<Duration>) -> Option<Duration> {
        let batches_before = position.max(1).div_ceil(self.batch.max(1)) - 1;
        let further = u32::try_from(batches_before).unwrap_or(u32::MAX);
        next_in.map(|next| next.saturating_add(self.every().saturating_mul(further)))
    }
}

/// The durable state of the queue.
#[derive(Clone, Debug, Default)]
pub struct QueueSnapshot {
    /// Place, user and whether it has ended, by ascending place.
    pub places: Vec<(Place, UserId, bool)>,
    /// Watermark and time of every batch, ascending.
    pub admissions: Vec<(Place, Timestamp)>,
    /// The settings last made, if any.
    pub admission: Option<Admission>,
}

impl QueueSnapshot {
    /// The admitted-up-to watermark.
    #[must_use]
    pub fn watermark(&self) -> Place {
        self.admissions
            .last()
            .map_or(Place(0), |(watermark, _)| *watermark)
    }

    /// The same without times that lie ahead of `now`, which come from a clock that has since been
    /// set back: a durable batch is admitted, and a sale that admitted a batch is open.
    #[must_use]
    pub fn not_ahead_of(&self, now: Timestamp) -> QueueSnapshot {
        let mut snapshot = self.clone();
        let newest = snapshot.admissions.last().map(|(_, at)| *at);
        for (_, at) in &mut snapshot.admissions {
            *at = (*at).min(now);
        }
        if let Some(admission) = &mut snapshot.admission
            && let Some(opens_at) = admission.opens_at
            && newest.is_some_and(|newest| newest >= opens_at)
        {
            admission.opens_at = Some(opens_at.min(now));
        }
        snapshot
    }

    /// No place up to here may be given again. A place that was given and never made durable is given again,
    /// unless a batch went past it.
    #[must_use]
    pub fn last(&self) -> Place {
        let last = self.places.last().map_or(Place(0), |(place, ..)| *place);
        last.max(self.watermark())
    }
}

/// Polls a second that all waiting users together should make.
pub const POLL_BUDGET_PER_SECOND: u64 = 1_000;
/// The shortest poll interval that a client is asked to keep.
pub const POLL_FLOOR: Duration = Duration::from_millis(250);

/// When the client should ask again: spread so that `waiting` users together stay near
/// [`POLL_BUDGET_PER_SECOND`], but soon after the batch that admits the one who asks.
///
/// `spread` in 0..1 is drawn by the caller, so that clients that were answered together do not come
/// back together.
#[must_use]
pub fn poll_after(waiting: u64, eta: Option<Duration>, every: Duration, spread: f64) -> Duration {
    let even = Duration::from_millis(waiting.saturating_mul(1_000) / POLL_BUDGET_PER_SECOND)
        .clamp(POLL_FLOOR, Duration::from_secs(600));
    let jittered = even.mul_f64(0.9 + 0.2 * spread.clamp(0.0, 1.0));
    match eta {
        // Due before the next regular poll: come back just after the batch, spread over a while.
        Some(eta) if eta < jittered => {
            let window = (every / 4).min(Duration::from_secs(1));
            (eta + Duration::from_millis(20) + window.mul_f64(spread.clamp(0.0, 1.0)))
                .max(POLL_FLOOR)
        }
        _ => jittered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_eta_counts_whole_batches_ahead() {
        let admission = Admission::default();
        let next = Some(Duration::from_secs(3));
        assert_eq!(admission.eta(1, next), Some(Duration::from_secs(3)));
        assert_eq!(admission.eta(500, next), Some(Duration::from_secs(3)));
        assert_eq!(admission.eta(501, next), Some(Duration::from_secs(18)));
        assert_eq!(admission.eta(501, None), None);
    }

    #[test]
    fn twenty_thousand_waiting_users_poll_about_a_thousand_times_a_second() {
        let total: f64 = (0..20_000_u64)
            .map(|n| {
                let eta = Some(Duration::from_secs(60 + n / 500 * 15));
                let spread = (n % 100) as f64 / 100.0;
                1.0 / poll_after(20_000, eta, Duration::from_secs(15), spread).as_secs_f64()
            })
            .sum();
        assert!((900.0..1_100.0).contains(&total), "{total} polls a second");
    }

    proptest! {
        #[test]
        fn a_poll_is_never_asked_for_below_the_floor(waiting: u64, eta: Option<u32>, every in 1_u32.., spread: f64) {
            let eta = eta.map(|ms| Duration::from_millis(ms.into()));
            let after = poll_after(waiting, eta, Duration::from_millis(every.into()), spread);
            prop_assert!(after >= Duration::from_millis(225), "{after:?}");
        }
    }
}
