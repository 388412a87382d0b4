//! Connections of one dataset: a bounded number, lent for one statement or transaction at a time.
//!
//! A connection whose borrower went away in the middle (a time-out, a caller who hung up) is not lent
//! again: what it was doing is cancelled and it is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use parking_lot::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use super::PgOptions;
use super::fault::{self, Fault};
use super::target::{Purpose, Target};
use crate::faults::Faults;
use crate::store::StoreError;
use crate::telemetry::{ACQUIRE, Metrics, Statement, TraceHandle, connection_acquired};

/// Borrowers that may wait for each connection there is.
const WAITING_PER_CONNECTION: usize = 64;
/// A cancellation that does not get through is given up: the statement time-out ends it as well.
const CANCEL_WITHIN: Duration = Duration::from_secs(1);

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The connections of one schema.
pub(super) struct Pool {
    inner: deadpool_postgres::Pool,
    target: Target,
    pub(super) options: PgOptions,
    pub(super) metrics: Option<Metrics>,
    pub(super) faults: Faults,
    lent: AtomicU64,
    /// Why the last connection could not be made, until one can.
    failing: Mutex<Option<String>>,
}

impl Pool {
    /// Makes no connection yet.
    pub(super) fn new(
        target: &Target,
        schema: &str,
        options: PgOptions,
        metrics: Option<Metrics>,
        faults: Faults,
    ) -> Result<Arc<Pool>, StoreError> {
        let config = target.config_for(schema, Purpose::Statements, &options);
        let manager_config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(config, NoTls, manager_config);
        let inner = deadpool_postgres::Pool::builder(manager)
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
            options,
            metrics,
            faults,
            lent: AtomicU64::new(0),
            failing: Mutex::new(None),
        }))
    }

    /// Connections that there may be.
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
        let object = match self.inner.get().await {
            Ok(object) => object,
            Err(error) => {
                let mut step = TraceHandle::current().step_since(ACQUIRE, asked);
                step.failed(|| error.to_string().into());
                self.waited_in_vain(&error, asked);
                return Err(self.refused(error));
            }
        };
        self.failing.lock().take();
        self.lent.fetch_add(1, Ordering::Relaxed);
        connection_acquired(self.metrics.as_ref(), &TraceHandle::current(), asked);
        self.tell_connections();
        Ok(Lease {
            pool: self,
            object: Some(object),
            at_rest: true,
        })
    }

    fn refused(&self, error: PoolError) -> Fault {
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

    fn tell_connections(&self) {
        if let Some(metrics) = &self.metrics {
            let status = self.inner.status();
            let lent = self.lent.load(Ordering::Relaxed);
            let idle = (status.size as u64).saturating_sub(lent);
            metrics.set_db_connections(lent, idle, status.max_size as u64);
        }
    }

    /// Notes an operation that ended now, and how.
    pub(super) fn measured<T>(&self, name: &'static str, began: Instant, ended: &Result<T, Fault>) {
        let mut statement = Statement::ended(name, "postgresql", began);
        statement.error = ended
            .as_ref()
            .err()
            .and_then(Fault::trouble)
            .map(Into::into);
        let trace = TraceHandle::current();
        statement.report(self.metrics.as_ref(), &trace, self.options.slow);
    }

    /// Lends no more, and waits for what is lent.
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
    object: Option<Object>,
    /// Nothing is under way on it.
    at_rest: bool,
}

impl Lease<'_> {
    /// The connection itself.
    pub(super) fn client(&self) -> &ClientWrapper {
        self.object
            .as_ref()
            .expect("it is taken at the end of the lease only")
    }

    /// From here to [`Lease::rests`] the connection cannot be lent to another.
    pub(super) fn works(&mut self) {
        self.at_rest = false;
    }

    /// What was under way has ended.
    pub(super) fn rests(&mut self) {
        self.at_rest = true;
    }

    /// Runs one statement, prepared once a connection.
    pub(super) async fn rows(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let within = self.at_rest;
        self.works();
        let result = self.ask(sql, params).await;
        // A connection to what has become a standby is of no more use.
        if within && !matches!(result, Err(Fault::Unreached(_))) {
            self.rests();
        }
        result
    }

    async fn ask(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let timeout = self.pool.options.statement_timeout;
        let statement = match self.client().prepare_cached(sql).await {
            Ok(statement) => statement,
            // Nothing was executed yet.
            Err(error) => {
                return Err(match fault::of_statement(&error, timeout) {
                    Fault::Lost(why) => Fault::Unreached(why),
                    fault => fault,
                });
            }
        };
        self.client()
            .query(&statement, params)
            .await
            .map_err(|error| fault::of_statement(&error, timeout))
    }

    /// Runs statements without parameters or rows.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        let timeout = self.pool.options.statement_timeout;
        let result = self.client().batch_execute(sql).await;
        result.map_err(|error| fault::of_statement(&error, timeout))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let object = self.object.take().expect("taken here only");
        if self.at_rest {
            drop(object);
        } else {
            abandon(object);
        }
        self.pool.lent.fetch_sub(1, Ordering::Release);
        self.pool.tell_connections();
    }
}

/// Closes a connection on which something is under way, and has that cancelled.
fn abandon(object: Object) {
    let connection = Object::take(object);
    if connection.is_closed() {
        return;
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let cancel = connection.cancel_token();
        runtime.spawn(async move {
            // The connection is closed in any case; this only frees the server sooner.
            drop(tokio::time::timeout(CANCEL_WITHIN, cancel.cancel_query(NoTls)).await);
        });
    }
}
