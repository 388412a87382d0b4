//! Reads files that a start needs. A named pipe could hold up the start and its stop, and a device may never end, so only
//! regular files are read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::refused;

/// Opens a regular file for reading.
///
/// # Errors
/// The file cannot be opened, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Without this flag, opening a named pipe waits for a writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(refused(
            io::ErrorKind::InvalidInput,
            "it is not a regular file: write its content into one",
        )),
    }
}

/// Reads the text of a regular file of at most `most` bytes.
///
/// # Errors
/// The file cannot be read, is not a regular file, is longer, or is not text ([`io::ErrorKind::InvalidData`]).
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it is longer than {most} bytes: is it the right file?");
        return Err(refused(io::ErrorKind::FileTooLarge, why));
    }
    let not_text = |_| io::Error::from(io::ErrorKind::InvalidData);
    String::from_utf8(bytes).map_err(not_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_within_the_bound_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (file, pipe) = (dir.path().join("file"), dir.path().join("pipe"));
        std::fs::write(&file, "key").unwrap();
        assert_eq!(read_text(&file, 3).unwrap(), "key");
        let said = |path: &Path, most| read_text(path, most).unwrap_err().to_string();
        assert!(said(&file, 2).contains("longer than 2 bytes"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), dir.path()] {
            assert!(said(path, 9).contains("not a regular file"), "{path:?}");
        }
    }
}
