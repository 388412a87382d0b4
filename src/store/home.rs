//! Where datasets are kept: files of a data directory, or schemas of a PostgreSQL database. Either
//! way a new one is written beside the one in force, and comes into force by one atomic step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::data_dir::{DataDir, DataDirError};
use super::postgres::{Database, InUse, Loaded, PgBulk};
use super::sqlite::bulk::BulkLoad;
use super::sqlite::{self, Options, SqliteStore};
use super::{DatasetInfo, Store, StoreError};
use crate::domain::{Epoch, Money, Timestamp};
use crate::faults::Faults;
use crate::telemetry::Metrics;

/// A home of datasets that this process may use.
#[derive(Clone, Debug)]
pub enum Home {
    /// A data directory that this process holds.
    Files(Arc<DataDir>, Options),
    /// A database that several processes may share.
    Postgres(Box<Database>),
}

/// Servers look for a new dataset every second, and load it in well under one.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DataDirError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Home {
    /// The dataset in force, or `None` before the first seeding.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn current(&self) -> Result<Option<Epoch>, HomeError> {
        match self {
            Home::Files(dir, _) => Ok(dir.current_epoch()?),
            Home::Postgres(database) => Ok(database.current().await?),
        }
    }

    /// What the dataset consists of, without opening it for work.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn describe(&self, epoch: Epoch) -> Result<DatasetInfo, StoreError> {
        match self {
            Home::Files(dir, _) => sqlite::describe(&dir.file_for(epoch)),
            Home::Postgres(database) => database.describe(epoch).await,
        }
    }

    /// Opens a dataset, running migrations that are due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(
        &self,
        epoch: Epoch,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<Store, StoreError> {
        match self {
            Home::Files(dir, options) => {
                let (file, options) = (dir.file_for(epoch), *options);
                blocking(move || SqliteStore::open(&file, options, metrics, faults))
                    .await
                    .map(Store::Sqlite)
            }
            Home::Postgres(database) => {
                let store = database.open(epoch, metrics, faults).await?;
                Ok(Store::Postgres(store))
            }
        }
    }

    /// Begins a new dataset, which nobody sees yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self, epoch: Epoch) -> Result<Bulk, StoreError> {
        match self {
            Home::Files(dir, _) => {
                let file = dir.file_for(epoch);
                blocking(move || BulkLoad::create(&file))
                    .await
                    .map(Bulk::Sqlite)
            }
            Home::Postgres(database) => database.begin_bulk(epoch).await.map(Bulk::Postgres),
        }
    }

    /// Puts the finished dataset of `epoch` in force.
    ///
    /// # Errors
    /// [`HomeError`]; then the one before is still in force.
    pub async fn put_in_force(&self, epoch: Epoch) -> Result<(), HomeError> {
        match self {
            Home::Files(dir, _) => Ok(dir.put_in_force(epoch)?),
            Home::Postgres(database) => Ok(database.put_in_force(epoch).await?),
        }
    }

    /// Waits until every server of this home has turned to the dataset; `false` when one has not in
    /// good time.
    pub async fn await_followers(&self, epoch: Epoch) -> bool {
        let Home::Postgres(database) = self else {
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

    /// Removes every dataset but the one in force and those being written.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn sweep(&self) -> Result<(), HomeError> {
        match self {
            Home::Files(dir, _) => dir.sweep()?,
            Home::Postgres(database) => drop(database.sweep().await?),
        }
        Ok(())
    }

    /// Removes what was written of a dataset that came to nothing, as far as that can be done now;
    /// [`sweep`](Home::sweep) does the rest.
    pub async fn discard(&self, epoch: Epoch) {
        match self {
            Home::Files(dir, _) => dir.discard(epoch),
            Home::Postgres(database) => database.discard(epoch).await,
        }
    }

    /// Tells other processes that this one serves from here, as long as the answer is kept. `alone`:
    /// nobody else may.
    ///
    /// # Errors
    /// [`StoreError`], among them that somebody else is there.
    pub async fn occupy(&self, alone: bool) -> Result<Option<InUse>, StoreError> {
        match self {
            // Who holds the directory is alone in any case.
            Home::Files(..) => Ok(None),
            Home::Postgres(database) if alone => database.sole_use().await.map(Some),
            Home::Postgres(database) => database.shared_use().await.map(Some),
        }
    }

    /// Whether other processes may put another dataset in force.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Home::Postgres(_))
    }

    /// What to do about a dataset in force that cannot be opened.
    #[must_use]
    pub fn advice(&self, epoch: Epoch) -> String {
        match self {
            Home::Files(dir, _) => {
                let (file, root) = (dir.file_for(epoch), dir.root().display());
                let file = file.display();
                format!(
                    "{file} cannot be used; put a backup in its place, or load a new dataset with `concertctl seed --replace --data-dir {root}`"
                )
            }
            Home::Postgres(database) => format!(
                "the dataset {:016x} in force in {} cannot be used; restore a backup, or load a new dataset with `concertctl seed --replace`",
                epoch.0,
                database.name()
            ),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Home::Files(dir, _) => dir.root().display().to_string(),
            Home::Postgres(database) => database.name().to_owned(),
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

/// Calls the same function of whichever it is.
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
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn concerts(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        each!(self, bulk => bulk.concerts(from, to))
    }

    /// Performance dates `from..=to`, `per_concert` of them on each concert, on the days after
    /// `first_day` (`YYYY-MM-DD`).
    ///
    /// # Errors
    /// [`StoreError`].
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
    ///
    /// # Errors
    /// [`StoreError`].
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
    ///
    /// # Errors
    /// [`StoreError`].
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

/// A dataset that is complete and not in force yet: kept until it is, so that nobody sweeps it away.
#[must_use = "once it is dropped, a dataset that is not in force may be swept away"]
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
