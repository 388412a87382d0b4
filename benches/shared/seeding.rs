//! Compares `concertctl seed onsale` into PostgreSQL with plain SQL: `INSERT … SELECT generate_series` into the same
//! tables. Both create keys and indexes afterwards.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::median;
use crate::support::Postgres;

const ROUNDS: usize = 3;
const TABLES: &str = include_str!("../../migrations/postgres/0001_dataset.sql");
const KEYS: &str = include_str!("../../migrations/postgres/0002_dataset_keys.sql");
const ROWS: &str = "
    INSERT INTO concerts SELECT i, 'performer' || i FROM generate_series(1, 500) i;
    INSERT INTO performance_dates SELECT i, (i - 1) / 20 + 1,
        to_char(date '2027-01-01' + ((i - 1) % 20)::int, 'YYYY-MM-DD') FROM generate_series(1, 10000) i;
    INSERT INTO users (id, modified_at) SELECT i, 1 FROM generate_series(1, 20000) i;
    INSERT INTO seats (id, performance_date_id, price, number)
        SELECT i, (i - 1) / 1000 + 1,
            CASE WHEN (i - 1) % 1000 < 200 THEN 150000 WHEN (i - 1) % 1000 < 600 THEN 120000 ELSE 90000 END,
            (i - 1) % 1000 + 1
        FROM generate_series(1, 10000000) i;";

fn bare(postgres: &Postgres) -> f64 {
    let sql = format!(
        "DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare; SET search_path TO bare;
         BEGIN; {TABLES} {ROWS} {KEYS} COMMIT; ANALYZE concerts, performance_dates, users, seats;"
    );
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("bare.sql");
    std::fs::write(&script, sql).unwrap();
    let began = Instant::now();
    let psql = Command::new(Postgres::program("psql").unwrap())
        .args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file"])
        .arg(&script)
        .arg(postgres.url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(psql.success());
    began.elapsed().as_secs_f64()
}

/// The duration in seconds, and the peak memory of the program in MB.
fn seed(postgres: &Postgres) -> (f64, f64) {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_concertctl"))
        .args(["seed", "onsale", "--replace", "--quiet"])
        .env("CONCERTCTL_DATABASE_URL", postgres.url())
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
    let Some(postgres) = Postgres::start_with(&settings).await else {
        return;
    };
    let (mut ours, mut peer, mut memory) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        peer.push(bare(&postgres));
        let (seconds, most) = seed(&postgres);
        ours.push(seconds);
        memory = memory.max(most);
    }
    let (ours, peer) = (median(ours), median(peer));
    println!("onsale, 10,030,500 rows, into PostgreSQL:");
    println!("  INSERT … SELECT generate_series in psql  {peer:>6.1} s");
    println!(
        "  concertctl seed onsale                   {ours:>6.1} s   ratio {:.2}, {memory:.0} MB resident",
        ours / peer
    );
}
