//! Repeats statements that may be repeated, within the time-out of the operation.
//!
//! A statement that the database refused because of other transactions is repeated after a few milliseconds. A
//! statement that did not reach the database is repeated for a short while, so that a quick failover causes no error. A
//! statement that may have been done is repeated only if doing it twice has the same effect as doing it once.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::StoreError;
use super::fault::Fault;
use super::pooled::{Driver, Pool, Reply};
use super::turn::{OUTCOME_WITHIN, unknown_after};
use super::values::Params;

/// The most repeats after conflicts with other transactions. Mostly the first repeat succeeds.
const MOST_REPEATS: u32 = 30;
/// The time for which an unreachable database is tried again.
const UNREACHABLE: Duration = Duration::from_millis(1_500);

/// The rule for repeating an operation whose earlier attempt may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing.
    Read,
    /// Doing it twice has the same effect as doing it once.
    Safe,
    /// It is not idempotent.
    Never,
}

/// One operation, with its repeats.
pub(super) struct Retry<'a, D: Driver> {
    pool: &'a Pool<D>,
    name: &'static str,
    repeat: Repeat,
    allowed: Duration,
    deadline: Instant,
    unreachable_until: Option<Instant>,
    repeats: u32,
    uncertain: bool,
}

impl<'a, D: Driver> Retry<'a, D> {
    /// An operation that ends within the pool's time-out.
    pub(super) fn new(pool: &'a Pool<D>, name: &'static str, repeat: Repeat) -> Retry<'a, D> {
        Retry::within(pool, name, repeat, pool.options.timeout)
    }

    /// An operation that ends within `allowed`.
    pub(super) fn within(
        pool: &'a Pool<D>,
        name: &'static str,
        repeat: Repeat,
        allowed: Duration,
    ) -> Retry<'a, D> {
        Retry {
            pool,
            name,
            repeat,
            allowed,
            deadline: Instant::now() + allowed,
            unreachable_until: None,
            repeats: 0,
            uncertain: false,
        }
    }

    /// Returns whether an earlier attempt to write may have been done, because its answer was lost.
    pub(super) fn uncertain(&self) -> bool {
        self.uncertain
    }

    /// Runs one statement. The only faults that it returns are [`Fault::Violates`] and [`Fault::Final`]. If a write
    /// still runs at the deadline, this waits [`OUTCOME_WITHIN`] longer, because the server ends the write within the
    /// statement time-out. If it has no outcome then, the outcome is unknown.
    pub(super) async fn run(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Reply<D::Row>, Fault> {
        loop {
            match self.attempt(sql, params).await {
                Ok(reply) => return Ok(reply),
                Err(Fault::Violates(constraint)) => return Err(Fault::Violates(constraint)),
                Err(fault) => self.again(fault).await.map_err(Fault::Final)?,
            }
        }
    }

    async fn attempt(&self, sql: &'static str, params: Params<'_>) -> Result<Reply<D::Row>, Fault> {
        let begun = AtomicBool::new(false);
        let attempt = std::pin::pin!(self.once(sql, params, &begun));
        self.awaited(&begun, attempt).await
    }

    /// Waits for `attempt` until the deadline, and [`OUTCOME_WITHIN`] longer if a write has `begun` by then.
    async fn awaited<T>(
        &self,
        begun: &AtomicBool,
        mut attempt: Pin<&mut impl Future<Output = Result<T, Fault>>>,
    ) -> Result<T, Fault> {
        if let Ok(ended) = timeout_at(self.deadline, attempt.as_mut()).await {
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
    ) -> Result<Reply<D::Row>, Fault> {
        let mut lease = self.pool.lend().await?;
        let began = std::time::Instant::now();
        let result = match lease.inject(self.name).await {
            Ok(()) => {
                begun.store(true, Ordering::Relaxed);
                lease.run(sql, params).await
            }
            Err(fault) => Err(fault),
        };
        self.pool.measured(self.name, began, &result);
        result
    }

    /// Runs `attempt`, which is several statements that read, once and within the time that is left.
    pub(super) fn bounded<T>(
        &self,
        attempt: impl Future<Output = Result<T, Fault>>,
    ) -> impl Future<Output = Result<T, Fault>> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        self.transaction(&NEVER, attempt)
    }

    /// Runs `attempt`, which is a transaction, once and within the time that is left. `attempt` sets `committing`
    /// before it sends its COMMIT: a transaction that is given up earlier changes nothing, a later one may be done.
    pub(super) async fn transaction<T>(
        &self,
        committing: &AtomicBool,
        attempt: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let began = std::time::Instant::now();
        let attempt = std::pin::pin!(self.pool.injected(self.name, attempt));
        let result = self.awaited(committing, attempt).await;
        self.pool.measured(self.name, began, &result);
        result
    }

    fn out_of_time(&self) -> Fault {
        Fault::Final(self.given_up(StoreError::Timeout(self.allowed)))
    }

    /// The error when an operation is given up. If the answer to an attempt was lost, the outcome is unknown.
    fn given_up(&self, error: StoreError) -> StoreError {
        match self.uncertain {
            true => StoreError::Unknown(error.to_string()),
            false => error,
        }
    }

    /// Waits a moment if `fault` allows another attempt.
    ///
    /// # Errors
    /// The error of the operation if the fault allows none, or if repeats or time are used up.
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
            Fault::TimedOut(time) if self.repeat == Repeat::Read => {
                Err(self.given_up(StoreError::Timeout(time)))
            }
            Fault::TimedOut(time) => Err(StoreError::Unknown(format!(
                "{} was ended after {time:?}",
                self.name
            ))),
            Fault::Final(error) => Err(self.given_up(error)),
        }
    }

    /// Waits a moment before another attempt, because a change by another transaction decided this one.
    pub(super) async fn repeated(&mut self, why: String) -> Result<(), StoreError> {
        self.repeats += 1;
        if self.repeats > MOST_REPEATS {
            return Err(self.given_up(StoreError::Unavailable(format!(
                "other transactions were in the way of {} too often: {why}",
                self.name
            ))));
        }
        let most = Duration::from_millis(2) * self.repeats.min(20);
        self.pause(most, why).await
    }

    async fn wait_for_database(&mut self, why: String) -> Result<(), StoreError> {
        let give_up_at = || Instant::now() + UNREACHABLE;
        let until = *self.unreachable_until.get_or_insert_with(give_up_at);
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
