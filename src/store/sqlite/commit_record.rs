//! The commit record: a small file beside the dataset (`<epoch>.commit`) with the number of the last acknowledged
//! commit.
//!
//! The writer updates it after each commit and before the replies, without fsync. A write that the system accepted
//! survives the end of the process. After a power cut the file may hold an older number, which is still a lower
//! bound. At the next start, [`super::continuity`] compares it with the database.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The state in which the last process left the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The process served. The write-ahead log may hold commits that the database file lacks.
    Open,
    /// The process copied the log into the database file, which is complete only together with the log.
    Checkpointing,
    /// The process closed the dataset. The database file holds all commits.
    Closed,
}

/// One content of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) state: State,
    /// The last acknowledged commit.
    pub(super) number: u64,
    /// The database file is complete without the log at least up to this commit.
    pub(super) checkpointed: u64,
}

/// Every record has this length, so a write never needs more space on the disk.
const LENGTH: usize = 96;

impl Record {
    fn to_line(self) -> [u8; LENGTH] {
        let state = match self.state {
            State::Open => "open",
            State::Checkpointing => "checkpointing",
            State::Closed => "closed",
        };
        let text = format!(
            "concertctl 1 {state} {} {} ",
            self.number, self.checkpointed
        );
        let text = format!("{text}{:016x}", fingerprint(text.as_bytes()));
        let mut line = [b' '; LENGTH];
        // The longest possible text has 91 bytes.
        line[..text.len()].copy_from_slice(text.as_bytes());
        line[LENGTH - 1] = b'\n';
        line
    }

    fn from_line(line: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(line).ok()?.trim_end();
        let (text, sum) = text.split_at_checked(text.len().checked_sub(16)?)?;
        if u64::from_str_radix(sum, 16).ok()? != fingerprint(text.as_bytes()) {
            return None;
        }
        let mut words = text.strip_prefix("concertctl 1 ")?.split_ascii_whitespace();
        Some(Record {
            state: match words.next()? {
                "open" => State::Open,
                "checkpointing" => State::Checkpointing,
                "closed" => State::Closed,
                _ => return None,
            },
            number: words.next()?.parse().ok()?,
            checkpointed: words.next()?.parse().ok()?,
        })
    }
}

/// FNV-1a. It detects a damaged record.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The path of the record of the dataset in `file`.
pub(super) fn path_of(file: &Path) -> PathBuf {
    file.with_extension("commit")
}

/// Reads the record of the dataset in `file`. `None` when there is none or it cannot be read.
pub(super) fn read(file: &Path) -> io::Result<Option<Record>> {
    let path = path_of(file);
    let mut line = [0; LENGTH];
    match File::open(&path).and_then(|opened| opened.read_exact_at(&mut line, 0)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error),
    }
    let record = Record::from_line(&line);
    if record.is_none() {
        tracing::warn!(file = %path.display(), "the commit record is damaged and is not used");
    }
    Ok(record)
}

/// The open commit record of a dataset that a server uses.
#[derive(Debug)]
pub(super) struct CommitRecord {
    file: File,
    /// The last write failed. The failure is logged once.
    failing: bool,
}

impl CommitRecord {
    /// Opens the record of the dataset in `file`, and creates it if it is missing.
    pub(super) fn open(file: &Path) -> io::Result<CommitRecord> {
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(path_of(file))?;
        Ok(CommitRecord {
            file,
            failing: false,
        })
    }

    /// Replaces the record. The new record survives the end of the process.
    pub(super) fn write(&mut self, record: Record) {
        let written = self.file.write_all_at(&record.to_line(), 0);
        if let Err(error) = &written
            && !self.failing
        {
            tracing::error!(%error, "the commit record cannot be written: a lost log would not be noticed");
        }
        self.failing = written.is_err();
    }

    /// Replaces the record. The new record survives a power cut.
    pub(super) fn write_durably(&mut self, record: Record) -> io::Result<()> {
        self.file.write_all_at(&record.to_line(), 0)?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_written_and_a_damaged_one_is_not_read() {
        for state in [State::Open, State::Checkpointing, State::Closed] {
            let record = Record {
                state,
                number: u64::MAX,
                checkpointed: u64::MAX,
            };
            let line = record.to_line();
            assert_eq!(Record::from_line(&line), Some(record));
            for at in 0..LENGTH - 8 {
                let mut damaged = line;
                damaged[at] ^= 1;
                assert_ne!(
                    Record::from_line(&damaged),
                    Some(Record {
                        number: 1,
                        ..record
                    })
                );
                let same = Record::from_line(&damaged);
                assert!(
                    same.is_none() || same == Some(record),
                    "byte {at}: {same:?}"
                );
            }
        }
        assert_eq!(Record::from_line(&[0; LENGTH]), None);
        assert_eq!(Record::from_line(b""), None);
    }
}
