//! The queue of several servers: order, admission and seat locks in Redis, 6.2 or later, alone or a
//! cluster.
//!
//! Redis decides who comes next and who lets the next batch in; what must outlive it is made durable
//! by the store, and comes back from there whenever Redis may have lost something. No poll asks
//! Redis: each server [follows](RedisCoordination::follow) the queue at a fixed rate and answers polls
//! from its own [`QueueState`].
//!
//! **Keys.** `{concertctl:<epoch>}:ready`, `queue`, `users`, `batches`, `ended`, `fence` and
//! `lock:<seat>`; see [`Keys`]. Only locks run out by themselves. The queue needs about 70 bytes of
//! Redis's memory a registered user, and 100 for each who paid within the time of an admission.
//!
//! **Loss.** `ready` is set last when the queue is restored; without it every script of the queue
//! answers "empty". Whenever a connection was given up, and whenever Redis is found empty, this server
//! uses the queue no more until it has restored it from the database, which only ever raises.
//!
//! **Stalls.** A command that we gave up on may still run when Redis goes on. Those that could do harm
//! then carry the latest time to run, by Redis's clock; the others only raise numbers or compare
//! first. Each script says which, and why.

mod admission;
mod breaker;
mod clock;
mod following;
mod link;
mod lock;
mod nodes;
mod places;
mod restoring;
mod scripts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{FromRedisValue, ScriptInvocation};

pub use breaker::BreakerSettings;
pub use lock::RedisLock;
pub use nodes::RedisConnectError;
#[cfg(any(test, fuzzing))]
pub(crate) use nodes::read_replies;

use self::clock::Clock;
use self::following::Follower;
use self::link::Link;
use self::lock::{Locks, Tried};
use self::nodes::Nodes;
use self::scripts::Keys;
use super::state::QueueState;
use super::{Claim, Held, SeatLock, Unavailable};
use crate::clock as service;
use crate::domain::queue::QueueSnapshot;
use crate::domain::{Epoch, Place, SeatId};
use crate::faults::Faults;

/// How the shared queue is used.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// How long an admission lasts.
    pub active_for: Duration,
    /// Seat locks run out after this.
    pub lock_ttl: Duration,
    /// A claimed batch is somebody else's after this.
    pub claim_lease: Duration,
    /// How often this server follows.
    pub follow_every: Duration,
    /// From the claim of a batch until its people are in.
    pub lead: Duration,
    /// Longest wait for a connection.
    pub connect_within: Duration,
    /// Longest wait for a seat lock.
    pub lock_within: Duration,
    /// Longest wait for a place or a batch.
    pub queue_within: Duration,
    /// Longest wait for one page of what is new, or one part of a restoration.
    pub follow_within: Duration,
    /// When Redis is given up, and when it is tried again.
    pub breaker: BreakerSettings,
}

impl RedisOptions {
    /// Admissions of `active_for`, locks of `lock_ttl`; the rest as it proved good.
    #[must_use]
    pub fn new(active_for: Duration, lock_ttl: Duration) -> RedisOptions {
        RedisOptions {
            active_for,
            lock_ttl,
            // The store answers within 5 s or not at all, and publishing takes half a second more:
            // a claim that is still in use does not run out, and one whose server died delays
            // admission by half an interval at most.
            claim_lease: Duration::from_secs(7),
            // Within a tenth of a second everybody knows of a batch; ten calls a second are nothing.
            follow_every: Duration::from_millis(100),
            // Made durable and followed everywhere by then, it is in force on all servers at once:
            // nobody is told to wait by one while another lets in people behind them.
            lead: Duration::from_millis(300),
            connect_within: Duration::from_secs(1),
            // The lock only spares the database: not worth more than a transaction takes.
            lock_within: Duration::from_millis(100),
            // A place can come from the database instead, in about this time.
            queue_within: Duration::from_millis(500),
            // Nobody waits for it, and a page takes longer than a place.
            follow_within: Duration::from_secs(1),
            breaker: BreakerSettings::default(),
        }
    }
}

/// Order, admission and seat locks in Redis, as one server sees them.
pub struct RedisCoordination {
    pub(super) state: QueueState,
    options: RedisOptions,
    keys: Arc<Keys>,
    /// Redis's clock.
    clock: Arc<Clock>,
    service_clock: service::Clock,
    queue: Link,
    locks: Locks,
    /// Times that the queue was found empty.
    losses: AtomicU64,
    /// Times that something here could not be told to the queue.
    wishes: AtomicU64,
    /// As of when the queue was last restored by this server.
    restored: Mutex<Option<Causes>>,
    follower: Mutex<Follower>,
    unsent: Mutex<Unsent>,
    /// No claim is tried before.
    claim_after: Mutex<Instant>,
}

/// What makes a restoration necessary, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Causes {
    breaks: u64,
    losses: u64,
    wishes: u64,
}

/// What Redis is still to be told.
#[derive(Default)]
struct Unsent {
    ended: Vec<Place>,
    batch: Option<Claim>,
}

impl RedisCoordination {
    /// Whether the Redis of `urls` could be used, for a server that has no queue to keep there yet.
    ///
    /// # Errors
    /// [`RedisConnectError`].
    pub async fn check(urls: &str, options: RedisOptions) -> Result<(), RedisConnectError> {
        let any = Keys::of(Epoch(0));
        let nodes = Nodes::parse(urls, any.ready, options.connect_within)?;
        nodes.connect().await.map(drop)
    }

