//! The connections of one dataset: a bounded number, lent for one statement at a time.
//!
//! A connection is marked busy before a statement is sent, and free after its last row. If a lease is dropped while its
//! connection is busy, because of a time-out or a caller who disconnected, the connection is closed: the statement may
//! still run, and its answer must not reach another caller. A connection is also closed after a failure that may leave
//! a transaction open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolError, RecycleError, RecycleResult, TimeoutType};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use sqlx::{Connection as _, Either};
use tokio::time::timeout;

use super::StoreError;
use super::fault::Fault;
use super::values::Params;
use crate::faults::Faults;
use crate::telemetry::{ACQUIRE, Metrics, Statement, TraceHandle, connection_acquired};

/// The settings of the connections to a database.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// The number of connections of one server to one dataset.
    pub connections: usize,
    /// The longest wait for one of them.
    pub acquire_timeout: Duration,
    /// The longest time for opening a connection.
    pub connect_timeout: Duration,
    /// A connection that was idle for this long is checked before it is lent, because the server may have closed it.
    /// Under load no connection is idle, so no request waits for a check.
    pub idle: Duration,
    /// The longest time of one statement. A statement waits for a lock at most half of it.
    pub statement_timeout: Duration,
    /// The longest time of an operation, repeats included.
    pub timeout: Duration,
    /// Statements slower than this are logged.
    pub slow: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions {
            connections: 16,
            acquire_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            idle: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(4),
            timeout: Duration::from_secs(5),
            slow: Duration::from_millis(100),
        }
    }
}

/// A kind of database server: how to connect, how to run a statement, and what its errors mean.
///
/// The drivers cannot share the code over sqlx's own types, because its bounds would be repeated at every use.
pub trait Driver: Sized + Send + Sync + 'static {
    /// Its name in metrics and traces.
    const SYSTEM: &'static str;
    /// A query that returns 0 if the server accepts writes.
    const IS_READ_ONLY: &'static str;
    /// The reason when the server does not accept writes.
    const READ_ONLY: &'static str;
    /// A statement that sleeps for the number of seconds in its parameter.
    const SLEEP: &'static str;
    /// A statement that fails as if the disk were full.
    const DISK_FULL: &'static str;

    type Connection: sqlx::Connection + Send;
    type Row: Send + Sync;

    /// `host:port/database`, as errors and logs show it.
    fn name(&self) -> &str;

    /// Opens a connection. The caller bounds the time. The future is boxed because it is large and rarely needed.
    fn connect(&self) -> BoxFuture<'_, Result<Self::Connection, sqlx::Error>>;

    /// Runs one statement, which is prepared once per connection.
    fn stream<'a>(
        connection: &'a mut Self::Connection,
        sql: &'static str,
        params: Params<'_>,
    ) -> Results<'a, Self::Row>;

    /// Runs statements that cannot be prepared.
    fn run_text<'a>(
        connection: &'a mut Self::Connection,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// Reads a column that is an integer or NULL.
    fn opt(row: &Self::Row, column: usize) -> Result<Option<i64>, Fault>;

    /// Reads a column that is an integer.
    fn int(row: &Self::Row, column: usize) -> Result<i64, Fault> {
        Self::opt(row, column)?.ok_or_else(|| Fault::unreadable(format!("column {column} is NULL")))
    }

    /// Reads a column that is text.
    fn text(row: &Self::Row, column: usize) -> Result<&str, Fault>;

    /// Classifies a failure to connect.
    fn of_connecting(&self, error: &sqlx::Error) -> Fault;

    /// The fault when no connection was made in time.
    fn no_connection_within(&self, timeout: Duration) -> Fault {
        let name = self.name();
        Fault::Unreached(format!("{name} accepted no connection within {timeout:?}"))
    }

    /// Classifies the failure of a statement.
    fn of_statement(error: &sqlx::Error, timeout: Duration) -> Fault;

    /// Returns whether a connection can be used again after this failure of a statement.
    fn leaves_connection_usable(fault: &Fault) -> bool;
}

