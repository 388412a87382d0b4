//! Opening a file: settings of a connection, migrations, the dataset's description.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use crate::store::{DatasetInfo, StoreError};

/// In order; `PRAGMA user_version` counts those that ran.
const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/sqlite/0001_init.sql")];

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                StoreError::Damaged(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}

/// The connection of the one writer.
pub(super) fn open_writer(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // FULL: a commit returns after the fsync of the log, so what is acknowledged survives a crash.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA busy_timeout = 5000;
         PRAGMA cache_size = -65536;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn open_reader(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA cache_size = -16384;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Runs the migrations that this file has not seen.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let done: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = done as usize;
    if done > MIGRATIONS.len() {
        return Err(StoreError::Unavailable(format!(
            "the database has schema version {done}, this program knows up to {}: use a newer concertctl",
            MIGRATIONS.len()
        )));
    }
    for (at, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let tx = connection.transaction()?;
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "user_version", (at + 1) as u32)?;
        tx.commit()?;
    }
    Ok(())
}

/// What the dataset consists of.
pub(super) fn read_info(connection: &Connection) -> Result<DatasetInfo, StoreError> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'dataset'", [], |row| {
            row.get(0)
        })
        .optional()?;
    let text = text.ok_or_else(|| StoreError::Damaged("it holds no dataset".to_owned()))?;
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Damaged(format!("its description cannot be read: {error}")))
}

/// Writes what the dataset consists of.
pub(super) fn write_info(connection: &Connection, info: &DatasetInfo) -> Result<(), StoreError> {
    let text = serde_json::to_string(info)
        .map_err(|error| StoreError::Unavailable(format!("description: {error}")))?;
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('dataset', ?1)",
        [text],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.db");
        Connection::open(&file)
            .unwrap()
            .execute_batch("CREATE TABLE t (i)")
            .unwrap();
        let writer = open_writer(&file).unwrap();
        let synchronous: i64 = writer
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        let journal: String = writer
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(
            (synchronous, journal.as_str()),
            (2, "wal"),
            "2 is FULL: fsync at every commit"
        );
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate(&mut connection).unwrap_err().to_string();
        assert!(error.contains("99") && error.contains("newer"), "{error}");
    }
}
