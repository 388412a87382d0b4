//! A database that datasets live in: which of them is in force, and what all servers on it share.
//!
//! The schema `concertctl` holds the pointer and the shared secrets; each dataset has a schema of its
//! own, `concertctl_<epoch>`. Replacing the dataset is one update of the pointer. What it does not name
//! and nobody loads or uses is swept: who does either holds a shared advisory lock on the epoch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::attempts::{Attempts, Repeat};
use super::bulk::PgBulk;
use super::fault::Fault;
use super::pool::Pool;
use super::presence_lock::PresenceLock;
use super::schema::{self, IN_USE, LOCKS, failed};
use super::target::{Purpose, Session, Target};
use super::{PgOptions, PgStore};
use crate::domain::Epoch;
use crate::faults::Faults;
use crate::store::{DatasetInfo, StoreError};
use crate::telemetry::Metrics;

/// The tables that stand beside the datasets.
const CONTROL: &str = include_str!("../../../migrations/postgres/0001_control.sql");
/// Where they are.
const CONTROL_SCHEMA: &str = "concertctl";
/// What `schema_version` says when they are as this program knows them.
const CONTROL_VERSION: usize = 1;
/// The oldest PostgreSQL that is used, as `server_version_num` tells it.
const OLDEST: i32 = 130_000;

const CURRENT: &str = "SELECT epoch FROM concertctl.current";

const PUT_IN_FORCE: &str = "INSERT INTO concertctl.current (epoch) VALUES ($1)
    ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch";

const OFFER_SECRET: &str = "INSERT INTO concertctl.secrets (name, value) VALUES ($1, $2)
    ON CONFLICT DO NOTHING";

const SECRET: &str = "SELECT value FROM concertctl.secrets WHERE name = $1";

/// Advisory locks tell who is there ([`PresenceLock`]): two halves of a pair of numbers, or of one number.
const FOLLOWED: &str = "WITH held AS (
    SELECT classid::bigint AS high, objid::bigint AS low, objsubid FROM pg_locks
    WHERE locktype = 'advisory' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT (SELECT count(*) FROM held WHERE high = $3 AND low = $4 AND objsubid = 1) >=
       (SELECT count(*) FROM held WHERE high = $1 AND low = $2 AND objsubid = 2)";

const DATASETS: &str = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'concertctl\\_%'";