/// The rows of a statement, and the number of rows that each of its parts changed. A `CALL` may have several results.
pub(super) type Results<'a, R> = BoxStream<'a, Result<Either<u64, R>, sqlx::Error>>;

/// The result of a statement.
pub(super) struct Reply<R> {
    /// The rows of all its result sets.
    pub(super) rows: Vec<R>,
    /// The number of rows that it changed.
    pub(super) changed: u64,
}

/// Runs one statement to its end.
pub(super) async fn fetch<D: Driver>(
    connection: &mut D::Connection,
    sql: &'static str,
    params: Params<'_>,
) -> Result<Reply<D::Row>, sqlx::Error> {
    let mut reply = Reply {
        rows: Vec::new(),
        changed: 0,
    };
    let mut results = D::stream(connection, sql, params);
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(changed) => reply.changed += changed,
            Either::Right(row) => reply.rows.push(row),
        }
    }
    Ok(reply)
}

/// The longest wait for the answer to a check.
const CHECK_WITHIN: Duration = Duration::from_millis(500);

/// A connection, and the generation of connections in which it was made.
pub(super) struct Link<D: Driver> {
    connection: D::Connection,
    generation: u64,
}

/// Opens and checks the connections.
pub(super) struct Manager<D> {
    driver: D,
    options: PoolOptions,
    /// Increases when the server ends connections or accepts no new one. Connections of an earlier generation are
    /// closed instead of lent, because an event that ends one connection, such as a restart of the server, mostly ends
    /// all of them.
    generation: AtomicU64,
}

impl<D: Driver> managed::Manager for Manager<D> {
    type Type = Link<D>;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Link<D>, sqlx::Error> {
        let generation = self.generation.load(Ordering::Relaxed);
        let connection = self.driver.connect().await?;
        Ok(Link {
            connection,
            generation,
        })
    }

    async fn recycle(
        &self,
        link: &mut Link<D>,
        metrics: &managed::Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if link.generation != self.generation.load(Ordering::Relaxed) {
            return Err(RecycleError::message("older than a loss of connections"));
        }
        if metrics.last_used() < self.options.idle {
            return Ok(());
        }
        match timeout(CHECK_WITHIN, link.connection.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let fault = D::of_statement(&error, CHECK_WITHIN);
                // The server reports that it is shutting down, which ends all connections. A connection that was closed
                // silently says nothing about the others.
                if error.as_database_error().is_some() && matches!(fault, Fault::Lost(_)) {
                    self.lost();
                }
                Err(RecycleError::Backend(error))
            }
            Err(_) => self.replace(link).await,
        }
    }
}

impl<D: Driver> Manager<D> {
    /// Replaces a connection that does not answer. If the server is only slow, the new connection succeeds and the
    /// other connections are kept.
    async fn replace(&self, link: &mut Link<D>) -> RecycleResult<sqlx::Error> {
        let connecting = managed::Manager::create(self);
        match timeout(self.options.connect_timeout, connecting).await {
            Ok(Ok(fresh)) => {
                *link = fresh;
                Ok(())
            }
            Ok(Err(error)) => {
                self.lost();
                Err(RecycleError::Backend(error))
            }
            Err(_) => {
                self.lost();
                Err(RecycleError::message("no new connection was made in time"))
            }
        }
    }

    fn lost(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }
}

/// The largest number of waiting callers per connection. Further callers are refused at once.
const WAITING_PER_CONNECTION: usize = 64;

/// The connections to one database.
pub(super) struct Pool<D: Driver> {
    inner: managed::Pool<Manager<D>>,
    pub(super) options: PoolOptions,
    pub(super) metrics: Option<Metrics>,
    pub(super) faults: Faults,
    lent: AtomicU64,
    /// The reason why the last connection could not be opened, until one can.
    failing: Mutex<Option<String>>,
}

