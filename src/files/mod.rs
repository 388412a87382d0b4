//! All files of the program are written here, with the same guarantees:
//!
//! - A regular file is replaced completely or not at all ([`replace`]): a new file is written beside it, synced, and
//!   renamed.
//! - A symbolic link stays. Its target is replaced or created.
//! - A device or a named pipe is written to and never replaced. A named pipe waits at most [`READER_TIMEOUT`] for its
//!   reader.
//! - A socket, a block device and a directory are refused.
//!
//! A file that a start needs is read with [`open_regular`] or [`read_text`], which neither wait nor read without end.

mod append;
pub mod newest;
mod owner;
mod read;
mod replace;
mod rotation;
mod special;
mod target;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

pub use append::{append, create_new};
pub use owner::give_to_owner_of;
pub use read::{open_regular, read_text};
pub use replace::replace;
pub use rotation::{Limits, RotatingFile};
pub use target::{check, is_same_file};

/// The time-out for the reader of a named pipe, to open it and to read.
pub const READER_TIMEOUT: Duration = Duration::from_secs(10);

/// The path that stands for standard output.
pub const STDOUT: &str = "-";

/// The users who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only the owner (0600), for secrets and personal data. An existing file also gets this mode.
    Owner,
    /// As the umask allows. An existing file keeps its mode.
    Umask,
}

impl Access {
    fn new_mode(self) -> u32 {
        match self {
            Access::Owner => 0o600,
            Access::Umask => 0o666,
        }
    }
}

/// Returns whether `path` stands for standard output: `-`, `/dev/stdout` and the other names of descriptor 1.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new(STDOUT) || target::descriptor(path) == Some(1)
}

/// Creates the missing directories of a path for only their owner (0700).
///
/// # Errors
/// The file system refuses.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// The advice for an error of the file system, at the end of a message.
#[must_use]
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full: make room",
        io::ErrorKind::QuotaExceeded => "your quota is used up: make room",
        io::ErrorKind::FileTooLarge => "it reached the limit of file sizes: raise it (`ulimit -f`)",
        io::ErrorKind::PermissionDenied => "give this user the right to write there",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only: mount it for writing",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file stands where a directory is needed: move it away"
        }
        _ => "see that it can be written",
    }
}

/// An error of the same kind with another message.
fn refused(kind: io::ErrorKind, why: impl Into<String>) -> io::Error {
    io::Error::new(kind, why.into())
}
