//! Copies a dataset, also while a server writes to it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension as _};

use super::{continuity, schema};
use crate::store::StoreError;

/// Checks that the dataset in `file` holds every acknowledged commit. No server may have the dataset open, because a
/// running server is briefly ahead of its commit record.
///
/// # Errors
/// [`StoreError::Lost`] when acknowledged commits are missing, [`StoreError::Damaged`] when the file is not a
/// dataset.
pub fn verify(file: &Path) -> Result<(), StoreError> {
    schema::examine(file)?;
    continuity::check(file, false).map(drop)
}

/// Copies the dataset in `file` to `copy`, which must not exist, and syncs the copy. It holds every commit that was
/// acknowledged before the call, and opens like a dataset that was closed cleanly.
///
/// # Errors
/// [`StoreError`]. An incomplete `copy` may be left behind.
pub fn copy(file: &Path, copy: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::Unwritable(format!("{}: {error}", copy.display()));
    let mut options = File::options();
    let created = options.create_new(true).write(true).mode(0o600).open(copy);
    let created = created.map_err(io)?;
    let source = schema::open_reader(file)?;
    let mut target = Connection::open(copy)?;
    // One step copies all pages in one read transaction, so the copy shows the dataset at one moment.
    match Backup::new(&source, &mut target)?.step(-1)? {
        StepResult::Done => {}
        other => {
            return Err(StoreError::Unavailable(format!(
                "the copy ended with {other:?}"
            )));
        }
    }
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    let sql = "SELECT 1 FROM sqlite_master WHERE name = 'commits'";
    let counts = target.query_row(sql, [], |_| Ok(())).optional()?;
    if counts.is_some() {
        // A running server marks its dataset as open. Without this statement the copy would seem to lack its log.
        target.execute("UPDATE commits SET open = 0", [])?;
    }
    target.close().map_err(|(_, error)| error)?;
    created.sync_all().map_err(io)
}
