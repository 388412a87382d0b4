//! A small dataset in one of the stores, with direct access to its rows.

use concertctl::domain::{
    ConcertId, Epoch, Money, Place, ReservationId, SeatId, SeatStatus, Timestamp, UserId,
};
use concertctl::faults::Faults;
use concertctl::store::mysql::{self, MySqlOptions};
use concertctl::store::postgres::{Database, PgOptions};
use concertctl::store::sqlite::bulk::BulkLoad;
use concertctl::store::sqlite::{Options, SqliteStore};
use concertctl::store::{
    CancelOutcome, DatasetInfo, Idempotency, Keyed, NewPlace, RegisterOutcome, Reserve,
    ReserveOutcome, SeatRow, Store,
};
use concertctl::telemetry::Metrics;
use tempfile::TempDir;

use crate::support::postgres::ask;
use crate::support::{MariaDb, Postgres, Proxy};

pub const EPOCH: Epoch = Epoch(0xfeed);
/// Answers as SQLite stores them, and their codes in PostgreSQL.
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
    Postgres(Box<Postgres>),
    MySql(Box<MariaDb>),
    /// The test has the server.
    Elsewhere,
}

impl Opened {
    pub async fn sqlite() -> Opened {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dataset.db");
        let mut bulk = BulkLoad::create(&file).unwrap();
        bulk.concerts(1, 2).unwrap();
        bulk.dates(1, 2, 1, "2026-12-24").unwrap();
        bulk.users(1, USERS, Money(0), Timestamp(1)).unwrap();
        bulk.seats(1, 2 * SEATS, SEATS, &[(20, PRICE)]).unwrap();
        bulk.finish(&info()).unwrap();
        let metrics = Metrics::new().unwrap();
        let store =
            SqliteStore::open(&file, Options::default(), metrics, Faults::default()).unwrap();
        Opened {
            store: Store::Sqlite(store),
            place: Where::File(dir),
        }
    }

    /// A store in PostgreSQL; `None` if it is not installed.
    pub async fn postgres() -> Option<Opened> {
        Opened::postgres_with(PgOptions::default()).await
    }

    pub async fn postgres_with(options: PgOptions) -> Option<Opened> {
        let postgres = Postgres::start().await?;
        let url = postgres.url();
        Some(Opened::at(postgres, &url, options).await)
    }

    /// The same through a proxy.
    pub async fn through_proxy(options: PgOptions) -> Option<(Opened, Proxy)> {
        let postgres = Postgres::start().await?;
        let proxy = Proxy::to(postgres.addr()).await;
        let url = postgres.url_at(proxy.addr());
        Some((Opened::at(postgres, &url, options).await, proxy))
    }

    /// The same with other settings of the server.
    pub async fn set_up(settings: &[(&str, &str)]) -> Option<Opened> {
        let postgres = Postgres::start_with(settings).await?;
        let url = postgres.url();
        Some(Opened::at(postgres, &url, PgOptions::default()).await)
    }

    async fn at(postgres: Postgres, url: &str, options: PgOptions) -> Opened {
        let database = Database::connect(url, options).await.unwrap();
        load(&database, EPOCH).await;
        let metrics = Metrics::new().unwrap();
        let store = database
            .open(EPOCH, metrics, Faults::default())
            .await
            .unwrap();
        Opened {
            store: Store::Postgres(store),
            place: Where::Postgres(Box::new(postgres)),
        }
    }

    /// A store in MariaDB; `None` if it is not installed.
    pub async fn mysql() -> Option<Opened> {
        Opened::mysql_with(MySqlOptions::default()).await
    }

    pub async fn mysql_with(options: MySqlOptions) -> Option<Opened> {
        let mysql = MariaDb::start().await?;
        let url = mysql.url();
        Some(Opened::at_mysql(mysql, &url, options).await)
    }

    /// The same with more arguments of the server.
    pub async fn mysql_set_up(arguments: &[&str]) -> Option<Opened> {
        let mysql = MariaDb::start_with(arguments).await?;
        let url = mysql.url();
        Some(Opened::at_mysql(mysql, &url, MySqlOptions::default()).await)
    }

