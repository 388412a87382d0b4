//! The database that the URL names: which dataset is active, and what all servers share.
//!
//! Control tables (`concertctl_…`) are in this database. Each dataset has a database of its own, `NAME_<epoch>`. One
//! update of a row activates a dataset. A dataset that is not active, and that no session loads or uses, is swept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::mysql::MySqlConnection;

use super::bulk::MySqlBulk;
use super::columns::{int, text};
use super::driver::MySqlDriver;
use super::errors;
use super::presence::{self, InUse, Use};
use super::schema::{self, failed};
use super::target::{Purpose, Target};
use super::version::check_server;
use super::{MySqlOptions, MySqlStore, PresenceLock, gate};
use super::{Pool, Retry};
use crate::domain::Epoch;
use crate::faults::Faults;
use crate::store::fault::Fault;
use crate::store::retry::Repeat;
use crate::store::values::Value;
use crate::store::{DatasetInfo, StoreError};
use crate::telemetry::Metrics;

/// The control tables.
const CONTROL: &str = include_str!("../../../migrations/mysql/0001_control.sql");
/// Their version.
const CONTROL_VERSION: usize = 1;

const CURRENT: &str = "SELECT epoch FROM concertctl_current";

const ACTIVATE: &str = "INSERT INTO concertctl_current (epoch) VALUES (?)
    ON DUPLICATE KEY UPDATE epoch = VALUES(epoch)";

/// The first server's secret stays.
const OFFER_SECRET: &str = "INSERT INTO concertctl_secrets (name, value) VALUES (?, ?)
    ON DUPLICATE KEY UPDATE value = concertctl_secrets.value";

const SECRET: &str = "SELECT value FROM concertctl_secrets WHERE name = ?";

const DATABASES: &str =
    "SELECT CONVERT(schema_name USING utf8mb4) FROM information_schema.schemata";

/// A database that was reached and can be used. Cloning shares it.
#[derive(Clone)]
pub struct Database {
    target: Target,
    options: MySqlOptions,
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
    /// [`StoreError::Unavailable`] with one line that says what is wrong with the URL, the server or the database, and
    /// what to do. It never contains the password.
    pub async fn connect(url: &str, options: MySqlOptions) -> Result<Database, StoreError> {
        let target = Target::parse(url, &options)?;
        let connecting = target.session(target.database(), Purpose::Long, &options);
        let mut connection = connecting.await?;
        let preparing = async {
            check_server(&mut connection, &target).await?;
            prepare(&mut connection, &target).await
        };
        tokio::time::timeout(options.timeout, preparing)
            .await
            .map_err(|_| StoreError::Timeout(options.timeout))??;
        let one = MySqlOptions {
            connections: 1,
            ..options
        };
        let base = target.database().to_owned();
        let control = pool(&target, base, one, None, Faults::default())?;
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

    /// The active dataset, or `None` before the first seeding.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row names no dataset.
    pub async fn current(&self) -> Result<Option<Epoch>, StoreError> {
        let reply = self.retry("dataset.current").run(CURRENT, &[]).await?;
        let Some(row) = reply.rows.first() else {
            return Ok(None);
        };
        let text = text(row, 0)?;
        schema::epoch(text).map(Some).ok_or_else(|| {
            StoreError::Damaged(format!("concertctl_current names no dataset: {text:?}"))
        })
    }

    /// Opens a dataset with its own connections, and runs the migrations that are due.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not complete, [`StoreError::Unavailable`] when it does not exist or a newer
    /// program changed it.
    pub async fn open(
        &self,
        epoch: Epoch,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<MySqlStore, StoreError> {
        // First, so that no other server sweeps the dataset.
        let presence = self.present(Use::Dataset(epoch)).await?;
        let mut connection = self.session_in(epoch).await?;
        let gate = gate::name(self.target.database());
        let opening = async {
            schema::bring_up_to_date(&mut connection, &gate).await?;
            schema::read_info(&mut connection).await
        };
        let info = opening.await.map_err(|fault| self.about(epoch, fault))?;
        let pool = pool(
            &self.target,
            self.database_of(epoch),
            self.options,
            Some(metrics),
            faults,
        )?;
        Ok(MySqlStore::new(pool, info, presence))
    }

    /// Describes a dataset without opening it for work.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn describe(&self, epoch: Epoch) -> Result<DatasetInfo, StoreError> {
        let mut connection = self.session_in(epoch).await?;
        let info = schema::read_info(&mut connection).await;
        info.map_err(|fault| self.about(epoch, fault))
    }

    fn database_of(&self, epoch: Epoch) -> String {
        schema::name(self.target.database(), epoch)
    }

    async fn session_in(&self, epoch: Epoch) -> Result<MySqlConnection, StoreError> {
        let database = self.database_of(epoch);
        let connecting = self.target.session(&database, Purpose::Long, &self.options);
        connecting.await.map_err(|fault| self.about(epoch, fault))
    }

    fn about(&self, epoch: Epoch, fault: Fault) -> StoreError {
        let database = self.database_of(epoch);
        match StoreError::from(fault) {
            StoreError::Unavailable(why) => {
                StoreError::Unavailable(format!("{}, database {database}: {why}", self.name()))
            }
            StoreError::Damaged(why) => {
                StoreError::Damaged(format!("{}, database {database}: {why}", self.name()))
            }
            other => other,
        }
    }

    /// Begins to load a dataset. The calls of the result block, so they need a blocking thread.
    ///
    /// # Errors
    /// [`StoreError`], for example when the user may not create databases.
    pub async fn begin_bulk(&self, epoch: Epoch) -> Result<MySqlBulk, StoreError> {
        MySqlBulk::begin(&self.target, &self.options, epoch).await
    }

    /// Whether the database answers and accepts writes. It does not use the connections of datasets, which may all be
    /// in use.
    pub async fn answers(&self, within: Duration) -> bool {
        self.control.accepts_writes(within).await
    }

    /// Activates a loaded dataset.
    ///
    /// # Errors
    /// [`StoreError`]. The dataset before may still be active then.
    pub async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        let scope = presence::scope_of(epoch);
        let mut retry = self.retry("dataset.activate");
        retry.run(ACTIVATE, &[scope.as_str().into()]).await?;
        Ok(())
    }

