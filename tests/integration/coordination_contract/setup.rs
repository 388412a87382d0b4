//! Queues of either kind, and servers that share one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::now;
use concertctl::clock::Clock;
use concertctl::coordination::{
    Claim, Coordination, Embedded, RedisCoordination, RedisOptions, RegisterError, Registration,
    Replication, Unavailable,
};
use concertctl::domain::queue::{Admission, QueueSnapshot};
use concertctl::domain::{Epoch, Place, Timestamp, UserId};
use concertctl::faults::Faults;
use concertctl::store::RegisterOutcome;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{Redis, RedisCluster, eventually};

pub const ACTIVE: Duration = Duration::from_secs(600);
pub const LOCK_TTL: Duration = Duration::from_secs(10);

/// A kind of coordination, with the servers that it needs.
pub enum Backend {
    Embedded,
    Redis(Box<Redis>),
    Cluster(Box<RedisCluster>),
}

impl Backend {
    pub fn embedded() -> Backend {
        Backend::Embedded
    }

    pub async fn redis() -> Option<Backend> {
        Some(Backend::Redis(Box::new(Redis::start().await?)))
    }

    pub async fn cluster() -> Option<Backend> {
        Some(Backend::Cluster(Box::new(RedisCluster::start().await?)))
    }

    /// A new queue with these settings.
    pub async fn open(&self, admission: Admission) -> Coordination {
        self.restored(&with(admission), options()).await
    }

    /// A new queue in the state of `snapshot`.
    pub async fn restored(&self, snapshot: &QueueSnapshot, options: RedisOptions) -> Coordination {
        let urls = match self {
            Backend::Embedded => {
                let (active, ttl) = (options.active_for, options.lock_ttl);
                let embedded = Embedded::restore(snapshot, active, ttl);
                return Coordination::Embedded(Box::new(embedded));
            }
            Backend::Redis(redis) => redis.url(),
            Backend::Cluster(cluster) => cluster.urls().join(","),
        };
        let epoch = Epoch(rand::random());
        let redis = RedisCoordination::connect(
            &urls,
            epoch,
            snapshot,
            (options, Clock::default()),
            Faults::default(),
        )
        .await;
        Coordination::Redis(Box::new(redis.unwrap()))
    }
}

pub fn options() -> RedisOptions {
    RedisOptions {
        // Tests check a published batch at once.
        lead: Duration::ZERO,
        notice: Duration::ZERO,
        ..RedisOptions::new(ACTIVE, LOCK_TTL)
    }
}

pub fn with(admission: Admission) -> QueueSnapshot {
    QueueSnapshot {
        admission: Some(admission),
        ..QueueSnapshot::default()
    }
}

/// An open sale with batches of this size at this interval.
pub fn open(batch: u64, every_ms: u64) -> Admission {
    Admission {
        batch,
        every_ms,
        paused: false,
        opens_at: Some(Timestamp(0)),
        ..Admission::default()
    }
}

/// An interval that is so long that no second batch becomes due in a test, in milliseconds.
pub const NEVER_AGAIN: u64 = 3_600_000;

pub async fn register(queue: &Coordination, user: i64) -> Registration {
    queue.register(UserId(user), now()).await.unwrap()
}

/// Waits for the next batch and claims it.
pub async fn claimed(queue: &Coordination) -> Claim {
    eventually("a batch is due", || async {
        queue.claim(now()).await.unwrap()
    })
    .await
}

/// Waits for the next batch and admits it.
pub async fn admit(queue: &Coordination) -> Claim {
    let claim = claimed(queue).await;
    assert!(queue.publish(claim).await.unwrap());
    claim
}

