//! Checks that a dataset holds every acknowledged commit. The check changes nothing, so an operator can still restore
//! missing files.
//!
//! Each commit that changes something increments a number in the table `commits`. The commit record beside the file
//! holds the last number. A log that is missing, cut, damaged or older leads to a lower number.
//!
//! The database file alone must hold at least the commits of its last complete checkpoint. While a checkpoint copies
//! the log into it, the file is mixed and needs the log. Neither case needs a check of every page, which takes long
//! on a large dataset. That check runs only without a record, for a bounded time.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::commit_record::{self, Record, State};
use super::schema;
use super::wal_scan::{self, Log};
use crate::store::StoreError;

/// The longest time for which a start checks the pages.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// The row of the table `commits`.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    number: u64,
    open: bool,
}

/// Compares the dataset in `file` with its commit record. Returns the number of the last commit.
///
/// # Errors
/// [`StoreError::Lost`] when acknowledged commits are missing and `accept_loss` is not set.
pub(super) fn check(file: &Path, accept_loss: bool) -> Result<u64, StoreError> {
    let read = |error: std::io::Error| StoreError::Unavailable(error.to_string());
    let record = commit_record::read(file).map_err(read)?;
    let log = wal_scan::scan(file).map_err(read)?;
    let whole_log = log.filter(|log| log.commits > 0);
    let alone = counted(&open_alone(file)?);
    let now = match &whole_log {
        Some(log) => {
            reaches(file, log)?;
            counted(&schema::open_reader(file)?)?
        }
        None => match (&alone, record) {
            // An unfinished checkpoint left the file mixed.
            (Err(_), Some(record)) if record.state == State::Checkpointing => Counted::default(),
            (Err(error), _) => return Err(error.clone()),
            (Ok(counted), _) => *counted,
        },
    };
    let missing = match record {
        Some(record) => missing(record, alone.as_ref().ok(), now, whole_log.is_some()),
        None => (now.open && whole_log.is_none())
            .then(|| "a server that did not close it was the last to write to it".to_owned()),
    };
    let last = now.number.max(record.map_or(0, |record| record.number));
    match missing {
        None if record.is_none() && now.open => check_pages(file)?,
        None => {}
        Some(why) if accept_loss => {
            tracing::warn!(file = %file.display(), "data loss accepted: {why}");
            check_pages(file)?;
        }
        Some(why) => return Err(StoreError::Lost(report(file, &why))),
    }
    Ok(last)
}

/// Describes the missing commits. `None` means that none are missing.
fn missing(record: Record, alone: Option<&Counted>, now: Counted, log: bool) -> Option<String> {
    let (number, have) = (record.number, now.number);
    if have < number {
        let lost = number - have;
        return Some(format!(
            "commit {number} was acknowledged, the files end at commit {have}: {lost} commits are missing, each with one or more acknowledged writes"
        ));
    }
    if record.state == State::Checkpointing {
        return (!log).then(|| {
            "the log was being copied into the database file, which is whole only with it"
                .to_owned()
        });
    }
    let alone = alone.map_or(0, |alone| alone.number);
    let checkpointed = record.checkpointed;
    (alone < checkpointed).then(|| {
        format!(
            "the database file is an older copy: it ends at commit {alone} and held commit {checkpointed} before"
        )
    })
}

fn report(file: &Path, why: &str) -> String {
    let (file, log) = (file.display(), wal_scan::log_of(file));
    let log_is = match log.metadata().map(|found| found.len()) {
        Ok(0) | Err(_) => "is missing",
        Ok(_) => "does not hold them (cut, damaged or replaced)",
    };
    format!(
        "{file} lacks acknowledged writes: {why}. Its log {} {log_is}. Nothing was changed. Put the missing file back or restore a backup of the dataset; to give up what is missing, start once with `concertctl serve --accept-data-loss`",
        log.display()
    )
}

/// Opens the database file without its log, and leaves no file behind.
fn open_alone(file: &Path) -> Result<Connection, StoreError> {
    let path = file.to_string_lossy();
    let path = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let connection = Connection::open_with_flags(
        format!("file:{path}?immutable=1"),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    Ok(connection)
}

/// The file of an older version has no such table, so it has no commits.
fn counted(connection: &Connection) -> Result<Counted, StoreError> {
    let sql = "SELECT 1 FROM sqlite_master WHERE name = 'commits'";
    if connection
        .query_row(sql, [], |_| Ok(()))
        .optional()?
        .is_none()
    {
        return Ok(Counted::default());
    }
    let sql = "SELECT number, open FROM commits";
    let counted = connection.query_row(sql, [], |row| {
        Ok(Counted {
            number: row.get(0)?,
            open: row.get(1)?,
        })
    })?;
    Ok(counted)
}

/// Checks that the log holds every page beyond the end of the file.
fn reaches(file: &Path, log: &Log) -> Result<(), StoreError> {
    let (length, page) = schema::length_and_page(file)?;
    let there = u32::try_from(length / page).unwrap_or(u32::MAX);
    if (there + 1..=log.pages).all(|page| log.written.contains(&page)) {
        return Ok(());
    }
    let expected = page * u64::from(log.pages);
    let why = format!("it is cut short: {length} of {expected} bytes");
    Err(StoreError::Damaged(why))
}

/// Looks for damaged pages for at most [`CHECK_WITHIN`].
fn check_pages(file: &Path) -> Result<(), StoreError> {
    let connection = schema::open_reader(file)?;
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    let found = std::thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(CHECK_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let sql = "PRAGMA quick_check(1)";
        let found: rusqlite::Result<String> = connection.query_row(sql, [], |row| row.get(0));
        drop(done);
        found
    });
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(StoreError::Damaged(found.replace('\n', " "))),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            tracing::warn!(file = %file.display(), "no damaged page was found in {CHECK_WITHIN:?}; the rest was not looked at");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
