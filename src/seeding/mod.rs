//! A dataset profile becomes rows, loaded in bulk with progress.
//!
//! Owns the profile files and the order of loading; the SQL is the store's. A dataset is written
//! beside the active one and is activated at the very end, so an interruption, a kill included,
//! leaves the previous dataset or none, never half of one.

pub mod profile;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use profile::{Profile, ProfileError};

use crate::domain::{ConcertId, Epoch, Money, Timestamp};
use crate::store::{Bulk, Complete, DatasetInfo, StoreError};

/// Rows made by one statement: a moment's work, so that progress moves and a stop is prompt.
const CHUNK: u64 = 50_000;

/// Why a seeding ended without a dataset.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It was asked to stop.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// The store failed.
    #[error("the dataset could not be written: {0}; nothing was changed")]
    Store(StoreError),
}

// Not `#[source]`: this text contains the cause, which would then be printed twice.
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

/// A moment of a [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// Rows written so far.
    pub done: u64,
    /// Rows in all.
    pub total: u64,
    /// Time since it began.
    pub elapsed: Duration,
}

impl Progress {
    /// No rows of `profile` are written yet.
    #[must_use]
    pub fn new(profile: &Profile) -> Progress {
        Progress {
            started: Instant::now(),
            done: AtomicU64::new(0),
            total: profile.rows(),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Asks the loading thread to stop; it does so within a chunk.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Where it stands now.
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
    /// Rows a second so far.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }

    /// Time left at the rate so far; `None` before there is one.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let rate = self.rate();
        (rate >= 1.0)
            .then(|| Duration::from_secs_f64(self.total.saturating_sub(self.done) as f64 / rate))
    }
}

/// Writes the dataset of `profile` into `bulk`, which no server uses yet. Blocks.
///
/// # Errors
/// [`SeedError`]; then it is incomplete and must not be used (the caller removes it).
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
    /// What the dataset of this profile consists of.
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
