//! Short-lived shared state: the order of the queue, admission, seat locks.
//!
//! This module owns the places and the admitted-up-to watermark. `booking` makes both durable in the store, and they
//! are recovered from the store at the start. [`Embedded`] serves one process from memory. Any number of servers can
//! share [`RedisCoordination`]. In both cases this process answers polls from its own [`QueueState`].

mod embedded;
pub mod locks;
mod redis;
pub mod state;

use std::time::Duration;

pub use embedded::Embedded;
pub use locks::LockGuard;
use locks::Tried;
#[cfg(any(test, fuzzing))]
pub(crate) use redis::read_replies;
pub use redis::{BreakerSettings, RedisConnectError, RedisCoordination, RedisLock, RedisOptions};
pub use state::{Flow, QueueCounts, QueueState, Standing};

use crate::domain::admission_control::{Decision, Measurement, State};
use crate::domain::queue::{Admission, QueueSnapshot};
use crate::domain::{Place, SeatId, Timestamp, UserId};

/// A new place. It must be durable before the user learns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    pub place: Place,
    /// The user's earlier place, whose admission has ended.
    pub replaces: Option<Place>,
}

/// The reason why no place was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The user is already in the queue.
    #[error("in the queue already at place {}", .0.0)]
    Already(Place),
    /// The shared queue does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The shared queue does not answer, so its state is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared queue does not answer")]
pub struct Unavailable;

/// A due batch that only this server may admit. It must be made durable first and then published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The watermark before the batch.
    pub from: Place,
    /// The watermark after it.
    pub watermark: Place,
    /// The time of the admission: now by the deciding clock, or a moment later, when all servers know of the batch.
    pub at: Timestamp,
    /// Distinguishes this claim from later ones.
    pub id: u64,
}

/// The right to decide the rate of admission until the next step. Only one server gets it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// The state of the control law; `None` before the first decision.
    pub state: Option<State>,
    /// The worst figures of all servers.
    pub worst: Measurement,
    /// Distinguishes this turn from later ones.
    pub id: u64,
}

/// An attempt to lock a seat.
pub enum SeatLock<'a> {
    /// The seat is locked until this is dropped.
    Held(Held<'a>),
    /// Another request holds it.
    Busy,
    /// A copy of the same keyed request holds the lock, perhaps on a crashed server. The database decides between
    /// copies.
    Copy,
    /// The lock service does not answer. Only the database guards the seat.
    Unavailable,
}

/// A held lock. Dropping it releases it.
pub enum Held<'a> {
    /// In this process.
    Embedded(LockGuard<'a>),
    /// On every server.
    Redis(RedisLock),
}

impl Held<'_> {
    /// Releases the lock. Other requests can take it when this returns.
    pub async fn release(self) {
        match self {
            Held::Embedded(guard) => drop(guard),
            Held::Redis(lock) => lock.release().await,
        }
    }

    /// Rises with every lock that is taken, so a later holder has a higher value. The database does not check it.
    #[must_use]
    pub fn fence(&self) -> u64 {
        match self {
            Held::Embedded(guard) => guard.fence,
            Held::Redis(lock) => lock.fence,
        }
    }
}

/// The result of one replication of the shared queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// This server's state is up to date.
    UpToDate,
    /// The shared queue answers again or is empty. It must [recover](Coordination::recover) from the durable state
    /// before it is used.
    NeedsRecovery,
    /// The shared queue does not answer.
    Unreachable,
}

/// Either kind of coordination.
pub enum Coordination {
    /// One process, with the queue in memory.
    Embedded(Box<Embedded>),
    /// Any number of servers.
    Redis(Box<RedisCoordination>),
}

impl Coordination {
    /// This server's copy of the queue.
    #[must_use]
    pub fn state(&self) -> &QueueState {
        match self {
            Coordination::Embedded(embedded) => &embedded.state,
            Coordination::Redis(redis) => &redis.state,
        }
    }

