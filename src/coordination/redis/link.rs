//! A connection to Redis with a circuit breaker.
//!
//! Every caller gets an answer or an error within the given time. A call never connects. [`Link::revive`] connects,
//! and a background task calls it. So after the breaker has opened, a Redis that hangs costs the callers nothing. A
//! failed connection is never repaired but replaced. A new connection means that data may have been lost meanwhile,
//! and [`breaks`](Link::breaks) counts these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, ScriptInvocation};

use super::breaker::{Breaker, BreakerSettings, Failure};
use super::clock::RemoteClock;
use super::discovery::{Connected, Nodes, RedisConnectError};
use crate::coordination::Unavailable;
use crate::domain::Timestamp;
use crate::faults::Faults;
use crate::telemetry::Step;

/// A connection with a circuit breaker.
pub(super) struct Link {
    /// The purpose of the connection, for the log.
    purpose: &'static str,
    nodes: Arc<Nodes>,
    clock: Arc<RemoteClock>,
    /// `Some` while the breaker is closed.
    connection: ArcSwapOption<MultiplexedConnection>,
    breaker: Mutex<Breaker>,
    breaks: AtomicU64,
    /// The reason why the last call failed.
    last_failure: Mutex<String>,
    /// The time-out of a probe's answer.
    probe_within: Duration,
    /// The longest duration of a probe, including the connection attempt.
    probe_longest: Duration,
    faults: Faults,
}

impl Link {
    /// A link that is down until [`revive`](Link::revive) is called.
    pub(super) fn new(
        purpose: &'static str,
        nodes: Arc<Nodes>,
        clock: Arc<RemoteClock>,
        breaker: BreakerSettings,
        probe_within: Duration,
        faults: Faults,
    ) -> Link {
        Link {
            purpose,
            nodes,
            clock,
            connection: ArcSwapOption::empty(),
            breaker: Mutex::new(Breaker::open(breaker, Instant::now())),
            breaks: AtomicU64::new(0),
            last_failure: Mutex::default(),
            probe_within,
            probe_longest: Duration::from_secs(10),
            faults,
        }
    }

    /// Returns whether the link accepts calls.
    pub(super) fn is_up(&self) -> bool {
        self.connection.load().is_some()
    }

    /// The number of connections that were given up. While it stays the same, no data was lost.
    pub(super) fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Acquire)
    }

    /// The reason of the last failed call.
    pub(super) fn last_failure(&self) -> String {
        self.last_failure.lock().clone()
    }

    /// Runs a script at most once.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
        within: Duration,
    ) -> Result<T, Unavailable> {
        let connection = self.connection.load_full().ok_or(Unavailable)?;
        let mut pipe = MultiplexedConnection::clone(&connection);
        let mut step = Step::begin("redis.script").asks("redis");
        step.note("concert.redis.purpose", self.purpose);
        let asking = async {
            self.faults.redis_link().await?;
            call.invoke_async(&mut pipe).await
        };
        match tokio::time::timeout(within, asking).await {
            Ok(Ok(answer)) => {
                self.breaker.lock().succeeded();
                Ok(answer)
            }
            Ok(Err(error)) => {
                step.failed(|| error.to_string().into());
                self.failed(&connection, Failure::Broken, &error.to_string());
                Err(Unavailable)
            }
            Err(_) => {
                step.failed(|| "no answer in time".into());
                self.failed(&connection, Failure::TimedOut, "no answer in time");
                Err(Unavailable)
            }
        }
    }

    /// Connects if the link is down and a probe is due. `true` when it is up now.
    pub(super) async fn revive(&self) -> bool {
        if self.is_up() {
            return true;
        }
        let may_probe = self
            .breaker
            .lock()
            .may_probe(Instant::now(), self.probe_longest);
        may_probe && self.connect().await.is_ok()
    }

    /// Connects now.
    pub(super) async fn connect(&self) -> Result<Option<String>, RedisConnectError> {
        let probed = self.probe().await;
        // The lock covers both changes, so that phase and connection change together.
        let mut breaker = self.breaker.lock();
        breaker.probed(probed.is_ok(), Instant::now(), rand::random());
        match probed {
            Ok(connected) => {
                self.connection.store(Some(Arc::new(connected.connection)));
                Ok(connected.evicts)
            }
            Err(error) => {
                tracing::debug!(%error, "no connection for the {}", self.purpose);
                Err(error)
            }
        }
    }

    async fn probe(&self) -> Result<Connected, RedisConnectError> {
        self.check_link().await?;
        let mut connected = self.nodes.connect().await?;
        let time = redis::cmd("TIME");
        let asking = time.query_async(&mut connected.connection);
        let refused = |error: String| RedisConnectError::Refused {
            at: self.nodes.name(),
            error,
        };
        let asked: Result<Result<(i64, i64), RedisError>, _> =
            tokio::time::timeout(self.probe_within, asking).await;
        match asked {
            Ok(Ok((seconds, micros))) => {
                let time = Timestamp(seconds * 1_000 + micros / 1_000);
                self.clock.observe(time, Instant::now());
                Ok(connected)
            }
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(RedisConnectError::TimedOut {
                at: self.nodes.name(),
                within: self.probe_within,
            }),
        }
    }

    /// Returns an error if an injected fault cuts the link.
    async fn check_link(&self) -> Result<(), RedisConnectError> {
        let (at, within) = (self.nodes.name(), self.probe_within);
        match tokio::time::timeout(within, self.faults.redis_link()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(RedisConnectError::Unreachable {
                at,
                why: error.to_string(),
            }),
            Err(_) => Err(RedisConnectError::TimedOut { at, within }),
        }
    }

    fn failed(&self, connection: &Arc<MultiplexedConnection>, failure: Failure, why: &str) {
        why.clone_into(&mut self.last_failure.lock());
        let mut breaker = self.breaker.lock();
        let current = self.connection.load();
        let is_current = current
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(it, connection));
        // A late failure of an old connection proves nothing about the current one.
        if is_current && breaker.failed(failure, Instant::now(), rand::random()) {
            self.breaks.fetch_add(1, Ordering::AcqRel);
            self.connection.store(None);
            tracing::warn!(why, "Redis is given up for the {}", self.purpose);
        }
    }
}
