//! Repeating what may be repeated, within the time an operation has.
//!
//! What the database refused on account of others (deadlock, lock, serialization) is repeated at once.
//! What did not reach it is repeated for a short while, so that a quick failover is not noticed. What
//! may or may not have been done is repeated only where doing it twice is doing it once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Row;

use super::fault::Fault;
use super::pool::{Params, Pool};
use crate::store::StoreError;
use crate::store::turn::{OUTCOME_WITHIN, unknown_after};

/// Repeats for others in the way; each is mostly decided by the first.
const MOST_REPEATS: u32 = 30;
/// How long the database may be away before it is said so.
const AWAY: Duration = Duration::from_millis(1_500);

/// Whether to repeat an operation that may have been done already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing.
    Read,
    /// Twice is as good as once.
    Safe,
    /// Not idempotent: must not be repeated.
    Never,
}

/// The attempts at one operation.
pub(super) struct Attempts<'a> {
    pool: &'a Pool,
    name: &'static str,
    repeat: Repeat,
    allowed: Duration,
    deadline: Instant,
    away_until: Option<Instant>,
    repeats: u32,
    uncertain: bool,
}

impl<'a> Attempts<'a> {
    /// An operation that ends within the pool's time-out.
    pub(super) fn new(pool: &'a Pool, name: &'static str, repeat: Repeat) -> Attempts<'a> {
        Attempts::within(pool, name, repeat, pool.options.timeout)
    }

    /// An operation that ends within `allowed`.
    pub(super) fn within(
        pool: &'a Pool,
        name: &'static str,
        repeat: Repeat,
        allowed: Duration,
    ) -> Attempts<'a> {
        Attempts {
            pool,
            name,
            repeat,
            allowed,
            deadline: Instant::now() + allowed,
            away_until: None,
            repeats: 0,
            uncertain: false,
        }
    }

    /// Whether an earlier attempt may have taken effect.
    pub(super) fn uncertain(&self) -> bool {
        self.uncertain
    }

    /// One statement in a transaction of its own. The only faults it gives back are
    /// [`Fault::Violates`] and [`Fault::Final`]. A write that is under way when the time is up is awaited:
    /// the server ends it within the statement's time-out.
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Fault> {
        loop {
            match self.attempt(sql, params).await {
                Ok(rows) => return Ok(rows),
                Err(Fault::Violates(constraint)) => return Err(Fault::Violates(constraint)),
                Err(fault) => self.again(fault).await.map_err(Fault::Final)?,
            }
        }
    }

    async fn attempt(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let begun = AtomicBool::new(false);
        let mut attempt = std::pin::pin!(self.once(sql, params, &begun));
        if let Ok(ended) = timeout_at(self.deadline, &mut attempt).await {
            return ended;
        }
        if self.repeat == Repeat::Read || !begun.load(Ordering::Relaxed) {
            return Err(self.out_of_time());
        }
        let outcome_due = self.deadline + OUTCOME_WITHIN;
        let unknown = |_| Err(Fault::Final(unknown_after(self.allowed + OUTCOME_WITHIN)));
        timeout_at(outcome_due, attempt)
            .await
            .unwrap_or_else(unknown)
    }

    async fn once(
        &self,
        sql: &'static str,
        params: Params<'_>,
        begun: &AtomicBool,
    ) -> Result<Vec<Row>, Fault> {
        let mut lease = self.pool.lend().await?;
        let began = std::time::Instant::now();
        let result = match lease.faulty(self.name).await {
            Ok(()) => {
                begun.store(true, Ordering::Relaxed);
                lease.rows(sql, params).await
            }
            Err(fault) => Err(fault),
        };
        self.pool.measured(self.name, began, &result);
        result
    }

    /// Runs `attempt`, several statements, within the time that is left.
    pub(super) async fn bounded<T>(
        &self,
        attempt: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let began = std::time::Instant::now();
        let attempt = self.pool.faulty(self.name, attempt);
        let attempt = timeout_at(self.deadline, attempt).await;
        let result = attempt.unwrap_or_else(|_| Err(self.out_of_time()));
        self.pool.measured(self.name, began, &result);
        result
    }

    fn out_of_time(&self) -> Fault {
        Fault::Final(self.given_up(StoreError::Timeout(self.allowed)))
    }

    /// The error of an operation that is given up: what an earlier attempt did is not known where its
    /// answer was lost.
    fn given_up(&self, error: StoreError) -> StoreError {
        match self.uncertain {
            true => StoreError::Unknown(error.to_string()),
            false => error,
        }
    }

    /// Waits a moment when `fault` allows another attempt; gives the error when it does not.
    pub(super) async fn again(&mut self, fault: Fault) -> Result<(), StoreError> {
        match fault {
            Fault::InTheWay(why) => self.repeated(why).await,
            Fault::Violates(constraint) => {
                self.repeated(format!("its rows contradict {constraint}"))
                    .await
            }
            Fault::Unreached(why) => self.wait_for_database(why).await,
            Fault::Lost(why) if self.repeat == Repeat::Never => Err(StoreError::Unknown(format!(
                "{why} in the middle of {}",
                self.name
            ))),
            Fault::Lost(why) => {
                self.uncertain = self.repeat == Repeat::Safe;
                self.wait_for_database(why).await
            }
            Fault::Final(error) => Err(self.given_up(error)),
        }
    }

    /// Another attempt, since somebody else's change decided this one.
    pub(super) async fn repeated(&mut self, why: String) -> Result<(), StoreError> {
        self.repeats += 1;
        if self.repeats > MOST_REPEATS {
            return Err(self.given_up(StoreError::Unavailable(format!(
                "{} was in the way of others too often: {why}",
                self.name
            ))));
        }
        // The first repeat mostly finds the way free.
        let most = Duration::from_millis(2) * self.repeats.min(20);
        self.pause(most, why).await
    }

    async fn wait_for_database(&mut self, why: String) -> Result<(), StoreError> {
        let until = *self.away_until.get_or_insert_with(|| Instant::now() + AWAY);
        if Instant::now() >= until {
            return Err(self.given_up(StoreError::Unavailable(why)));
        }
        self.pause(Duration::from_millis(200), why).await
    }

    async fn pause(&self, most: Duration, why: String) -> Result<(), StoreError> {
        let pause = most.mul_f64(0.25 + 0.75 * rand::random::<f64>());
        if Instant::now() + pause >= self.deadline {
            return Err(self.given_up(StoreError::Unavailable(why)));
        }
        sleep(pause).await;
        Ok(())
    }
}
