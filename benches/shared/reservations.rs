//! Compares reservations per second over HTTP with pgbench and mysqlslap, which run the same statement on as many
//! connections of the same database: the difference is the overhead of the service.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use concertctl::store::postgres::RESERVE;
use futures_util::stream::{self, StreamExt as _};
use http::Request;
use http_body_util::Full;

use crate::client::{addr, drive};
use crate::median;
use crate::support::{MariaDb, Postgres, Redis, TestServer, eventually, profile, seed};

const ROUNDS: usize = 3;
const CONNECTIONS: usize = 16;
const DATES: u32 = 32;
const SEATS: i64 = 32 * 1_000;
/// Users reserve four seats each.
const USERS: i64 = SEATS / 4;

/// The service's reservations per second until every seat is held. Each request has an idempotency key, as those of
/// the load generator.
async fn service(database_url: &str, redis: Option<&Redis>) -> f64 {
    let server = TestServer::with(|settings| {
        settings.database_url = Some(database_url.parse().unwrap());
        settings.redis_url = redis.map(|redis| redis.url().parse().unwrap());
        settings.database_connections = CONNECTIONS;
    })
    .await;
    seed(
        &server.ops,
        &profile(DATES, 1_000, USERS.try_into().unwrap()),
    )
    .await;
    server.admit_everybody().await;
    let tokens: Vec<(i64, String)> = stream::iter(1..=USERS)
        .map(|id| server.registered(id))
        .buffer_unordered(64)
        .map(|user| (user.id, user.token.unwrap()))
        .collect()
        .await;
    eventually("everybody is admitted", || async {
        (server.status().await.queue.admitted_mark == USERS.unsigned_abs()).then_some(())
    })
    .await;
    let rate = drive(
        addr(&server.api),
        4 * CONNECTIONS,
        Duration::from_secs(60),
        201,
        move |at| {
            let (user, token) = tokens
                .get(at % tokens.len())
                .filter(|_| at < SEATS as usize)?;
            let body = format!("{{\"userId\":{user},\"seatId\":{}}}", at + 1);
            let request = Request::post("/reservations")
                .header("host", "bench")
                .header("content-type", "application/json")
                .header("idempotency-key", format!("seat-{at}"))
                .header("wait-token", token);
            Some(request.body(Full::new(Bytes::from(body))).unwrap())
        },
    )
    .await;
    server.stop().await;
    rate
}