    /// The label value of this coordination in metrics.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        match self {
            Coordination::Embedded(_) => "embedded",
            Coordination::Redis(_) => "redis",
        }
    }

    /// Returns whether places and batches come from this queue at the moment. The shared one must answer and be
    /// recovered.
    #[must_use]
    pub fn is_available(&self) -> bool {
        match self {
            Coordination::Embedded(_) => true,
            Coordination::Redis(redis) => redis.is_available(),
        }
    }

    /// The pause between two calls of [`replicate`](Coordination::replicate). `None` means never.
    #[must_use]
    pub fn replication_interval(&self) -> Option<Duration> {
        match self {
            Coordination::Embedded(_) => None,
            Coordination::Redis(redis) => Some(redis.replication_interval()),
        }
    }

    /// Brings this server's state up to date with the shared one.
    pub async fn replicate(&self) -> Replication {
        match self {
            Coordination::Embedded(_) => Replication::UpToDate,
            Coordination::Redis(redis) => redis.replicate().await,
        }
    }

    /// Waits for a bounded time until this server's copy of the queue is recent enough to say that `place` is not
    /// admitted.
    pub async fn catch_up(&self, place: Place) {
        match self {
            Coordination::Embedded(_) => {}
            Coordination::Redis(redis) => redis.catch_up(place).await,
        }
    }

    /// Recovers the shared queue: raises it to the durable state, and never lowers it.
    pub async fn recover(&self, snapshot: &QueueSnapshot) -> Result<(), Unavailable> {
        match self {
            Coordination::Embedded(_) => Ok(()),
            Coordination::Redis(redis) => redis.recover(snapshot).await,
        }
    }

    /// Gives the next place.
    pub async fn register(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Registration, RegisterError> {
        match self {
            Coordination::Embedded(embedded) => {
                embedded.register(user, now).map_err(RegisterError::Already)
            }
            Coordination::Redis(redis) => redis.register(user, now).await,
        }
    }

    /// Withdraws a place that could not be made durable. Its number stays unused.
    pub async fn abandon(&self, user: UserId, registration: Registration) {
        match self {
            Coordination::Embedded(embedded) => embedded.abandon(user, registration),
            Coordination::Redis(redis) => redis.abandon(user, registration).await,
        }
    }

    /// Raises the last place to at least `place`, which the database already has.
    pub async fn raise(&self, place: Place) {
        match self {
            Coordination::Embedded(embedded) => embedded.raise(place),
            Coordination::Redis(redis) => redis.raise(place).await,
        }
    }

    /// Records a place that the database gave while the shared queue did not answer. It is the place of `user` from
    /// now on.
    pub async fn keep(&self, user: UserId, place: Place) {
        match self {
            Coordination::Embedded(embedded) => embedded.keep(user, place),
            Coordination::Redis(redis) => redis.keep(user, place).await,
        }
    }

    /// Ends the admission of a place early, on every server.
    pub async fn end(&self, place: Place) {
        match self {
            Coordination::Embedded(embedded) => embedded.state.end(place),
            Coordination::Redis(redis) => redis.end(place).await,
        }
    }

    /// Claims the batch that is due. Only one server gets it.
    pub async fn claim(&self, now: Timestamp) -> Result<Option<Claim>, Unavailable> {
        match self {
            Coordination::Embedded(embedded) => Ok(embedded.take_due(now)),
            Coordination::Redis(redis) => redis.claim().await,
        }
    }

    /// Admits a claimed batch, which must be durable. Returns `false` if the claim had expired and another server has
    /// the batch.
    pub async fn publish(&self, claim: Claim) -> Result<bool, Unavailable> {
        match self {
            Coordination::Embedded(embedded) => {
                embedded.state.publish(claim.watermark, claim.at);
                Ok(true)
            }
            Coordination::Redis(redis) => redis.publish(claim).await,
        }
    }

    /// Returns a claimed batch that could not be made durable. It is retried after `pause`.
    pub async fn put_back(&self, claim: Claim, pause: Duration) {
        match self {
            Coordination::Embedded(embedded) => embedded.put_back(claim.at, pause),
            Coordination::Redis(redis) => redis.put_back(claim, pause).await,
        }
    }

    /// Applies admission settings, which must be durable, on every server.
    pub async fn set_admission(&self, admission: Admission, now: Timestamp) {
        match self {
            Coordination::Embedded(embedded) => embedded.state.set_admission(admission, now),
            Coordination::Redis(redis) => redis.set_admission(admission, now).await,
        }
    }

    /// Shares the measurements of this server, and claims the turn to decide. `None` if another server has the turn.
    pub async fn turn(&self, own: &Measurement) -> Result<Option<Turn>, Unavailable> {
        match self {
            Coordination::Embedded(embedded) => Ok(Some(embedded.turn(own))),
            Coordination::Redis(redis) => redis.turn(own).await,
        }
    }

    /// Applies the decision of `turn` on every server. Returns `false` if another server has decided since.
    pub async fn apply_decision(
        &self,
        turn: &Turn,
        next: State,
        decision: &Decision,
    ) -> Result<bool, Unavailable> {
        match self {
            Coordination::Embedded(embedded) => {
                embedded.apply_decision(next, decision);
                Ok(true)
            }
            Coordination::Redis(redis) => redis.apply_decision(turn, next, decision).await,
        }
    }

    /// Tries to lock `seat`. It never waits for the holder. `request` names a keyed request in the same way on all
    /// servers, so that its copies are distinguished from other requests.
    pub async fn try_lock(&self, seat: SeatId, request: Option<&str>) -> SeatLock<'_> {
        match self {
            Coordination::Embedded(embedded) => match embedded.locks.try_lock(seat, request) {
                Tried::Held(guard) => SeatLock::Held(Held::Embedded(guard)),
                Tried::Busy => SeatLock::Busy,
                Tried::Copy => SeatLock::Copy,
            },
            Coordination::Redis(redis) => redis.try_lock(seat, request).await,
        }
    }
}
