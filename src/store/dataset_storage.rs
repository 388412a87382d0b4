//! Where datasets are kept: files of a data directory, or schemas of a PostgreSQL database. In both, a new
//! dataset is written beside the active one, and one atomic step activates it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::data_dir::{DataDir, DataDirError};
use super::postgres::{Database, Loaded, PgBulk, PresenceLock};
use super::sqlite::bulk::BulkLoad;
use super::sqlite::{self, Options, SqliteStore};
use super::{DatasetInfo, Store, StoreError};
use crate::domain::{Epoch, Money, Timestamp};
use crate::faults::Faults;
use crate::telemetry::Metrics;

/// A place for datasets that this process may use.
#[derive(Clone, Debug)]
pub enum DatasetStorage {
    /// A data directory that this process holds.
    Files(Arc<DataDir>, Options),
    /// A database that several processes may share.
    Postgres(Box<Database>),
}

/// Servers look for a new dataset every second, and load it in well under a second.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

/// Why the storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DataDirError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DatasetStorage {
    /// The active dataset, or `None` before the first seeding.
    pub async fn current(&self) -> Result<Option<Epoch>, StorageError> {
        match self {
            DatasetStorage::Files(dir, _) => Ok(dir.current_epoch()?),
            DatasetStorage::Postgres(database) => Ok(database.current().await?),
        }
    }

    /// What the dataset consists of, without opening it for work.
    pub async fn describe(&self, epoch: Epoch) -> Result<DatasetInfo, StoreError> {
        match self {
            DatasetStorage::Files(dir, _) => sqlite::describe(&dir.file_for(epoch)),
            DatasetStorage::Postgres(database) => database.describe(epoch).await,
        }
    }

    /// Opens a dataset, running migrations that are due.
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
        }
    }

    /// Begins a new dataset, which no server sees yet.
    pub async fn begin(&self, epoch: Epoch) -> Result<Bulk, StoreError> {
        match self {
            DatasetStorage::Files(dir, _) => {
                let file = dir.file_for(epoch);
                blocking(move || BulkLoad::create(&file))
                    .await
                    .map(Bulk::Sqlite)
            }
            DatasetStorage::Postgres(database) => {
                database.begin_bulk(epoch).await.map(Bulk::Postgres)
            }
        }
    }

    /// Activates the finished dataset of `epoch`.
    ///
    /// # Errors
    /// [`StorageError`]; then the earlier dataset is still active.
    pub async fn activate(&self, epoch: Epoch) -> Result<(), StorageError> {
        match self {
            DatasetStorage::Files(dir, _) => Ok(dir.activate(epoch)?),
            DatasetStorage::Postgres(database) => Ok(database.activate(epoch).await?),
        }
    }

    /// Waits until every server of this storage has changed to the dataset; `false`: one has not in time.
    pub async fn await_followers(&self, epoch: Epoch) -> bool {
        let DatasetStorage::Postgres(database) = self else {
            return true;
        };
        let until = Instant::now() + FOLLOWED_WITHIN;
        while Instant::now() < until {
            tokio::time::sleep(FOLLOWED_WITHIN / 50).await;
            if database.is_followed(epoch).await.unwrap_or(false) {
                return true;
            }
        }
        false
    }

    /// Removes every dataset but the active one and those being written.
    pub async fn sweep(&self) -> Result<(), StorageError> {
        match self {
            DatasetStorage::Files(dir, _) => dir.sweep()?,
            DatasetStorage::Postgres(database) => drop(database.sweep().await?),
        }
        Ok(())
    }

    /// Removes a dataset that was not finished, as far as that is possible now;
    /// [`sweep`](DatasetStorage::sweep) removes the rest.
    pub async fn discard(&self, epoch: Epoch) {
        match self {
            DatasetStorage::Files(dir, _) => dir.discard(epoch),
            DatasetStorage::Postgres(database) => database.discard(epoch).await,
        }
    }

    /// Takes the presence lock, which shows other processes that this one serves from here. `alone`: no other
    /// process may.
    ///
    /// # Errors
    /// [`StoreError`]; among others, another process has the lock.
    pub async fn lock_presence(&self, alone: bool) -> Result<Option<PresenceLock>, StoreError> {
        match self {
            // A data directory has one holder in any case.
            DatasetStorage::Files(..) => Ok(None),
            DatasetStorage::Postgres(database) if alone => database.sole_use().await.map(Some),
            DatasetStorage::Postgres(database) => database.shared_use().await.map(Some),
        }
    }

    /// Whether other processes may activate another dataset.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, DatasetStorage::Postgres(_))
    }

    /// What to do about an active dataset that cannot be opened.
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
            DatasetStorage::Postgres(database) => format!(
                "the active dataset {:016x} of {} cannot be used; restore a backup, or load a new dataset with `concertctl seed --replace`",
                epoch.0,
                database.name()
            ),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            DatasetStorage::Files(dir, _) => dir.root().display().to_string(),
            DatasetStorage::Postgres(database) => database.name().to_owned(),
        }
    }
}

/// A dataset being written. Its functions block: call them from a thread that may.
pub enum Bulk {
    /// Into a file.
    Sqlite(BulkLoad),
    /// By COPY into a schema.
    Postgres(PgBulk),
}

/// From which seat number on a price holds: `(up_to_number, price)`, ascending.
pub(super) type PriceTiers<'a> = &'a [(u32, i64)];

/// Calls the function of the variant.
macro_rules! each {
    ($self:ident, $bulk:ident => $call:expr) => {
        match $self {
            Bulk::Sqlite($bulk) => $call,
            Bulk::Postgres($bulk) => $call,
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

    /// Describes the dataset and makes it durable. After this it is complete.
    ///
    /// # Errors
    /// [`StoreError`]; then it is of no use.
    pub fn finish(self, info: &DatasetInfo) -> Result<Complete, StoreError> {
        match self {
            Bulk::Sqlite(bulk) => bulk.finish(info).map(|()| Complete::Sqlite),
            Bulk::Postgres(bulk) => bulk.finish(info).map(Complete::Postgres),
        }
    }
}

/// A dataset that is complete and not active yet. Kept until it is, so that no process sweeps it away.
#[must_use = "once it is dropped, a dataset that is not active may be swept away"]
pub enum Complete {
    /// A file of a directory that this process holds.
    Sqlite,
    /// A schema of a database that others may sweep.
    Postgres(Loaded),
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}
