//! Turns a dataset profile into rows and loads them in bulk with progress.
//!
//! This module owns the profile files and the order of loading. The store owns the SQL. A dataset is written beside
//! the active one and activated at the very end. So an interruption or a kill leaves the previous dataset or none,
//! never a part of one.

pub mod profile;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use profile::{Profile, ProfileError};

use crate::domain::{ConcertId, Epoch, Money, Timestamp};
use crate::store::{Bulk, Complete, DatasetInfo, StoreError};

/// The number of rows per statement. A statement takes a moment, so that progress is smooth and a stop is fast.
const CHUNK: u64 = 50_000;

/// The reason why a seeding ended without a dataset.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The seeding was cancelled.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// The store failed.
    #[error("the dataset could not be written: {0}; nothing was changed")]
    Store(StoreError),
}

// This is not a `#[source]`, because the text contains the cause, which would then be printed twice.
impl From<StoreError> for SeedError {
    fn from(error: StoreError) -> Self {
        SeedError::Store(error)
    }
}

/// The progress of a seeding, shared with the thread that loads.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    done: AtomicU64,
    total: u64,
    cancelled: AtomicBool,
}

/// A snapshot of a [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// Rows written so far.
    pub done: u64,
    /// The number of all rows.
    pub total: u64,
    /// The time since the start.
    pub elapsed: Duration,
}

impl Progress {
    /// The progress of a seeding that has not yet written rows of `profile`.
    #[must_use]
    pub fn new(profile: &Profile) -> Progress {
        Progress {
            started: Instant::now(),
            done: AtomicU64::new(0),
            total: profile.rows(),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Asks the loading thread to stop, which it does within a chunk.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The current state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            done: self.done.load(Ordering::Relaxed),
            total: self.total,
            elapsed: self.started.elapsed(),
        }
    }
}

impl Snapshot {
    /// Average rows per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }

    /// The remaining time at this rate. `None` before there is a rate.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let rate = self.rate();
        (rate >= 1.0)
            .then(|| Duration::from_secs_f64(self.total.saturating_sub(self.done) as f64 / rate))
    }
}

/// Writes the dataset of `profile` into `bulk`, which no server uses yet. It blocks.
///
/// # Errors
/// [`SeedError`]. The dataset is then incomplete and must not be used. The caller removes it.
pub fn load(
    profile: &Profile,
    mut bulk: Bulk,
    epoch: Epoch,
    now: Timestamp,
    progress: &Progress,
) -> Result<(DatasetInfo, Complete), SeedError> {
    let info = profile.info(epoch, now);
    let first_day = profile::first_day(now);
    let balance = info.initial_balance;
    let prices: Vec<(u32, i64)> = profile
        .prices
        .iter()
        .map(|tier| (tier.up_to, tier.price))
        .collect();
    chunks(info.concerts, progress, |from, to| bulk.concerts(from, to))?;
    chunks(info.dates, progress, |from, to| {
        bulk.dates(from, to, profile.dates_per_concert.into(), &first_day)
    })?;
    chunks(info.users, progress, |from, to| {
        bulk.users(from, to, balance, now)
    })?;
    chunks(info.seats(), progress, |from, to| {
        bulk.seats(from, to, info.seats_per_date, &prices)
    })?;
    let complete = bulk.finish(&info)?;
    Ok((info, complete))
}

fn chunks(
    count: u64,
    progress: &Progress,
    mut insert: impl FnMut(u64, u64) -> Result<(), StoreError>,
) -> Result<(), SeedError> {
    let mut from = 1;
    while from <= count {
        if progress.cancelled.load(Ordering::Relaxed) {
            return Err(SeedError::Cancelled);
        }
        let to = count.min(from + CHUNK - 1);
        insert(from, to)?;
        progress.done.fetch_add(to - from + 1, Ordering::Relaxed);
        from = to + 1;
    }
    Ok(())
}

impl Profile {
    /// The description of the dataset of this profile.
    #[must_use]
    pub fn info(&self, epoch: Epoch, now: Timestamp) -> DatasetInfo {
        let on_sale_seats = u64::from(self.dates_per_concert) * u64::from(self.seats_per_date);
        DatasetInfo {
            epoch,
            profile: self.name.clone(),
            concerts: self.concerts.into(),
            dates: u64::from(self.concerts) * u64::from(self.dates_per_concert),
            seats_per_date: self.seats_per_date.into(),
            users: self.users.into(),
            on_sale: ConcertId(1),
            on_sale_seats,
            popular_seats: (on_sale_seats as f64 * self.on_sale.popular_share).round() as u64,
            initial_balance: Money(self.balance),
            seeded_at: now,
        }
    }
}
