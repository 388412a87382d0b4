//! Every file that the program writes goes through here, so that each keeps the same promises:
//!
//! - A regular file is replaced whole or not at all ([`replace`]): written beside, synced, renamed.
//! - A symbolic link stays; the file it points to is replaced, or created.
//! - A device or a named pipe is written to and never replaced. A named pipe waits for its reader for
//!   [`READER_TIMEOUT`] at most.
//! - A socket, a disk (block device) and a directory are refused.

mod append;
pub mod newest;
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
pub use replace::replace;
pub use rotation::{Limits, RotatingFile};
pub use target::check;

/// How long a named pipe waits for a reader to come, and for one that takes nothing.
pub const READER_TIMEOUT: Duration = Duration::from_secs(10);

/// The path that stands for standard output.
pub const STDOUT: &str = "-";

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner only (0600): secrets, and what may hold personal data. An existing file becomes so too.
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

/// Whether `path` stands for standard output: `-`, `/dev/stdout` and the other names of descriptor 1.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new(STDOUT) || target::descriptor(path) == Some(1)
}

/// Creates a directory and its parents, those that are missing, for their owner only (0700).
///
/// # Errors
/// The file system refuses.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// What to do about an error of the file system, for the end of a message.
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
