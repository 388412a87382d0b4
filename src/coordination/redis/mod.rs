//! The shared queue of several servers: order, admission and seat locks in Redis (6.2 or later), on one node or in a
//! cluster.
//!
//! Redis decides the order of places and which server admits the next batch. The store makes both durable, and the
//! queue recovers from the store whenever Redis may have lost data. No poll asks Redis: each server
//! [replicates](RedisCoordination::replicate) the queue at a fixed rate and answers polls from its own
//! [`QueueState`].
//!
//! **Keys.** `{concertctl:<epoch>}:ready`, `queue`, `users`, `batches`, `ended`, `figures`, `fence` and
//! `lock:<seat>`; see [`Keys`]. Only locks expire by themselves. The queue needs about 70 bytes of Redis's memory per
//! registered user, and 100 for each user who paid within the time of an admission.
//!
//! **Loss.** Recovery sets `ready` last. Without it every script of the queue answers "empty". After a connection is
//! given up, and whenever Redis is empty, this server stops using the queue until it has recovered it from the
//! database. Recovery only raises numbers.
//!
//! **Stalls.** A command whose caller gave up may still run when Redis continues. A command that could then do harm
//! carries a deadline by Redis's clock. The others only raise numbers or compare first. Each script says which kind
//! it is, and why.

mod admission;
mod breaker;
mod clock;
mod control;
mod discovery;
mod link;
mod lock;
mod places;
mod recovery;
mod replication;
mod scripts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{FromRedisValue, ScriptInvocation};
use tokio::sync::watch;

pub use breaker::BreakerSettings;
pub use discovery::RedisConnectError;
#[cfg(any(test, fuzzing))]
pub(crate) use discovery::read_replies;
pub use lock::RedisLock;

use self::clock::RemoteClock;
use self::discovery::Nodes;
use self::link::Link;
use self::lock::{Locks, Tried};
use self::replication::Replica;
use self::scripts::Keys;
use super::state::QueueState;
use super::{Claim, Held, SeatLock, Unavailable};
use crate::clock as service;
use crate::domain::queue::QueueSnapshot;
use crate::domain::{Epoch, Place, SeatId};
use crate::faults::Faults;

/// Intervals and time-outs of the shared queue.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// The duration of an admission.
    pub active_for: Duration,
    /// The time after which a seat lock expires.
    pub lock_ttl: Duration,
    /// The time after which another server may claim a claimed batch.
    pub claim_lease: Duration,
    pub replication_interval: Duration,
    /// The time from the claim of a batch to its admission.
    pub lead: Duration,
    /// The least time from the publication of a batch to its admission. A copy of the queue that is not older than this
    /// has every batch that any server admits.
    pub notice: Duration,
    /// The time-out of a connection attempt.
    pub connect_timeout: Duration,
    /// The time-out for a seat lock.
    pub lock_timeout: Duration,
    /// The time-out for a place or a batch.
    pub queue_timeout: Duration,
    /// The time-out for one page of changes, or for one part of a recovery.
    pub replication_timeout: Duration,
    /// The settings of the circuit breaker.
    pub breaker: BreakerSettings,
}

impl RedisOptions {
    /// Options with admissions of `active_for`, locks of `lock_ttl`, and defaults for the rest.
    #[must_use]
    pub fn new(active_for: Duration, lock_ttl: Duration) -> RedisOptions {
        RedisOptions {
            active_for,
            lock_ttl,
            // The store answers within 5 s or not at all, and publishing takes half a second more. So a claim in use
            // does not expire, and the claim of a crashed server delays admission by at most half an interval.
            claim_lease: Duration::from_secs(7),
            // All servers learn of a batch within a tenth of a second, which costs ten calls a second.
            replication_interval: Duration::from_millis(100),
            // By then the batch is durable and all servers know it, so all admit it together. With a shorter lead, one
            // server could admit users while another lets earlier users wait.
            lead: Duration::from_millis(300),
            // Two replications, so that a server rarely has an older copy.
            notice: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(1),
            // The lock only relieves the database, so it must not cost more than a transaction.
            lock_timeout: Duration::from_millis(100),
            // The database can give a place in about this time instead.
            queue_timeout: Duration::from_millis(500),
            // No request waits for this, and a page takes longer than a place.
            replication_timeout: Duration::from_secs(1),
            breaker: BreakerSettings::default(),
        }
    }
}

/// Order, admission and seat locks in Redis from the view of one server.
pub struct RedisCoordination {
    pub(super) state: QueueState,
    options: RedisOptions,
    keys: Arc<Keys>,
    /// Distinguishes the figures of this server from others'.
    server: u64,
    /// Redis's clock.
    clock: Arc<RemoteClock>,
    service_clock: service::Clock,
    queue: Link,
    locks: Locks,
    /// The number of times that the queue was found empty.
    losses: AtomicU64,
    /// The number of recoveries that this server requested because a change did not reach the queue.
    requests: AtomicU64,
    /// The causes at the time of this server's last recovery.
    recovered: Mutex<Option<Causes>>,
    replica: Mutex<Replica>,
    /// The time at which the last complete replication began.
    replicated: watch::Sender<Instant>,
    unsent: Mutex<Unsent>,
    /// The time before which no claim is tried.
    claim_after: Mutex<Instant>,
}

