//! The connections of one dataset: a bounded number, lent for one statement at a time.
//!
//! A connection is marked busy before a statement is sent, and free after its last row. A lease that is dropped while
//! its connection is busy, because of a time-out or a caller who hung up, closes the connection: the statement may still
//! run, and its answer must not reach another caller. A failure after which a transaction may be open closes it too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolError, RecycleError, RecycleResult, TimeoutType};
use futures_util::TryStreamExt as _;
use parking_lot::Mutex;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Connection as _, Either, Executor as _};

use super::MySqlOptions;
use super::fault::{self, Fault};
use super::target::{Connector, Purpose, Target};
use super::values::{Params, bound};
use crate::faults::Faults;
use crate::store::StoreError;
use crate::telemetry::{ACQUIRE, Metrics, Statement, TraceHandle, connection_acquired};

/// The most callers that wait for each connection.
const WAITING_PER_CONNECTION: usize = 64;
/// A connection that was idle for so long is checked before it is lent: the server may have closed it. Under load no
/// connection is idle, so no request pays for a check.
const IDLE: Duration = Duration::from_secs(1);
/// The longest wait for the answer to a check.
const CHECK_WITHIN: Duration = Duration::from_millis(500);

/// A connection, and the generation of connections in which it was made.
pub(super) struct Link {
    connection: MySqlConnection,
    generation: u64,
}

/// Makes and checks the connections.
pub(super) struct Manager {
    connector: Connector,
    /// Increases when a connection is lost. Every older connection is closed instead of lent: what ended one, such as a
    /// restart of the server, mostly ended all.
    generation: AtomicU64,
}

impl managed::Manager for Manager {
    type Type = Link;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Link, sqlx::Error> {
        let generation = self.generation.load(Ordering::Relaxed);
        let connection = self.connector.connect().await?;
        Ok(Link {
            connection,
            generation,
        })
    }

    async fn recycle(
        &self,
        link: &mut Link,
        metrics: &managed::Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if link.generation != self.generation.load(Ordering::Relaxed) {
            return Err(RecycleError::message("older than a loss of connections"));
        }
        if metrics.last_used() < IDLE {
            return Ok(());
        }
        match tokio::time::timeout(CHECK_WITHIN, link.connection.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.lost();
                Err(RecycleError::Backend(error))
            }
            Err(_) => {
                self.lost();
                Err(RecycleError::message("it does not answer"))
            }
        }
    }
}

impl Manager {
    fn lost(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }
}

/// The result of a statement.
pub(super) struct Reply {
    /// The rows of all its result sets.
    pub(super) rows: Vec<MySqlRow>,
    /// The number of rows that it changed.
    pub(super) changed: u64,
}

/// The connections to one database.
pub(super) struct Pool {
    inner: managed::Pool<Manager>,
    pub(super) target: Target,
    pub(super) database: String,
    pub(super) options: MySqlOptions,
    pub(super) metrics: Option<Metrics>,
    pub(super) faults: Faults,
    lent: AtomicU64,
    /// The reason why the last connection could not be made, until one can.
    failing: Mutex<Option<String>>,
}

impl Pool {
    /// Makes no connection yet.
    pub(super) fn new(
        target: &Target,
        database: String,
        options: MySqlOptions,
        metrics: Option<Metrics>,
        faults: Faults,
    ) -> Result<Arc<Pool>, StoreError> {
        let manager = Manager {
            connector: target.connector(&database, Purpose::Statements, &options),
            generation: AtomicU64::new(0),
        };
        let inner = managed::Pool::builder(manager)
            .max_size(options.connections.max(1))
            .wait_timeout(Some(options.acquire_timeout))
            .create_timeout(Some(options.connect_timeout))
            .recycle_timeout(Some(options.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Arc::new(Pool {
            inner,
            target: target.clone(),
            database,
            options,
            metrics,
            faults,
            lent: AtomicU64::new(0),
            failing: Mutex::new(None),
        }))
    }

    /// The largest number of connections.
    pub(super) fn most(&self) -> usize {
        self.inner.status().max_size
    }

    /// Borrows a connection.
    pub(super) async fn lend(&self) -> Result<Lease<'_>, Fault> {
        let max = self.inner.status().max_size;
        if self.inner.status().waiting >= max * WAITING_PER_CONNECTION {
            return Err(Fault::Final(StoreError::Overloaded));
        }
        let asked = Instant::now();
        let link = match self.inner.get().await {
            Ok(link) => link,
            Err(error) => {
                let mut step = TraceHandle::current().step_since(ACQUIRE, asked);
                step.failed(|| error.to_string().into());
                if let (Some(metrics), PoolError::Timeout(TimeoutType::Wait)) =
                    (&self.metrics, &error)
                {
                    metrics.db_wait(asked.elapsed());
                }
                return Err(self.refused(error));
            }
        };
        self.failing.lock().take();
        self.lent.fetch_add(1, Ordering::Relaxed);
        connection_acquired(self.metrics.as_ref(), &TraceHandle::current(), asked);
        self.report_connections();
        Ok(Lease {
            pool: self,
            link: Some(link),
            busy: false,
        })
    }

