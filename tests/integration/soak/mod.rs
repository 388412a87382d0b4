//! The soak: mixed traffic against real servers while faults begin and end. After every fault it compares the facts of
//! the clients with the rows of the database. `scripts/soak` runs it for a given time; a short form is one of the
//! tests.

mod buyer;
pub mod client;
pub mod disk;
mod fault;
pub mod invariants;
pub mod journal;
mod report;
pub mod service;
pub mod snapshot;
pub mod traffic;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use reqwest::Method;

use self::client::Request;
use self::fault::{Deck, Fault, LARGEST_BATCH, open_sale};
use self::invariants::{Findings, compare};
use self::journal::Placed;
use self::report::Tally;
use self::service::{Backend, Service};
use self::traffic::{Sale, Traffic};

/// The longest time for the service to recover after a fault, far above the time that it needs.
const RECOVERY: Duration = Duration::from_secs(60);
/// Acknowledged writes that show that a server works again.
const WRITES: u64 = 5;
/// The number of tokens that are tried at every server after a step.
const TOKENS: usize = 20;

/// The condition that ends a run.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    Steps(u32),
    Time(Duration),
}

/// The plan of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub backend: Backend,
    pub seed: u64,
    pub length: Length,
    pub sale: Sale,
}

/// How it ended.
pub struct Outcome {
    /// The broken promises; empty if all held.
    pub violations: Vec<String>,
    /// The directory with logs, facts and rows; it is removed if there is no violation.
    pub artefacts: PathBuf,
    pub tally: Tally,
}

/// Runs the plan. Prints a line for each step and a table at the end. Stops at the first violation.
pub async fn run(plan: Plan) -> Outcome {
    let (name, seed, process) = (plan.backend.name(), plan.seed, std::process::id());
    let artefacts =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{name}-{seed}-{process}"));
    fs::create_dir_all(&artefacts).expect("the target directory is writable");
    println!(
        "soak on {name}, seed {seed}; logs in {}",
        artefacts.display()
    );

    let mut soak = Soak::start(plan, &artefacts).await;
    let begun = Instant::now();
    let mut violations = Vec::new();
    while violations.is_empty() && soak.goes_on(plan.length, begun) {
        violations = soak.step().await;
    }
    soak.finish(&violations, &artefacts).await;
    println!("{}", soak.tally.table(violations.len()));
    for violation in &violations {
        println!("VIOLATION: {violation}");
    }
    let tally = soak.tally;
    let stopped = soak.traffic.stop().await;
    if violations.is_empty() {
        drop(fs::remove_dir_all(&artefacts));
    } else {
        let text = format!("{:#?}", stopped.facts.lock());
        drop(fs::write(artefacts.join("facts.txt"), text));
        println!(
            "seed {seed}; logs, facts and rows are kept in {}",
            artefacts.display()
        );
    }
    Outcome {
        violations,
        artefacts,
        tally,
    }
}

struct Soak {
    service: Service,
    traffic: Traffic,
    deck: Deck,
    tally: Tally,
}

impl Soak {
    async fn start(plan: Plan, artefacts: &Path) -> Soak {
        let service = Service::start(plan.backend, plan.sale, artefacts).await;
        if service.limits_files() {
            println!("this user cannot mount: a full disk is imitated by a limit on file sizes");
        } else if !service.can_fill_disk() {
            println!("this user cannot mount: no full disk is part of the run");
        }
        let mut deck = Deck::new(&service, plan.seed);
        open_sale(&service, &mut deck.random).await;
        let traffic = Traffic::start(plan.sale, service.addresses(), plan.seed);
        Soak {
            service,
            traffic,
            deck,
            tally: Tally::default(),
        }
    }

    fn goes_on(&self, length: Length, begun: Instant) -> bool {
        match length {
            Length::Steps(steps) => self.tally.steps < steps,
            Length::Time(time) => begun.elapsed() < time,
        }
    }

    /// Runs the faults, waits for recovery, and compares. Returns the violations.
    async fn step(&mut self) -> Vec<String> {
        let mut faults = self.deck.draw();
        let mut violations = Vec::new();
        for fault in &faults {
            fault.begin(&mut self.service, &mut self.deck.random).await;
            tokio::time::sleep(fault.hold).await;
        }
        let names: Vec<String> = faults.iter().map(Fault::describe).collect();
        let full_disk = faults.iter().any(Fault::fills_the_disk);
        faults.sort_by_key(Fault::order_of_end);
        for fault in &faults {
            let end = fault.end(
                &mut self.service,
                &self.traffic.shared,
                &mut self.deck.random,
                full_disk,
            );
            violations.extend(end.await);
        }
        let healed = Instant::now();
        violations.extend(self.recovers().await);
        let recovered = healed.elapsed();
        let findings = self.check().await;
        violations.extend(findings.violations().cloned());

        let kinds: Vec<_> = faults.iter().map(|fault| fault.kind).collect();
        self.tally.add(&kinds, violations.is_empty());
        self.tally.read(&self.traffic.shared, &findings);
        println!(
            "{}",
            self.tally
                .line(&names.join(" + "), recovered, violations.len())
        );
        violations
    }