    /// Connects to the Redis of `urls`, one or several nodes of a cluster with commas between them,
    /// and restores the queue of dataset `epoch` to at least `snapshot`. (A comma in a password is
    /// written `%2C`.)
    ///
    /// The first [`follow`](RedisCoordination::follow) asks for another restoration, since the
    /// snapshot may be older than what other servers have done meanwhile.
    ///
    /// # Errors
    /// [`RedisConnectError`].
    pub async fn connect(
        urls: &str,
        epoch: Epoch,
        snapshot: &QueueSnapshot,
        (options, service_clock): (RedisOptions, service::Clock),
        faults: Faults,
    ) -> Result<RedisCoordination, RedisConnectError> {
        let keys = Arc::new(Keys::of(epoch));
        let nodes = Nodes::parse(urls, keys.ready.clone(), options.connect_within)?;
        let nodes = Arc::new(nodes);
        let clock = Arc::new(Clock::new(Instant::now()));
        let link = |purpose, within| {
            let (nodes, clock) = (Arc::clone(&nodes), Arc::clone(&clock));
            let faults = faults.clone();
            Link::new(purpose, nodes, clock, options.breaker, within, faults)
        };
        let (ttl, within) = (options.lock_ttl, options.lock_within);
        let coordination = RedisCoordination {
            state: QueueState::restore(snapshot, options.active_for),
            options,
            queue: link("queue", options.queue_within),
            locks: Locks::new(
                link("seat locks", within),
                Arc::clone(&clock),
                Arc::clone(&keys),
                ttl,
                within,
            ),
            keys,
            clock,
            service_clock,
            losses: AtomicU64::new(0),
            wishes: AtomicU64::new(0),
            restored: Mutex::new(None),
            follower: Mutex::default(),
            unsent: Mutex::default(),
            claim_after: Mutex::new(Instant::now()),
        };
        if let Some(policy) = coordination.queue.connect().await? {
            tracing::warn!(
                policy,
                "Redis throws keys away when its memory runs out; set maxmemory-policy to noeviction"
            );
        }
        // Without locks the database alone guards the seats.
        coordination.locks.connect().await;
        let first = coordination.first_restoration(snapshot).await;
        first.map_err(|Unavailable| RedisConnectError::Refused {
            at: nodes.name(),
            error: coordination.queue.trouble(),
        })?;
        Ok(coordination)
    }

    /// Whether places and batches come from the shared queue at the moment.
    #[must_use]
    pub fn is_available(&self) -> bool {
        let restored = *self.restored.lock();
        let now = self.causes();
        self.queue.is_up()
            && restored
                .is_some_and(|as_of| (as_of.breaks, as_of.losses) == (now.breaks, now.losses))
    }

    /// How often [`follow`](RedisCoordination::follow) wants to be called.
    #[must_use]
    pub fn follow_every(&self) -> Duration {
        self.options.follow_every
    }

    /// Tries the lock of `seat`; never waits for its holder.
    pub async fn try_lock(&self, seat: SeatId, request: Option<&str>) -> SeatLock<'_> {
        match self.locks.try_lock(seat, request).await {
            Tried::Held(lock) => SeatLock::Held(Held::Redis(lock)),
            Tried::Busy => SeatLock::Busy,
            Tried::Copy => SeatLock::Copy,
            Tried::Unavailable => SeatLock::Unavailable,
        }
    }

    fn causes(&self) -> Causes {
        Causes {
            breaks: self.queue.breaks(),
            losses: self.losses.load(Ordering::Acquire),
            wishes: self.wishes.load(Ordering::Acquire),
        }
    }

    /// Runs a script of the queue while the queue may be used. What it says first is its outcome.
    async fn ask<T: FromRedisValue + Answer>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Unavailable> {
        if !self.is_available() {
            return Err(Unavailable);
        }
        let losses = self.losses.load(Ordering::Acquire);
        let answer: T = self.queue.run(script, self.options.queue_within).await?;
        match answer.outcome() {
            "empty" => {
                self.lost(losses);
                Err(Unavailable)
            }
            "late" => Err(Unavailable),
            _ => Ok(answer),
        }
    }

    /// Notes that the queue was found empty; once, however many found it so.
    fn lost(&self, losses_before: u64) {
        let (order, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        let noted = self
            .losses
            .compare_exchange(losses_before, losses_before + 1, order, relaxed);
        if noted.is_ok() {
            tracing::warn!("the shared queue is empty and waits to be restored");
        }
    }

    /// The latest time at which a script may still run when it is sent now.
    fn deadline(&self) -> i64 {
        let within = self.options.queue_within;
        self.clock.deadline(Instant::now(), within)
    }
}

/// An answer that begins with its outcome.
trait Answer {
    fn outcome(&self) -> &str;
}

impl Answer for (String,) {
    fn outcome(&self) -> &str {
        &self.0
    }
}

impl<T> Answer for (String, T) {
    fn outcome(&self) -> &str {
        &self.0
    }
}

impl<A, B> Answer for (String, A, B) {
    fn outcome(&self) -> &str {
        &self.0
    }
}

impl<A, B, C, D> Answer for (String, A, B, C, D) {
    fn outcome(&self) -> &str {
        &self.0
    }
}
