//! Random sequences: two servers, and users who register, are admitted, finish and return, while Redis is killed,
//! emptied and stalled. In any order, no place is given twice, no user loses a place, no user is admitted out of turn,
//! and the watermark never decreases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::now;
use concertctl::coordination::{RegisterError, Unavailable};
use concertctl::domain::{Epoch, Place, QueueStatus, UserId};
use concertctl::store::RegisterOutcome;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::setup::{Ledger, Server, open, options};
use crate::support::Redis;

const STEPS: usize = 400;
const USERS: i64 = 60;

struct Walk {
    redis: Redis,
    ledger: Arc<Ledger>,
    servers: [Server; 2],
    rng: SmallRng,
    /// The place of each user, and whether it has ended.
    standing: BTreeMap<i64, (Place, bool)>,
    given: BTreeMap<Place, i64>,
    watermark: Place,
    stalled: bool,
}

impl Walk {
    async fn begin(seed: u64) -> Option<Walk> {
        let redis = Redis::start().await?;
        let (ledger, epoch) = (Ledger::with(open(3, 100)), Epoch(seed));
        let (url, mut options) = (redis.url(), options());
        options.breaker.longest_pause = Duration::from_millis(200);
        let servers = [
            Server::start(&url, epoch, &ledger, options).await,
            Server::start(&url, epoch, &ledger, options).await,
        ];
        Some(Walk {
            redis,
            ledger,
            servers,
            rng: SmallRng::seed_from_u64(seed),
            standing: BTreeMap::new(),
            given: BTreeMap::new(),
            watermark: Place(0),
            stalled: false,
        })
    }

    async fn step(&mut self) {
        match (self.rng.random_range(0..100), self.stalled) {
            (0, _) => {
                self.redis.restart().await;
                self.stalled = false;
            }
            (1, _) => {
                self.redis.restart_empty().await;
                self.stalled = false;
            }
            (2, false) => assert_eq!(self.redis.cli(&["FLUSHALL"]), "OK"),
            (3, false) => {
                self.redis.stall();
                self.stalled = true;
            }
            (2..20, true) => {
                self.redis.resume();
                self.stalled = false;
            }
            (4..20, false) => self.admit().await,
            (20..35, _) => self.go_through().await,
            _ => self.register().await,
        }
    }

    fn server(&mut self) -> usize {
        self.rng.random_range(0..2)
    }

    async fn register(&mut self) {
        let (user, server) = (self.rng.random_range(1..=USERS), self.server());
        self.register_at(server, user).await;
    }

    /// Registers as `booking` does: makes a place of the queue durable, or else gets one from the database.
    async fn register_at(&mut self, server: usize, user: i64) {
        let queue = &self.servers[server].queue;
        let place = match queue.register(UserId(user), now()).await {
            Ok(registration) => match self.ledger.keep(registration.place, UserId(user)) {
                RegisterOutcome::Kept => registration.place,
                RegisterOutcome::NumberTaken(last) => {
                    queue.abandon(UserId(user), registration).await;
                    queue.raise(last).await;
                    return;
                }
                RegisterOutcome::Replayed(_) | RegisterOutcome::Mismatch => unreachable!("no key"),
                RegisterOutcome::Standing(place) => {
                    queue.abandon(UserId(user), registration).await;
                    queue.keep(UserId(user), place).await;
                    return self.stands_at(user, place);
                }
            },
            Err(RegisterError::Already(place)) => return self.stands_at(user, place),
            // The user has a place in the database already.
            Err(RegisterError::Unavailable(Unavailable)) => {
                let standing = self.standing.get(&user);
                if standing.is_some_and(|(_, through)| !through) {
                    return;
                }
                let place = self.ledger.next(UserId(user), queue.state().registered());
                queue.keep(UserId(user), place).await;
                place
            }
        };
        assert_eq!(self.given.insert(place, user), None, "{place:?} twice");
        let before = self.standing.insert(user, (place, false));
        assert!(
            before.is_none_or(|(_, through)| through),
            "user {user} lost {before:?} for {place:?}"
        );
    }

    fn stands_at(&self, user: i64, place: Place) {
        assert_eq!(self.standing[&user], (place, false), "user {user}");
    }

    async fn admit(&mut self) {
        let server = self.server();
        let queue = &self.servers[server].queue;
        let Ok(Some(claim)) = queue.claim(now()).await else {
            return;
        };
        assert!(claim.watermark.0 - claim.from.0 <= 3, "{claim:?}");
        self.ledger.admit(claim);
        self.watermark = self.watermark.max(claim.watermark);
        // If this fails, the next recovery publishes it.
        let _ = queue.publish(claim).await;
    }

    async fn go_through(&mut self) {
        let server = self.server();
        let state = self.servers[server].queue.state();
        let active = |place: Place| state.status(place, now()) == QueueStatus::Active;
        let Some((user, place)) = self
            .standing
            .iter()
            .find(|(_, (place, through))| !through && active(*place))
            .map(|(user, (place, _))| (*user, *place))
        else {
            return;
        };
        self.ledger.end(place);
        self.servers[server].queue.end(place).await;
        self.standing.insert(user, (place, true));
    }

    fn look(&self) {
        for server in &self.servers {
            let watermark = server.queue.state().watermark();
            assert!(
                watermark <= self.watermark,
                "{watermark:?} is admitted, durable {:?}",
                self.watermark
            );
        }
    }

    /// Checks after recovery that all users have the places that they were given.
    async fn settle(&mut self) {
        if self.stalled {
            self.redis.resume();
        }
        for server in &self.servers {
            server.until_available(true).await;
        }
        for server in 0..self.servers.len() {
            for (user, (place, through)) in self.standing.clone() {
                if !through {
                    self.register_at(server, user).await;
                }
                let state = self.servers[server].queue.state();
                if place > self.watermark {
                    let status = state.status(place, now());
                    assert_eq!(status, QueueStatus::Wait, "user {user}");
                }
            }
        }
    }
}

async fn walk(seed: u64) -> bool {
    println!("seed {seed}");
    let Some(mut walk) = Walk::begin(seed).await else {
        return false;
    };
    for _ in 0..STEPS {
        walk.step().await;
        walk.look();
    }
    walk.settle().await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_and_their_order_survive_any_sequence_of_redis_failures() {
    for _ in 0..3 {
        if !walk(rand::random()).await {
            return;
        }
    }
}
