//! Durable data: every acknowledged write is on disk here. Only this module contains SQL.
//!
//! It owns the datasets, seats, reservations, accounts and queue places, and audits them. `booking` is the only
//! caller and decides the order of lock, store and metric. Another database needs one more module beside [`sqlite`],
//! with its migrations.

mod answer_codes;
mod answers;
mod audit_types;
mod backend;
mod batcher;
pub mod data_dir;
mod dataset_storage;
mod date_versions;
mod fault;
mod identity;
mod injected;
mod keyed;
pub mod mysql;
mod pooled;
pub mod postgres;
mod retry;
mod server;
mod socket_options;
pub mod sqlite;
mod turn;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::domain::Audit;
pub use crate::domain::queue::QueueSnapshot;
use crate::domain::{
    ConcertId, Epoch, Money, PerformanceDateId, Place, ReservationId, ReservationStatus, SeatId,
    SeatStatus, Timestamp, UserId,
};
pub use answer_codes::{AnswerCode, Coded};
pub use answers::{
    Answer, CancelOutcome, ChargeOutcome, Idempotency, Keyed, PayOutcome, ReserveOutcome, Settled,
    Ticket,
};
pub use audit_types::{Fact, SeatCounts};
pub use backend::Store;
pub use dataset_storage::{Bulk, Complete, DatasetStorage, StorageError};
pub use pooled::PoolOptions;
pub use server::PresenceLock;

/// The longest time of an audit, or of another read of a whole large dataset.
const LONG_READ: Duration = Duration::from_secs(120);

/// The reason why the store failed. A refusal by the rules of the sale is an outcome ([`ReserveOutcome`] and the
/// like), not an error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The limit of queued work is reached.
    #[error("the database has more work than it can queue")]
    Overloaded,
    /// The work was cancelled at the time-out, before it was begun or finished. Nothing was done.
    #[error("the database did not answer within {0:?}")]
    Timeout(Duration),
    /// The time-out or a lost connection interrupted a write. It may have been done.
    #[error("the outcome of the write is not known: {0}")]
    Unknown(String),
    /// The database is closed, does not answer, or refused the work.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The disk does not accept writes.
    #[error("the database cannot be written: {0}")]
    Unwritable(String),
    /// The open files are no longer the files at their paths.
    #[error("the database takes no writes: {0}; put it back, or restart the server")]
    Displaced(String),
    /// Acknowledged writes are missing.
    #[error("{0}")]
    Lost(String),
    /// There is a dataset, and the name of the active one is missing.
    #[error("{0}")]
    Unnamed(String),
    /// The file is damaged or is not a database.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

/// The file of a dataset that was closed while its log still holds acknowledged writes.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} was not closed cleanly: {error}; to copy it, copy {}-wal with it",
    file.display(),
    file.display()
)]
pub struct Unclosed {
    /// The file.
    pub file: PathBuf,
    /// The reason.
    pub error: StoreError,
}

/// The description of a dataset. The database stores it with the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Identifies the dataset. It is drawn at random when the dataset is loaded.
    pub epoch: Epoch,
    /// The profile from which the dataset was made.
    pub profile: String,
    /// Number of concerts. Their ids begin at 1.
    pub concerts: u64,
    /// Number of performance dates of all concerts. Their ids begin at 1.
    pub dates: u64,
    /// Number of seats per date. The seat ids of a date are consecutive.
    pub seats_per_date: u64,
    /// Number of users. Their ids begin at 1.
    pub users: u64,
    /// The concert on sale.
    pub on_sale: ConcertId,
    /// Number of seats of the concert on sale. Their ids begin at 1.
    pub on_sale_seats: u64,
    /// Number of popular seats. They have the lowest ids of the concert on sale.
    pub popular_seats: u64,
    /// The balance of each account after seeding. Datasets that an older version loaded lack it.
    #[serde(default)]
    pub initial_balance: Money,
    /// The time at which the dataset was loaded.
    pub seeded_at: Timestamp,
}

impl DatasetInfo {
    /// Number of seats of all dates.
    #[must_use]
    pub fn seats(&self) -> u64 {
        self.dates * self.seats_per_date
    }

