//! Opens files for appending or as new files. A link is followed, and a device or named pipe is opened and never
//! replaced. `target` decides which of these a path is.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::target::Target;
use super::{Access, READER_TIMEOUT, refused, special};

/// Opens the file at `path` (links are followed) for appending, and creates it if it is missing. A device or a named
/// pipe is also opened. Writes to it wait for its reader.
///
/// # Errors
/// The path cannot be written, the named pipe has no reader, or the file system refuses.
pub fn append(path: &Path, access: Access) -> io::Result<File> {
    match Target::of(path)? {
        Target::Regular(path, _) | Target::Missing(path) => append_regular(&path, access),
        Target::Special(path) | Target::Descriptor(path) => open_special(&path),
    }
}

/// Opens a regular file for appending; creates it with the mode of `access`.
pub(super) fn append_regular(path: &Path, access: Access) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true).mode(access.new_mode());
    options.open(path)
}

/// Opens a device or a named pipe for blocking writes. Waits [`READER_TIMEOUT`] at most for the reader of a pipe.
pub(super) fn open_special(path: &Path) -> io::Result<File> {
    let file = special::open(path, READER_TIMEOUT)?;
    special::blocking(&file)?;
    Ok(file)
}

/// Creates a file that must not exist yet. A dangling link creates its target. A device or a named pipe is opened.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] for an existing regular file, otherwise like [`append`].
pub fn create_new(path: &Path, access: Access) -> io::Result<File> {
    let create = |path: PathBuf| {
        let mut options = File::options();
        options.write(true).create_new(true).mode(access.new_mode());
        options.open(path)
    };
    match Target::of(path)? {
        Target::Regular(..) => Err(refused(
            io::ErrorKind::AlreadyExists,
            "exists already: name another file, or remove it",
        )),
        Target::Missing(path) => create(path),
        Target::Special(path) | Target::Descriptor(path) => open_special(&path),
    }
}
