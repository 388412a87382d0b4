//! A database that contains datasets: which of them is active, and what all servers on it share.
//!
//! The schema `concertctl` holds the pointer to the active dataset and the shared secrets. Each dataset has a schema of
//! its own, `concertctl_<epoch>`. Replacing the dataset is one update of the pointer. A dataset that is not active, and
//! that no server loads or uses, is swept. A server that loads or uses one holds a shared advisory lock on its epoch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::bulk::PgBulk;
use super::columns::get;
use super::driver::PgDriver;
use super::presence_lock::{InUse, Use};
use super::schema::{self, IN_USE, LOCKS, failed};
use super::target::{Purpose, Target};
use super::{PgOptions, PgStore, Pool, PresenceLock, Retry};
use crate::domain::Epoch;
use crate::faults::Faults;
use crate::store::fault::Fault;
use crate::store::retry::Repeat;
use crate::store::values::Value;
use crate::store::{DatasetInfo, StoreError};
use crate::telemetry::Metrics;

/// The tables beside the datasets.
const CONTROL: &str = include_str!("../../../migrations/postgres/0001_control.sql");
/// Their schema.
const CONTROL_SCHEMA: &str = "concertctl";
/// Their version in `schema_version`.
const CONTROL_VERSION: usize = 1;
/// The oldest PostgreSQL that is supported, as `server_version_num`.
const OLDEST: i32 = 130_000;

const CURRENT: &str = "SELECT epoch FROM concertctl.current";

const ACTIVATE: &str = "INSERT INTO concertctl.current (epoch) VALUES ($1)
    ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch";

const OFFER_SECRET: &str = "INSERT INTO concertctl.secrets (name, value) VALUES ($1, $2)
    ON CONFLICT DO NOTHING";

const SECRET: &str = "SELECT value FROM concertctl.secrets WHERE name = $1";

/// Whether as many sessions use the dataset as the database. The key of an advisory lock ([`PresenceLock`]) is a pair of
/// numbers (`objsubid` 2), or the halves of one number (1). Parameters: the pair for the database, the halves of the
/// epoch.
const FOLLOWED: &str = "WITH held AS (
    SELECT classid::bigint AS high, objid::bigint AS low, objsubid FROM pg_locks
    WHERE locktype = 'advisory' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT (SELECT count(*) FROM held WHERE high = $3 AND low = $4 AND objsubid = 1) >=
       (SELECT count(*) FROM held WHERE high = $1 AND low = $2 AND objsubid = 2)";

const DATASETS: &str = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'concertctl\\_%'";

/// A database that answers and is fit for use. Clones share it.
#[derive(Clone)]
pub struct Database {
    target: Target,
    options: PgOptions,
    control: Arc<Pool>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database")
            .field(&self.target.name())
            .finish()
    }
}

impl Database {
    /// Connects, and makes the control tables if they are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with one line that says what is wrong with the URL, the server or the database, and what
    /// to do. Never with the password.
    pub async fn connect(url: &str, options: PgOptions) -> Result<Database, StoreError> {
        let target = Target::parse(url, &options)?;
        let connecting = target.session(CONTROL_SCHEMA, Purpose::Statements, &options);
        let mut connection = connecting.await?;
        check_server(&mut connection, &target).await?;
        let preparing = prepare(&mut connection);
        tokio::time::timeout(options.timeout, preparing)
            .await
            .map_err(|_| StoreError::Timeout(options.timeout))??;
        let one = PgOptions {
            connections: 1,
            ..options
        };
        let in_schema = target.in_schema(CONTROL_SCHEMA, Purpose::Statements, &options);
        let control = Pool::new(PgDriver(in_schema), one, None, Faults::default())?;
        Ok(Database {
            target,
            options,
            control,
        })
    }

    /// `host:port/database`, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// The active dataset; `None` before the first seeding.
    pub async fn current(&self) -> Result<Option<Epoch>, StoreError> {
        let reply = self.retry("dataset.current").run(CURRENT, &[]).await?;
        let Some(row) = reply.rows.first() else {
            return Ok(None);
        };
        let text: &str = get(row, 0)?;
        schema::epoch(text).map(Some).ok_or_else(|| {
            StoreError::Damaged(format!("concertctl.current names no dataset: {text:?}"))
        })
    }