impl<D: Driver> Pool<D> {
    /// Makes a pool without opening a connection yet.
    pub(super) fn new(
        driver: D,
        options: PoolOptions,
        metrics: Option<Metrics>,
        faults: Faults,
    ) -> Result<Arc<Pool<D>>, StoreError> {
        let manager = Manager {
            driver,
            options,
            generation: AtomicU64::new(0),
        };
        let inner = managed::Pool::builder(manager)
            .max_size(options.connections.max(1))
            .wait_timeout(Some(options.acquire_timeout))
            .create_timeout(Some(options.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Arc::new(Pool {
            inner,
            options,
            metrics,
            faults,
            lent: AtomicU64::new(0),
            failing: Mutex::new(None),
        }))
    }

    /// The driver with the address of the database.
    pub(super) fn driver(&self) -> &D {
        &self.inner.manager().driver
    }

    /// The largest number of connections.
    pub(super) fn most(&self) -> usize {
        self.inner.status().max_size
    }

    /// Lends a connection. Waits for a free one at most [`PoolOptions::acquire_timeout`].
    pub(super) async fn lend(&self) -> Result<Lease<'_, D>, Fault> {
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
            in_transaction: false,
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
            PoolError::Timeout(_) => self
                .driver()
                .no_connection_within(self.options.connect_timeout),
            PoolError::Backend(error) => self.driver().of_connecting(&error),
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
        let mut statement = Statement::ended(name, D::SYSTEM, began);
        statement.error = ended
            .as_ref()
            .err()
            .and_then(Fault::trouble)
            .map(Into::into);
        let trace = TraceHandle::current();
        statement.report(self.metrics.as_ref(), &trace, self.options.slow);
    }

    /// Lends no more connections, and waits for those that are lent, at most for [`PoolOptions::timeout`].
    pub(super) async fn close(&self) {
        self.inner.close();
        let until = Instant::now() + self.options.timeout;
        while self.lent.load(Ordering::Acquire) > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A borrowed connection.
pub(super) struct Lease<'a, D: Driver> {
    pub(super) pool: &'a Pool<D>,
    link: Option<Object<Manager<D>>>,
    /// A statement is running, or it ended in a way after which the connection cannot be used again.
    busy: bool,
    /// Between [`Lease::begin`] and [`Lease::commit`].
    in_transaction: bool,
}

impl<D: Driver> Lease<'_, D> {
    /// Runs one statement, which is prepared once per connection.
    pub(super) async fn run(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Reply<D::Row>, Fault> {
        self.busy = true;
        let reply = fetch::<D>(self.connection()?, sql, params).await;
        self.ended(reply)
    }

    /// Runs statements that cannot be prepared.
    pub(super) async fn run_text(&mut self, sql: &str) -> Result<(), Fault> {
        self.busy = true;
        let done = D::run_text(self.connection()?, sql).await;
        self.ended(done)
    }

    /// Begins a transaction with `sql`. Unless [`Lease::commit`] ends it, the connection is closed, and the transaction
    /// with it.
    pub(super) async fn begin(&mut self, sql: &str) -> Result<(), Fault> {
        self.in_transaction = true;
        self.run_text(sql).await
    }

    /// Commits the transaction that [`Lease::begin`] began.
    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        self.run_text("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Decides whether the connection can be used again.
    fn ended<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Fault> {
        let timeout = self.pool.options.statement_timeout;
        let result = result.map_err(|error| D::of_statement(&error, timeout));
        self.busy = match &result {
            Ok(_) => false,
            Err(fault) => !D::leaves_connection_usable(fault),
        };
        if let (Err(Fault::Lost(_)), Some(link)) = (&result, &self.link) {
            Object::pool(link).inspect(|pool| pool.manager().lost());
        }
        result
    }

    fn connection(&mut self) -> Result<&mut D::Connection, Fault> {
        let link = self.link.as_mut();
        let link = link.ok_or_else(|| Fault::unavailable("the connection was given back"))?;
        Ok(&mut link.connection)
    }
}

impl<D: Driver> Drop for Lease<'_, D> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take()
            && (self.busy || self.in_transaction)
        {
            // A connection that is taken out of the pool and dropped is closed.
            drop(Object::take(link));
        }
        self.pool.lent.fetch_sub(1, Ordering::Release);
        self.pool.report_connections();
    }
}
