//! A disk that can be filled and freed: a small file system in memory.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted tmpfs; unmounted when dropped.
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// `None` if this user may not mount.
    pub fn mount(mebibytes: u32) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().ok()?;
        let options = format!("size={mebibytes}m,mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "concertctl-soak"])
            .arg(dir.path())
            .output();
        mounted
            .is_ok_and(|done| done.status.success())
            .then_some(SmallDisk { dir })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes until no byte is left.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file name still fits");
        for block in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; block];
            while ballast.write_all(&zeros).is_ok() {}
        }
    }

    /// Frees the space again.
    pub fn free(&self) {
        // The file is missing if the disk was not full.
        drop(fs::remove_file(self.ballast()));
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount, because a process that is just ending may still use the disk.
        drop(Command::new("umount").arg("-l").arg(self.path()).output());
    }
}
