//! Detects that a file which the server writes to is no longer the file at its path.
//!
//! A file that is removed or replaced while it is open still accepts writes, and loses them when the server ends. So
//! writes are acknowledged only while each path still leads to the file that was opened.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Each path with the device and inode that it had when the dataset was opened.
#[derive(Debug, Default)]
pub(super) struct FileIdentity(Vec<(PathBuf, (u64, u64))>);

impl FileIdentity {
    /// Records the files at `paths`. A path without a file is not checked.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> FileIdentity {
        let known = |path: PathBuf| at(&path).map(|identity| (path, identity));
        FileIdentity(paths.into_iter().filter_map(known).collect())
    }

    /// Describes the first path that no longer leads to the same file, and what is there instead.
    pub(super) fn changed(&self) -> Option<String> {
        let (path, now) = self.0.iter().find_map(|(path, before)| {
            let now = at(path);
            (now != Some(*before)).then_some((path, now))
        })?;
        let how = match now {
            Some(_) => "was replaced",
            None => "was removed",
        };
        Some(format!("{} {how} while the server runs", path.display()))
    }
}

fn at(path: &Path) -> Option<(u64, u64)> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_named_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&file, "1").unwrap();
        let identity = FileIdentity::of([file.clone(), dir.path().join("none")]);
        assert_eq!(identity.changed(), None);
        std::fs::rename(&file, &other).unwrap();
        assert!(identity.changed().unwrap().contains("a was removed"));
        std::fs::write(&file, "2").unwrap();
        assert!(identity.changed().unwrap().contains("a was replaced"));
        std::fs::rename(&other, &file).unwrap();
        assert_eq!(identity.changed(), None, "the same file is back");
    }
}
