//! The owner of what root makes in a directory of another user.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

/// As root, gives `path` to the owner of `dir`, so that the user of the service can use what an administrator made.
/// Other users may not change owners.
pub fn give_to_owner_of(dir: &Path, path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    if let Ok(owner) = fs::metadata(dir) {
        // A file system without owners refuses, and needs none.
        drop(lchown(path, Some(owner.uid()), Some(owner.gid())));
    }
}
