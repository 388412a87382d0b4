//! A small dataset in one of the stores, with direct access to its rows.

use std::sync::Arc;

use concertctl::domain::{
    ConcertId, Epoch, Money, Place, ReservationId, SeatId, SeatStatus, Timestamp, UserId,
};
use concertctl::faults::Faults;
use concertctl::store::data_dir::DataDir;
use concertctl::store::postgres::PgOptions as PoolOptions;
use concertctl::store::sqlite::Options;
use concertctl::store::{
    CancelOutcome, DatasetInfo, DatasetStorage, Idempotency, Keyed, NewPlace, RegisterOutcome,
    Reserve, ReserveOutcome, SeatRow, Store, mysql, postgres,
};
use concertctl::telemetry::Metrics;
use tempfile::TempDir;

use crate::support::backend::dataset_file;
use crate::support::database::Kind;
use crate::support::{Database, Proxy};

pub const EPOCH: Epoch = Epoch(0xfeed);
/// Answers as SQLite stores them, and their codes in the other databases.
const ANSWERS: [(&str, &str); 3] = [
    ("'\"Locked\"'", "12"),
    ("'\"Conflict\"'", "13"),
    ("'\"PlaceEnded\"'", "15"),
];
/// The price of every seat.
pub const PRICE: i64 = 1_000;
/// The number of seats on each of the two dates.
pub const SEATS: u64 = 20;
pub const USERS: u64 = 50;

pub fn info() -> DatasetInfo {
    DatasetInfo {
        epoch: EPOCH,
        profile: "contract".to_owned(),
        concerts: 2,
        dates: 2,
        seats_per_date: SEATS,
        users: USERS,
        on_sale: ConcertId(1),
        on_sale_seats: SEATS,
        popular_seats: 4,
        initial_balance: Money(0),
        seeded_at: Timestamp(1),
    }
}

/// An open store, and its location.
pub struct Opened {
    pub store: Store,
    place: Where,
}

enum Where {
    File(TempDir),
    Shared(Box<Database>),
    /// The test has the server.
    Elsewhere,
}

impl Opened {
    pub async fn sqlite() -> Opened {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(DataDir::open(dir.path()).unwrap());
        let storage = DatasetStorage::Files(files, Options::default());
        Opened {
            store: load(&storage).await,
            place: Where::File(dir),
        }
    }

    /// A store in a shared database; `None` if it is not installed.
    pub async fn shared(kind: Kind) -> Option<Opened> {
        Opened::with(kind, PoolOptions::default()).await
    }

    /// The same with other options of the connections.
    pub async fn with(kind: Kind, options: PoolOptions) -> Option<Opened> {
        let database = kind.start().await?;
        let url = database.url();
        Some(Opened::at(database, &url, options).await)
    }

    /// The same through a proxy.
    pub async fn through_proxy(kind: Kind) -> Option<(Opened, Proxy)> {
        Opened::through_proxy_with(kind, PoolOptions::default()).await
    }

    /// The same with these options.
    pub async fn through_proxy_with(kind: Kind, options: PoolOptions) -> Option<(Opened, Proxy)> {
        let database = kind.start().await?;
        let proxy = Proxy::to(database.addr()).await;
        let url = database.url_at(proxy.addr());
        let opened = Opened::at(database, &url, options);
        Some((opened.await, proxy))
    }

    /// The same in a database that runs.
    pub async fn at(database: Database, url: &str, options: PoolOptions) -> Opened {
        let storage = match database.kind() {
            Kind::Postgres => {
                let connecting = postgres::Database::connect(url, options);
                DatasetStorage::Postgres(Box::new(connecting.await.unwrap()))
            }
            Kind::MariaDb => {
                let connecting = mysql::Database::connect(url, options);
                DatasetStorage::MySql(Box::new(connecting.await.unwrap()))
            }
        };
        Opened {
            store: load(&storage).await,
            place: Where::Shared(Box::new(database)),
        }
    }

