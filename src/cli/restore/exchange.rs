//! Exchanges the dataset of a data directory for a staged one, whole or not at all.
//!
//! `restoring` holds the staged parts, and `restoring/before` the earlier parts that have left their place. Renames
//! move them. `CURRENT` leaves first and comes last: without it no server opens a half exchanged dataset. A failed
//! exchange is undone at once, and a killed one by the next `restore`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::files;
use crate::store::data_dir::DataDir;

/// The parts of a backup. `CURRENT` is last, because it activates the others.
const PARTS: [&str; 3] = ["datasets", "token-key", "CURRENT"];

/// The places between which an exchange moves the parts.
pub(super) struct Exchange {
    root: PathBuf,
    staged: PathBuf,
    before: PathBuf,
}

impl Exchange {
    pub(super) fn of(dir: &DataDir) -> Exchange {
        let (root, staged) = (dir.root().to_owned(), dir.restoring());
        let before = staged.join("before");
        Exchange {
            root,
            staged,
            before,
        }
    }

    /// The directory in which the new parts are prepared.
    pub(super) fn staged(&self) -> &Path {
        &self.staged
    }

    /// Refuses a `datasets` that a rename cannot exchange.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let datasets = self.root.join("datasets");
        let cannot_read = || format!("cannot read {}", datasets.display());
        let found = fs::symlink_metadata(&datasets).with_context(cannot_read)?;
        let root = fs::metadata(&self.root).with_context(cannot_read)?;
        let why = if found.is_symlink() {
            "is a link"
        } else if found.dev() != root.dev() {
            "is a file system of its own"
        } else {
            return Ok(());
        };
        let datasets = datasets.display();
        anyhow::bail!(
            "{datasets} {why}, and a restore exchanges a directory: restore into a new directory with --data-dir and serve that one, or make {datasets} a directory of the data directory"
        )
    }

    /// Settles what a killed restore left: undoes its exchange, or keeps the earlier parts of a complete one.
    pub(super) fn settle(&self) -> anyhow::Result<()> {
        if !self.before.exists() {
            return Ok(());
        }
        let settled = match self.root.join("CURRENT").exists() {
            true => self.keep().map(drop),
            false => self.undo(),
        };
        settled.with_context(|| {
            let (root, before) = (self.root.display(), self.before.display());
            format!("cannot put the files of an interrupted restore from {before} back into {root}")
        })
    }

    /// Exchanges the parts. Returns the directory with the earlier ones, if there were any.
    ///
    /// # Errors
    /// A rename failed. The earlier parts are in their place again.
    pub(super) fn run(&self) -> anyhow::Result<Option<PathBuf>> {
        files::create_private_dir(&self.before)?;
        self.hand_over();
        for (from, to, part) in self.steps() {
            let Err(error) = move_part(from, to, part) else {
                continue;
            };
            self.undo().with_context(|| {
                let before = self.before.display();
                format!("{error}; the earlier files are in {before}, and the next restore puts them back")
            })?;
            // The next restore removes what cannot be removed now.
            drop(fs::remove_dir_all(&self.staged));
            return Err(error.into());
        }
        let kept = self.keep()?;
        fs::remove_dir_all(&self.staged)?;
        Ok(kept)
    }

    /// Gives the staged files and directories to the owner of the data directory.
    fn hand_over(&self) {
        let staged = [self.staged.join("datasets"), self.staged.clone()];
        for dir in &staged {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                files::give_to_owner_of(&self.root, &entry.path());
            }
        }
        files::give_to_owner_of(&self.root, &self.staged);
    }

    /// The renames in their order: the earlier parts leave, then the staged parts come.
    fn steps(&self) -> impl Iterator<Item = (&Path, &Path, &'static str)> {
        let leave = PARTS.into_iter().rev();
        let leave = leave.map(|part| (&*self.root, &*self.before, part));
        let come = PARTS.map(|part| (&*self.staged, &*self.root, part));
        leave.chain(come)
    }

    /// Moves every part back to where it was before the exchange.
    fn undo(&self) -> io::Result<()> {
        // The earlier `datasets` leaves last and returns first. While it is away, every part in place is a staged one,
        // unless the staged one has not come yet: a start may have made an empty directory or a new key meanwhile.
        if self.before.join("datasets").exists() {
            for part in PARTS.into_iter().rev() {
                if !self.staged.join(part).exists() {
                    move_part(&self.root, &self.staged, part)?;
                }
            }
        }
        for part in PARTS {
            move_part(&self.before, &self.root, part)?;
        }
        fs::remove_dir(&self.before)
    }

    /// Moves the earlier parts to a directory that stays.
    fn keep(&self) -> io::Result<Option<PathBuf>> {
        // Only empty directories go: a token key without a dataset is kept.
        drop(fs::remove_dir(self.before.join("datasets")));
        if fs::remove_dir(&self.before).is_ok() {
            return Ok(None);
        }
        let kept = kept_beside(&self.root);
        fs::rename(&self.before, &kept)?;
        sync(&self.root)?;
        Ok(Some(kept))
    }
}

/// Moves a part if it is there.
fn move_part(from: &Path, to: &Path, part: &str) -> io::Result<()> {
    let from_file = from.join(part);
    match fs::rename(&from_file, to.join(part)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let (from, to) = (from_file.display(), to.display());
            let why = format!("cannot move {from} into {to}: {error}");
            Err(io::Error::new(error.kind(), why))
        }
        Ok(()) => {
            sync(to)?;
            sync(from)
        }
    }
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

pub(super) fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "00000000000000aa";
    const NEW: &str = "00000000000000bb";

    /// Writes the three parts into `dir`, each with the content `mark`.
    fn parts(dir: &Path, mark: &str) {
        fs::create_dir_all(dir.join("datasets")).unwrap();
        for file in ["datasets/a.db", "token-key", "CURRENT"] {
            fs::write(dir.join(file), mark).unwrap();
        }
    }

    fn holds(dir: &Path, mark: &str) -> bool {
        let files = ["datasets/a.db", "token-key", "CURRENT"];
        let content = |file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default();
        files.iter().all(|file| content(file) == mark)
    }

    #[test]
    fn an_exchange_that_is_killed_after_any_rename_is_settled_by_the_next_restore() {
        for renames in 0..=6 {
            let dir = tempfile::tempdir().unwrap();
            let held = DataDir::open(dir.path()).unwrap();
            let exchange = Exchange::of(&held);
            parts(dir.path(), OLD);
            parts(exchange.staged(), NEW);
            files::create_private_dir(&exchange.before).unwrap();
            for (from, to, part) in exchange.steps().take(renames) {
                move_part(from, to, part).unwrap();
            }
            drop(held);
            // A start between the two makes the directory of datasets, and refuses to go on without `CURRENT`.
            let held = DataDir::open(dir.path()).unwrap();
            let named = held.check_named();
            assert_eq!(
                named.is_ok(),
                renames == 0 || renames == 6,
                "{renames}: {named:?}"
            );

            exchange.settle().unwrap();
            held.check_named().unwrap();
            if renames < 6 {
                assert!(holds(dir.path(), OLD), "{renames}");
                assert!(holds(exchange.staged(), NEW), "{renames}");
                continue;
            }
            assert!(holds(dir.path(), NEW));
            let entries = fs::read_dir(dir.path()).unwrap().flatten();
            let mut kept = entries.map(|entry| entry.path());
            let kept = kept.find(|path| path.to_string_lossy().contains("/replaced-"));
            assert!(holds(&kept.unwrap(), OLD));
        }
    }
}
