//! Users who keep buying while something fails. Every answer is recorded with its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use concertctl::api::ops::{ChargeFact, LookupRequest, PlaceFact, ReservationFact};
use parking_lot::Mutex;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The step of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Register,
    Poll,
    Seats,
    Reserve,
    Charge,
    Pay,
}

impl Step {
    /// The requests that only an admitted user sends.
    pub const ADMITTED: [Step; 4] = [Step::Seats, Step::Reserve, Step::Charge, Step::Pay];
}

/// An answer; status 0 means that there was none.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub step: Step,
    pub status: u16,
    asked: Instant,
    pub took: Duration,
}

#[derive(Default)]
struct Record {
    samples: Mutex<Vec<Sample>>,
    facts: Mutex<LookupRequest>,
}

/// Tasks that simulate users until [`Traffic::stop`].
pub struct Traffic {
    stop: CancellationToken,
    people: Vec<JoinHandle<()>>,
    record: Arc<Record>,
}

/// The sale that the users attend, and the servers that run it.
#[derive(Clone, Debug)]
pub struct Sale {
    /// The servers of the service. A user without an answer uses the next one.
    pub apis: Vec<String>,
    /// The number of users; their ids are 1 to this.
    pub users: i64,
    /// The number of seats; their ids are 1 to this, `per_date` on each date.
    pub seats: i64,
    pub per_date: i64,
    /// The number of concurrent users.
    pub width: usize,
}

struct Shared {
    sale: Sale,
    client: Client,
    next_user: AtomicI64,
    next_seat: AtomicI64,
    turn: AtomicUsize,
    record: Arc<Record>,
}

impl Traffic {
    /// Starts the users.
    pub fn start(sale: Sale) -> Traffic {
        let record = Arc::new(Record::default());
        let stop = CancellationToken::new();
        let width = sale.width;
        let shared = Arc::new(Shared {
            sale,
            // Longer than any time-out of the server, because the test measures that it does not hang.
            client: concertctl::http_client::builder()
                .timeout(Duration::from_secs(60))
                .build()
                .unwrap(),
            next_user: AtomicI64::new(1),
            next_seat: AtomicI64::new(0),
            turn: AtomicUsize::new(0),
            record: Arc::clone(&record),
        });
        let people = (0..width).map(|_| {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let user = shared.next_user.fetch_add(1, Ordering::Relaxed);
                    if user > shared.sale.users {
                        return;
                    }
                    Person::new(&shared, user).buys(&stop).await;
                }
            })
        });
        let people = people.collect();
        Traffic {
            stop,
            people,
            record,
        }
    }

    /// The number of answers so far to `step` with `status`.
    pub fn count(&self, step: Step, status: u16) -> usize {
        let samples = self.record.samples.lock();
        let wanted = |sample: &&Sample| sample.step == step && sample.status == status;
        samples.iter().filter(wanted).count()
    }

    /// Lets all users finish their current step, and returns the report.
    pub async fn stop(self) -> Report {
        self.stop.cancel();
        for person in self.people {
            person.await.unwrap();
        }
        Report {
            samples: std::mem::take(&mut *self.record.samples.lock()),
            facts: std::mem::take(&mut *self.record.facts.lock()),
        }
    }
}

/// The answers, and the acknowledged writes.
pub struct Report {
    samples: Vec<Sample>,
    pub facts: LookupRequest,
}

impl Report {
    /// The number of requests by step and status that were sent in the period.
    pub fn by_status(&self, from: Instant, to: Instant) -> BTreeMap<(Step, u16), usize> {
        let mut counts = BTreeMap::new();
        for sample in self.between(from, to) {
            *counts.entry((sample.step, sample.status)).or_default() += 1;
        }
        counts
    }

    /// The number of requests of these steps in the whole run that got no answer or a 5xx.
    pub fn failed(&self, steps: &[Step]) -> usize {
        let failed = |sample: &&Sample| sample.status == 0 || sample.status >= 500;
        let asked = self
            .samples
            .iter()
            .filter(|sample| steps.contains(&sample.step));
        asked.filter(failed).count()
    }

    /// The longest wait for an answer.
    pub fn longest(&self) -> Duration {
        self.slowest().map(|sample| sample.took).unwrap_or_default()
    }

    /// The request with the longest wait for its answer.
    pub fn slowest(&self) -> Option<&Sample> {
        self.samples.iter().max_by_key(|sample| sample.took)
    }

    /// The 95th percentile of the latency of requests that were sent in the period.
    pub fn p95(&self, from: Instant, to: Instant) -> Duration {
        let mut took: Vec<Duration> = self.between(from, to).map(|sample| sample.took).collect();
        took.sort_unstable();
        let at = (took.len() * 95).div_ceil(100).saturating_sub(1);
        took.get(at).copied().unwrap_or_default()
    }

    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Sample> {
        let within = move |sample: &&Sample| sample.asked >= from && sample.asked < to;
        self.samples.iter().filter(within)
    }
}

struct Person<'a> {
    shared: &'a Shared,
    user: i64,
    token: Option<String>,
    api: usize,
}

