//! `concertctl restore` replaces the dataset of a data directory by a backup.
//!
//! The backup is verified and copied beside the dataset, so a damaged or incomplete backup or a full disk changes
//! nothing. Then renames exchange the two. The old dataset is kept.

mod exchange;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::flags::DataDirArg;
use super::{FAILED, fail, stdout};
use crate::files::{self, Access};
use crate::store::data_dir::{DataDir, DataDirError, current_file};
use crate::store::sqlite::backup;
use exchange::{Exchange, sync};

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A directory that `concertctl backup` wrote
    backup: PathBuf,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Replace the existing dataset; it is kept beside the new one
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(args: RestoreArgs) -> ExitCode {
    let (from, to) = (args.backup, args.data_dir.path());
    let restored = tokio::task::spawn_blocking(move || restore(&from, &to, args.replace)).await;
    match restored.map_err(anyhow::Error::from).flatten() {
        Ok(report) => stdout::print_and_exit(&report, 0),
        Err(error) => fail(FAILED, &format!("{error:#}")),
    }
}

/// Restores, and returns the line to print.
fn restore(from: &Path, to: &Path, replace: bool) -> anyhow::Result<String> {
    let file = current_file(from)?;
    let file = file.filter(|file| file.is_file()).with_context(|| {
        let from = from.display();
        format!("{from} is no backup: it has no CURRENT that names a dataset")
    })?;
    let held = DataDir::open(to)?;
    let exchange = Exchange::of(&held);
    exchange.check()?;
    exchange.settle()?;
    if !replace && is_occupied(&held)? {
        let to = to.display();
        anyhow::bail!("there is a dataset in {to}: give --replace to put the backup in its place");
    }
    let prepared = stage(from, &file, exchange.staged());
    if prepared.is_err() {
        // The next restore removes what cannot be removed now.
        drop(fs::remove_dir_all(exchange.staged()));
    }
    prepared?;
    let kept = exchange.run();
    let kept =
        kept.with_context(|| format!("cannot put the backup in place in {}", to.display()))?;
    Ok(kept.map_or_else(
        || "restored\n".to_owned(),
        |kept| format!("restored; what was there before is in {}\n", kept.display()),
    ))
}

/// Returns whether the directory holds a dataset, also if `CURRENT` is missing or damaged.
fn is_occupied(dir: &DataDir) -> Result<bool, DataDirError> {
    match dir.current() {
        Ok(Some(_)) | Err(DataDirError::BadPointer(_)) => Ok(true),
        Ok(None) => Ok(!dir.complete()?.is_empty()),
        Err(error) => Err(error),
    }
}

/// Verifies the backup, copies it to `staged` and verifies the copy. The copy alone does not show that the backup lacks
/// its log.
fn stage(from: &Path, file: &Path, staged: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", staged.display()));
        }
        _ => {}
    }
    let cannot_write = || format!("cannot write {}", staged.display());
    files::create_private_dir(&staged.join("datasets")).with_context(cannot_write)?;
    let name = file.file_name().context("the dataset has no name")?;
    let copy = staged.join("datasets").join(name);
    backup::verify(file)
        .and_then(|()| backup::copy(file, &copy))
        .and_then(|()| backup::verify(&copy))
        .with_context(|| format!("cannot restore {}", file.display()))?;
    for part in ["token-key", "CURRENT"] {
        let content = match fs::read(from.join(part)) {
            Ok(content) => content,
            // The key may instead be in a file of --token-key-file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && part == "token-key" => {
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {part}")),
        };
        let written = files::replace(&staged.join(part), &content, Access::Owner);
        written.with_context(cannot_write)?;
    }
    sync(&staged.join("datasets")).with_context(cannot_write)
}
