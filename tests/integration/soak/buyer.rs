//! A buyer makes one journey after another, drawn from the seed. No two buyers use the same user, so each buyer sent
//! all requests of its users.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::client::{Doubt, Reply, Request, Verdict};
use super::journal::Intent;
use super::traffic::Shared;

/// The largest number of attempts at one keyed write.
const ATTEMPTS: usize = 8;
/// The largest number of polls of one place before its buyer gives up.
const POLLS: usize = 60;
/// The least amount of a charge. It is above the price of every seat, so one charge covers any seat.
const CHARGE: i64 = 100_000;

/// Refusals that are the decision on a keyed request. Any other refusal of a repeat leaves the outcome of the earlier
/// attempts open.
const DECISIONS: [&str; 7] = [
    "seat.taken",
    "reservation.limit",
    "balance.too-low",
    "reservation.expired",
    "reservation.not-payable",
    "reservation.paid",
    "amount.invalid",
];

pub struct Buyer {
    shared: Arc<Shared>,
    number: usize,
    random: StdRng,
    keys: u64,
    /// The position that each server reported last, and the token that it belongs to.
    positions: HashMap<(usize, String), u64>,
    /// The users for whom a registration was sent.
    registered: HashSet<i64>,
}

impl Buyer {
    pub fn new(shared: Arc<Shared>, number: usize, seed: u64) -> Buyer {
        Buyer {
            shared,
            number,
            random: StdRng::seed_from_u64(seed ^ (number as u64 + 1) << 32),
            keys: 0,
            positions: HashMap::new(),
            registered: HashSet::new(),
        }
    }