    /// Runs statements on the tables of the dataset directly.
    pub async fn tamper(&self, statements: &str) {
        let done = self.try_tamper(statements).await;
        done.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// The same. An error is the database's message.
    pub async fn try_tamper(&self, statements: &str) -> Result<(), String> {
        match &self.place {
            Where::File(dir) => rusqlite::Connection::open(dataset_file(dir.path()))
                .unwrap()
                .execute_batch(statements)
                .map_err(|error| error.to_string()),
            Where::Shared(database) => {
                let mut statements = statements.to_owned();
                for (text, code) in ANSWERS {
                    statements = statements.replace(text, code);
                }
                let done = database.tamper(&self.dataset(), &statements).await;
                done.map(drop)
            }
            Where::Elsewhere => panic!("the test has the server"),
        }
    }

    /// The schema or the database of the dataset.
    pub fn dataset(&self) -> String {
        self.server().kind().dataset(&format!("{:016x}", EPOCH.0))
    }

    /// The database of the store.
    pub fn server(&self) -> &Database {
        match &self.place {
            Where::Shared(database) => database,
            Where::Elsewhere | Where::File(_) => panic!("no database here"),
        }
    }

    /// The same, to be stopped and started.
    pub fn server_mut(&mut self) -> &mut Database {
        match &mut self.place {
            Where::Shared(database) => database,
            Where::Elsewhere | Where::File(_) => panic!("no database here"),
        }
    }

    /// Takes the database out of the store, so that it can be restarted while the store is in use.
    pub fn take_server(&mut self) -> Box<Database> {
        match std::mem::replace(&mut self.place, Where::Elsewhere) {
            Where::Shared(database) => database,
            Where::Elsewhere | Where::File(_) => panic!("no database here"),
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.place, Where::File(_))
    }

    pub async fn close(self) {
        // Some tests break the database before.
        drop(self.store.close().await);
    }

    pub async fn seat(&self, id: i64) -> SeatRow {
        let date = self.store.info().date_of(SeatId(id)).unwrap();
        let seats = self.store.seats_of(date).await.unwrap();
        *seats.iter().find(|seat| seat.id.0 == id).unwrap()
    }

    pub async fn status(&self, seat: i64) -> SeatStatus {
        self.seat(seat).await.status
    }

    /// Registers users 1 to `count` at the places with their numbers.
    pub async fn standing(&self, count: i64) {
        for id in 1..=count {
            let kept = self.store.register(new_place(place(id).0, id));
            assert_eq!(kept.await.unwrap(), RegisterOutcome::Kept);
        }
    }

    pub async fn try_reserve(&self, user: i64, seat: i64) -> ReserveOutcome {
        match self.reserve(wish(user, seat), None).await {
            Keyed::Fresh(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub async fn reserve(&self, wish: Reserve, key: Option<Idempotency>) -> Keyed<ReserveOutcome> {
        self.store.reserve(wish, key).await.unwrap().outcome
    }

    pub async fn cancel(&self, id: ReservationId, user: i64, now: i64) -> CancelOutcome {
        let cancel = self.store.cancel(id, UserId(user), Timestamp(now), None);
        match cancel.await.unwrap().outcome {
            Keyed::Fresh(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub async fn expire(&self, now: i64, most: u32) -> u64 {
        let expire = self.store.expire_holds(Timestamp(now), most);
        expire.await.unwrap().outcome
    }

    pub async fn reserved(&self, user: i64, seat: i64) -> ReservationId {
        match self.try_reserve(user, seat).await {
            ReserveOutcome::Reserved { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    pub async fn balance(&self, user: i64) -> i64 {
        self.store.balance(UserId(user)).await.unwrap().unwrap().0
    }

    pub async fn charged(&self, user: i64, amount: i64) {
        let charge = self
            .store
            .charge(UserId(user), Money(amount), Timestamp(5), None);
        assert!(matches!(charge.await.unwrap(), Keyed::Fresh(_)));
    }

    /// Fails if the audit finds a violation.
    pub async fn assert_sound(&self) {
        let counts = self.store.audit().await.unwrap();
        assert_eq!(counts.violations(), 0, "{counts:?}");
    }
}

/// Loads the dataset of the contract, activates it and opens it.
async fn load(storage: &DatasetStorage) -> Store {
    let mut bulk = storage.begin(EPOCH).await.unwrap();
    let loading = tokio::task::spawn_blocking(move || {
        bulk.concerts(1, 2).unwrap();
        bulk.dates(1, 2, 1, "2026-12-24").unwrap();
        bulk.users(1, USERS, Money(0), Timestamp(1)).unwrap();
        bulk.seats(1, 2 * SEATS, SEATS, &[(20, PRICE)]).unwrap();
        bulk.finish(&info()).unwrap()
    });
    let _kept = loading.await.unwrap();
    storage.activate(EPOCH).await.unwrap();
    let metrics = Metrics::new().unwrap();
    let opening = storage.open(EPOCH, metrics, Faults::default());
    opening.await.unwrap()
}

pub fn place(user: i64) -> Place {
    Place(user.unsigned_abs())
}

/// A reservation from time 10 to 100, for a user at the place with the user's number.
pub fn wish(user: i64, seat: i64) -> Reserve {
    Reserve {
        seat: SeatId(seat),
        seen_version: None,
        user: UserId(user),
        place: place(user),
        now: Timestamp(10),
        expires_at: Timestamp(100),
        limit: 3,
    }
}

/// A place without a key, registered at time 1.
pub fn new_place(at: u64, user: i64) -> NewPlace {
    NewPlace {
        place: Place(at),
        user: UserId(user),
        now: Timestamp(1),
        replaces: None,
        expired_up_to: Place(0),
        key: None,
    }
}

pub fn key(name: &str) -> Idempotency {
    Idempotency {
        key: name.to_owned(),
        fingerprint: 42,
    }
}