impl Person<'_> {
    fn new(shared: &Shared, user: i64) -> Person<'_> {
        Person {
            shared,
            user,
            token: None,
            api: shared.turn.fetch_add(1, Ordering::Relaxed),
        }
    }

    async fn buys(&mut self, stop: &CancellationToken) {
        if !self.registers(stop).await || !self.waits(stop).await {
            return;
        }
        let date = self.user % (self.shared.sale.seats / self.shared.sale.per_date) + 1;
        let path = format!("/concerts/1/performanceDates/{date}/seats");
        self.ask(Step::Seats, Method::GET, &path, None).await;
        let Some(reservation) = self.reserves(stop).await else {
            return;
        };
        // Half of the users pay. The holds of the others expire.
        if self.user % 2 == 0 && self.charges(stop).await {
            let path = format!("/users/{}/reservations/{reservation}/pay", self.user);
            if self.until_done(Step::Pay, &path, json!({}), stop).await == 200 {
                self.shared.record.facts.lock().payments.push(reservation);
            }
        }
    }

    async fn registers(&mut self, stop: &CancellationToken) -> bool {
        let body = json!({ "userId": self.user });
        while !stop.is_cancelled() {
            let (status, token, answer) = self
                .ask(Step::Register, Method::POST, "/queue", Some(&body))
                .await;
            match status {
                201 => {
                    self.token = token;
                    let place = answer["waitId"].as_u64().expect("a place");
                    let user_id = self.user;
                    let fact = PlaceFact { place, user_id };
                    self.shared.record.facts.lock().places.push(fact);
                    return true;
                }
                // An earlier attempt registered the user, but its answer with the token was lost.
                409 => return false,
                _ => pause().await,
            }
        }
        false
    }

    async fn waits(&mut self, stop: &CancellationToken) -> bool {
        while !stop.is_cancelled() {
            let (_, _, answer) = self.ask(Step::Poll, Method::GET, "/queue", None).await;
            match answer["status"].as_str() {
                Some("ACTIVE") => return true,
                Some("EXPIRED") => return false,
                _ => pause().await,
            }
        }
        false
    }

    /// Tries seats until one is reserved. Returns the id of the reservation.
    async fn reserves(&mut self, stop: &CancellationToken) -> Option<i64> {
        while !stop.is_cancelled() {
            let turn = self.shared.next_seat.fetch_add(1, Ordering::Relaxed);
            // Every two consecutive attempts want the same seat, so that there are always races.
            let seat_id = turn / 2 % self.shared.sale.seats + 1;
            let body = json!({ "userId": self.user, "seatId": seat_id });
            let (status, _, answer) = self
                .ask(Step::Reserve, Method::POST, "/reservations", Some(&body))
                .await;
            match status {
                201 => {
                    let reservation_id = answer["reservationId"].as_i64().expect("an id");
                    let fact = ReservationFact {
                        reservation_id,
                        user_id: self.user,
                        seat_id,
                    };
                    self.shared.record.facts.lock().reservations.push(fact);
                    return Some(reservation_id);
                }
                409 => {}
                403 => return None,
                _ => pause().await,
            }
        }
        None
    }

    async fn charges(&mut self, stop: &CancellationToken) -> bool {
        let path = format!("/accounts/{}/charge", self.user);
        let at_least = 1_000;
        let body = json!({ "amount": at_least });
        if self.until_done(Step::Charge, &path, body, stop).await != 200 {
            return false;
        }
        let user_id = self.user;
        let fact = ChargeFact { user_id, at_least };
        self.shared.record.facts.lock().charges.push(fact);
        true
    }

    /// Repeats a keyed request until its answer is final (2xx to 4xx) or the traffic stops.
    async fn until_done(
        &mut self,
        step: Step,
        path: &str,
        body: Value,
        stop: &CancellationToken,
    ) -> u16 {
        loop {
            let (status, ..) = self.ask(step, Method::POST, path, Some(&body)).await;
            if (200..500).contains(&status) || stop.is_cancelled() {
                return status;
            }
            pause().await;
        }
    }

    async fn ask(
        &mut self,
        step: Step,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Option<String>, Value) {
        let apis = &self.shared.sale.apis;
        let url = format!("{}{path}", apis[self.api % apis.len()]);
        let mut call = self.shared.client.request(method, url);
        if let Some(token) = &self.token {
            call = call.header("wait-token", token);
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        if matches!(step, Step::Charge | Step::Pay) {
            // Each user sends one of each, so the user's number makes the keys unique.
            call = call.header("idempotency-key", format!("{step:?}-{}", self.user));
        }
        let asked = Instant::now();
        let answered = async {
            let answer = call.send().await?;
            let (status, token) = (
                answer.status().as_u16(),
                answer.headers().get("wait-token").cloned(),
            );
            Ok::<_, reqwest::Error>((status, token, answer.bytes().await?))
        };
        let (status, token, bytes) = answered.await.unwrap_or_default();
        let took = asked.elapsed();
        let sample = Sample {
            step,
            status,
            asked,
            took,
        };
        self.shared.record.samples.lock().push(sample);
        if status == 0 {
            self.api += 1;
        }
        let token = token.and_then(|token| token.to_str().ok().map(str::to_owned));
        (
            status,
            token,
            serde_json::from_slice(&bytes).unwrap_or_default(),
        )
    }
}

/// The pause between two attempts of a user.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
