//! `concertctl backup`: copies the dataset of a data directory, also while a server uses it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::flags::DataDirArg;
use super::{FAILED, fail};
use crate::files::{self, Access};
use crate::store::data_dir::{DataDir, DataDirError, current_file};
use crate::store::sqlite::backup;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The directory to write the backup to, new or empty; `serve --data-dir` can use it directly
    dir: PathBuf,
    #[command(flatten)]
    data_dir: DataDirArg,
}

pub(super) async fn run(args: BackupArgs) -> ExitCode {
    let (from, to) = (args.data_dir.path(), args.dir);
    let copied = tokio::task::spawn_blocking(move || back_up(&from, &to)).await;
    match copied.map_err(anyhow::Error::from).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &format!("{error:#}")),
    }
}

fn back_up(from: &Path, to: &Path) -> anyhow::Result<()> {
    let file = current_file(from)?.with_context(|| {
        format!(
            "{} has no dataset; name the data directory with --data-dir",
            from.display()
        )
    })?;
    let name = file.file_name().context("the dataset has no name")?;
    // The lock is held to the end, so that no server starts on the dataset during the check.
    let _held = match DataDir::open(from) {
        Ok(held) => {
            backup::verify(&file)?;
            Some(held)
        }
        Err(DataDirError::InUse(_)) => None,
        Err(error) => return Err(error.into()),
    };
    refuse_unless_empty(to)?;
    let datasets = to.join("datasets");
    let cannot_write = || format!("cannot write the backup in {}", to.display());
    files::create_private_dir(&datasets).with_context(cannot_write)?;
    backup::copy(&file, &datasets.join(name)).with_context(cannot_write)?;
    match fs::read(from.join("token-key")) {
        Ok(key) => {
            files::replace(&to.join("token-key"), &key, Access::Owner).with_context(cannot_write)?
        }
        // The key may instead be in a file of --token-key-file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("cannot read the token key"),
    }
    File::open(&datasets)
        .and_then(|folder| folder.sync_all())
        .with_context(cannot_write)?;
    // This comes last, because CURRENT marks the backup as complete.
    let epoch = file.file_stem().unwrap_or(name).to_string_lossy();
    let pointer = format!("{epoch}\n");
    files::replace(&to.join("CURRENT"), pointer.as_bytes(), Access::Owner)
        .with_context(cannot_write)
}

fn refuse_unless_empty(dir: &Path) -> anyhow::Result<()> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => anyhow::bail!("{} is not empty; name a new directory", dir.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", dir.display())),
    }
}
