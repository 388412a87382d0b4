//! Replaces a file completely or not at all.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::target::{Target, parent};
use super::{Access, special};

/// Replaces the file at `path` (links are followed) by `content`. After a crash it has the old or the new content. An
/// existing file keeps its mode and, if the system allows it, its owner. A device or a named pipe is written to. If
/// the directory cannot be written, or the file is a mount point, the file is overwritten in place.
///
/// # Errors
/// The path cannot be written, or the file system refuses. An existing file is then unchanged, unless it was
/// overwritten in place.
pub fn replace(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let (path, existing) = match Target::of(path)? {
        Target::Special(path) => return special::write_to(&path, content),
        Target::Descriptor(path) => return special::write_to(&path, content),
        Target::Regular(path, found) => (path, Some(found)),
        Target::Missing(path) => (path, None),
    };
    let replaced = write_beside(&path, content, access, existing.as_deref());
    match (replaced, existing) {
        (Err(error), Some(_)) if cannot_rename(&error) => overwrite(&path, content, access),
        (replaced, _) => replaced,
    }
}

/// Returns whether the directory and not the file prevents the write.
fn cannot_rename(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::ResourceBusy
    )
}

fn write_beside(
    path: &Path,
    content: &[u8],
    access: Access,
    existing: Option<&Metadata>,
) -> io::Result<()> {
    let beside = Beside::create(path, access)?;
    let mut file = &beside.file;
    file.write_all(content)?;
    if let Some(existing) = existing {
        // Only root may change the owner; otherwise the writer owns the file.
        let _ = fchown(file, Some(existing.uid()), Some(existing.gid()));
        let mode = match access {
            Access::Owner => access.new_mode(),
            Access::Umask => existing.mode() & 0o777,
        };
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.sync_all()?;
    beside.rename_to(path)?;
    // The new name must also reach the disk.
    File::open(parent(path))?.sync_all()
}

/// A temporary file; removed unless it is renamed.
struct Beside {
    path: PathBuf,
    file: File,
    in_place: bool,
}

impl Beside {
    fn create(path: &Path, access: Access) -> io::Result<Beside> {
        // The fixed length allows the longest names. The file is new, so that no link is followed.
        let name = format!(".concertctl-{:016x}.part", rand::random::<u64>());
        let path = path.with_file_name(name);
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(access.new_mode())
            .open(&path)?;
        Ok(Beside {
            path,
            file,
            in_place: false,
        })
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.in_place = true;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.in_place {
            // The returned error matters more than a file that is left behind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn overwrite(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(path)?;
    if access == Access::Owner {
        file.set_permissions(Permissions::from_mode(access.new_mode()))?;
    }
    file.write_all(content)?;
    file.sync_all()
}