    /// Opens a dataset with connections of its own, and runs the migrations that it lacks.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not complete, [`StoreError::Unavailable`] when there is none or a newer program
    /// made it.
    pub async fn open(
        &self,
        epoch: Epoch,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<PgStore, StoreError> {
        // First, because a dataset that is in use is not swept.
        let presence = self.present(Use::Dataset(epoch)).await?;
        let mut connection = self.session_in(epoch).await?;
        let info = async {
            schema::bring_up_to_date(&mut connection).await?;
            schema::read_info(&mut connection).await
        };
        let info = info.await.map_err(|fault| self.about(epoch, fault))?;
        let schema = schema::name(epoch);
        let in_schema = self
            .target
            .in_schema(&schema, Purpose::Statements, &self.options);
        let pool = Pool::new(PgDriver(in_schema), self.options, Some(metrics), faults)?;
        Ok(PgStore::new(pool, info, presence))
    }

    /// The description of a dataset, which is not opened for work.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn describe(&self, epoch: Epoch) -> Result<DatasetInfo, StoreError> {
        let mut connection = self.session_in(epoch).await?;
        let info = schema::read_info(&mut connection).await;
        info.map_err(|fault| self.about(epoch, fault))
    }

    async fn session_in(&self, epoch: Epoch) -> Result<PgConnection, Fault> {
        let schema = schema::name(epoch);
        let target = &self.target;
        target.session(&schema, Purpose::Long, &self.options).await
    }

    fn about(&self, epoch: Epoch, fault: Fault) -> StoreError {
        let schema = schema::name(epoch);
        match StoreError::from(fault) {
            StoreError::Unavailable(why) => {
                StoreError::Unavailable(format!("{}, schema {schema}: {why}", self.name()))
            }
            StoreError::Damaged(why) => {
                StoreError::Damaged(format!("{}, schema {schema}: {why}", self.name()))
            }
            other => other,
        }
    }

    /// Begins the seeding of a dataset. Its functions block, so they belong on a thread of their own.
    pub async fn begin_bulk(&self, epoch: Epoch) -> Result<PgBulk, StoreError> {
        PgBulk::begin(&self.target, &self.options, epoch).await
    }

    /// Whether the database answers and accepts writes. It is asked without the connections of datasets, which may be
    /// busy.
    pub async fn answers(&self, within: Duration) -> bool {
        self.control.accepts_writes(within).await
    }

