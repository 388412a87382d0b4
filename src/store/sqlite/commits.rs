//! Numbers the commits, maintains the commit record, and copies the log into the database file (checkpoint).
//!
//! [`super::continuity`] relies on this order. A commit is first on disk, then recorded, then acknowledged. A
//! checkpoint is recorded as in progress before it begins and as done after it ended, each time with an fsync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::commit_record::{CommitRecord, Record, State};
use super::wal_scan;
use crate::store::StoreError;
use crate::store::identity::FileIdentity;

/// A checkpoint is due from this number of pages in the log on: 16 MiB.
const DUE: i32 = 4_000;
/// The log is long from this number of pages on: 128 MiB. Checkpoints were due several times, and reads kept them from
/// emptying it.
const LONG: i32 = 8 * DUE;

/// The commit state of the one writing connection.
pub(super) struct Commits {
    file: CommitRecord,
    record: Record,
    identity: FileIdentity,
    log_pages: Arc<AtomicI32>,
    /// The pages in the log at the last attempt. Readers may have prevented a complete copy.
    tried_at: i32,
    log: PathBuf,
    /// Whether the log was reported as long since it was last emptied.
    is_reported: bool,
}

impl Commits {
    /// Marks the dataset in `path`, whose last commit is `number`, as open.
    pub(super) fn begin(
        connection: &mut Connection,
        path: &Path,
        number: u64,
    ) -> Result<Commits, StoreError> {
        let failed = |error: io::Error| {
            StoreError::Unavailable(format!("its commit record cannot be written: {error}"))
        };
        let log_pages = Arc::new(AtomicI32::new(0));
        // This replaces SQLite's own checkpoints, which would not update the commit record.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.wal_hook(Some({
            let log_pages = Arc::clone(&log_pages);
            move |_: &mut rusqlite::hooks::Wal, pages| {
                log_pages.store(pages, Ordering::Relaxed);
                Ok(())
            }
        }))?;
        let mut commits = Commits {
            file: CommitRecord::open(path).map_err(failed)?,
            record: Record {
                state: State::Open,
                number,
                checkpointed: 0,
            },
            identity: FileIdentity::default(),
            log_pages,
            tried_at: 0,
            log: wal_scan::log_of(path),
            is_reported: false,
        };
        // The log of the last process is copied first, because this frees space on a full disk.
        commits.checkpoint(connection);
        connection.execute(
            "UPDATE commits SET number = ?1, open = 1",
            [commits.record.number + 1],
        )?;
        commits.record.number += 1;
        commits.file.write_durably(commits.record).map_err(failed)?;
        commits.checkpoint(connection);
        commits.identity = FileIdentity::of(watched(path));
        Ok(commits)
    }

    /// Checks that the files are still at their paths.
    ///
    /// # Errors
    /// [`StoreError::Displaced`]. No write may be acknowledged then.
    pub(super) fn in_place(&self) -> Result<(), StoreError> {
        match self.identity.changed() {
            None => Ok(()),
            Some(what) => Err(StoreError::Displaced(what)),
        }
    }

    /// Numbers the current transaction, as its last statement.
    pub(super) fn number(&self, connection: &Connection) -> Result<(), StoreError> {
        let next = self.record.number + 1;
        let sql = "UPDATE commits SET number = ?1";
        connection.prepare_cached(sql)?.execute([next])?;
        Ok(())
    }

    /// Records the transaction that was numbered and committed.
    pub(super) fn committed(&mut self) {
        self.record.number += 1;
        self.file.write(self.record);
    }

    /// Copies the log into the database file when it is long.
    pub(super) fn checkpoint_if_due(&mut self, connection: &Connection) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < self.tried_at {
            self.tried_at = 0;
            self.is_reported = false;
        }
        if pages >= self.tried_at + DUE {
            self.tried_at = pages;
            self.checkpoint(connection);
            self.report_if_long(pages);
        }
    }

    /// Reports once that the log has become long.
    fn report_if_long(&mut self, pages: i32) {
        if pages < LONG || self.is_reported {
            return;
        }
        self.is_reported = true;
        let (file, size) = (self.log.display(), self.log.metadata());
        let mebibytes = size.map_or(0, |log| log.len() >> 20);
        tracing::warn!(
            %file,
            mebibytes,
            "the write-ahead log grows, because reads keep it from being copied and emptied: end long audits, backups \
             and other programs that read the database"
        );
    }

    fn checkpoint(&mut self, connection: &Connection) {
        if let Err(error) = self.try_checkpoint(connection, "PASSIVE") {
            tracing::error!(%error, "the write-ahead log cannot be copied into the database file: it grows");
        }
    }

    /// Returns whether the whole log was copied.
    fn try_checkpoint(&mut self, connection: &Connection, how: &str) -> Result<bool, StoreError> {
        let failed = |error: io::Error| {
            StoreError::Unavailable(format!("the commit record cannot be written: {error}"))
        };
        self.record.state = State::Checkpointing;
        let begun = self.file.write_durably(self.record).map_err(failed);
        let copied = begun.and_then(|()| {
            let sql = format!("PRAGMA wal_checkpoint({how})");
            let (busy, log, copied): (i64, i64, i64) = connection
                .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(busy == 0 && log == copied)
        });
        // A checkpoint that failed halfway left the file mixed.
        let all = copied?;
        self.record.state = State::Open;
        if all {
            self.record.checkpointed = self.record.number;
        }
        self.file.write_durably(self.record).map_err(failed)?;
        Ok(all)
    }

    /// Moves everything into the database file and marks the file as closed. No reader may be open.
    ///
    /// # Errors
    /// [`StoreError`]. The database file is then complete only together with its log.
    pub(super) fn close(mut self, connection: &Connection) -> Result<(), StoreError> {
        self.in_place()?;
        let next = self.record.number + 1;
        connection.execute("UPDATE commits SET number = ?1, open = 0", [next])?;
        self.record.number = next;
        if !self.try_checkpoint(connection, "TRUNCATE")? {
            return Err(StoreError::Unavailable(
                "it is being read: its log could not be copied into it".to_owned(),
            ));
        }
        self.record.state = State::Closed;
        let closed = self.file.write_durably(self.record);
        closed.map_err(|error| StoreError::Unavailable(format!("the commit record: {error}")))?;
        // This makes SQLite remove the log, which is empty now.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(())
    }
}

/// The paths that must not change: the data directory, its lock, the database, its log and its commit record.
fn watched(path: &Path) -> Vec<std::path::PathBuf> {
    let root = path.parent().and_then(Path::parent);
    let mut watched = vec![
        path.to_owned(),
        wal_scan::log_of(path),
        super::commit_record::path_of(path),
    ];
    if let Some(root) = root {
        watched.extend([root.to_owned(), root.join("lock")]);
    }
    watched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_reads_keep_from_being_emptied_is_reported_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        let mut connection = Connection::open(&file).unwrap();
        crate::store::sqlite::schema::migrate(&mut connection).unwrap();
        let mut commits = Commits::begin(&mut connection, &file, 0).unwrap();
        let mut reported_at = |pages| {
            commits.log_pages.store(pages, Ordering::Relaxed);
            let before = commits.is_reported;
            commits.checkpoint_if_due(&connection);
            commits.is_reported && !before
        };
        assert!(!reported_at(DUE) && !reported_at(LONG - 1));
        assert!(reported_at(LONG + DUE));
        assert!(!reported_at(LONG + 2 * DUE), "once");
        assert!(!reported_at(1), "emptied");
        assert!(reported_at(LONG), "again");
    }
}