    /// Waits until every server is ready and acknowledges writes, and until admission continues. Returns what did not
    /// recover in time.
    async fn recovers(&self) -> Option<String> {
        let shared = &self.traffic.shared;
        let counts = &shared.client.counts.acknowledged;
        let before: Vec<u64> = counts.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let begun = Instant::now();
        for server in 0..self.service.servers() {
            let watermark = self.admitted(server).await;
            loop {
                let ready = Request::new(Method::GET, "/health/ready");
                let ready = shared.client.send(server, &ready).await.status;
                let writes = counts[server].load(Ordering::Relaxed) - before[server];
                let admits = self.admitted(server).await > watermark;
                if ready == 200 && writes >= WRITES && admits {
                    break;
                }
                if begun.elapsed() > RECOVERY {
                    return Some(format!(
                        "server {server} does not work again: readiness {ready}, {writes} writes, admission goes on: {admits}"
                    ));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        None
    }

    /// The watermark of a server, or the largest number when the queue is empty.
    async fn admitted(&self, server: usize) -> Option<u64> {
        let status = self.service.process(server).ops.status();
        let status = tokio::time::timeout(Duration::from_secs(5), status).await;
        let queue = status.ok()?.ok()?.queue;
        Some(queue.admitted_mark)
    }

    /// Compares facts and rows while no request is in progress.
    async fn check(&mut self) -> Findings {
        let _gate = self.traffic.hold().await;
        let rows = self.service.snapshot().await;
        let (mut findings, sample) = {
            let facts = self.traffic.shared.facts.lock();
            // The random numbers of the deck are not used here, because the amount drawn here differs between runs, and
            // the sequence of faults must not.
            let mut random = rand::rng();
            let latest = facts.places.iter().rev().take(TOKENS / 2).cloned();
            let any = (0..TOKENS / 2).filter_map(|_| {
                let count = facts.places.len();
                (count > 0).then(|| facts.places[random.random_range(0..count)].clone())
            });
            let sample: Vec<Placed> = latest.chain(any).collect();
            (compare(&facts, &rows, LARGEST_BATCH), sample)
        };
        for placed in &sample {
            for server in 0..self.service.servers() {
                findings
                    .wrong
                    .extend(self.token(server, placed, rows.watermark()).await);
            }
        }
        findings
    }

    /// Checks that a token still has its place and state. Returns the violation. `watermark` is durable, so the server
    /// must learn of it.
    async fn token(&self, server: usize, placed: &Placed, watermark: u64) -> Option<String> {
        let client = &self.traffic.shared.client;
        let begun = Instant::now();
        loop {
            let request = Request::new(Method::GET, "/queue").token(&placed.token);
            let reply = client.send(server, &request).await;
            let waits = reply.body["status"] == "WAIT";
            let position = reply.body["positionInQueue"].as_u64();
            let same = reply.body["waitId"].as_u64() == Some(placed.place)
                && reply.body["userId"].as_i64() == Some(placed.user);
            let near = position.is_some_and(|at| at <= placed.place.saturating_sub(watermark));
            let admitted = placed.place <= watermark;
            if reply.status == 200 && same && near && !(admitted && waits) {
                return None;
            }
            let wrong_for_ever = reply.status == 404 || (reply.status == 200 && !same);
            if wrong_for_ever || begun.elapsed() > RECOVERY {
                let (place, user) = (placed.place, placed.user);
                return Some(format!(
                    "token of user {user} at place {place}, watermark {watermark}, at server {server}: {reply:?}"
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Keeps rows and data if there is a violation.
    async fn finish(&mut self, violations: &[String], artefacts: &Path) {
        if violations.is_empty() {
            return;
        }
        let _gate = self.traffic.hold().await;
        let rows = format!("{:#?}", self.service.snapshot().await);
        drop(fs::write(artefacts.join("rows.txt"), rows));
        drop(fs::write(
            artefacts.join("violations.txt"),
            violations.join("\n"),
        ));
        self.service.keep_data();
    }
}