/// Counters of the causes of recovery. A recovery is due while they differ from those at the last recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Causes {
    breaks: u64,
    losses: u64,
    requests: u64,
}

/// Changes that have not reached Redis yet.
#[derive(Default)]
struct Unsent {
    ended: Vec<Place>,
    batch: Option<Claim>,
}

impl RedisCoordination {
    /// Checks that the Redis of `urls` can be used, for a server that has no dataset yet.
    pub async fn check(urls: &str, options: RedisOptions) -> Result<(), RedisConnectError> {
        let any = Keys::of(Epoch(0));
        let nodes = Nodes::parse(urls, any.ready, options.connect_timeout)?;
        nodes.connect().await.map(drop)
    }

    /// Connects to the Redis of `urls` (one or several nodes of a cluster, separated by commas; a comma in a password
    /// is written `%2C`). Recovers the queue of dataset `epoch` to at least `snapshot`.
    ///
    /// The first [`replicate`](RedisCoordination::replicate) requests another recovery, because other servers may
    /// have changed the queue after `snapshot`.
    pub async fn connect(
        urls: &str,
        epoch: Epoch,
        snapshot: &QueueSnapshot,
        (options, service_clock): (RedisOptions, service::Clock),
        faults: Faults,
    ) -> Result<RedisCoordination, RedisConnectError> {
        let keys = Arc::new(Keys::of(epoch));
        let nodes = Nodes::parse(urls, keys.ready.clone(), options.connect_timeout)?;
        let nodes = Arc::new(nodes);
        let clock = Arc::new(RemoteClock::new(Instant::now()));
        let link = |purpose, within| {
            let (nodes, clock) = (Arc::clone(&nodes), Arc::clone(&clock));
            let faults = faults.clone();
            Link::new(purpose, nodes, clock, options.breaker, within, faults)
        };
        let (ttl, within) = (options.lock_ttl, options.lock_timeout);
        let coordination = RedisCoordination {
            state: QueueState::restore(snapshot, options.active_for),
            options,
            queue: link("queue", options.queue_timeout),
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
            server: rand::random(),
            losses: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            recovered: Mutex::new(None),
            replica: Mutex::default(),
            replicated: watch::Sender::new(Instant::now()),
            unsent: Mutex::default(),
            claim_after: Mutex::new(Instant::now()),
        };
        if let Some(policy) = coordination.queue.connect().await? {
            tracing::warn!(
                policy,
                "Redis evicts keys when its memory runs out: set maxmemory-policy to noeviction"
            );
        }
        // Without locks only the database decides about seats.
        coordination.locks.connect().await;
        let first = coordination.first_recovery(snapshot).await;
        first.map_err(|Unavailable| RedisConnectError::Refused {
            at: nodes.name(),
            error: coordination.queue.last_failure(),
        })?;
        Ok(coordination)
    }

    /// Returns whether places and batches come from the shared queue at the moment.
    #[must_use]
    pub fn is_available(&self) -> bool {
        let recovered = *self.recovered.lock();
        let now = self.causes();
        self.queue.is_up()
            && recovered
                .is_some_and(|as_of| (as_of.breaks, as_of.losses) == (now.breaks, now.losses))
    }

    /// The pause between two calls of [`replicate`](RedisCoordination::replicate).
    #[must_use]
    pub fn replication_interval(&self) -> Duration {
        self.options.replication_interval
    }

    /// Tries to lock `seat`. It never waits for the holder.
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
            requests: self.requests.load(Ordering::Acquire),
        }
    }

    /// Runs a script of the queue if the queue may be used. The first value of the answer is its outcome.
    async fn ask<T: FromRedisValue + Answer>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Unavailable> {
        if !self.is_available() {
            return Err(Unavailable);
        }
        let losses = self.losses.load(Ordering::Acquire);
        let answer: T = self.queue.run(script, self.options.queue_timeout).await?;
        match answer.outcome() {
            "empty" => {
                self.lost(losses);
                Err(Unavailable)
            }
            "late" => Err(Unavailable),
            _ => Ok(answer),
        }
    }

    /// Counts a loss of the queue once, even if several calls find it empty.
    fn lost(&self, losses_before: u64) {
        let (order, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        let counted =
            self.losses
                .compare_exchange(losses_before, losses_before + 1, order, relaxed);
        if counted.is_ok() {
            tracing::warn!("the shared queue is empty and waits to be restored");
        }
    }

    /// The latest time at which a script that is sent now may run.
    fn deadline(&self) -> i64 {
        let within = self.options.queue_timeout;
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

impl<A, B, C> Answer for (String, A, B, C) {
    fn outcome(&self) -> &str {
        &self.0
    }
}

impl<A, B, C, D> Answer for (String, A, B, C, D) {
    fn outcome(&self) -> &str {
        &self.0
    }
}
