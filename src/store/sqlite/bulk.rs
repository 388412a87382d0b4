//! Loads a dataset into its own file, which no server reads yet. So an interruption or a crash cannot touch the
//! active dataset.
//!
//! SQLite makes the rows itself with a recursive query, one statement per chunk. So rows are not bound one by one,
//! memory stays flat, and progress and cancellation are checked between chunks. Keys ascend, so every index grows at
//! its end.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::schema;
use crate::domain::{Money, Timestamp};
use crate::store::dataset_storage::PriceTiers;
use crate::store::{DatasetInfo, StoreError};

/// A dataset being written.
pub struct BulkLoad {
    connection: Connection,
    file: PathBuf,
}

impl BulkLoad {
    /// Creates a dataset in `file`, which must not exist.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be created.
    pub fn create(file: &Path) -> Result<BulkLoad, StoreError> {
        // SQLite gives the log and the shared memory the mode of the database file.
        let made = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file);
        made.map_err(|error| StoreError::Unwritable(format!("{}: {error}", file.display())))?;
        let mut connection = Connection::open_with_flags(
            file,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // The load uses no journal and no fsync: an unfinished file is thrown away, and `finish` syncs a finished
        // file before it is acknowledged.
        connection.execute_batch(
            "PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA cache_size = -32768;",
        )?;
        schema::migrate(&mut connection)?;
        Ok(BulkLoad {
            connection,
            file: file.to_owned(),
        })
    }

    /// Concerts `from..=to`.
    pub fn concerts(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        self.rows(
            "INSERT INTO concerts (id, performer)
             WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             SELECT i, 'performer' || i FROM n",
            params![from, to],
        )
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
        self.rows(
            "INSERT INTO performance_dates (id, concert_id, date)
             WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             SELECT i, (i - 1) / ?3 + 1, date(?4, ((i - 1) % ?3) || ' days') FROM n",
            params![from, to, per_concert, first_day],
        )
    }

    /// Users `from..=to`, each with `balance` in its account.
    pub fn users(
        &mut self,
        from: u64,
        to: u64,
        balance: Money,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.rows(
            "INSERT INTO users (id, balance, modified_at)
             WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             SELECT i, ?4, ?3 FROM n",
            params![from, to, now.0, balance.0],
        )
    }

    /// Seats `from..=to`, `per_date` of them on each date.
    pub fn seats(
        &mut self,
        from: u64,
        to: u64,
        per_date: u64,
        prices: PriceTiers<'_>,
    ) -> Result<(), StoreError> {
        let mut price = String::from("CASE");
        for (up_to, amount) in prices {
            price.push_str(&format!(" WHEN (i - 1) % ?3 < {up_to} THEN {amount}"));
        }
        let last = prices.last().map_or(0, |(_, amount)| *amount);
        let sql = format!(
            "INSERT INTO seats (id, performance_date_id, number, price)
             WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             SELECT i, (i - 1) / ?3 + 1, (i - 1) % ?3 + 1, {price} ELSE {last} END FROM n",
        );
        self.rows(&sql, params![from, to, per_date])
    }

    /// Writes the description of the dataset and syncs the file. The file is complete after this.
    ///
    /// # Errors
    /// [`StoreError`]. The file is useless then.
    pub fn finish(self, info: &DatasetInfo) -> Result<(), StoreError> {
        schema::write_info(&self.connection, info)?;
        self.connection.execute_batch("PRAGMA optimize;")?;
        self.connection
            .close()
            .map_err(|(_, error)| StoreError::from(error))?;
        let synced = File::open(&self.file).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::Unavailable(format!("fsync: {error}")))
    }

    fn rows(&mut self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        let tx = self.connection.transaction()?;
        tx.prepare_cached(sql)?.execute(params)?;
        tx.commit()?;
        Ok(())
    }
}
