//! Compares `concertctl seed onsale` with plain SQL in the database's own shell: `INSERT … SELECT` from
//! `generate_series` of PostgreSQL, or from the sequence engine of MariaDB, into the same tables with the same keys. On
//! PostgreSQL both create keys and indexes afterwards.

use std::io::{Seek as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::median;
use crate::support::{MariaDb, Postgres};

const ROUNDS: usize = 3;
const POSTGRES_TABLES: &str = include_str!("../../migrations/postgres/0001_dataset.sql");
const POSTGRES_KEYS: &str = include_str!("../../migrations/postgres/0002_dataset_keys.sql");
const POSTGRES_ROWS: &str = "
    INSERT INTO concerts SELECT i, 'performer' || i FROM generate_series(1, 500) i;
    INSERT INTO performance_dates SELECT i, (i - 1) / 20 + 1,
        to_char(date '2027-01-01' + ((i - 1) % 20)::int, 'YYYY-MM-DD') FROM generate_series(1, 10000) i;
    INSERT INTO users (id, modified_at) SELECT i, 1 FROM generate_series(1, 20000) i;
    INSERT INTO seats (id, performance_date_id, price, number)
        SELECT i, (i - 1) / 1000 + 1,
            CASE WHEN (i - 1) % 1000 < 200 THEN 150000 WHEN (i - 1) % 1000 < 600 THEN 120000 ELSE 90000 END,
            (i - 1) % 1000 + 1
        FROM generate_series(1, 10000000) i;";

const MARIADB_TABLES: &str = include_str!("../../migrations/mysql/0001_dataset.sql");
const MARIADB_ROWS: &str = "
    SET unique_checks = 0, foreign_key_checks = 0;
    INSERT INTO concerts SELECT seq, CONCAT('performer', seq) FROM seq_1_to_500;
    INSERT INTO performance_dates SELECT seq, (seq - 1) DIV 20 + 1,
        DATE_FORMAT(DATE_ADD(DATE '2027-01-01', INTERVAL (seq - 1) % 20 DAY), '%Y-%m-%d') FROM seq_1_to_10000;
    INSERT INTO users (id, modified_at) SELECT seq, 1 FROM seq_1_to_20000;
    INSERT INTO seats (id, performance_date_id, price, number)
        SELECT seq, (seq - 1) DIV 1000 + 1,
            CASE WHEN (seq - 1) % 1000 < 200 THEN 150000 WHEN (seq - 1) % 1000 < 600 THEN 120000 ELSE 90000 END,
            (seq - 1) % 1000 + 1
        FROM seq_1_to_10000000;
    ANALYZE TABLE concerts, performance_dates, users, seats;";

/// The duration in seconds of plain SQL in `psql`.
fn in_psql(postgres: &Postgres) -> f64 {
    let (tables, rows, keys) = (POSTGRES_TABLES, POSTGRES_ROWS, POSTGRES_KEYS);
    let sql = format!(
        "DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare; SET search_path TO bare;
         BEGIN; {tables} {rows} {keys} COMMIT; ANALYZE concerts, performance_dates, users, seats;"
    );
    let mut psql = Command::new(Postgres::program("psql").unwrap());
    psql.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--dbname"])
        .arg(postgres.url());
    timed(&mut psql, &sql)
}

/// The duration in seconds of plain SQL in `mariadb`.
fn in_mariadb(mariadb: &MariaDb) -> f64 {
    let sql = format!(
        "DROP DATABASE IF EXISTS concert_bare; CREATE DATABASE concert_bare; USE concert_bare;
         {MARIADB_TABLES} {MARIADB_ROWS}"
    );
    let addr = mariadb.addr();
    let mut shell = Command::new("mariadb");
    shell
        .args(["--no-defaults", "--user=concert"])
        .arg(format!("--host={}", addr.ip()))
        .arg(format!("--port={}", addr.port()))
        .env("MYSQL_PWD", mariadb.password());
    timed(&mut shell, &sql)
}

/// The duration in seconds of a shell that runs this SQL.
fn timed(shell: &mut Command, sql: &str) -> f64 {
    let mut script = tempfile::tempfile().unwrap();
    script.write_all(sql.as_bytes()).unwrap();
    script.rewind().unwrap();
    let began = Instant::now();
    let status = shell.stdin(script).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    began.elapsed().as_secs_f64()
}

/// The duration in seconds, and the peak memory of the program in MB.
fn seed(database_url: &str) -> (f64, f64) {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_concertctl"))
        .args(["seed", "onsale", "--replace", "--quiet"])
        .env("CONCERTCTL_DATABASE_URL", database_url)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most: f64 = 0.0;
    loop {
        if let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            most = most.max(kilobytes.unwrap_or(0.0) / 1024.0);
        }
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success());
            return (began.elapsed().as_secs_f64(), most);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

pub async fn run() {
    let settings = [("fsync", "on"), ("shared_buffers", "128MB")];
    if let Some(postgres) = Postgres::start_with(&settings).await {
        let url = postgres.url();
        compare("PostgreSQL", "generate_series in psql", &url, || {
            in_psql(&postgres)
        });
    }
    let settings = [
        "--innodb-flush-log-at-trx-commit=1",
        "--innodb-buffer-pool-size=128M",
    ];
    if let Some(mariadb) = MariaDb::start_with(&settings).await {
        let url = mariadb.url();
        compare("MariaDB", "seq in mariadb", &url, || in_mariadb(&mariadb));
    }
}

/// Prints the medians of some rounds, in which both take turns.
fn compare(database: &str, source: &str, url: &str, bare: impl Fn() -> f64) {
    let (mut ours, mut peer, mut memory) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        peer.push(bare());
        let (seconds, most) = seed(url);
        ours.push(seconds);
        memory = memory.max(most);
    }
    let (ours, peer) = (median(ours), median(peer));
    println!("onsale, 10,030,500 rows, into {database}:");
    println!("  {:<41}{peer:>6.1} s", format!("INSERT … SELECT {source}"));
    println!(
        "  concertctl seed onsale                   {ours:>6.1} s   ratio {:.2}, {memory:.0} MB resident",
        ours / peer
    );
}
