//! Real failures under traffic: Redis and the database are killed, stalled, emptied or slowed down, and one of three
//! servers is killed. Tests of the database run on PostgreSQL and on MariaDB. Each test prints its figures.

/// Makes each `async fn name<B: Backend>()` a test on each shared database.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                Box::pin(super::$name::<crate::support::PostgresRedis>()).await;
            })+
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                Box::pin(super::$name::<crate::support::MySqlRedis>()).await;
            })+
        }
    };
}

mod database;
mod gauge;
mod injected;
mod servers;
mod shared_queue;
mod traffic;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use concertctl::api::ops::{AdmissionChange, LOOKUP_MAX, LookupRequest};
use concertctl::clients::ops::Ops;
use concertctl::settings::ServeSettings;

use crate::support::backend::Parts;
use crate::support::{Backend, Database, PATIENCE, Redis, Server, User, eventually, profile, seed};
use traffic::{Report, Sale, Step, Traffic};

/// The size of the sale: dates, seats per date, users.
const DATES: i64 = 4;
const PER_DATE: i64 = 500;
const USERS: i64 = 20_000;

/// After so many equal answers, 10 ms and more apart, no claimed batch is in progress: a batch is applied or returned
/// within 300 ms, and the next one is due after 200 ms. Answers are counted instead of time, because a machine that
/// stands still gives none.
const AT_REST: u32 = 80;

/// A server on a real database and a real Redis, with traffic.
struct Rehearsal<B: Backend> {
    server: Server<B>,
    traffic: Traffic,
    begun: Instant,
}

impl<B: Backend> Rehearsal<B> {
    /// Starts everything. `None`, with a printed line, if the database or Redis is not installed.
    async fn begin() -> Option<Rehearsal<B>> {
        Rehearsal::begin_with(|_| {}).await
    }

    /// The same with other settings of the server.
    async fn begin_with(change: impl FnOnce(&mut ServeSettings)) -> Option<Rehearsal<B>> {
        if Server::<B>::skipped() {
            return None;
        }
        let parts = Parts::start::<B>().await;
        Some(Rehearsal::on(parts, change).await)
    }

    async fn on(parts: Parts, change: impl FnOnce(&mut ServeSettings)) -> Rehearsal<B> {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::on(dir, parts, change).await;
        let (dates, per_date) = (DATES.try_into().unwrap(), PER_DATE.try_into().unwrap());
        seed(
            &server.ops,
            &profile(dates, per_date, USERS.try_into().unwrap()),
        )
        .await;
        // Small batches, so that some users wait while others buy, and a pause of admission shows.
        let change = AdmissionChange {
            batch: Some(20),
            every_ms: Some(200),
            ..AdmissionChange::default()
        };
        server.admission(change).await;
        let begun = Instant::now();
        let traffic = Traffic::start(Sale {
            apis: vec![server.api.clone()],
            users: USERS,
            seats: DATES * PER_DATE,
            per_date: PER_DATE,
            width: 48,
        });
        eventually("people buy", || async {
            (traffic.count(Step::Reserve, 201) >= 20).then_some(())
        })
        .await;
        Rehearsal {
            server,
            traffic,
            begun,
        }
    }

    fn database(&mut self) -> &mut Database {
        self.server.parts.shared_mut()
    }

    fn redis(&mut self) -> &mut Redis {
        let redis = self.server.parts.redis.as_mut();
        redis.expect("the backend has a Redis")
    }

    async fn watermark(&self) -> u64 {
        self.server.status().await.queue.admitted_mark
    }

    /// Admits so slowly that people wait, and waits until they do. Without the database only waiting users still poll,
    /// so a test that counts polls during its failure needs them.
    async fn people_wait(&self) {
        self.admit_in_batches_of(1).await;
        eventually("people wait", || async {
            let status = self.server.status().await;
            (status.queue.waiting >= 10).then_some(())
        })
        .await;
    }

    async fn admit_in_batches_of(&self, users: u64) {
        let change = AdmissionChange {
            batch: Some(users),
            ..AdmissionChange::default()
        };
        self.server.admission(change).await;
    }

