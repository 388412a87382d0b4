//! Takes over a sale from the tables of a MySQL seed into a dataset, as docs/mysql-seed.md shows.

use super::start_up::{run, serve};
use crate::support::MariaDb;
use crate::support::process::ServerProcess;

const TABLES: &str = include_str!("../../../docker/mysql-source-tables.sql");
const PROCEDURES: &str = include_str!("seed/procedures.sql");
const TAKE_OVER: &str = include_str!("../../../docker/mysql-take-over.sql");

const CALLS: &str = "CALL loopInsertUser(); CALL loopInsertConcert(); CALL loopInsertConcertPd();
    CALL loopInsertConcertSeats()";

/// The procedures with smaller numbers: 50 users, and 3 concerts of 20 dates. There are 5 seats on each of the first 40
/// dates, because the procedures count concerts from 2.
fn procedures() -> String {
    let numbers = [
        ("i <= 20000", "i <= 50"),
        ("i <= 500", "i <= 3"),
        ("k <= 1000", "k <= 5"),
    ];
    numbers
        .iter()
        .fold(PROCEDURES.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
}

/// The source's tables, filled, beside a dataset of concertctl.
struct Source {
    mysql: MariaDb,
    dir: tempfile::TempDir,
}

impl Source {
    async fn filled() -> Option<Source> {
        let source = Source {
            mysql: MariaDb::start().await?,
            dir: tempfile::tempdir().unwrap(),
        };
        let client = |text: &str| source.mysql.client("concert", text).unwrap();
        for text in [TABLES, &procedures(), CALLS] {
            client(text);
        }
        let seeded = run(source.dir.path(), &["seed", "demo"], &source.mysql.url()).await;
        assert_eq!(seeded.code, Some(0), "{seeded:?}");
        Some(source)
    }

    /// The database of the active dataset.
    async fn dataset(&self) -> String {
        let epoch = self.mysql.sql("SELECT epoch FROM concertctl_current").await;
        format!("concert_{epoch}")
    }

    async fn take_over(&self) -> Result<String, String> {
        self.mysql.client(&self.dataset().await, TAKE_OVER)
    }

    /// A row of counts: concerts, dates, seats, users.
    async fn counts(&self) -> String {
        let count = |table: &str| format!("(SELECT COUNT(*) FROM {table})");
        let counts = ["concerts", "performance_dates", "seats", "users"].map(count);
        let sql = format!("USE {}; SELECT {}", self.dataset().await, counts.join(", "));
        self.mysql.sql(&sql).await
    }

    async fn serve(&self) -> ServerProcess {
        let url = self.mysql.url();
        ServerProcess::start(self.dir.path(), &["--database-url", &url]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_in_the_tables_of_the_seed_is_taken_over_and_goes_on() {
    let Some(source) = Source::filled().await else {
        return;
    };
    let server = source.serve().await;
    let refused = source.take_over().await.unwrap_err();
    assert!(refused.contains("a server uses the dataset"), "{refused}");
    server.terminate();
    server.exited().await;
    source.take_over().await.unwrap();

    let server = source.serve().await;
    let dataset = server.ops.status().await.unwrap().dataset.unwrap();
    let numbers = (dataset.concerts, dataset.dates, dataset.seats_per_date);
    assert_eq!(numbers, (3, 40, 5), "{dataset:?}");
    let on_sale = (dataset.on_sale_seats, dataset.popular_seats);
    assert_eq!((dataset.users, on_sale), (50, (100, 20)), "{dataset:?}");
    assert_eq!(dataset.profile, "onsale");
    let mut user = server.user(50);
    assert_eq!(user.register().await.status, 201);
    user.until_active().await;
    // The seat is the last one of the last date of the concert on sale.
    assert_eq!(user.seat_status(20, 100).await, "AVAILABLE");
    user.reserved(100).await;
    assert_eq!(user.seat_status(20, 100).await, "PENDING");
    assert_eq!(server.ops.audit().await.unwrap().violations(), 0);
    server.terminate();
    server.exited().await;
    let refused = source.take_over().await.unwrap_err();
    assert!(refused.contains("the dataset was used"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_with_gaps_are_counted_anew_and_balances_enter_the_ledger() {
    let Some(source) = Source::filled().await else {
        return;
    };
    let gaps = "DELETE FROM users WHERE users_id = 3;
        UPDATE users SET users_account_balance = 700 WHERE users_id = 5;
        DELETE FROM seats WHERE performance_dates_id <= 20;
        DELETE FROM seats WHERE seats_id % 5 = 2";
    source.mysql.sql(gaps).await;
    source.take_over().await.unwrap();
    // The second concert became the first, and its dates 21 to 40 became 1 to 20.
    assert_eq!(source.counts().await, "3|20|80|49");
    let server = source.serve().await;
    let audit = server.ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
    let catalog = server.user(1).get("/concerts").await.text;
    let (first, second) = (catalog.find("performer2"), catalog.find("performer1"));
    assert!(first.is_some() && first < second, "{catalog}");
    let mut user = server.user(4);
    assert_eq!(user.register().await.status, 201);
    user.until_active().await;
    user.reserved(80).await;
    let account = user.get("/accounts/4").await.text;
    assert!(account.contains("700"), "{account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_does_not_fit_is_refused_and_changes_nothing() {
    let Some(source) = Source::filled().await else {
        return;
    };
    let before = source.counts().await;
    for (spoil, named, repair) in [
        (
            "UPDATE seats SET seats_status = 'RESERVED' WHERE seats_id = 1",
            "only seats with the status AVAILABLE",
            "UPDATE seats SET seats_status = 'AVAILABLE'",
        ),
        (
            "UPDATE seats SET performance_dates_id = 2 WHERE seats_id = 1",
            "the same number of seats",
            "UPDATE seats SET performance_dates_id = 1 WHERE seats_id = 1",
        ),
        (
            "UPDATE seats SET performance_dates_id = 100 WHERE performance_dates_id = 1",
            "a date that does not exist",
            "UPDATE seats SET performance_dates_id = 1 WHERE performance_dates_id = 100",
        ),
        (
            "UPDATE performance_dates SET concerts_id = 9 WHERE performance_dates_id = 1",
            "a concert that does not exist",
            "UPDATE performance_dates SET concerts_id = 1 WHERE performance_dates_id = 1",
        ),
    ] {
        source.mysql.sql(spoil).await;
        let refused = source.take_over().await.unwrap_err();
        assert!(refused.contains(named), "{spoil}: {refused}");
        assert_eq!(source.counts().await, before, "{spoil}");
        source.mysql.sql(repair).await;
    }
    // An interruption leaves a dataset without its description.
    let meta = format!("{}.meta", source.dataset().await);
    let interrupted = format!("UPDATE {meta} SET `key` = 'taken_over' WHERE `key` = 'dataset'");
    source.mysql.sql(&interrupted).await;
    let ended = serve(&source.mysql.url()).await;
    ended.failed_with(1, &["holds no dataset"]);
    source.take_over().await.unwrap();
    assert_eq!(source.counts().await, "3|40|200|50");
}