/// The reservations per second of pgbench with the same statement, on free seats.
async fn pgbench(postgres: &Postgres) -> f64 {
    let epoch = postgres.sql("SELECT epoch FROM concertctl.current").await;
    let schema = format!("concertctl_{}", epoch.trim());
    postgres
        .sql(&format!(
            "SET search_path TO {schema};
             TRUNCATE idempotency, ledger, reservations;
             UPDATE seats SET status = 0 WHERE status <> 0"
        ))
        .await;
    // A separate call, because this statement cannot run inside a transaction with others.
    postgres
        .sql(&format!("VACUUM ANALYZE {schema}.seats"))
        .await;
    postgres.sql("CHECKPOINT").await;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("reserve.sql");
    std::fs::write(&script, script_of(RESERVE)).unwrap();
    let each = SEATS as usize / CONNECTIONS;
    let output = Command::new(Postgres::program("pgbench").unwrap())
        .args(["--no-vacuum", "--protocol", "prepared", "--define", "i=0"])
        .args(["--client", &CONNECTIONS.to_string(), "--jobs", "1"])
        .args(["--transactions", &each.to_string()])
        .arg("--file")
        .arg(&script)
        .arg(postgres.url())
        .env("PGOPTIONS", format!("-c search_path={schema}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let held = postgres
        .sql(&format!("SELECT count(*) FROM {schema}.reservations"))
        .await;
    let expected = each * CONNECTIONS;
    assert_eq!(
        held.trim().parse(),
        Ok(expected),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let line = text.lines().find(|line| line.starts_with("tps")).unwrap();
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// The statement with pgbench's variables as parameters. Client c reserves seats c·n + 1, … for users that no other
/// client has, because pgbench stops at the first conflict between two clients.
fn script_of(statement: &str) -> String {
    let (each, users) = (SEATS as usize / CONNECTIONS, USERS as usize / CONNECTIONS);
    let mut script = format!(
        "\\set i :i + 1\n\\set seat :client_id * {each} + :i\n\\set user :client_id * {users} + :i % {users} + 1\n"
    );
    let values = [
        ":user::bigint",
        "('seat-' || :seat::bigint)",
        "1::bigint",
        ":user::bigint",
        ":seat::bigint",
        "NULL::bigint",
        "1::bigint",
        "9000000000000::bigint",
        "4::bigint",
    ];
    let mut text = statement.replace('\n', " ");
    for (at, value) in values.iter().enumerate().rev() {
        text = text.replace(&format!("${}", at + 1), value);
    }
    script.push_str(&text);
    script.push_str(";\n");
    script
}

/// The reservations per second of mysqlslap with the same CALL, on free seats. All its clients draw their seats and
/// users from one sequence, because it has no variables of its own.
async fn mysqlslap(mariadb: &MariaDb) -> f64 {
    let database = mariadb
        .sql("SELECT CONCAT('concert_', epoch) FROM concert.concertctl_current")
        .await;
    let database = database.trim();
    mariadb
        .sql(&format!(
            "TRUNCATE {database}.idempotency; TRUNCATE {database}.ledger; TRUNCATE {database}.reservations;
             UPDATE {database}.seats SET status = 0 WHERE status <> 0;
             CREATE OR REPLACE SEQUENCE {database}.bench CACHE 1000;"
        ))
        .await;
    let call = format!(
        "CALL reserve((NEXT VALUE FOR bench) % {USERS} + 1, CONCAT('seat-', LASTVAL(bench)), 1,
             LASTVAL(bench) % {USERS} + 1, LASTVAL(bench), NULL, 1, 9000000000000, 4)"
    );
    let addr = mariadb.addr();
    let began = Instant::now();
    let output = Command::new("mysqlslap")
        .args(["--no-defaults", "--user=concert", "--silent", "--csv"])
        .arg(format!("--host={}", addr.ip()))
        .arg(format!("--port={}", addr.port()))
        .arg(format!("--create-schema={database}"))
        .arg("--no-drop")
        .arg(format!("--concurrency={CONNECTIONS}"))
        .arg(format!("--number-of-queries={SEATS}"))
        .arg(format!("--query={call}"))
        .env("MYSQL_PWD", mariadb.password())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    let held = mariadb
        .sql(&format!("SELECT COUNT(*) FROM {database}.reservations"))
        .await;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(held.trim().parse(), Ok(SEATS), "{complaints}");
    SEATS as f64 / took
}

pub async fn run() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let settings = [("fsync", "on"), ("shared_buffers", "256MB")];
    if let Some(postgres) = Postgres::start_with(&settings).await {
        let url = postgres.url();
        compare("PostgreSQL", "pgbench", &url, &redis, || pgbench(&postgres)).await;
    }
    let settings = [
        "--innodb-flush-log-at-trx-commit=1",
        "--innodb-buffer-pool-size=256M",
    ];
    if let Some(mariadb) = MariaDb::start_with(&settings).await {
        let url = mariadb.url();
        compare("MariaDB", "mysqlslap", &url, &redis, || mysqlslap(&mariadb)).await;
    }
}

/// Prints the medians of some rounds, in which the programs take turns.
async fn compare(
    database: &str,
    peer: &str,
    url: &str,
    redis: &Redis,
    bare: impl AsyncFn() -> f64,
) {
    let (mut alone, mut shared, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(service(url, None).await);
        others.push(bare().await);
        shared.push(service(url, Some(redis)).await);
    }
    let (alone, shared, others) = (median(alone), median(shared), median(others));
    let ratio = |of: f64| of / others;
    println!("reservations a second, {CONNECTIONS} connections to {database}, {SEATS} seats:");
    println!(
        "  {:<36}{others:>8.0}",
        format!("{peer}, the same statement")
    );
    println!(
        "  POST /reservations                  {alone:>8.0}   ratio {:.2}",
        ratio(alone)
    );
    println!(
        "  POST /reservations, locks in Redis  {shared:>8.0}   ratio {:.2}",
        ratio(shared)
    );
}