/// Checks that no batch becomes due during `time`.
pub async fn none_due_for(queue: &Coordination, time: Duration) {
    let until = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < until {
        assert_eq!(queue.claim(now()).await.unwrap(), None);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The durable state of a queue. It stands for the database that several servers share.
#[derive(Default)]
pub struct Ledger(Mutex<QueueSnapshot>);

impl Ledger {
    pub fn with(admission: Admission) -> Arc<Ledger> {
        Arc::new(Ledger(Mutex::new(with(admission))))
    }

    pub fn snapshot(&self) -> QueueSnapshot {
        self.0.lock().clone()
    }

    /// Makes a place durable, unless another user has the number or the user has another place.
    pub fn keep(&self, place: Place, user: UserId) -> RegisterOutcome {
        let places = &mut self.0.lock().places;
        let live = places.iter().find(|(_, by, ended)| *by == user && !ended);
        if let Some((standing, ..)) = live {
            return RegisterOutcome::Standing(*standing);
        }
        let at = places.binary_search_by_key(&place, |(place, ..)| *place);
        let Err(at) = at else {
            let last = places.last().map_or(Place(0), |(place, ..)| *place);
            return RegisterOutcome::NumberTaken(last);
        };
        places.insert(at, (place, user, false));
        RegisterOutcome::Kept
    }

    /// The next place, as the database gives it while the queue is unavailable.
    pub fn next(&self, user: UserId, above: Place) -> Place {
        let mut snapshot = self.0.lock();
        let place = Place(snapshot.last().max(above).0 + 1);
        snapshot.places.push((place, user, false));
        place
    }

    pub fn end(&self, ended: Place) {
        let places = &mut self.0.lock().places;
        let at = places.binary_search_by_key(&ended, |(place, ..)| *place);
        places[at.unwrap()].2 = true;
    }

    pub fn admit(&self, claim: Claim) {
        let admissions = &mut self.0.lock().admissions;
        let at = admissions.binary_search_by_key(&claim.watermark, |(watermark, _)| *watermark);
        if let Err(at) = at {
            admissions.insert(at, (claim.watermark, claim.at));
        }
    }

    pub fn set(&self, admission: Admission) {
        self.0.lock().admission = Some(admission);
    }
}

/// The coordination of a server, without its other parts. It replicates, and recovers on request.
pub struct Server {
    pub queue: Arc<Coordination>,
    pub restorations: Arc<AtomicU64>,
    _following: AbortOnDropHandle<()>,
}

impl Server {
    pub async fn start(
        urls: &str,
        epoch: Epoch,
        ledger: &Arc<Ledger>,
        options: RedisOptions,
    ) -> Server {
        let snapshot = ledger.snapshot();
        let queue = RedisCoordination::connect(
            urls,
            epoch,
            &snapshot,
            (options, Clock::default()),
            Faults::default(),
        )
        .await;
        let queue = Arc::new(Coordination::Redis(Box::new(queue.unwrap())));
        let restorations = Arc::new(AtomicU64::new(0));
        let following = follow(
            Arc::clone(&queue),
            Arc::clone(ledger),
            Arc::clone(&restorations),
        );
        Server {
            queue,
            restorations,
            _following: AbortOnDropHandle::new(tokio::spawn(following)),
        }
    }

    /// A place for `user`, from the queue, or from the database while the queue is unavailable.
    pub async fn place(&self, ledger: &Ledger, user: UserId) -> Place {
        let state = self.queue.state();
        for _ in 0..3 {
            let registration = match self.queue.register(user, now()).await {
                Ok(registration) => registration,
                Err(RegisterError::Already(place)) => panic!("{user:?} has {place:?} already"),
                Err(RegisterError::Unavailable(Unavailable)) => break,
            };
            match ledger.keep(registration.place, user) {
                RegisterOutcome::Kept => return registration.place,
                RegisterOutcome::NumberTaken(last) => {
                    self.queue.abandon(user, registration).await;
                    self.queue.raise(last).await;
                }
                RegisterOutcome::Replayed(_) | RegisterOutcome::Mismatch => unreachable!("no key"),
                RegisterOutcome::Standing(place) => panic!("{user:?} has {place:?} already"),
            }
        }
        let place = ledger.next(user, state.registered());
        self.queue.keep(user, place).await;
        place
    }

    /// Waits until the shared queue is available (`wanted`) or not.
    pub async fn until_available(&self, wanted: bool) {
        eventually("the queue is there or away", || async {
            (self.queue.is_available() == wanted).then_some(())
        })
        .await;
    }
}

async fn follow(queue: Arc<Coordination>, ledger: Arc<Ledger>, restorations: Arc<AtomicU64>) {
    loop {
        if queue.replicate().await == Replication::NeedsRecovery
            && queue.recover(&ledger.snapshot()).await.is_ok()
        {
            restorations.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(queue.replication_interval().unwrap()).await;
    }
}
