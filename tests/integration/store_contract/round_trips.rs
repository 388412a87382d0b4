//! A reservation is one statement, which was prepared before.

use concertctl::store::postgres::PgOptions as PoolOptions;

use super::Opened;
use crate::support::database::Kind;
use crate::support::{Database, Postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_one_round_trip_to_postgres() {
    let Some(postgres) = Postgres::start_with(&[("log_statement", "all")]).await else {
        return;
    };
    let url = postgres.url();
    let db = Opened::at(Database::Postgres(postgres), &url, PoolOptions::default()).await;
    db.standing(2).await;
    db.reserved(1, 1).await;
    let log_now = || db.server().postgres().unwrap().log();
    let so_far = log_now().len();
    db.reserved(1, 2).await;
    db.try_reserve(2, 2).await;
    let log = log_now().split_off(so_far);
    let statements: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("LOG:") && !line.contains("pg_try_advisory"))
        .collect();
    assert_eq!(statements.len(), 2, "two reservations asked for: {log}");
    let executed = statements.iter().all(|line| line.contains("execute "));
    assert!(
        executed,
        "the statement must be prepared before and have no transaction around it: {log}"
    );
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_one_round_trip_to_mysql() {
    let options = PoolOptions {
        connections: 1,
        ..PoolOptions::default()
    };
    let Some(db) = Opened::with(Kind::MariaDb, options).await else {
        return;
    };
    let counted = async |name: &str| {
        let sql = format!(
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = '{name}'"
        );
        db.server().sql(&sql).await.parse::<i64>().unwrap()
    };
    let counts = async || {
        let executed = counted("COM_STMT_EXECUTE").await;
        (executed, counted("COM_STMT_PREPARE").await)
    };
    db.standing(2).await;
    db.reserved(1, 1).await;
    let before = counts().await;
    db.reserved(1, 2).await;
    db.try_reserve(2, 2).await;
    let after = counts().await;
    assert_eq!(after.0 - before.0, 2, "two reservations, two statements");
    assert_eq!(after.1, before.1, "both were prepared before");
    db.close().await;
}