    /// The watermark after all batches in progress have been applied.
    async fn watermark_at_rest(&self) -> u64 {
        let begun = Instant::now();
        let (mut watermark, mut unchanged) = (self.watermark().await, 0);
        while unchanged < AT_REST {
            assert!(begun.elapsed() < PATIENCE, "batches go on: {watermark}");
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.watermark().await;
            unchanged = if now == watermark { unchanged + 1 } else { 0 };
            watermark = now;
        }
        watermark
    }

    /// The server's report about its parts.
    async fn readiness(&self) -> (u16, serde_json::Value) {
        let answer = User::new(&self.server.api, 0).get("/health/ready").await;
        let body = answer.json();
        (answer.status, body["parts"].clone())
    }

    /// Waits for `step` to succeed another `count` times.
    async fn until(&self, step: Step, status: u16, count: usize) {
        let so_far = self.traffic.count(step, status);
        eventually("people go on", || async {
            (self.traffic.count(step, status) >= so_far + count).then_some(())
        })
        .await;
    }

    /// Ends the sale. The audit finds no violation, and no acknowledged write is missing.
    async fn end(self, fault: &str, from: Instant, to: Instant) -> Report {
        let report = self.traffic.stop().await;
        books_are_right(&self.server.ops, &report.facts).await;
        print_figures(fault, &report, (self.begun, from, to));
        self.server.stop().await;
        report
    }
}

/// Asserts that the audit is clean, places are unique, and every acknowledged write is in the database.
async fn books_are_right(ops: &Ops, facts: &LookupRequest) {
    let audit = ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
    let places: HashSet<u64> = facts.places.iter().map(|fact| fact.place).collect();
    assert_eq!(places.len(), facts.places.len(), "a place was given twice");
    let seats: HashSet<i64> = facts.reservations.iter().map(|fact| fact.seat_id).collect();
    assert_eq!(
        seats.len(),
        facts.reservations.len(),
        "a seat was sold twice"
    );
    for part in split(facts) {
        let answer = ops.lookup(&part).await.unwrap();
        assert_eq!(answer.missing, 0, "acknowledged and lost: {answer:?}");
    }
}

/// Splits the facts into look-ups of the permitted size.
fn split(facts: &LookupRequest) -> Vec<LookupRequest> {
    let most = LOOKUP_MAX;
    let none = LookupRequest::default;
    let mut parts = Vec::new();
    for places in facts.places.chunks(most).map(<[_]>::to_vec) {
        parts.push(LookupRequest { places, ..none() });
    }
    for reservations in facts.reservations.chunks(most).map(<[_]>::to_vec) {
        parts.push(LookupRequest {
            reservations,
            ..none()
        });
    }
    for payments in facts.payments.chunks(most).map(<[_]>::to_vec) {
        parts.push(LookupRequest { payments, ..none() });
    }
    for charges in facts.charges.chunks(most).map(<[_]>::to_vec) {
        parts.push(LookupRequest { charges, ..none() });
    }
    parts
}

fn print_figures(fault: &str, report: &Report, (begun, from, to): (Instant, Instant, Instant)) {
    let end = Instant::now();
    println!("{fault}:");
    for (name, a, b) in [
        ("before", begun, from),
        ("during", from, to),
        ("after", to, end),
    ] {
        let seconds = (b - a).as_secs_f64();
        let p95 = report.p95(a, b);
        println!(
            "  {name} ({seconds:.1} s): p95 {p95:.1?}, {:?}",
            report.by_status(a, b)
        );
    }
    if let Some(slowest) = report.slowest() {
        let (took, step, status) = (slowest.took, slowest.step, slowest.status);
        println!("  slowest answer: {took:.1?}, {step:?} {status}");
    }
    println!(
        "  acknowledged: {} places, {} reservations, {} payments; lost 0",
        report.facts.places.len(),
        report.facts.reservations.len(),
        report.facts.payments.len()
    );
}

/// The longest time for an answer during any failure: the database's time-out, as long again for the outcome of a write
/// that has begun, plus slack for a machine that is slow or stands still for seconds.
const BOUND: Duration = Duration::from_secs(40);
