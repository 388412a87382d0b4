//! The fault `slow_statements`.

use std::time::{Duration, Instant};

use concertctl::api::ops::Fault;
use serde_json::json;

use super::LONG;
use crate::needs;
use crate::support::backend::{Backend, Embedded, MySqlEmbedded, PostgresEmbedded};
use crate::support::eventually;
use crate::support::server::Server;

fn slow(statement: Option<&str>, delay_ms: u64) -> Fault {
    Fault::SlowStatement {
        delay: Duration::from_millis(delay_ms),
        statement: statement.map(str::to_owned),
    }
}

fn took(statement: &str) -> String {
    format!("db_client_operation_duration_seconds_sum{{db_operation_name=\"{statement}\"}}")
}

/// Makes the statements `reads` and `writes` slow in turn.
async fn a_slow_statement_is_found<B: Backend>(reads: &str, writes: &str) {
    let server = Server::<B>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    let delay = Duration::from_millis(400);
    for statement in [reads, writes] {
        let fault = slow(Some(statement), 400);
        server.inject(LONG, fault).await;
        let asked = Instant::now();
        let balance = user.get("/accounts/1").await;
        assert_eq!(balance.status, 200, "{}", balance.text);
        let charged = user.charge(json!(100)).await;
        assert_eq!(charged.status, 200, "{}", charged.text);
        assert!(asked.elapsed() >= delay, "{statement}");
        let sum = server.metric(&took(statement)).await;
        assert!(sum.unwrap() >= 0.4, "{statement}: {sum:?}");
        let line = server.logged(&["slow query", statement]).await;
        assert_eq!(line["level"], "WARN", "{line}");
        let data = &line["additional_data"];
        assert_eq!(data["statement"], statement, "{line}");
        assert!(data["duration_ms"].as_f64().unwrap() >= 400.0, "{line}");
    }
    server.ops.end_faults(None).await.unwrap();
    server.assert_no_faults().await;
    let before = server.metric(&took(writes)).await.unwrap();
    user.charge(json!(100)).await;
    let after = server.metric(&took(writes)).await.unwrap();
    assert!(after - before < 0.4, "it is over");
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_shows_in_log_and_histogram_of_the_embedded_database() {
    Box::pin(a_slow_statement_is_found::<Embedded>(
        "account.read",
        "account.charge",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_shows_in_log_and_histogram_of_postgres() {
    needs!(Server<PostgresEmbedded>);
    Box::pin(a_slow_statement_is_found::<PostgresEmbedded>(
        "account.read",
        "account.charge",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_shows_in_log_and_histogram_of_mysql() {
    needs!(Server<MySqlEmbedded>);
    Box::pin(a_slow_statement_is_found::<MySqlEmbedded>(
        "account.read",
        "account.charge",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_of_mysql_ends_at_its_time_out() {
    needs!(Server<MySqlEmbedded>);
    let server = Server::<MySqlEmbedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    let fault = slow(Some("account.read"), 30_000);
    server.inject(LONG, fault).await;
    let answer = user.get("/accounts/1").await;
    assert_eq!(answer.problem().0, 503, "{}", answer.text);
    let line = server.logged(&["slow query", "account.read"]).await;
    assert!(
        line["additional_data"]["duration_ms"].as_f64().unwrap() >= 3_900.0,
        "{line}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_holds_its_connection_to_postgres_and_its_time_out_ends_it() {
    needs!(Server<PostgresEmbedded>);
    let server = Server::<PostgresEmbedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    let fault = slow(Some("account.read"), 30_000);
    server.inject(LONG, fault).await;
    let postgres = server.parts.postgres().unwrap();
    let (answer, ()) = tokio::join!(user.get("/accounts/1"), async {
        eventually("the server sleeps", || async {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep($1)' AND state = 'active'";
            (postgres.sql(sql).await == "1").then_some(())
        })
        .await;
    });
    assert_eq!(answer.problem().0, 503, "{}", answer.text);
    let line = server.logged(&["slow query", "account.read"]).await;
    assert!(
        line["additional_data"]["duration_ms"].as_f64().unwrap() >= 3_900.0,
        "{line}"
    );
    server.stop().await;
}

/// A charge without a key is never repeated after it has begun. Here the charge itself has not begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_whose_connection_is_lost_during_the_delay_is_still_made() {
    needs!(Server<PostgresEmbedded>);
    let server = Server::<PostgresEmbedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    let fault = slow(Some("account.charge"), 3_000);
    server.inject(LONG, fault).await;
    let postgres = server.parts.postgres().unwrap();
    let asleep =
        "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep($1)' AND state = 'active'";
    let (charged, ()) = tokio::join!(user.charge(json!(100)), async {
        eventually("the server sleeps", || async {
            let sql = format!("SELECT count(*) {asleep}");
            (postgres.sql(&sql).await == "1").then_some(())
        })
        .await;
        server.ops.end_faults(None).await.unwrap();
        let sql = format!("SELECT pg_terminate_backend(pid) {asleep}");
        assert_eq!(postgres.sql(&sql).await, "t");
    });
    assert_eq!(charged.status, 200, "{}", charged.text);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_statements_are_slow_when_none_is_named_and_the_embedded_database_is_still_up() {
    let server = Server::<Embedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    server.inject(LONG, slow(None, 1_500)).await;
    let asked = Instant::now();
    user.get("/accounts/1").await;
    assert!(asked.elapsed() >= Duration::from_millis(1_500));
    let up = "concert_database_up{backend=\"sqlite\"}";
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(
            server.metric(up).await,
            Some(1.0),
            "a slow database counts as up"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.ops.end_faults(None).await.unwrap();
    eventually("statements are as fast as before", || async {
        let asked = Instant::now();
        assert_eq!(user.get("/accounts/1").await.status, 200);
        (asked.elapsed() < Duration::from_millis(1_400)).then_some(())
    })
    .await;
    server.stop().await;
}
