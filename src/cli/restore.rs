//! `concertctl restore` replaces the dataset of a data directory by a backup.
//!
//! The backup is first copied beside the dataset and verified, so a damaged backup or a full disk changes nothing.
//! Then renames exchange the two, with `CURRENT` last. The old dataset is kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::flags::DataDirArg;
use super::{FAILED, fail, stdout};
use crate::files::{self, Access};
use crate::store::data_dir::{DataDir, current_file};
use crate::store::sqlite::backup;

/// The parts of a backup. `CURRENT` is last, because it activates the others.
const PARTS: [&str; 3] = ["datasets", "token-key", "CURRENT"];

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
    let occupied = held.current()?.is_some();
    if occupied && !replace {
        let to = to.display();
        anyhow::bail!("there is a dataset in {to}: give --replace to put the backup in its place");
    }
    let staged = to.join("restoring");
    let prepared = stage(from, &file, &staged);
    if prepared.is_err() {
        // The next restore removes what cannot be removed now.
        drop(fs::remove_dir_all(&staged));
    }
    prepared?;
    let kept = kept_beside(to);
    let exchanged = exchange(&staged, to, &kept);
    exchanged.with_context(|| format!("cannot put the backup in place in {}", to.display()))?;
    Ok(match occupied {
        true => format!(
            "restored; the dataset that was there is in {}\n",
            kept.display()
        ),
        false => {
            // Nothing was replaced. Only empty directories go: a token key without a dataset is kept.
            drop(fs::remove_dir(kept.join("datasets")));
            drop(fs::remove_dir(&kept));
            "restored\n".to_owned()
        }
    })
}

/// Copies the backup to `staged` and verifies the copy.
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
    backup::copy(file, &copy)
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

/// Moves the old dataset to `kept` and the staged one into its place. After an interruption both are still
/// complete below the data directory, and a second `restore` finishes the exchange.
fn exchange(staged: &Path, to: &Path, kept: &Path) -> io::Result<()> {
    let there = |part: &&&str| to.join(part).exists();
    files::create_private_dir(kept)?;
    // CURRENT is first: without it no server opens a half exchanged dataset.
    for part in PARTS.iter().rev().filter(there) {
        fs::rename(to.join(part), kept.join(part))?;
        sync(to)?;
    }
    for part in PARTS {
        match fs::rename(staged.join(part), to.join(part)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        sync(to)?;
    }
    fs::remove_dir_all(staged)
}

/// A directory beside the dataset that does not exist yet.
fn kept_beside(to: &Path) -> PathBuf {
    let at = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let mut kept = to.join(format!("replaced-{at}"));
    let mut more = 1;
    while kept.exists() {
        more += 1;
        kept = to.join(format!("replaced-{at}-{more}"));
    }
    kept
}

fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