    /// Whether every server of the database uses this dataset.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn is_followed(&self, epoch: Epoch) -> Result<bool, StoreError> {
        let (scope, base) = (
            presence::scope_of(epoch),
            gate::name(self.target.database()),
        );
        let params: [Value<'_>; 2] = [scope.as_str().into(), base.as_str().into()];
        let mut retry = self.retry("dataset.followers");
        let reply = retry.run(presence::FOLLOWED, &params).await?;
        match reply.rows.first() {
            Some(row) => Ok(int(row, 0)? == 1),
            None => Ok(false),
        }
    }

    /// Removes an unfinished dataset as far as possible now. [`Database::sweep`] removes the rest later.
    pub async fn discard(&self, epoch: Epoch) {
        if let Err(error) = self.sweep_these(|found| found == epoch).await {
            tracing::warn!(%error, "an unfinished dataset was not removed");
        }
    }

    /// Drops every dataset that is not active and that no session loads or uses. Returns their number.
    ///
    /// # Errors
    /// [`StoreError`]. The next sweep tries again.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        self.sweep_these(|_| true).await
    }

    async fn sweep_these(&self, which: impl Fn(Epoch) -> bool) -> Result<usize, StoreError> {
        let base = self.target.database();
        let mut retry = self.retry("dataset.list");
        let reply = retry.run(DATABASES, &[]).await?;
        let mut swept = 0;
        for row in &reply.rows {
            let Some(epoch) = schema::epoch_of(base, text(row, 0)?) else {
                continue;
            };
            if which(epoch) && self.drop_unless_used(epoch).await? {
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Drops a dataset while no other session can begin to use it.
    async fn drop_unless_used(&self, epoch: Epoch) -> Result<bool, StoreError> {
        if self.current().await? == Some(epoch) {
            return Ok(false);
        }
        let sweeping = Use::Sweeping(epoch);
        let taken = presence::take(sweeping, &self.target, &self.options).await?;
        let Some(mut present) = taken else {
            return Ok(false);
        };
        // It may have been activated before the lock was taken.
        let is_current = self.current().await? == Some(epoch);
        if !is_current {
            let text = format!("DROP DATABASE IF EXISTS {}", self.database_of(epoch));
            schema::named(&mut present.connection, text).await?;
        }
        present.release().await;
        Ok(!is_current)
    }

    /// The secret with this name. All servers of the database get the same: the candidate of the first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn secret(&self, name: &str, candidate: &str) -> Result<String, StoreError> {
        let mut retry = self.retry("secret.read");
        let params: [Value<'_>; 2] = [name.into(), candidate.into()];
        retry.run(OFFER_SECRET, &params).await?;
        let reply = retry.run(SECRET, &[name.into()]).await?;
        let row = reply.rows.first().ok_or_else(|| {
            StoreError::Unavailable(format!("the shared secret {name:?} was deleted"))
        })?;
        Ok(text(row, 0)?.to_owned())
    }

    /// For a server whose queue and locks are in its own process: no other server may use the database until the
    /// result is dropped.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while another server uses it.
    pub async fn sole_use(&self) -> Result<PresenceLock, StoreError> {
        self.present(Use::Database { alone: true }).await
    }

    /// For a server that shares its queue and locks with the other servers of the database.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while a server uses it that does not share.
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

fn pool(
    target: &Target,
    database: String,
    options: MySqlOptions,
    metrics: Option<Metrics>,
    faults: Faults,
) -> Result<Arc<Pool>, StoreError> {
    let driver = MySqlDriver {
        connector: target.connector(&database, Purpose::Statements, &options),
        target: target.clone(),
        database,
    };
    Pool::new(driver, options, metrics, faults)
}

/// Makes the control tables, unless a newer program made them.
async fn prepare(connection: &mut MySqlConnection, target: &Target) -> Result<(), Fault> {
    let gate = gate::name(target.database());
    gate::enter(connection, &gate).await?;
    let made = schema::text_of(connection, CONTROL).await;
    made.map_err(|fault| match fault {
        Fault::Final(StoreError::Unavailable(why)) => Fault::unavailable(format!(
            "{}: {why}; the user needs these rights: {}",
            target.name(),
            errors::grants(target.user(), target.database())
        )),
        other => other,
    })?;
    let insert = sqlx::query(
        "INSERT INTO concertctl_schema_version (version) VALUES (?)
         ON DUPLICATE KEY UPDATE version = concertctl_schema_version.version",
    );
    let insert = insert.bind(i64::try_from(CONTROL_VERSION).unwrap_or(i64::MAX));
    insert.execute(&mut *connection).await.map_err(failed)?;
    let version = sqlx::query("SELECT CAST(version AS SIGNED) FROM concertctl_schema_version");
    let version = version.fetch_one(&mut *connection).await.map_err(failed)?;
    let version: i64 = version.try_get(0).map_err(failed)?;
    schema::known(version, CONTROL_VERSION).map_err(Fault::Final)?;
    gate::leave(connection, &gate).await
}
