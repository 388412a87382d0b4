//! A data directory: it names the active dataset and allows one process at a time.
//!
//! `datasets/<epoch>.db` holds a dataset. `CURRENT` names the active one. An atomic rename replaces `CURRENT` and so
//! activates a new dataset. A dataset that `CURRENT` does not name was left by an interruption. The process that uses
//! the directory holds `lock`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::sqlite;
use crate::domain::Epoch;
use crate::files::{self, Access};

/// The reason why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The directory cannot be created or written.
    #[error(
        "the data directory {dir} cannot be used: {error}; {advice}, or choose another with --data-dir",
        advice = files::advice(error)
    )]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// Another process uses the directory.
    #[error(
        "the data directory {0} is in use by another concertctl; stop it, or choose another with --data-dir"
    )]
    InUse(PathBuf),
    /// `CURRENT` does not hold an epoch.
    #[error(
        "{0} does not name a dataset: write the name of the file in datasets/ there (16 hex digits), restore a backup with `concertctl restore --replace`, or remove it and load a new dataset with `concertctl seed --replace`"
    )]
    BadPointer(PathBuf),
    /// There is a complete dataset, and `CURRENT` is missing.
    #[error(
        "{file} exists and {pointer} is missing: write {name} there, restore a backup with `concertctl restore --replace`, or load a new dataset with `concertctl seed --replace`",
        name = file.file_stem().unwrap_or_default().display(),
        file = file.display(),
        pointer = pointer.display()
    )]
    Unnamed {
        /// The dataset.
        file: PathBuf,
        /// The missing file.
        pointer: PathBuf,
    },
    /// A restore ended between its renames.
    #[error(
        "a restore into the data directory {0} was interrupted, and both datasets are still there: run `concertctl restore --replace` again"
    )]
    HalfRestored(PathBuf),
}

