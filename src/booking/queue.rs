//! Polling the queue, and the admission settings.

use std::time::Duration;

use super::{ActiveDataset, Booking, Caller, Refusal};
use crate::coordination::{QueueCounts, Standing};
use crate::domain::polling::PollBudget;
use crate::domain::queue::{Admission, Follow};
use crate::domain::{Place, QueueStatus, Timestamp, UserId};

/// The queue status of a token, and the wait until its next poll.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueueView {
    pub place: Place,
    /// The user of the token.
    pub user: UserId,
    /// Status, position and estimated time until admission.
    pub standing: Standing,
    /// The wait until the next poll.
    pub poll_after: Duration,
}

/// A change of the admission settings; `None` leaves a setting unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmissionChange {
    /// Places that one batch admits.
    pub batch: Option<u64>,
    /// Milliseconds between two batches.
    pub every_ms: Option<u64>,
    /// `true` pauses, `false` resumes.
    pub paused: Option<bool>,
    /// The time at which the sale opens.
    pub opening: Option<Opening>,
    /// Whether admission follows the settings or the objective.
    pub follow: Option<Follow>,
}

/// The time at which the sale opens.
#[derive(Clone, Copy, Debug)]
pub enum Opening {
    /// It opens at once.
    Now,
    /// It stays closed until an operator opens it.
    Closed,
    /// It opens at this time.
    At(Timestamp),
}

impl ActiveDataset {
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.queue().admission()
    }
}

impl Booking {
    /// The caller's queue status. It costs no I/O, because most requests are polls.
    #[must_use]
    pub fn poll(&self, caller: &Caller) -> QueueView {
        let (place, user) = (caller.token.place, caller.token.user);
        view(&caller.dataset, place, user, self.rules.polls)
    }

    /// The queue's counts and its admission settings.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`].
    pub fn queue_state(&self) -> Result<(QueueCounts, Admission), Refusal> {
        let dataset = self.dataset()?;
        Ok((
            dataset.queue().counts(dataset.now()),
            dataset.queue().admission(),
        ))
    }

    /// Returns whether the opening has passed; a pause does not matter. `false` without a dataset.
    #[must_use]
    pub fn is_open(&self, admission: &Admission) -> bool {
        let opened = |dataset: std::sync::Arc<ActiveDataset>| {
            let opens_at = admission.opens_at;
            opens_at.is_some_and(|at| at <= dataset.now())
        };
        self.dataset().is_ok_and(opened)
    }

    /// Changes the admission settings; durable when this returns.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`]; [`Refusal::BadSetting`] for a value out of bounds; [`Refusal::Store`].
    pub async fn change_admission(&self, change: AdmissionChange) -> Result<Admission, Refusal> {
        let dataset = self.dataset()?;
        let now = dataset.now();
        let admission = with_change(dataset.queue().admission(), change, now)?;
        dataset.store.save_admission(admission).await?;
        dataset.coordination.set_admission(admission, now).await;
        self.admission_changed.notify_one();
        tracing::info!(
            batch = admission.batch,
            every_ms = admission.every_ms,
            paused = admission.paused,
            follow = admission.follow.label(),
            opens_at_ms = admission.opens_at.map(|at| at.0),
            "admission was changed"
        );
        Ok(admission)
    }
}

/// The longest time from now to an opening time.
const OPENING_WITHIN: Duration = Duration::from_secs(366 * 24 * 60 * 60);

fn with_change(
    mut admission: Admission,
    change: AdmissionChange,
    now: Timestamp,
) -> Result<Admission, Refusal> {
    let (batch_bounds, interval_bounds) = Admission::BOUNDS;
    if let Some(batch) = change.batch {
        if !batch_bounds.contains(&batch) {
            return Err(out_of_bounds("batch", batch, &batch_bounds));
        }
        admission.batch = batch;
    }
    if let Some(every_ms) = change.every_ms {
        if !interval_bounds.contains(&every_ms) {
            return Err(out_of_bounds("everyMs", every_ms, &interval_bounds));
        }
        admission.every_ms = every_ms;
    }
    admission.paused = change.paused.unwrap_or(admission.paused);
    admission.follow = change.follow.unwrap_or(admission.follow);
    if let Some(Opening::At(at)) = change.opening
        && at.0.abs_diff(now.0) > OPENING_WITHIN.as_millis() as u64
    {
        return Err(Refusal::BadSetting(format!(
            "opening.at is {}; it must be at most a year from now, which is {}, in Unix milliseconds",
            at.0, now.0
        )));
    }
    let is_open = admission.opens_at.is_some_and(|at| at <= now);
    match change.opening {
        // A sale that is open keeps its opening time: a new one would admit a batch at once.
        Some(Opening::Now) if is_open => {}
        Some(Opening::At(at)) if is_open && at <= now => {}
        Some(Opening::Now) => admission.opens_at = Some(now),
        Some(Opening::Closed) => admission.opens_at = None,
        Some(Opening::At(at)) => admission.opens_at = Some(at),
        None => {}
    }
    Ok(admission)
}

fn out_of_bounds(field: &str, value: u64, bounds: &std::ops::RangeInclusive<u64>) -> Refusal {
    let (low, high) = (bounds.start(), bounds.end());
    Refusal::BadSetting(format!(
        "{field} is {value}; it must be between {low} and {high}"
    ))
}

pub(super) fn view(
    dataset: &ActiveDataset,
    place: Place,
    user: UserId,
    polls: PollBudget,
) -> QueueView {
    let standing = dataset.queue().standing(place, dataset.now());
    let admission = dataset.queue().admission();
    let every = admission.every();
    let poll_after = match standing.status {
        QueueStatus::Wait => polls.pause(
            dataset.queue().waiting(),
            standing.eta,
            admission.entry_every(),
            rand::random::<f64>(),
        ),
        QueueStatus::Active | QueueStatus::Expired => every,
    };
    QueueView {
        place,
        user,
        standing,
        poll_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_time_is_at_most_a_year_away() {
        let now = Timestamp(1_800_000_000_000);
        let opened_at = |at: i64| {
            let change = AdmissionChange {
                opening: Some(Opening::At(Timestamp(at))),
                ..AdmissionChange::default()
            };
            with_change(Admission::default(), change, now)
        };
        let year = 365 * 24 * 60 * 60 * 1_000;
        for at in [now.0 + year, now.0, now.0 - year] {
            assert!(opened_at(at).is_ok(), "{at}");
        }
        for at in [i64::MAX, now.0 + 2 * year, now.0 - 2 * year, 0, i64::MIN] {
            let Err(Refusal::BadSetting(why)) = opened_at(at) else {
                panic!("{at} was accepted")
            };
            assert!(why.starts_with("opening.at is "), "{why}");
        }
    }
}
