//! Use cases: the only place that decides the order of lock, store and metric.
//!
//! Owns the [`ActiveDataset`], which seeding replaces as a whole, and the background
//! work: admission, expiry of holds, gauges. `http` calls it and turns [`Refusal`]s into answers.

mod accounts;
mod admission_rate;
mod audit;
mod background;
mod caller;
mod copies;
mod probe;
mod queue;
mod registration;
mod reservations;
mod seat_maps;
mod shared_read;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

pub use background::run as run_background;
pub use caller::Caller;
pub use queue::{AdmissionChange, Opening, QueueView};
pub use registration::Registered;
pub use reservations::{Held, ReservationView, SeatRequest};
pub use seat_maps::SeatMap;

/// Types of the lower modules in the use cases' signatures, so that their caller imports no other module.
pub use crate::domain::polling::PollBudget;
pub use crate::domain::queue::{Admission, Follow};
pub use crate::domain::{
    ConcertId, Money, PerformanceDateId, Place, QueueStatus, ReservationId, ReservationStatus,
    SeatId, SeatStatus, Timestamp, UserId,
};
pub use crate::store::{DatasetInfo, Fact, Idempotency, SeatRow, StoreError, Unclosed};

use crate::clock::Clock;
use crate::coordination::{Coordination, QueueState};
use crate::domain::money::MoneyError;
use crate::domain::token::TokenKey;
use crate::store::{Answer, Audit, Catalog, Keyed, QueueSnapshot, Store};
use crate::telemetry::Metrics;

/// The rules of the sale that are settings.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The length of a hold.
    pub hold: Duration,
    /// The length of an admission.
    pub active: Duration,
    /// The most live reservations of one user.
    pub max_live: u32,
    /// The admission of a dataset until an operator changes it. A change belongs to the dataset and outlives the
    /// server.
    pub admission: Admission,
    /// The poll budget, which decides how often waiting users poll.
    pub polls: PollBudget,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            hold: Duration::from_secs(5 * 60),
            active: Duration::from_secs(10 * 60),
            max_live: 4,
            admission: Admission::default(),
            polls: PollBudget::default(),
        }
    }
}

/// The active dataset, with the parts of it that stay in memory.
pub struct ActiveDataset {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) coordination: Coordination,
    pub(crate) catalog: Catalog,
    /// The indexes of a concert's dates in the catalog.
    dates_of: HashMap<ConcertId, Vec<usize>>,
    pub(crate) maps: seat_maps::SeatMaps,
    audits: shared_read::SharedRead<Audit>,
}

impl ActiveDataset {
    /// Reads the parts that stay in memory from an open store. `coordination` must hold the queue of the same dataset.
    pub async fn load(
        store: Store,
        coordination: Coordination,
        clock: Clock,
    ) -> Result<ActiveDataset, StoreError> {
        let catalog = store.catalog().await?;
        let mut dates_of: HashMap<ConcertId, Vec<usize>> = HashMap::new();
        for (at, (_, concert, _)) in catalog.dates.iter().enumerate() {
            dates_of.entry(*concert).or_default().push(at);
        }
        Ok(ActiveDataset {
            clock,
            store,
            coordination,
            catalog,
            dates_of,
            maps: seat_maps::SeatMaps::default(),
            audits: shared_read::SharedRead::default(),
        })
    }

    /// The service's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// This server's copy of the queue.
    pub(crate) fn queue(&self) -> &QueueState {
        self.coordination.state()
    }

    #[must_use]
    pub fn info(&self) -> &DatasetInfo {
        self.store.info()
    }

    /// Takes `number` of the store's connections, or all without a number, until the future is dropped. Never returns.
    pub async fn hold_connections(&self, number: Option<usize>) {
        self.store.hold_connections(number).await;
    }

    /// Ends the admission of these places in the queue. It has already ended in the database.
    pub(crate) async fn end_admissions(&self, places: &[Place]) {
        for place in places {
            self.coordination.end(*place).await;
        }
    }

    /// Waits for the work in progress and closes the store.
    ///
    /// # Errors
    /// [`Unclosed`], only of a file.
    pub async fn close(&self) -> Result<(), Unclosed> {
        self.store.close().await
    }
}

/// The ticketing service, without HTTP.
pub struct Booking {
    rules: Rules,
    key: TokenKey,
    dataset: ArcSwapOption<ActiveDataset>,
    metrics: Metrics,
    copies: copies::Copies,
    admission_changed: Notify,
    /// Notified when another dataset becomes active.
    activated: Notify,
    probe: probe::Probe,
}

