//! Opens a file: connection settings, migrations, and the description of the dataset.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::wal_scan::log_of;
use crate::store::{DatasetInfo, StoreError};

/// The migrations in order. `PRAGMA user_version` holds the number of those that ran.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_init.sql"),
    include_str!("../../../migrations/sqlite/0002_handed_out.sql"),
    include_str!("../../../migrations/sqlite/0003_commits.sql"),
    include_str!("../../../migrations/sqlite/0004_admission_of_reservation.sql"),
];

/// Converts the errors of statements. For the COMMIT of the writer, `commit_failed` in `writer` decides first, because
/// a COMMIT that failed may have been written.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                StoreError::Damaged(error.to_string())
            }
            Some(ErrorCode::DiskFull) => {
                StoreError::Unwritable("the disk is full: make room on it".to_owned())
            }
            Some(ErrorCode::SystemIoFailure) => {
                StoreError::Unwritable(format!("{error}: is the disk full or failing?"))
            }
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}

/// `PRAGMA application_id` of a concertctl database: "conc".
const APPLICATION_ID: u32 = 0x636f_6e63;

/// Checks, without opening the file as a database, whether it is a concertctl database and has the length that its
/// header gives. This runs before anything may change the file. Offsets: the database header,
/// <https://www.sqlite.org/fileformat2.html>.
pub(super) fn examine(file: &Path) -> Result<(), StoreError> {
    let unreadable = |error: io::Error| StoreError::Unavailable(error.to_string());
    let mut opened = File::open(file).map_err(unreadable)?;
    let mut header = [0_u8; 100];
    let read = opened.read_exact(&mut header);
    if read.is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Err(StoreError::Damaged("it is not a SQLite file".to_owned()));
    }
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if word(68) != APPLICATION_ID {
        return Err(StoreError::Damaged(
            "it is a SQLite file of another program".to_owned(),
        ));
    }
    known(word(60))?;
    // Pages that are missing in the file may still be in the log until the next checkpoint.
    if log_of(file).metadata().is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    let page = page_size(&header);
    let length = opened.metadata().map_err(unreadable)?.len();
    let expected = page * u64::from(word(28));
    if length < expected {
        let why = format!("it is cut short: {length} of {expected} bytes");
        return Err(StoreError::Damaged(why));
    }
    Ok(())
}

/// The length of the file and the size of a page, in bytes.
pub(super) fn length_and_page(file: &Path) -> Result<(u64, u64), StoreError> {
    let unreadable = |error: io::Error| StoreError::Unavailable(error.to_string());
    let mut opened = File::open(file).map_err(unreadable)?;
    let mut header = [0_u8; 18];
    opened.read_exact(&mut header).map_err(unreadable)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    Ok((length, page_size(&header)))
}

fn page_size(header: &[u8]) -> u64 {
    match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    }
}

/// Opens the connection of the single writer.
pub(super) fn open_writer(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // FULL: a commit returns after the fsync of the log, so acknowledged writes survive a crash.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA busy_timeout = 5000;
         PRAGMA cache_size = -65536;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn open_reader(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // A reader must not change the file, even if it closes last.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA cache_size = -16384;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The number of migrations that ran, checked against the number of known ones.
fn known(version: u32) -> Result<usize, StoreError> {
    let newest = MIGRATIONS.len();
    usize::try_from(version)
        .ok()
        .filter(|done| *done <= newest)
        .ok_or_else(|| {
            StoreError::Unavailable(format!(
                "the database has schema version {version}, this program knows up to {newest}: use a newer concertctl"
            ))
        })
}

/// Runs the migrations that this file does not have yet.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let done: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (at, sql) in MIGRATIONS.iter().enumerate().skip(known(done)?) {
        let tx = connection.transaction()?;
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "user_version", (at + 1) as u32)?;
        tx.commit()?;
    }
    Ok(())
}

/// Reads the description of the dataset.
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

/// Writes the description of the dataset.
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