    /// The same through a proxy.
    pub async fn mysql_through_proxy(options: MySqlOptions) -> Option<(Opened, Proxy)> {
        let mysql = MariaDb::start().await?;
        let proxy = Proxy::to(mysql.addr()).await;
        let url = mysql.url_at(proxy.addr());
        Some((Opened::at_mysql(mysql, &url, options).await, proxy))
    }

    async fn at_mysql(mysql: MariaDb, url: &str, options: MySqlOptions) -> Opened {
        let database = mysql::Database::connect(url, options).await.unwrap();
        load_mysql(&database, EPOCH).await;
        let metrics = Metrics::new().unwrap();
        let opened = database.open(EPOCH, metrics, Faults::default());
        Opened {
            store: Store::MySql(opened.await.unwrap()),
            place: Where::MySql(Box::new(mysql)),
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
            Where::File(dir) => rusqlite::Connection::open(dir.path().join("dataset.db"))
                .unwrap()
                .execute_batch(statements)
                .map_err(|error| error.to_string()),
            Where::Postgres(postgres) => {
                let schema = format!("concertctl_{:016x}", EPOCH.0);
                let mut statements = format!("SET search_path TO {schema}; {statements}");
                for (text, code) in ANSWERS {
                    statements = statements.replace(text, code);
                }
                ask(&postgres.superuser(), &statements).await.map(drop)
            }
            Where::MySql(mysql) => mysql.tamper(&mysql_dataset(), statements).await,
            Where::Elsewhere => panic!("the test has the server"),
        }
    }

    /// The PostgreSQL of the store.
    pub fn server(&self) -> &Postgres {
        match &self.place {
            Where::Postgres(postgres) => postgres,
            _ => panic!("no PostgreSQL here"),
        }
    }

    /// The MariaDB of the store.
    pub fn mysql_server(&self) -> &MariaDb {
        match &self.place {
            Where::MySql(mysql) => mysql,
            Where::Elsewhere | Where::File(_) | Where::Postgres(_) => panic!("no MariaDB here"),
        }
    }

    /// The same, to be stopped and started.
    pub fn mysql_server_mut(&mut self) -> &mut MariaDb {
        match &mut self.place {
            Where::MySql(mysql) => mysql,
            Where::Elsewhere | Where::File(_) | Where::Postgres(_) => panic!("no MariaDB here"),
        }
    }

    /// Takes the MariaDB out of the store, so that it can be restarted while the store is in use.
    pub fn take_mysql_server(&mut self) -> Box<MariaDb> {
        match std::mem::replace(&mut self.place, Where::Elsewhere) {
            Where::MySql(mysql) => mysql,
            _ => panic!("no MariaDB here"),
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.place, Where::File(_))
    }

    pub async fn close(self) {
        self.store.close().await;
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

/// Loads the dataset of the contract into a database and activates it.
pub async fn load(database: &Database, epoch: Epoch) {
    let mut bulk = database.begin_bulk(epoch).await.unwrap();
    let info = DatasetInfo { epoch, ..info() };
    let loading = tokio::task::spawn_blocking(move || {
        bulk.concerts(1, 2).unwrap();
        bulk.dates(1, 2, 1, "2026-12-24").unwrap();
        bulk.users(1, USERS, Money(0), Timestamp(1)).unwrap();
        bulk.seats(1, 2 * SEATS, SEATS, &[(20, PRICE)]).unwrap();
        bulk.finish(&info).unwrap()
    });
    let _kept = loading.await.unwrap();
    database.activate(epoch).await.unwrap();
}

/// The same in MariaDB.
pub async fn load_mysql(database: &mysql::Database, epoch: Epoch) {
    let mut bulk = database.begin_bulk(epoch).await.unwrap();
    let info = DatasetInfo { epoch, ..info() };
    let loading = tokio::task::spawn_blocking(move || {
        bulk.concerts(1, 2).unwrap();
        bulk.dates(1, 2, 1, "2026-12-24").unwrap();
        bulk.users(1, USERS, Money(0), Timestamp(1)).unwrap();
        bulk.seats(1, 2 * SEATS, SEATS, &[(20, PRICE)]).unwrap();
        bulk.finish(&info).unwrap()
    });
    let _kept = loading.await.unwrap();
    database.activate(epoch).await.unwrap();
}

/// The MariaDB database of the contract's dataset.
pub fn mysql_dataset() -> String {
    format!("concert_{:016x}", EPOCH.0)
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