/// A database that was reached and is fit for use. Cloning shares it.
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
    /// Connects, and makes the control tables if they are not there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with one line that says what is wrong with the URL, the server or
    /// the database, and what to do. Never with the password.
    pub async fn connect(url: &str, options: PgOptions) -> Result<Database, StoreError> {
        let target = Target::parse(url, &options)?;
        let mut session = target
            .session(CONTROL_SCHEMA, Purpose::Statements, &options)
            .await?;
        check_server(&session, &target).await?;
        let preparing = prepare(&mut session);
        tokio::time::timeout(options.timeout, preparing)
            .await
            .map_err(|_| StoreError::Timeout(options.timeout))??;
        let one = PgOptions {
            connections: 1,
            ..options
        };
        let control = Pool::new(&target, CONTROL_SCHEMA, one, None, Faults::default())?;
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

    /// The dataset in force; `None` before the first seeding.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn current(&self) -> Result<Option<Epoch>, StoreError> {
        let mut attempts = self.attempts("dataset.current");
        let rows = attempts.rows(CURRENT, &[]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let text: &str = row.get(0);
        schema::epoch(text).map(Some).ok_or_else(|| {
            StoreError::Damaged(format!("concertctl.current names no dataset: {text:?}"))
        })
    }

    /// Opens a dataset with connections of its own, running migrations that are due.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not complete, [`StoreError::Unavailable`] when it is not
    /// there or of a newer program.
    pub async fn open(
        &self,
        epoch: Epoch,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<PgStore, StoreError> {
        // Before anything else: what is in use is not swept.
        let in_use = PresenceLock::of_dataset(&self.target, &self.options, epoch).await?;
        let mut session = self.session_in(epoch).await?;
        let upgrading = schema::bring_up_to_date(&mut session.client).await;
        upgrading.map_err(|fault| self.about(epoch, fault))?;
        let info = schema::read_info(&session.client).await;
        let info = info.map_err(|fault| self.about(epoch, fault))?;
        let schema = schema::name(epoch);
        let pool = Pool::new(&self.target, &schema, self.options, Some(metrics), faults)?;
        Ok(PgStore::new(pool, info, in_use))
    }

    /// What a dataset consists of, without opening it for work.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn describe(&self, epoch: Epoch) -> Result<DatasetInfo, StoreError> {
        let session = self.session_in(epoch).await?;
        let info = schema::read_info(&session.client).await;
        info.map_err(|fault| self.about(epoch, fault))
    }

    async fn session_in(&self, epoch: Epoch) -> Result<Session, Fault> {
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

    /// Begins the loading of a dataset. The calls on it block: they belong on a thread of their own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_bulk(&self, epoch: Epoch) -> Result<PgBulk, StoreError> {
        PgBulk::begin(&self.target, &self.options, epoch).await
    }

    /// Whether the database answers and takes writes, asked past the connections of datasets: what
    /// these are busy with is another matter.
    pub async fn answers(&self, within: Duration) -> bool {
        self.control.takes_writes(within).await
    }

    /// Makes a loaded dataset the one in force.
    ///
    /// # Errors
    /// [`StoreError`]; then the one before may still be in force.
    pub async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        let mut attempts = self.attempts("dataset.put_in_force");
        let text = format!("{:016x}", epoch.0);
        attempts.rows(PUT_IN_FORCE, &[&text]).await?;
        Ok(())
    }

    /// Whether every server on the database uses this dataset.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_followed(&self, epoch: Epoch) -> Result<bool, StoreError> {
        let mut attempts = self.attempts("dataset.followers");
        let (high, low) = ((epoch.0 >> 32) as u32, epoch.0 as u32);
        let params: [i64; 4] = [LOCKS.into(), IN_USE.into(), high.into(), low.into()];
        let [locks, in_use, high, low] = &params;
        let rows = attempts.rows(FOLLOWED, &[locks, in_use, high, low]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Removes what was loaded of a dataset that came to nothing, as far as that can be done now;
    /// [`Database::sweep`] does the rest.
    pub async fn discard(&self, epoch: Epoch) {
        if let Err(error) = self.sweep_these(|found| found == epoch).await {
            tracing::warn!(%error, "a dataset that came to nothing is still there");
        }
    }

    /// Drops every dataset that is not in force, and that no server loads or uses: leftovers of
    /// interruptions, and the ones before. Gives their number.
    ///
    /// # Errors
    /// [`StoreError`]; what could not be dropped is tried again at the next sweep.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        self.sweep_these(|_| true).await
    }

    async fn sweep_these(&self, which: impl Fn(Epoch) -> bool) -> Result<usize, StoreError> {
        let session = self
            .target
            .session(CONTROL_SCHEMA, Purpose::Statements, &self.options)
            .await?;
        let rows = session.client.query(DATASETS, &[]).await.map_err(failed)?;
        let names = rows.iter().map(|row| row.get::<_, String>(0));
        let mut swept = 0;
        for epoch in names.filter_map(|name| schema::epoch_of(&name)) {
            if which(epoch) && drop_unless_used(&session, epoch).await? {
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// The secret of that name: `candidate` if nobody offered one before, else theirs. All servers on
    /// the database get the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn secret(&self, name: &str, candidate: &str) -> Result<String, StoreError> {
        let mut attempts = self.attempts("secret.read");
        attempts.rows(OFFER_SECRET, &[&name, &candidate]).await?;
        let rows = attempts.rows(SECRET, &[&name]).await?;
        rows.first().map(|row| row.get(0)).ok_or_else(|| {
            StoreError::Unavailable(format!("the shared secret {name:?} is gone again"))
        })
    }

    /// For a server that coordinates queue and locks by itself: nobody else may use the database as
    /// long as the answer is kept.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while another server uses it.
    pub async fn sole_use(&self) -> Result<PresenceLock, StoreError> {
        PresenceLock::alone(&self.target, &self.options).await
    }

    /// For a server that shares its coordination with the others on the database.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while a server uses it that coordinates by itself.
    pub async fn shared_use(&self) -> Result<PresenceLock, StoreError> {
        PresenceLock::shared(&self.target, &self.options).await
    }

    fn attempts(&self, name: &'static str) -> Attempts<'_> {
        Attempts::new(&self.control, name, Repeat::Safe)
    }
}

async fn check_server(session: &Session, target: &Target) -> Result<(), Fault> {
    let sql =
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
        pg_is_in_recovery(), current_setting('fsync')";
    let row = session.client.query_one(sql, &[]).await.map_err(failed)?;
    new_enough(row.get(0), row.get(1), target.name()).map_err(Fault::Final)?;
    if row.get(2) {
        return Err(Fault::unavailable(format!(
            "{} is a standby and takes no writes: name its primary",
            target.name()
        )));
    }
    if row.get::<_, &str>(3) == "off" {
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

/// Makes the control tables, or finds that a newer program made them.
async fn prepare(session: &mut Session) -> Result<(), Fault> {
    let exists = "SELECT to_regclass('concertctl.schema_version') IS NOT NULL";
    let tx = session.client.transaction().await.map_err(failed)?;
    schema::lock(&tx, schema::MIGRATING).await?;
    let there: bool = tx.query_one(exists, &[]).await.map_err(failed)?.get(0);
    if there {
        let sql = "SELECT version::bigint FROM concertctl.schema_version";
        let version = tx.query_one(sql, &[]).await.map_err(failed)?.get(0);
        schema::known(version, CONTROL_VERSION).map_err(Fault::Final)?;
    } else {
        tx.batch_execute(CONTROL).await.map_err(failed)?;
        let sql =
            format!("INSERT INTO concertctl.schema_version (version) VALUES ({CONTROL_VERSION})");
        tx.batch_execute(&sql).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

/// Under the lock that whoever loads or uses the dataset shares.
async fn drop_unless_used(session: &Session, epoch: Epoch) -> Result<bool, Fault> {
    let client = &session.client;
    let key = schema::lock_key(epoch);
    let free = client
        .query_one("SELECT pg_try_advisory_lock($1)", &[&key])
        .await
        .map_err(failed)?;
    if !free.get::<_, bool>(0) {
        return Ok(false);
    }
    let current = client.query_opt(CURRENT, &[]).await.map_err(failed)?;
    let in_force = current.is_some_and(|row| schema::epoch(row.get(0)) == Some(epoch));
    if !in_force {
        let sql = format!(
            "SET statement_timeout = '{}s'; DROP SCHEMA {} CASCADE",
            DROP_WITHIN.as_secs(),
            schema::name(epoch)
        );
        client.batch_execute(&sql).await.map_err(failed)?;
    }
    client
        .query_one("SELECT pg_advisory_unlock($1)", &[&key])
        .await
        .map_err(failed)?;
    Ok(!in_force)
}

/// The files of a large dataset take a moment to unlink.
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