    /// Repeats journeys until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.positions.clear();
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.journey() => {}
            }
        }
    }

    async fn journey(&mut self) {
        let user = self.any_user();
        let Some(token) = self.register(user).await else {
            return self.pause(20, 200).await;
        };
        // Some users register and never return, so that the queue is longer than the number of buyers.
        if self.chance(0.3) || !self.wait(&token).await {
            return;
        }
        let mut held = Vec::new();
        for _ in 0..self.random.random_range(1..=3) {
            if let Some(found) = self.reserve(user, &token).await {
                held.push(found);
            }
        }
        for reservation in held {
            match self.random.random_range(0..10) {
                0..=2 => self.cancel(&token, reservation).await,
                3..=7 => self.buy(user, &token, reservation).await,
                // Nothing is sent, so the hold expires.
                _ => {}
            }
        }
    }

    /// One of this buyer's users: their numbers are congruent to the buyer's.
    fn any_user(&mut self) -> i64 {
        let sale = &self.shared.sale;
        let turn = self.random.random_range(0..sale.users / sale.buyers);
        (turn * sale.buyers + self.number) as i64 + 1
    }

    async fn register(&mut self, user: i64) -> Option<String> {
        let request = Request::new(Method::POST, "/queue").body(json!({ "userId": user }));
        let request = request.key(self.key(0.7));
        let keyed_and_new = request.key.is_some() && self.registered.insert(user);
        self.registered.insert(user);
        let reply = self.decide(request, Intent::Register { user }).await?;
        if keyed_and_new && reply.status != 201 {
            self.violation(format!(
                "the first registration of user {user}, with a key, was refused: {reply:?}"
            ));
        }
        reply.token
    }

    /// Polls until the place is admitted; checks that the position never increases.
    async fn wait(&mut self, token: &str) -> bool {
        for _ in 0..POLLS {
            let server = self.server();
            let reply = self.read(server, Request::new(Method::GET, "/queue").token(token));
            let reply = reply.await;
            if reply.status == 404 {
                self.violation(format!("an issued token is not known: {reply:?}"));
                return false;
            }
            if reply.status == 200 {
                self.position_falls(server, token, &reply);
            }
            match reply.body["status"].as_str() {
                Some("ACTIVE") => return true,
                Some("EXPIRED") => return false,
                _ => self.pause(50, 300).await,
            }
        }
        false
    }

    fn position_falls(&mut self, server: usize, token: &str, reply: &Reply) {
        let position = reply.body["positionInQueue"].as_u64();
        let position = position.unwrap_or(u64::MAX);
        let before = self.positions.insert((server, token.to_owned()), position);
        if before.is_some_and(|before| position > before) {
            let before = before.unwrap_or_default();
            self.violation(format!(
                "server {server} moved a place back from position {before} to {position}"
            ));
        }
    }

    /// A seat of a random date: mostly one that the seat map shows as free.
    async fn reserve(&mut self, user: i64, token: &str) -> Option<i64> {
        let date = self.date();
        let path = format!("/concerts/1/performanceDates/{date}/seats");
        let server = self.server();
        let map = self.read(server, Request::new(Method::GET, path).token(token));
        let map = map.await;
        let free = self.chance(0.85);
        let side = if free {
            "availableSeats"
        } else {
            "unavailableSeats"
        };
        let seats = map.body[side].as_array()?;
        // Most buyers want the front rows.
        let rows = if self.chance(0.6) {
            seats.len().min(8)
        } else {
            seats.len()
        };
        if rows == 0 {
            return None;
        }
        let seat = &seats[self.random.random_range(0..rows)];
        let (seat, price) = (seat["id"].as_i64()?, seat["price"].as_i64()?);
        let body = json!({ "userId": user, "seatId": seat });
        let request = Request::new(Method::POST, "/reservations").body(body);
        let request = request.token(token).key(self.key(0.7));
        let reply = self
            .decide(request, Intent::Reserve { user, seat, price })
            .await?;
        reply.body["reservationId"].as_i64()
    }

    /// Half of all buyers want the same date, so that there are races.
    fn date(&mut self) -> i64 {
        let dates = self.shared.sale.dates;
        if self.chance(0.5) {
            return self.shared.charges() / 50 % dates + 1;
        }
        self.random.random_range(1..=dates)
    }

    async fn cancel(&mut self, token: &str, reservation: i64) {
        let request = Request::new(Method::DELETE, format!("/reservations/{reservation}"));
        let request = request.token(token).key(self.key(0.7));
        self.decide(request, Intent::Cancel { reservation }).await;
    }

    async fn buy(&mut self, user: i64, token: &str, reservation: i64) {
        let amount = CHARGE + self.shared.next_amount();
        let request = Request::new(Method::POST, format!("/accounts/{user}/charge"));
        let request = request.token(token).body(json!({ "amount": amount }));
        let request = request.key(self.key(0.8));
        self.decide(request, Intent::Charge { user, amount }).await;
        let path = format!("/users/{user}/reservations/{reservation}/pay");
        let request = Request::new(Method::POST, path).token(token);
        let request = request.key(self.key(0.8));
        self.decide(request, Intent::Pay { reservation }).await;
    }

    /// Sends a write until a response decides it, or no further attempt is safe. `None`: unknown.
    async fn decide(&mut self, request: Request, intent: Intent) -> Option<Reply> {
        let attempts = if request.key.is_some() { ATTEMPTS } else { 1 };
        let shared = Arc::clone(&self.shared);
        let (mut sent, mut doubt) = (None, None);
        for _ in 0..attempts {
            // The gate is held until the answer is recorded, so that a comparison never sees a half-recorded fact.
            let gate = shared.gate.read().await;
            let first = *sent.get_or_insert_with(|| {
                shared.facts.lock().begin(&intent);
                Instant::now()
            });
            let reply = self.attempt(&request).await;
            let verdict = match (reply.verdict(), doubt) {
                (Verdict::Refused, Some(earlier)) if !DECISIONS.contains(&reply.code()) => {
                    Verdict::Unknown(earlier)
                }
                (Verdict::Unknown(_), Some(Doubt::NoAnswer)) => Verdict::Unknown(Doubt::NoAnswer),
                (verdict, _) => verdict,
            };
            let answered = reply.status != 0 && reply.status < 500;
            let last = answered || verdict == Verdict::Done;
            if last {
                shared.facts.lock().settle(&intent, verdict, first, &reply);
                return Some(reply);
            }
            if let Verdict::Unknown(reason) = verdict {
                doubt = Some(reason);
            }
            drop(gate);
            self.pause(50, 300).await;
        }
        let _gate = shared.gate.read().await;
        let verdict = doubt.map_or(Verdict::Refused, Verdict::Unknown);
        let first = sent.expect("there was an attempt");
        shared
            .facts
            .lock()
            .settle(&intent, verdict, first, &Reply::default());
        None
    }

    /// Makes one attempt; sometimes sends two copies at once, as an impatient client or a proxy does.
    async fn attempt(&mut self, request: &Request) -> Reply {
        let (client, server, other) = (Arc::clone(&self.shared), self.server(), self.server());
        if request.key.is_none() || !self.chance(0.05) {
            return client.client.send(server, request).await;
        }
        let (one, two) = tokio::join!(
            client.client.send(server, request),
            client.client.send(other, request)
        );
        match (one.verdict(), two.verdict()) {
            (Verdict::Done, Verdict::Done) => {
                let identity = |reply: &Reply| {
                    let of = |name: &str| reply.body[name].clone();
                    (
                        of("waitId"),
                        of("reservationId"),
                        of("timestamp"),
                        reply.token.clone(),
                    )
                };
                if identity(&one) != identity(&two) {
                    self.violation(format!("two answers to one key differ: {one:?} {two:?}"));
                }
                one
            }
            (Verdict::Done, _) | (Verdict::Unknown(Doubt::NoAnswer), Verdict::Refused) => one,
            (Verdict::Unknown(Doubt::NoAnswer), Verdict::Unknown(_)) => one,
            (Verdict::Unknown(Doubt::ServerError), Verdict::Refused) => one,
            _ => two,
        }
    }

    async fn read(&self, server: usize, request: Request) -> Reply {
        let _gate = self.shared.gate.read().await;
        self.shared.client.send(server, &request).await
    }

    fn violation(&self, text: String) {
        self.shared.facts.lock().violations.push(text);
    }

    /// A new idempotency key for a share of the requests, `None` for the others.
    fn key(&mut self, share: f64) -> Option<String> {
        self.keys += 1;
        let key = format!("soak-{}-{}", self.number, self.keys);
        self.chance(share).then_some(key)
    }

    fn chance(&mut self, share: f64) -> bool {
        self.random.random_bool(share)
    }

    fn server(&mut self) -> usize {
        self.random.random_range(0..self.shared.client.servers())
    }

    async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let pause = self.random.random_range(from_ms..to_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