/// A data directory that this process has locked.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    // The lock lasts as long as this value. The system frees it however the process ends.
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, and locks it.
    pub fn open(root: &Path) -> Result<DataDir, DataDirError> {
        let unusable = |error| DataDirError::Unusable {
            dir: root.to_owned(),
            error,
        };
        files::create_private_dir(&root.join("datasets")).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))
            .map_err(unusable)?;
        // As root this process may just have made them.
        for made in ["datasets", "lock"] {
            files::give_to_owner_of(root, &root.join(made));
        }
        match lock.try_lock() {
            Ok(()) => Ok(DataDir {
                root: root.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(root.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// The path of the directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A warning when other users may enter the directory, because it holds users' data and the keys of the service.
    #[must_use]
    pub fn exposed(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&self.root).ok()?.permissions().mode() & 0o777;
        let dir = self.root.display();
        (mode & 0o077 != 0).then(|| {
            format!(
                "the data directory {dir} is open to other users (mode {mode:04o}): close it with `chmod 700 {dir}`"
            )
        })
    }

    /// The file of the active dataset, or `None` before the first seeding.
    pub fn current(&self) -> Result<Option<PathBuf>, DataDirError> {
        current_file(&self.root)
    }

    /// The active dataset, or `None` before the first seeding.
    pub fn current_epoch(&self) -> Result<Option<Epoch>, DataDirError> {
        let file = self.current()?;
        let name = file.as_deref().and_then(Path::file_stem);
        let digits = name.and_then(|name| name.to_str());
        Ok(digits
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Epoch))
    }

    /// Removes the file of a dataset that was not finished.
    pub fn discard(&self, epoch: Epoch) {
        // The sweep of the next start removes what cannot be removed now.
        drop(fs::remove_file(self.file_for(epoch)));
    }

    /// The path for a new dataset of this epoch.
    #[must_use]
    pub fn file_for(&self, epoch: Epoch) -> PathBuf {
        self.root
            .join("datasets")
            .join(format!("{:016x}.db", epoch.0))
    }

    /// Activates the finished dataset of `epoch`.
    ///
    /// # Errors
    /// [`DataDirError`]. The earlier dataset is still active then.
    pub fn activate(&self, epoch: Epoch) -> Result<(), DataDirError> {
        // The dataset is synced before `CURRENT`, which must not reach the disk without its dataset.
        File::open(self.root.join("datasets"))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.unusable(error))?;
        let (pointer, name) = (self.root.join("CURRENT"), format!("{:016x}\n", epoch.0));
        files::replace(&pointer, name.as_bytes(), Access::Owner)
            .map_err(|error| self.unusable(error))?;
        files::give_to_owner_of(&self.root, &pointer);
        Ok(())
    }

    /// The directory of a restore that is under way: the new files, and those that they replace.
    #[must_use]
    pub fn restoring(&self) -> PathBuf {
        self.root.join("restoring")
    }

    /// Refuses a directory that lost its `CURRENT`. A directory without a complete dataset needs none.
    ///
    /// # Errors
    /// [`DataDirError::Unnamed`], [`DataDirError::HalfRestored`].
    pub fn check_named(&self) -> Result<(), DataDirError> {
        if self.current()?.is_some() {
            return Ok(());
        }
        // `CURRENT` is the last file that a restore prepares and the last that it puts in place.
        if self.restoring().join("CURRENT").exists() {
            return Err(DataDirError::HalfRestored(self.root.clone()));
        }
        match self.complete()?.pop() {
            None => Ok(()),
            Some(file) => Err(DataDirError::Unnamed {
                file,
                pointer: self.root.join("CURRENT"),
            }),
        }
    }

    /// The datasets that are complete, the newest last.
    pub fn complete(&self) -> Result<Vec<PathBuf>, DataDirError> {
        let is_dataset = |path: &PathBuf| path.extension().is_some_and(|it| it == "db");
        let mut complete = self.files()?;
        complete.retain(|path| is_dataset(path) && sqlite::is_complete(path));
        complete.sort_by_key(|path| path.metadata().and_then(|found| found.modified()).ok());
        Ok(complete)
    }

    fn files(&self) -> Result<Vec<PathBuf>, DataDirError> {
        let entries = fs::read_dir(self.root.join("datasets")).map_err(|e| self.unusable(e))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }

    /// Removes every dataset except the active one: the earlier one and those that interruptions left. If the active
    /// one is missing, nothing is removed, because `CURRENT` may be wrong. Without `CURRENT` every complete dataset
    /// stays, because one of them may be the sale.
    pub fn sweep(&self) -> Result<(), DataDirError> {
        let current = self.current()?;
        if current.as_ref().is_some_and(|file| !file.exists()) {
            return Ok(());
        }
        let kept = match current {
            Some(file) => vec![file],
            None => self.complete()?,
        };
        for path in self.files()? {
            let mut stems = kept.iter().map(|kept| kept.file_stem());
            if !stems.any(|stem| stem == path.file_stem()) {
                // The next start tries again to remove a file that cannot be removed now.
                drop(fs::remove_file(path));
            }
        }
        Ok(())
    }

    fn unusable(&self, error: io::Error) -> DataDirError {
        DataDirError::Unusable {
            dir: self.root.clone(),
            error,
        }
    }
}

/// The file of the dataset that `CURRENT` in `root` names, or `None` before the first seeding. The caller need not
/// lock the directory.
pub fn current_file(root: &Path) -> Result<Option<PathBuf>, DataDirError> {
    let pointer = root.join("CURRENT");
    let name = match fs::read_to_string(&pointer) {
        Ok(name) => name,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(DataDirError::BadPointer(pointer));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let dir = root.to_owned();
            return Err(DataDirError::Unusable { dir, error });
        }
    };
    let name = name.trim();
    if name.len() != 16 || !name.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(DataDirError::BadPointer(pointer));
    }
    Ok(Some(root.join("datasets").join(format!("{name}.db"))))
}

/// Returns whether a process holds the data directory `root`.
#[must_use]
pub fn is_held(root: &Path) -> bool {
    let lock = File::open(root.join("lock")).map(|lock| lock.try_lock_shared());
    matches!(lock, Ok(Err(TryLockError::WouldBlock)))
}