    /// The date of `seat`. `None` when there is no such seat.
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

    /// Returns whether `user` exists. Only seeding creates users, with ids from 1 on.
    #[must_use]
    pub fn has_user(&self, user: UserId) -> bool {
        u64::try_from(user.0).is_ok_and(|id| (1..=self.users).contains(&id))
    }
}

/// The concerts and their dates. This is small and never changes within a dataset.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// In ascending order of the ids.
    pub concerts: Vec<(ConcertId, String)>,
    /// Date id, concert and `YYYY-MM-DD`, in ascending order of the date ids.
    pub dates: Vec<(PerformanceDateId, ConcertId, String)>,
}

/// A seat in its last committed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatRow {
    /// The id of the seat.
    pub id: SeatId,
    /// The number of the seat on its date.
    pub number: i64,
    pub price: Money,
    pub status: SeatStatus,
    /// Changes with every change of the seat. A write that gives an older version fails.
    pub version: i64,
}

/// The input of a reservation.
#[derive(Clone, Debug)]
pub struct Reserve {
    pub seat: SeatId,
    /// The version in which the caller saw the free seat. `None` when the store checks it in the statement that takes
    /// the seat.
    pub seen_version: Option<i64>,
    /// The user who gets the seat.
    pub user: UserId,
    /// The place by which the user was admitted. A place whose admission has ended cannot reserve.
    pub place: Place,
    /// The current time.
    pub now: Timestamp,
    /// The time at which the hold ends.
    pub expires_at: Timestamp,
    /// The largest number of live reservations that a user may have.
    pub limit: u32,
}

/// A reservation as the user sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationRow {
    /// The id of the reservation.
    pub id: ReservationId,
    pub seat: SeatId,
    /// The seat's price when it was reserved.
    pub price: Money,
    /// The status at the last sweep. A PENDING reservation may have expired since.
    pub status: ReservationStatus,
    /// The time until which a PENDING reservation can be paid.
    pub expires_at: Timestamp,
}

/// The state of a seat before it is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatPreview {
    /// The last committed state, and the answer that was already given under the request's key.
    Seen {
        /// The seat, if it exists. It is AVAILABLE if its hold has expired.
        seat: Option<SeatRow>,
        /// The first answer to the same request.
        replay: Option<Keyed<ReserveOutcome>>,
    },
    /// This store reads the seat in the statement that takes it, because a separate read would cost a round trip.
    Deferred,
}

/// The input of a registration.
#[derive(Clone, Debug)]
pub struct NewPlace {
    /// The number of the place.
    pub place: Place,
    /// The user who holds the place.
    pub user: UserId,
    /// The current time.
    pub now: Timestamp,
    /// The user's earlier place, whose admission has ended.
    pub replaces: Option<Place>,
    /// The admissions of all places up to this one have expired.
    pub expired_up_to: Place,
    /// A repeat with the same key gets the same place while the place is live.
    pub key: Option<Idempotency>,
}

/// The outcome of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// The place is durable.
    Kept,
    /// The key already has a live place. Nothing was changed.
    Replayed(Ticket),
    /// The key was used for another request. Nothing was changed.
    Mismatch,
    /// Another user has this place: the queue lost places that are durable. All places up to this one are given.
    NumberTaken(Place),
    /// The user already has this place. The store gave it while the queue did not answer, so the queue does not know
    /// it.
    Standing(Place),
}

/// The outcome of a registration without the shared queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPlace {
    /// A new place, which is durable.
    New(Place),
    /// The user already has this place.
    Already(Place),
    /// The key already has a live place.
    Replayed(Ticket),
    /// The key was used for another request.
    Mismatch,
}

/// The input of a payment.
#[derive(Clone, Copy, Debug)]
pub struct Pay {
    /// The user who pays.
    pub user: UserId,
    /// The reservation to pay.
    pub reservation: ReservationId,
    /// The payer's place. Its admission ends with the last hold of its user.
    pub place: Place,
    /// The current time.
    pub now: Timestamp,
}
