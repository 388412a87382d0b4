//! Durable data: every acknowledged write is on disk here. Only this module contains SQL.
//!
//! Owns the datasets, seats, reservations, accounts and queue places, and the audit over them. `booking`
//! is the only caller; it decides the order of lock, store and metric. A new database is one more
//! module beside [`sqlite`], with its migrations.

mod answers;
mod audit_types;
mod backend;
pub mod data_dir;
mod dataset_storage;
mod date_versions;
mod identity;
pub mod postgres;
pub mod sqlite;
mod turn;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::domain::Audit;
pub use crate::domain::queue::QueueSnapshot;
use crate::domain::{
    ConcertId, Epoch, Money, PerformanceDateId, Place, ReservationId, ReservationStatus, SeatId,
    SeatStatus, Timestamp, UserId,
};
pub use answers::{
    Answer, CancelOutcome, ChargeOutcome, Idempotency, Keyed, PayOutcome, ReserveOutcome, Settled,
    Ticket,
};
pub use audit_types::{Fact, SeatCounts};
pub use backend::Store;
pub use dataset_storage::{Bulk, Complete, DatasetStorage, StorageError};

/// Why the store could not do what it was asked. Refusals of the business are not errors but
/// outcomes ([`ReserveOutcome`] and its like).
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// More work is under way than the bound allows.
    #[error("the database has more work than it can queue")]
    Overloaded,
    /// The work was not begun or not finished within the time-out, and was cancelled: nothing was done.
    #[error("the database did not answer within {0:?}")]
    Timeout(Duration),
    /// A write was under way when its time ran out or its connection was lost: it may have been done.
    #[error("the outcome of the write is not known: {0}")]
    Unknown(String),
    /// The database is closed, cannot be reached or refused the work.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The disk does not take what is written.
    #[error("the database cannot be written: {0}")]
    Unwritable(String),
    /// The files that are open are not those at their paths any more.
    #[error("the database takes no writes: {0}; put it back, or restart the server")]
    Displaced(String),
    /// Writes that were acknowledged are not there.
    #[error("{0}")]
    Lost(String),
    /// The file is not a database, or is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

/// What a dataset consists of; stands in the database beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Drawn at random when it was loaded.
    pub epoch: Epoch,
    /// The profile it was made from.
    pub profile: String,
    /// Concerts, ids from 1.
    pub concerts: u64,
    /// Performance dates in all, ids from 1.
    pub dates: u64,
    /// Seats on each date; the ids of a date's seats follow each other.
    pub seats_per_date: u64,
    /// Users, ids 1 to this.
    pub users: u64,
    /// The concert people fight for.
    pub on_sale: ConcertId,
    /// Its seats are ids 1 to this.
    pub on_sale_seats: u64,
    /// Of those, ids 1 to this are the popular ones.
    pub popular_seats: u64,
    /// What each account held in the beginning; missing where older versions loaded it.
    #[serde(default)]
    pub initial_balance: Money,
    /// When it was loaded.
    pub seeded_at: Timestamp,
}

impl DatasetInfo {
    /// Seats in all.
    #[must_use]
    pub fn seats(&self) -> u64 {
        self.dates * self.seats_per_date
    }

    /// The date that `seat` is on, or `None` when there is no such seat.
    #[must_use]
    pub fn date_of(&self, seat: SeatId) -> Option<PerformanceDateId> {
        let at = u64::try_from(seat.0).ok()?.checked_sub(1)?;
        let date = at.checked_div(self.seats_per_date)? + 1;
        let exists = date <= self.dates;
        i64::try_from(date)
            .ok()
            .filter(|_| exists)
            .map(PerformanceDateId)
    }

    /// Whether `user` exists: users are made by seeding only, with ids from 1.
    #[must_use]
    pub fn has_user(&self, user: UserId) -> bool {
        u64::try_from(user.0).is_ok_and(|id| (1..=self.users).contains(&id))
    }
}

/// Concerts and their dates: small, and unchanged while the dataset stands.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By ascending id.
    pub concerts: Vec<(ConcertId, String)>,
    /// By ascending id: date id, concert, `YYYY-MM-DD`.
    pub dates: Vec<(PerformanceDateId, ConcertId, String)>,
}

/// A seat as last committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatRow {
    /// The seat.
    pub id: SeatId,
    /// Its number on the date.
    pub number: i64,
    pub price: Money,
    pub status: SeatStatus,
    /// Moves with every change: a writer that saw another version loses.
    pub version: i64,
}

/// A reservation to be made.
#[derive(Clone, Debug)]
pub struct Reserve {
    pub seat: SeatId,
    /// The version at which it was seen free; `None`: the store looks for itself, in the statement
    /// that takes the seat.
    pub seen_version: Option<i64>,
    /// For whom.
    pub user: UserId,
    /// The place in the queue by which the user is here; once ended it cannot reserve.
    pub place: Place,
    /// Now.
    pub now: Timestamp,
    /// Until when it is held.
    pub expires_at: Timestamp,
    /// Most live reservations that a user may hold.
    pub limit: u32,
}

/// A reservation as its user sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationRow {
    /// The reservation.
    pub id: ReservationId,
    pub seat: SeatId,
    /// The seat's price when it was reserved.
    pub price: Money,
    /// As of the last sweep: a PENDING one may have run out since.
    pub status: ReservationStatus,
    /// Until when a PENDING one can be paid.
    pub expires_at: Timestamp,
}

/// A look at a seat before it is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatPreview {
    /// As last committed; and the answer already given under the request's key.
    Seen {
        /// The seat, if there is one; AVAILABLE if its hold has run out.
        seat: Option<SeatRow>,
        /// The first answer to the same request.
        replay: Option<Keyed<ReserveOutcome>>,
    },
    /// This store looks in the statement that takes the seat: a look before would cost a round trip.
    Deferred,
}

/// A place to be made durable.
#[derive(Clone, Debug)]
pub struct NewPlace {
    /// Its number.
    pub place: Place,
    /// Whose it is.
    pub user: UserId,
    /// Now.
    pub now: Timestamp,
    /// The user's earlier place, which has ended.
    pub replaces: Option<Place>,
    /// The admissions of places up to this one have run out.
    pub expired_up_to: Place,
    /// A repeat with the same key gets the same place while that lives.
    pub key: Option<Idempotency>,
}

/// The result of making a place durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// It is durable.
    Kept,
    /// The key has a place that lives: nothing was changed.
    Replayed(Ticket),
    /// The key was used for another request: nothing was changed.
    Mismatch,
    /// The number is somebody else's already: the queue forgot places that are durable. Places up to
    /// this one are given.
    NumberTaken(Place),
    /// The user stands here already: the store handed this place out while the queue was away, and the
    /// queue has not heard of it.
    Standing(Place),
}

/// The result of asking the store for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPlace {
    /// A new one, durable.
    New(Place),
    /// The user stands here already.
    Already(Place),
    /// The key has a place that lives.
    Replayed(Ticket),
    /// The key was used for another request.
    Mismatch,
}

/// A payment to be made.
#[derive(Clone, Copy, Debug)]
pub struct Pay {
    /// Who pays.
    pub user: UserId,
    /// For what.
    pub reservation: ReservationId,
    /// The payer's place in the queue; it ends with the last hold that was made by it.
    pub place: Place,
    /// Now.
    pub now: Timestamp,
}