/// The reason why a use case was refused, or failed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No dataset is loaded.
    #[error("no dataset is loaded; seed one first")]
    NoDataset,
    /// This server's key did not sign the token, or the token is of a dataset that is not active.
    #[error("the token is not known")]
    UnknownToken,
    /// The token is another user's.
    #[error("the token belongs to another user")]
    ForeignToken,
    /// Not admitted yet.
    #[error("not admitted yet: {0} ahead in the queue")]
    NotAdmitted(u64),
    /// The admission ended by time, or with its last hold after a payment.
    #[error("the admission has ended; register again to queue at the end")]
    AdmissionEnded,
    /// The user does not exist.
    #[error("there is no such user")]
    UnknownUser,
    /// The user is in the queue already.
    #[error("already in the queue at place {}", .0.0)]
    AlreadyRegistered(Place),
    /// There is no such account.
    #[error("there is no such account")]
    UnknownAccount,
    /// There is no such concert.
    #[error("there is no such concert")]
    UnknownConcert,
    /// There is no such performance date of that concert.
    #[error("there is no such performance date of that concert")]
    UnknownDate,
    /// There is no such seat.
    #[error("there is no such seat")]
    UnknownSeat,
    /// The seat is on another date or concert.
    #[error("the seat is not on the date or concert given with it")]
    SeatMismatch,
    /// The seat is held or sold.
    #[error("the seat is taken")]
    SeatTaken,
    /// Another request is reserving the seat at this moment.
    #[error("another request is reserving the seat at this moment")]
    SeatLocked,
    /// The user has as many live reservations as allowed.
    #[error("a user may hold at most {0} reservations")]
    ReservationLimit(u32),
    /// There is no such live reservation.
    #[error("there is no such reservation")]
    UnknownReservation,
    /// There is no such reservation to pay.
    #[error("there is no such reservation to pay")]
    NotPayable,
    /// The hold ran out.
    #[error("the reservation has expired and the seat is free again")]
    ReservationExpired,
    /// The reservation is another user's.
    #[error("the reservation belongs to another user")]
    ForeignReservation,
    /// Paid already.
    #[error("the reservation is paid already")]
    AlreadyPaid,
    /// The amount cannot be charged.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// The balance is below the price.
    #[error("the balance does not cover the price; charge the account first")]
    BalanceTooLow,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Another copy of the request is in progress.
    #[error(
        "another copy of this request is in progress; send it again with the same Idempotency-Key to learn its outcome"
    )]
    OutcomeUnknown,
    /// An admission setting is out of bounds.
    #[error("{0}")]
    BadSetting(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Booking {
    /// A service without a dataset.
    #[must_use]
    pub fn new(rules: Rules, key: TokenKey, metrics: Metrics) -> Arc<Booking> {
        Arc::new(Booking {
            rules,
            key,
            dataset: ArcSwapOption::empty(),
            metrics,
            copies: copies::Copies::default(),
            admission_changed: Notify::new(),
            activated: Notify::new(),
            probe: probe::Probe::default(),
        })
    }

    /// Activates a dataset and returns the earlier one. Requests that began on the earlier one end on it.
    pub fn activate(&self, dataset: Option<Arc<ActiveDataset>>) -> Option<Arc<ActiveDataset>> {
        let before = self.dataset.swap(dataset);
        self.admission_changed.notify_one();
        self.activated.notify_one();
        before
    }

    /// The active dataset.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`].
    pub fn dataset(&self) -> Result<Arc<ActiveDataset>, Refusal> {
        self.dataset.load_full().ok_or(Refusal::NoDataset)
    }

    /// The rules of the sale.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The durable state of the queue in `store`. Its admission is that of the rules unless an operator changed it.
    pub async fn queue_snapshot(&self, store: &Store) -> Result<QueueSnapshot, StoreError> {
        let mut snapshot = store.queue_snapshot().await?;
        snapshot.admission.get_or_insert(self.rules.admission);
        Ok(snapshot)
    }
}

/// The stored answer to a keyed request whose token is no longer valid for it.
async fn replay_or<T: Answer>(
    caller: &Caller,
    key: Option<&Idempotency>,
    refusal: Refusal,
) -> Result<Keyed<T>, Refusal> {
    let Some(key) = key else { return Err(refusal) };
    caller
        .dataset
        .store
        .replay(caller.user(), key.clone())
        .await?
        .ok_or(refusal)
}
