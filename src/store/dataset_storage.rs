//! The storage of datasets: files in a data directory, schemas in a PostgreSQL database, or databases of a MySQL
//! server. In each, a new dataset is written beside the active one, and one atomic step activates it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::data_dir::{DataDir, DataDirError};
use super::mysql::{self, MySqlBulk};
use super::postgres::{self, PgBulk};
use super::server::PresenceLock;
use super::sqlite::bulk::BulkLoad;
use super::sqlite::{self, Options, SqliteStore};
use super::{DatasetInfo, Store, StoreError};
use crate::domain::{Epoch, Money, Timestamp};
use crate::faults::Faults;
use crate::files;
use crate::telemetry::Metrics;

/// A storage of datasets that this process may use.
#[derive(Clone, Debug)]
pub enum DatasetStorage {
    /// A data directory that this process has locked.
    Files(Arc<DataDir>, Options),
    /// A PostgreSQL database that several processes may share.
    Postgres(Box<postgres::Database>),
    /// A MySQL or MariaDB database that several processes may share.
    MySql(Box<mysql::Database>),
}

/// The longest wait for the other servers. They check for a new dataset every second and load it in much less.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

/// The reason why the storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Dir(#[from] DataDirError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DatasetStorage {
    /// The active dataset, or `None` before the first seeding.
    pub async fn current(&self) -> Result<Option<Epoch>, StorageError> {
        match self {
            DatasetStorage::Files(dir, _) => Ok(dir.current_epoch()?),
            DatasetStorage::Postgres(database) => Ok(database.current().await?),
            DatasetStorage::MySql(database) => Ok(database.current().await?),
        }
    }

    /// Refuses a storage that lost the name of its active dataset: it holds a complete dataset and names none.
    pub async fn check_named(&self) -> Result<(), StorageError> {
        match self {
            DatasetStorage::Files(dir, _) => Ok(dir.check_named()?),
            DatasetStorage::Postgres(database) => Ok(database.check_named().await?),
            DatasetStorage::MySql(database) => Ok(database.check_named().await?),
        }
    }

    /// Describes a dataset without opening it for work.
    pub async fn describe(&self, epoch: Epoch) -> Result<DatasetInfo, StoreError> {
        match self {
            DatasetStorage::Files(dir, _) => sqlite::describe(&dir.file_for(epoch)),
            DatasetStorage::Postgres(database) => database.describe(epoch).await,
            DatasetStorage::MySql(database) => database.describe(epoch).await,
        }
    }

    /// Opens a dataset and runs the migrations that are due.
    pub async fn open(
        &self,
        epoch: Epoch,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<Store, StoreError> {
        match self {
            DatasetStorage::Files(dir, options) => {
                let (file, options) = (dir.file_for(epoch), *options);
                blocking(move || SqliteStore::open(&file, options, metrics, faults))
                    .await
                    .map(Store::Sqlite)
            }
            DatasetStorage::Postgres(database) => {
                let store = database.open(epoch, metrics, faults).await?;
                Ok(Store::Postgres(store))
            }
            DatasetStorage::MySql(database) => {
                let store = database.open(epoch, metrics, faults).await?;
                Ok(Store::MySql(store))
            }
        }
    }

    /// Begins a new dataset, which no server sees yet.
    pub async fn begin(&self, epoch: Epoch) -> Result<Bulk, StoreError> {
        match self {
            DatasetStorage::Files(dir, _) => {
                let (dir, file) = (Arc::clone(dir), dir.file_for(epoch));
                let create = move || {
                    let bulk = BulkLoad::create(&file)?;
                    files::give_to_owner_of(dir.root(), &file);
                    Ok(bulk)
                };
                blocking(create).await.map(Bulk::Sqlite)
            }
            DatasetStorage::Postgres(database) => {
                database.begin_bulk(epoch).await.map(Bulk::Postgres)
            }
            DatasetStorage::MySql(database) => database.begin_bulk(epoch).await.map(Bulk::MySql),
        }
    }

    /// Activates the finished dataset of `epoch`.
    ///
    /// # Errors
    /// [`StorageError`]. The earlier dataset is still active then.
    pub async fn activate(&self, epoch: Epoch) -> Result<(), StorageError> {
        match self {
            DatasetStorage::Files(dir, _) => Ok(dir.activate(epoch)?),
            DatasetStorage::Postgres(database) => Ok(database.activate(epoch).await?),
            DatasetStorage::MySql(database) => Ok(database.activate(epoch).await?),
        }
    }

    /// Waits until every server of this storage uses the dataset. `false` when one of them did not switch in time.
    pub async fn await_followers(&self, epoch: Epoch) -> bool {
        let until = Instant::now() + FOLLOWED_WITHIN;
        while Instant::now() < until {
            if self.is_shared() {
                tokio::time::sleep(FOLLOWED_WITHIN / 50).await;
            }
            let followed = match self {
                DatasetStorage::Files(..) => return true,
                DatasetStorage::Postgres(database) => database.is_followed(epoch).await,
                DatasetStorage::MySql(database) => database.is_followed(epoch).await,
            };
            if followed.unwrap_or(false) {
                return true;
            }
        }
        false
    }

    /// Removes every dataset except the active one and those that are being written. If none is active, no complete
    /// dataset is removed.
    pub async fn sweep(&self) -> Result<(), StorageError> {
        match self {
            DatasetStorage::Files(dir, _) => dir.sweep()?,
            DatasetStorage::Postgres(database) => drop(database.sweep().await?),
            DatasetStorage::MySql(database) => drop(database.sweep().await?),
        }
        Ok(())
    }

    /// Removes an unfinished dataset as far as possible now. [`sweep`](DatasetStorage::sweep) removes the rest later.
    pub async fn discard(&self, epoch: Epoch) {
        match self {
            DatasetStorage::Files(dir, _) => dir.discard(epoch),
            DatasetStorage::Postgres(database) => database.discard(epoch).await,
            DatasetStorage::MySql(database) => database.discard(epoch).await,
        }
    }

    /// Takes the presence lock, which shows other processes that this process uses the storage. With `alone`, no
    /// other process may use it.
    ///
    /// # Errors
    /// [`StoreError`], for example when another process has the lock.
    pub async fn lock_presence(&self, alone: bool) -> Result<Option<PresenceLock>, StoreError> {
        match self {
            // Only one process can lock a data directory anyway.
            DatasetStorage::Files(..) => Ok(None),
            DatasetStorage::Postgres(database) => database.lock_presence(alone).await.map(Some),
            DatasetStorage::MySql(database) => database.lock_presence(alone).await.map(Some),
        }
    }

    /// The secret with this name that all processes of the storage share: the candidate of the first that asked. A data
    /// directory has only one process, so its secret is the candidate.
    pub async fn secret(&self, name: &str, candidate: String) -> Result<String, StoreError> {
        match self {
            DatasetStorage::Files(..) => Ok(candidate),
            DatasetStorage::Postgres(database) => database.secret(name, &candidate).await,
            DatasetStorage::MySql(database) => database.secret(name, &candidate).await,
        }
    }

    /// Returns whether other processes may activate another dataset.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !matches!(self, DatasetStorage::Files(..))
    }

    /// The next step for an operator whose active dataset cannot be opened.
    #[must_use]
    pub fn advice(&self, epoch: Epoch) -> String {
        match self {
            DatasetStorage::Files(dir, _) => {
                let (file, root) = (dir.file_for(epoch), dir.root().display());
                let file = file.display();
                format!(
                    "{file} cannot be used; put a backup in its place, or load a new dataset with `concertctl seed --replace --data-dir {root}`"
                )
            }
            DatasetStorage::Postgres(_) | DatasetStorage::MySql(_) => format!(
                "the active dataset {:016x} of {} cannot be used; restore a backup, or load a new dataset with `concertctl seed --replace`",
                epoch.0,
                self.place()
            ),
        }
    }

    /// The location of the storage, as messages show it.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            DatasetStorage::Files(dir, _) => dir.root().display().to_string(),
            DatasetStorage::Postgres(database) => database.name().to_owned(),
            DatasetStorage::MySql(database) => database.name().to_owned(),
        }
    }
}

