//! Devices and named pipes. Every wait is bounded.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::{READER_TIMEOUT, refused};

/// Pause between two checks for a reader: the kernel does not announce one.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Opens a special file for appending. Waits for the reader of a named pipe for `timeout` at most.
/// Its writes do not block; [`write`] waits for them, [`blocking`] makes them block.
pub(super) fn open(path: &Path, timeout: Duration) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let deadline = Instant::now() + timeout;
    loop {
        let opened = File::options()
            .append(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        match opened {
            Err(error) if no_reader(&error) && Instant::now() < deadline => {
                std::thread::sleep(POLL_EVERY);
            }
            Err(error) if no_reader(&error) => {
                let why = format!(
                    "nothing reads this named pipe (waited {} s): start its reader first",
                    timeout.as_secs()
                );
                return Err(refused(io::ErrorKind::TimedOut, why));
            }
            opened => return opened,
        }
    }
}

fn no_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
}

/// Makes the file's writes wait for its reader.
pub(super) fn blocking(file: &File) -> io::Result<()> {
    let flags = fcntl_getfl(file)?;
    Ok(fcntl_setfl(file, flags - OFlags::NONBLOCK)?)
}

/// Writes all of `content`. It is an error if the reader reads nothing for `timeout`.
pub(super) fn write(file: &mut File, mut content: &[u8], timeout: Duration) -> io::Result<()> {
    let limit = Timespec::try_from(timeout).map_err(io::Error::other)?;
    while !content.is_empty() {
        match file.write(content) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => content = &content[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(file, PollFlags::OUT)];
                if poll(&mut ready, Some(&limit))? == 0 {
                    let why = format!("its reader took nothing for {} s", timeout.as_secs());
                    return Err(refused(io::ErrorKind::TimedOut, why));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a special file and writes all of `content` to it.
pub(super) fn write_to(path: &Path, content: &[u8]) -> io::Result<()> {
    write(&mut open(path, READER_TIMEOUT)?, content, READER_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }

    #[test]
    fn a_pipe_without_a_reader_is_an_error_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(&pipe(dir.path()), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("start its reader"), "{error}");
    }

    #[test]
    fn a_reader_that_takes_nothing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = pipe(dir.path());
        // The pipe is opened for reading and writing, so that it has a reader.
        let _reader = File::options().read(true).write(true).open(&path).unwrap();
        let mut file = open(&path, Duration::from_secs(10)).unwrap();
        let more_than_a_pipe_holds = vec![b'x'; 2 << 20];
        let error = write(
            &mut file,
            &more_than_a_pipe_holds,
            Duration::from_millis(50),
        );
        assert!(error.unwrap_err().to_string().contains("took nothing"));
    }
}