    fn refused(&self, error: PoolError<sqlx::Error>) -> Fault {
        let fault = match error {
            PoolError::Timeout(TimeoutType::Wait) => {
                return Fault::Final(match self.failing.lock().clone() {
                    Some(why) => StoreError::Unavailable(why),
                    None => StoreError::Overloaded,
                });
            }
            PoolError::Closed => return Fault::unavailable("it is closed"),
            PoolError::Timeout(_) => {
                fault::no_connection_within(&self.target, self.options.connect_timeout)
            }
            PoolError::Backend(error) => fault::of_connecting(&error, &self.target),
            other => Fault::unavailable(other.to_string()),
        };
        if let Fault::Unreached(why) | Fault::Final(StoreError::Unavailable(why)) = &fault {
            *self.failing.lock() = Some(why.clone());
        }
        fault
    }

    fn report_connections(&self) {
        if let Some(metrics) = &self.metrics {
            let status = self.inner.status();
            let lent = self.lent.load(Ordering::Relaxed);
            let idle = (status.size as u64).saturating_sub(lent);
            metrics.set_db_connections(lent, idle, status.max_size as u64);
        }
    }

    /// Records an operation that ended now, with its result.
    pub(super) fn measured<T>(&self, name: &'static str, began: Instant, ended: &Result<T, Fault>) {
        let mut statement = Statement::ended(name, "mysql", began);
        statement.error = ended
            .as_ref()
            .err()
            .and_then(Fault::trouble)
            .map(Into::into);
        let trace = TraceHandle::current();
        statement.report(self.metrics.as_ref(), &trace, self.options.slow);
    }

    /// Lends no more connections, and waits for those that are lent.
    pub(super) async fn close(&self) {
        self.inner.close();
        let until = Instant::now() + self.options.timeout;
        while self.lent.load(Ordering::Acquire) > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A borrowed connection.
pub(super) struct Lease<'a> {
    pub(super) pool: &'a Pool,
    link: Option<Object<Manager>>,
    /// A statement runs, or ended so that the connection cannot be used again.
    busy: bool,
}

impl Lease<'_> {
    /// Runs one statement, which is prepared once per connection. A `CALL` may return several result sets.
    pub(super) async fn run(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Reply, Fault> {
        self.busy = true;
        let result = self.fetch(sql, params).await;
        self.busy = match &result {
            Ok(_) => false,
            Err(fault) => !fault.leaves_connection_usable(),
        };
        if let (Err(Fault::Lost(_)), Some(link)) = (&result, &self.link) {
            Object::pool(link).inspect(|pool| pool.manager().lost());
        }
        result
    }

    async fn fetch(&mut self, sql: &'static str, params: Params<'_>) -> Result<Reply, Fault> {
        let timeout = self.pool.options.statement_timeout;
        let failed = |error: sqlx::Error| fault::of_statement(&error, timeout);
        let mut reply = Reply {
            rows: Vec::new(),
            changed: 0,
        };
        let mut results = self.connection()?.fetch_many(bound(sql, params));
        while let Some(result) = results.try_next().await.map_err(failed)? {
            match result {
                Either::Left(done) => reply.changed += done.rows_affected(),
                Either::Right(row) => reply.rows.push(row),
            }
        }
        Ok(reply)
    }

    /// Runs a statement that cannot be prepared.
    pub(super) async fn run_text(&mut self, sql: &'static str) -> Result<(), Fault> {
        let timeout = self.pool.options.statement_timeout;
        self.busy = true;
        let done = sqlx::raw_sql(sql).execute(self.connection()?).await;
        done.map_err(|error| fault::of_statement(&error, timeout))?;
        self.busy = false;
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut MySqlConnection, Fault> {
        let link = self.link.as_mut();
        let link = link.ok_or_else(|| Fault::unavailable("the connection was given back"))?;
        Ok(&mut link.connection)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take()
            && self.busy
        {
            // Out of the pool. Dropping the connection closes it.
            drop(Object::take(link));
        }
        self.pool.lent.fetch_sub(1, Ordering::Release);
        self.pool.report_connections();
    }
}