/// A dataset that is being written. Its functions block, so only a blocking thread may call them.
pub enum Bulk {
    /// Written into a SQLite file.
    Sqlite(BulkLoad),
    /// Written by COPY into a PostgreSQL schema.
    Postgres(PgBulk),
    /// Written by INSERT … SELECT into a MySQL database.
    MySql(MySqlBulk),
}

/// Prices by seat number: `(up_to_number, price)`, ascending. Each price holds up to and including its number.
pub(super) type PriceTiers<'a> = &'a [(u32, i64)];

/// Calls the function of the variant.
macro_rules! each {
    ($self:ident, $bulk:ident => $call:expr) => {
        match $self {
            Bulk::Sqlite($bulk) => $call,
            Bulk::Postgres($bulk) => $call,
            Bulk::MySql($bulk) => $call,
        }
    };
}

impl Bulk {
    /// Concerts `from..=to`.
    pub fn concerts(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        each!(self, bulk => bulk.concerts(from, to))
    }

    /// Performance dates `from..=to`, `per_concert` of them on each concert, on the days after
    /// `first_day` (`YYYY-MM-DD`).
    pub fn dates(
        &mut self,
        from: u64,
        to: u64,
        per_concert: u64,
        first_day: &str,
    ) -> Result<(), StoreError> {
        each!(self, bulk => bulk.dates(from, to, per_concert, first_day))
    }

    /// Users `from..=to`, each with `balance` in its account.
    pub fn users(
        &mut self,
        from: u64,
        to: u64,
        balance: Money,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        each!(self, bulk => bulk.users(from, to, balance, now))
    }

    /// Seats `from..=to`, `per_date` of them on each date.
    pub fn seats(
        &mut self,
        from: u64,
        to: u64,
        per_date: u64,
        prices: PriceTiers<'_>,
    ) -> Result<(), StoreError> {
        each!(self, bulk => bulk.seats(from, to, per_date, prices))
    }

    /// Writes the description of the dataset and makes the dataset durable. It is complete after this.
    ///
    /// # Errors
    /// [`StoreError`]. The dataset is useless then.
    pub fn finish(self, info: &DatasetInfo) -> Result<Complete, StoreError> {
        match self {
            Bulk::Sqlite(bulk) => bulk.finish(info).map(|()| Complete::Sqlite),
            Bulk::Postgres(bulk) => bulk.finish(info).map(Complete::Postgres),
            Bulk::MySql(bulk) => bulk.finish(info).map(Complete::MySql),
        }
    }
}

/// A complete dataset that is not active yet. This value keeps other processes from sweeping it away.
#[must_use = "once it is dropped, a dataset that is not active may be swept away"]
pub enum Complete {
    /// A file in a directory that this process has locked.
    Sqlite,
    /// A schema in a database that other processes may sweep.
    Postgres(postgres::Loaded),
    /// A database on a server that other processes may sweep.
    MySql(mysql::Loaded),
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}