    /// Makes a loaded dataset the active one.
    ///
    /// # Errors
    /// [`StoreError`]. The dataset before may still be active then.
    pub async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        let text = format!("{:016x}", epoch.0);
        let mut retry = self.retry("dataset.activate");
        retry.run(ACTIVATE, &[text.as_str().into()]).await?;
        Ok(())
    }

    /// Whether every server on the database uses this dataset.
    pub async fn is_followed(&self, epoch: Epoch) -> Result<bool, StoreError> {
        let (high, low) = ((epoch.0 >> 32) as u32, epoch.0 as u32);
        let params: [i64; 4] = [LOCKS.into(), IN_USE.into(), high.into(), low.into()];
        let params = params.map(Value::from);
        let reply = self
            .retry("dataset.followers")
            .run(FOLLOWED, &params)
            .await?;
        let row = reply.rows.first();
        Ok(row.map_or(Ok(false), |row| get(row, 0))?)
    }

    /// Removes an unfinished dataset as far as that is possible now. [`Database::sweep`] does the rest.
    pub async fn discard(&self, epoch: Epoch) {
        if let Err(error) = self.sweep_these(|found| found == epoch).await {
            tracing::warn!(%error, "an unfinished dataset is still there");
        }
    }

    /// Drops every dataset that is not active, and that no server loads or uses. Returns their number.
    ///
    /// # Errors
    /// [`StoreError`]. The next sweep tries again.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        self.sweep_these(|_| true).await
    }

    async fn sweep_these(&self, which: impl Fn(Epoch) -> bool) -> Result<usize, StoreError> {
        let target = &self.target;
        let connecting = target.session(CONTROL_SCHEMA, Purpose::Statements, &self.options);
        let mut connection = connecting.await?;
        let rows = sqlx::query(DATASETS).fetch_all(&mut connection).await;
        let names = rows.map_err(failed)?;
        let mut swept = 0;
        for row in &names {
            let name: &str = get(row, 0)?;
            if let Some(epoch) = schema::epoch_of(name)
                && which(epoch)
                && drop_unless_used(&mut connection, epoch).await?
            {
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// The secret of that name: `candidate` if no server offered one before, otherwise that one. All servers on the
    /// database get the same.
    pub async fn secret(&self, name: &str, candidate: &str) -> Result<String, StoreError> {
        let mut retry = self.retry("secret.read");
        let params = [name.into(), candidate.into()];
        retry.run(OFFER_SECRET, &params).await?;
        let reply = retry.run(SECRET, &params[..1]).await?;
        let row = reply.rows.first().ok_or_else(|| {
            StoreError::Unavailable(format!("the shared secret {name:?} is gone again"))
        })?;
        Ok(get(row, 0)?)
    }

    /// For a server that coordinates queue and locks by itself: no other may use the database while the lock is held.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while another server uses it.
    pub async fn sole_use(&self) -> Result<PresenceLock, StoreError> {
        self.present(Use::Database { alone: true }).await
    }

    /// For a server that shares its coordination with the others on the database.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while a server uses it that coordinates by itself.
    pub async fn shared_use(&self) -> Result<PresenceLock, StoreError> {
        self.present(Use::Database { alone: false }).await
    }

    async fn present(&self, using: Use) -> Result<PresenceLock, StoreError> {
        let (target, options) = (self.target.clone(), self.options);
        let present = InUse {
            using,
            target,
            options,
        };
        PresenceLock::hold(present).await
    }

    fn retry(&self, name: &'static str) -> Retry<'_> {
        Retry::new(&self.control, name, Repeat::Safe)
    }
}

async fn one(connection: &mut PgConnection, sql: &'static str) -> Result<PgRow, Fault> {
    sqlx::query(sql).fetch_one(connection).await.map_err(failed)
}

async fn check_server(connection: &mut PgConnection, target: &Target) -> Result<(), Fault> {
    let sql =
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
        pg_is_in_recovery(), current_setting('fsync')";
    let row = one(connection, sql).await?;
    new_enough(get(&row, 0)?, get(&row, 1)?, target.name()).map_err(Fault::Final)?;
    if get(&row, 2)? {
        return Err(Fault::unavailable(format!(
            "{} is a standby and takes no writes: name its primary",
            target.name()
        )));
    }
    if get::<&str>(&row, 3)? == "off" {
        tracing::warn!(
            database = target.name(),
            "the database runs with fsync=off: a crash of its machine may lose what was acknowledged"
        );
    }
    Ok(())
}

fn new_enough(number: i32, version: &str, name: &str) -> Result<(), StoreError> {
    if number >= OLDEST {
        return Ok(());
    }
    let oldest = OLDEST / 10_000;
    Err(StoreError::Unavailable(format!(
        "{name} is PostgreSQL {version}: {oldest} or newer is needed"
    )))
}

/// Makes the control tables, or checks that no newer program made them. After a failure, the caller drops the connection,
/// which ends the transaction.
async fn prepare(connection: &mut PgConnection) -> Result<(), Fault> {
    schema::run(connection, "BEGIN").await?;
    schema::lock(connection, schema::MIGRATING).await?;
    let exists = "SELECT to_regclass('concertctl.schema_version') IS NOT NULL";
    if get(&one(connection, exists).await?, 0)? {
        let sql = "SELECT version::bigint FROM concertctl.schema_version";
        let version = get(&one(connection, sql).await?, 0)?;
        schema::known(version, CONTROL_VERSION).map_err(Fault::Final)?;
    } else {
        schema::run(connection, CONTROL).await?;
        let sql =
            format!("INSERT INTO concertctl.schema_version (version) VALUES ({CONTROL_VERSION})");
        schema::run(connection, &sql).await?;
    }
    schema::run(connection, "COMMIT").await
}

/// Drops a dataset under the lock that every server shares that loads or uses it.
async fn drop_unless_used(connection: &mut PgConnection, epoch: Epoch) -> Result<bool, Fault> {
    let key = schema::lock_key(epoch);
    let locking = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(key);
    let locked = locking.fetch_one(&mut *connection).await.map_err(failed)?;
    if !get::<bool>(&locked, 0)? {
        return Ok(false);
    }
    let current = sqlx::query(CURRENT).fetch_optional(&mut *connection).await;
    let current: Option<String> = match current.map_err(failed)? {
        Some(row) => Some(row.try_get(0).map_err(failed)?),
        None => None,
    };
    let is_active = current.and_then(|text| schema::epoch(&text)) == Some(epoch);
    if !is_active {
        let sql = format!(
            "SET statement_timeout = '{}s'; DROP SCHEMA {} CASCADE",
            DROP_WITHIN.as_secs(),
            schema::name(epoch)
        );
        schema::run(connection, &sql).await?;
    }
    let unlocking = sqlx::query("SELECT pg_advisory_unlock($1)").bind(key);
    unlocking.execute(connection).await.map_err(failed)?;
    Ok(!is_active)
}

/// The longest time in which the files of a large dataset are unlinked.
const DROP_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named_with_what_is_needed() {
        assert!(new_enough(130_000, "13.0", "db:5432/x").is_ok());
        let error = new_enough(120_022, "12.22", "db:5432/x").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("db:5432/x is PostgreSQL 12.22: 13 or newer is needed"),
            "{text}"
        );
    }
}
