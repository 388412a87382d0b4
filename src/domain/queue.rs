//! The queue as arithmetic: a place is a number, and every place up to the admitted-up-to watermark is admitted.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admission_control::Cap;
use super::{Timestamp, UserId};

/// The n-th user to register holds place n, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub u64);

/// The state of a token in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = WaitStatus)]
pub enum QueueStatus {
    /// The place is beyond the watermark.
    Wait,
    /// Admitted: the user may list seats, reserve and pay.
    Active,
    /// The admission ended by its time, or with its last hold after a payment.
    Expired,
}

impl QueueStatus {
    /// The word in the ticketing API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            QueueStatus::Wait => "WAIT",
            QueueStatus::Active => "ACTIVE",
            QueueStatus::Expired => "EXPIRED",
        }
    }
}

/// Whether admission follows the settings or the objective.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// Batch and interval decide.
    #[default]
    Settings,
    /// Batch and interval are the upper limit. Fewer users are admitted while the service is near its objective.
    Objective,
}

impl Follow {
    /// All values.
    pub const ALL: [Follow; 2] = [Follow::Settings, Follow::Objective];

    /// The word in settings, scenario files and the operations API.
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
    /// The places by which the watermark moves.
    pub batch: u64,
    /// Milliseconds between two batches.
    pub every_ms: u64,
    /// While paused, no batch is admitted.
    pub paused: bool,
    /// No batch is admitted before this time; `None`: the sale is closed until an operator opens it.
    pub opens_at: Option<Timestamp>,
    /// Settings that an earlier version saved do not have it.
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

/// While admission follows the objective, a batch is admitted in this many parts.
const ENTRIES: u32 = 10;
/// The shortest time between two parts, because each part writes a durable row.
const ENTRY_FLOOR: Duration = Duration::from_millis(100);

impl Admission {
    /// The bounds of batch and of interval, in milliseconds.
    pub const BOUNDS: (std::ops::RangeInclusive<u64>, std::ops::RangeInclusive<u64>) =
        (1..=1_000_000, 100..=3_600_000);

    /// Time between two batches.
    #[must_use]
    pub const fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms)
    }

    /// The upper and the lower limit of the rate.
    #[must_use]
    pub fn cap(&self) -> Cap {
        Cap::of(self.batch, self.every())
    }

    /// Time between two advances of the watermark. While admission follows the objective, a batch comes in `ENTRIES`
    /// parts: a burst would make the service slow.
    #[must_use]
    pub fn entry_every(&self) -> Duration {
        match self.follow {
            Follow::Settings => self.every(),
            Follow::Objective => (self.every() / ENTRIES).max(ENTRY_FLOOR).min(self.every()),
        }
    }

    /// The wait of a user at `position` (1 = next in line), when the next batch is due in `next_in`. `None` without
    /// `next_in`: admission is paused, or has no opening time.
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
    /// Watermark and time of each batch, ascending.
    pub admissions: Vec<(Place, Timestamp)>,
    /// The latest change of the settings.
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

    /// The snapshot without times after `now`. Such times come from a clock that has been set back since. A durable
    /// batch is admitted, and a sale that admitted a batch is open.
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

    /// The last place that counts as given. A place that was given but did not become durable is given again, unless a
    /// batch has passed it.
    #[must_use]
    pub fn last(&self) -> Place {
        let last = self.places.last().map_or(Place(0), |(place, ..)| *place);
        last.max(self.watermark())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eta_counts_whole_batches_ahead() {
        let admission = Admission::default();
        let next = Some(Duration::from_secs(3));
        assert_eq!(admission.eta(1, next), Some(Duration::from_secs(3)));
        assert_eq!(admission.eta(500, next), Some(Duration::from_secs(3)));
        assert_eq!(admission.eta(501, next), Some(Duration::from_secs(18)));
        assert_eq!(admission.eta(501, None), None);
    }
}
