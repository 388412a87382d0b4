//! Admission that follows the objective, over TCP: admitted users buy, a statement becomes slow, the rate falls and
//! recovers. Without the setting the rate does not change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use concertctl::api::ops::{AdmissionChange, Fault, FaultKind, Follow, Opening};
use concertctl::clients::ops::Ops;
use concertctl::domain::admission_control::{OBJECTIVE, Reason};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Fleet, PostgresRedis, TestServer, User, eventually, profile, seed};

/// The users per second that the settings admit.
const CAP: f64 = 20.0;
/// Enough for the longest run at the cap.
const PEOPLE: i64 = 8_000;
const PER_DATE: i64 = 100;

/// A delay that, with one writer, limits reservations to ten per second: half of what the settings admit.
const HALF: Duration = Duration::from_millis(100);

/// A step of buying: the time of its request, its duration, the status of the answer.
type Sample = (Instant, Duration, u16);

/// Users who wait in the queue and buy once they are admitted.
struct Buyers {
    stop: CancellationToken,
    driver: tokio::task::JoinHandle<()>,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Buyers {
    /// Registers all users at the servers of `apis`, opens the sale with `follow`, and lets the users buy.
    async fn start(ops: &Ops, apis: &[String], follow: Follow) -> Buyers {
        let change = |opening| AdmissionChange {
            batch: Some(CAP as u64),
            every_ms: Some(1_000),
            follow: Some(follow),
            opening: Some(opening),
            ..AdmissionChange::default()
        };
        ops.set_admission(&change(Opening::Closed)).await.unwrap();
        let first: Vec<User> = apis.iter().map(|api| User::new(api, 0)).collect();
        let registering = (1..=PEOPLE).map(|id| {
            let mut user = first[id as usize % first.len()].clone();
            user.id = id;
            async move {
                let answer = user.register().await;
                assert_eq!(answer.status, 201, "{}", answer.text);
                user
            }
        });
        let mut people: Vec<User> = futures_util::stream::iter(registering)
            .buffer_unordered(32)
            .collect()
            .await;
        people.sort_by_key(|user| user.place);
        ops.set_admission(&change(Opening::Now)).await.unwrap();
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let stop = CancellationToken::new();
        let driver = tokio::spawn(drive(
            ops.clone(),
            people,
            Arc::clone(&samples),
            stop.clone(),
        ));
        Buyers {
            stop,
            driver,
            samples,
        }
    }

    /// The number of steps that were slower than the objective.
    fn slow(&self) -> usize {
        let samples = self.samples.lock();
        samples.iter().filter(|sample| sample.1 > OBJECTIVE).count()
    }

    async fn stop(self) -> Vec<Sample> {
        self.stop.cancel();
        self.driver.await.unwrap();
        std::mem::take(&mut *self.samples.lock())
    }
}

/// Lets every admitted user buy.
async fn drive(
    ops: Ops,
    people: Vec<User>,
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: CancellationToken,
) {
    let mut buying = tokio::task::JoinSet::new();
    let mut people = people.into_iter().peekable();
    while !stop.is_cancelled() {
        let watermark = ops.status().await.unwrap().queue.admitted_mark;
        while let Some(user) = people.next_if(|user| user.place <= watermark) {
            buying.spawn(buy(user, Arc::clone(&samples)));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    buying.shutdown().await;
}

/// Looks, reserves, charges and pays, with pauses.
async fn buy(user: User, samples: Arc<Mutex<Vec<Sample>>>) {
    let ask = async |call: reqwest::RequestBuilder| {
        let asked = Instant::now();
        let answer = User::send(call).await;
        samples.lock().push((asked, asked.elapsed(), answer.status));
        tokio::time::sleep(Duration::from_millis(200)).await;
        answer
    };
    let post = |path: &str, body| user.call(reqwest::Method::POST, path).json(&body);
    let (id, date) = (user.id, (user.id - 1) / PER_DATE + 1);
    let seats = format!("/concerts/1/performanceDates/{date}/seats");
    ask(user.call(reqwest::Method::GET, &seats)).await;
    let wanted = json!({ "userId": id, "seatId": id });
    let held = ask(post("/reservations", wanted)).await;
    ask(post(
        &format!("/accounts/{id}/charge"),
        json!({ "amount": 1_000 }),
    ))
    .await;
    if held.status == 201 {
        let reservation = &held.json()["reservationId"];
        let path = format!("/users/{id}/reservations/{reservation}/pay");
        ask(post(&path, json!({}))).await;
    }
}

fn sale() -> String {
    let dates = PEOPLE / PER_DATE;
    profile(dates as u32, PER_DATE as u32, PEOPLE as u32)
}

async fn rate(ops: &Ops) -> f64 {
    ops.status().await.unwrap().admission.rate
}

async fn until_rate(ops: &Ops, what: &str, is: impl Fn(f64) -> bool) -> f64 {
    eventually(what, || async {
        Some(rate(ops).await).filter(|rate| is(*rate))
    })
    .await
}

/// Injects a fault that delays reservations.
async fn slow_down(ops: &Ops, delay: Duration) {
    let slow = Fault::SlowStatement {
        delay,
        statement: Some("reservation.create".to_owned()),
    };
    let injected = ops.inject_fault(&slow, Duration::from_secs(300), Some("a test"));
    injected.await.unwrap();
}

async fn decisions(server_ops: &str, reason: Reason) -> f64 {
    let text = User::new(server_ops, 0).get("/metrics").await.text;
    let name = format!(
        "concert_admission_decisions_total{{reason=\"{}\"}}",
        reason.label()
    );
    let line = text.lines().find(|line| line.starts_with(&name));
    let line = line.unwrap_or_else(|| panic!("{name} is missing"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The number of cuts of the rate, for any reason.
async fn cuts(server_ops: &str) -> f64 {
    let mut counted = 0.0;
    for reason in [
        Reason::Errors,
        Reason::Slow,
        Reason::Oldest,
        Reason::Connections,
    ] {
        counted += decisions(server_ops, reason).await;
    }
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_lowers_the_rate_of_admission_and_its_end_brings_the_rate_back() {
    let server = TestServer::empty().await;
    seed(&server.ops, &sale()).await;
    let buyers = Buyers::start(
        &server.ops,
        std::slice::from_ref(&server.api),
        Follow::Objective,
    )
    .await;
    until_rate(&server.ops, "the rate reaches the cap", |rate| rate >= CAP).await;

    slow_down(&server.ops, HALF).await;
    until_rate(&server.ops, "the rate falls", |rate| rate <= 0.5 * CAP).await;
    server
        .ops
        .end_faults(Some(FaultKind::SlowStatement))
        .await
        .unwrap();
    until_rate(&server.ops, "the rate is back", |rate| rate >= 0.8 * CAP).await;

    let samples = buyers.stop().await;
    let failed = samples.iter().filter(|sample| sample.2 >= 500).count();
    assert_eq!(failed, 0, "of {} steps", samples.len());
    let counted = cuts(&server.ops_url).await;
    assert!(counted >= 2.0, "{counted} cuts are counted");
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_setting_a_slow_statement_does_not_change_the_rate() {
    let server = TestServer::empty().await;
    seed(&server.ops, &sale()).await;
    let buyers = Buyers::start(
        &server.ops,
        std::slice::from_ref(&server.api),
        Follow::Settings,
    )
    .await;
    slow_down(&server.ops, HALF).await;
    eventually("buying is slow", || async {
        (buyers.slow() >= 50).then_some(())
    })
    .await;
    assert_eq!(rate(&server.ops).await, CAP);
    for reason in Reason::ALL {
        assert_eq!(decisions(&server.ops_url, reason).await, 0.0, "{reason:?}");
    }
    buyers.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_slow_server_of_two_lowers_the_rate_of_both() {
    if Fleet::skipped() {
        return;
    }
    let fleet = Fleet::start_on::<PostgresRedis>(2).await;
    let [one, slow] = fleet.servers() else {
        panic!("the fleet must have two servers")
    };
    seed(&one.ops, &sale()).await;
    for server in [0, 1] {
        fleet.ready(server).await;
    }
    let apis = [one.api.clone(), slow.api.clone()];
    let buyers = Buyers::start(&one.ops, &apis, Follow::Objective).await;
    until_rate(&one.ops, "the rate has grown", |rate| rate > 0.5 * CAP).await;

    // Every connection of this server is slow. No server reaches its capacity, and only the answers of this one are
    // late.
    slow_down(&slow.ops, 2 * OBJECTIVE).await;
    for server in [one, slow] {
        until_rate(&server.ops, "the rate falls", |rate| rate <= 0.5 * CAP).await;
    }
    let counted = cuts(&one.ops_url).await + cuts(&slow.ops_url).await;
    assert!(counted >= 1.0, "the one that decides counts the cut");
    let ended = slow.ops.end_faults(Some(FaultKind::SlowStatement));
    ended.await.unwrap();
    for server in [one, slow] {
        until_rate(&server.ops, "the rate is back", |rate| rate > 0.4 * CAP).await;
    }
    buyers.stop().await;
    assert_eq!(one.ops.audit().await.unwrap().violations(), 0);
}

/// Prints the figures of docs/admission.md: `cargo test figures_of_admission -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and prints figures, for docs/admission.md"]
async fn figures_of_admission_with_the_objective_and_without() {
    let slow = Fault::SlowStatement {
        delay: HALF,
        statement: Some("reservation.create".to_owned()),
    };
    let latency: Fault =
        serde_json::from_value(json!({ "kind": "latency", "delayMs": 600 })).unwrap();
    // The delay lasts until the rate has settled.
    for (name, fault, seconds) in [("slow_statement", slow, 60), ("latency", latency, 300)] {
        let runs = [Follow::Settings, Follow::Objective]
            .map(|follow| figures(name, &fault, seconds, follow));
        futures_util::future::join_all(runs).await;
    }
}

/// Runs half a minute without the fault, `seconds` with it and a minute after it; prints a line for each second.
async fn figures(name: &str, fault: &Fault, seconds: u64, follow: Follow) {
    let server = TestServer::empty().await;
    seed(&server.ops, &sale()).await;
    let buyers = Buyers::start(&server.ops, std::slice::from_ref(&server.api), follow).await;
    let begun = Instant::now();
    let mut rates = Vec::new();
    for second in 0..30 + seconds + 60 {
        if second == 30 {
            let length = Duration::from_secs(seconds);
            let injected = server.ops.inject_fault(fault, length, Some("a test"));
            injected.await.unwrap();
        }
        rates.push(rate(&server.ops).await);
        let next = begun + Duration::from_secs(second + 1);
        tokio::time::sleep_until(next.into()).await;
    }
    let samples = buyers.stop().await;
    for (second, rate) in rates.iter().enumerate() {
        let within = |sample: &&Sample| {
            let at = sample.0.duration_since(begun.min(sample.0)) + sample.1;
            at.as_secs() == second as u64
        };
        let of: Vec<&Sample> = samples.iter().filter(within).collect();
        let mut took: Vec<u128> = of.iter().map(|sample| sample.1.as_millis()).collect();
        took.sort_unstable();
        let p95 = took.get((took.len() * 95).div_ceil(100).saturating_sub(1));
        let errors = of.iter().filter(|sample| sample.2 >= 500).count();
        let (p95, answered) = (p95.copied().unwrap_or(0), took.len());
        println!("figures,{name},{follow},{second},{rate:.1},{p95},{answered},{errors}");
    }
    server.stop().await;
}
