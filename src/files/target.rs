//! The kinds of files to which a path can lead.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Permission, access};

use super::refused;

/// The kernel follows the same number of links.
const MAX_LINKS: usize = 40;

/// The target of a path after its links are followed.
#[derive(Debug)]
pub(super) enum Target {
    /// A regular file that exists.
    Regular(PathBuf, Box<Metadata>),
    /// There is no file yet.
    Missing(PathBuf),
    /// A character device or a named pipe: written to, never replaced.
    Special(PathBuf),
    /// An open descriptor of a process, such as /dev/stderr. Other processes may also hold it open, so it is written
    /// to and never replaced.
    Descriptor(PathBuf),
}

/// Returns whether both paths lead to one regular file, in which the second document would replace the first.
#[must_use]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| match Target::of(path).ok()? {
        Target::Regular(path, _) | Target::Missing(path) => {
            let dir = parent(&path).canonicalize().ok()?;
            Some((dir, path.file_name()?.to_owned()))
        }
        Target::Special(_) | Target::Descriptor(_) => None,
    };
    place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one))
}

impl Target {
    /// Follows `path`.
    ///
    /// # Errors
    /// It is a directory, a socket or a block device, its links are a loop, or it cannot be examined.
    pub(super) fn of(path: &Path) -> io::Result<Target> {
        if descriptor(path).is_some() {
            return Ok(Target::Descriptor(path.to_owned()));
        }
        let path = follow(path)?;
        if path.file_name().is_none() {
            return Err(refused(
                io::ErrorKind::IsADirectory,
                "is a directory: name a file",
            ));
        }
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Target::Missing(path));
            }
            Err(error) => return Err(error),
        };
        let kind = found.file_type();
        let unfit = if kind.is_dir() {
            "is a directory: name a file"
        } else if kind.is_socket() {
            "is a socket: name a file or a named pipe"
        } else if kind.is_block_device() {
            "is a disk (block device), which would be overwritten: name a file"
        } else if kind.is_file() {
            return Ok(Target::Regular(path, Box::new(found)));
        } else {
            return Ok(Target::Special(path));
        };
        Err(refused(io::ErrorKind::InvalidInput, unfit))
    }
}

/// Follows the links at the end of `path`, even if the target is missing. The kernel follows the links in its
/// directories.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        // An absolute target replaces the whole path.
        path = parent(&path).join(target);
    }
    Err(refused(
        io::ErrorKind::InvalidInput,
        "is a symbolic link that leads back to itself",
    ))
}

/// The directory of a file; `.` for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The number of the open descriptor that `path` names: /dev/stdout, /dev/fd/3, /proc/self/fd/3.
pub(super) fn descriptor(path: &Path) -> Option<u32> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let own = format!("/proc/{}/fd", std::process::id());
        let dir = fs::canonicalize(parent(&path)).ok()?;
        if dir == Path::new(&own) {
            return path.file_name().and_then(OsStr::to_str)?.parse().ok();
        }
        let target = fs::read_link(&path).ok()?;
        path = parent(&path).join(target);
    }
    None
}

/// Checks as far as possible without a write whether `path` can be written.
///
/// # Errors
/// The reason why it cannot.
pub fn check(path: &Path) -> io::Result<()> {
    let writable = |path: &Path| access(path, Permission::WRITE_OK).map_err(io::Error::from);
    match Target::of(path)? {
        Target::Descriptor(_) => Ok(()),
        Target::Special(path) => writable(&path),
        // If its directory cannot be written, the file is overwritten in place.
        Target::Regular(path, _) => writable(parent(&path)).or_else(|_| writable(&path)),
        Target::Missing(path) => {
            let dir = parent(&path);
            if !dir.is_dir() {
                let why = format!("there is no directory {}: create it first", dir.display());
                return Err(refused(io::ErrorKind::NotFound, why));
            }
            writable(dir).map_err(|error| {
                let why = format!("the directory {} cannot be written: {error}", dir.display());
                refused(error.kind(), why)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_descriptors_are_recognised() {
        let cases = [
            ("/dev/stdout", Some(1)),
            ("/dev/stderr", Some(2)),
            ("/dev/fd/7", Some(7)),
            ("/proc/self/fd/1", Some(1)),
            ("/dev/null", None),
            ("stdout", None),
            ("", None),
            ("/", None),
        ];
        for (path, expected) in cases {
            assert_eq!(descriptor(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_link_to_standard_output_is_standard_output() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("report");
        std::os::unix::fs::symlink("/dev/stdout", &link).unwrap();
        assert!(super::super::is_stdout(&link));
    }
}
