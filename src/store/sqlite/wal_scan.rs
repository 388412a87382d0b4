//! Finds the commits in a write-ahead log. It reads the log like SQLite's recovery does and changes nothing. Format:
//! <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The part of a log that recovery would use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// The number of complete commits.
    pub(super) commits: u64,
    /// The size of the database in pages after the last commit.
    pub(super) pages: u32,
    /// The pages that these commits wrote.
    pub(super) written: HashSet<u32>,
}

/// The path of the log of the database in `file`.
pub(super) fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Reads the log of the database in `file`; `None` when there is none or it is empty.
pub(super) fn scan(file: &Path) -> io::Result<Option<Log>> {
    let opened = match File::open(log_of(file)) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if opened.metadata()?.len() == 0 {
        return Ok(None);
    }
    read(BufReader::with_capacity(1 << 20, opened)).map(Some)
}

fn read(mut from: impl Read) -> io::Result<Log> {
    let mut log = Log::default();
    let mut header = [0; 32];
    if !fill(&mut from, &mut header)? {
        return Ok(log);
    }
    let page_size = word(&header, 8);
    let big_endian = match word(&header, 0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return Ok(log),
    };
    if !page_size.is_power_of_two() || !(512..=65_536).contains(&page_size) {
        return Ok(log);
    }
    let mut sum = Checksum {
        big_endian,
        sum: (0, 0),
    };
    sum.add(&header[..24]);
    if sum.sum != (word(&header, 24), word(&header, 28)) {
        return Ok(log);
    }
    let mut frame = vec![0; 24 + page_size as usize];
    // Pages that were written after the last commit. They count only if another commit follows.
    let mut pending = Vec::new();
    // A frame with another salt is left over from an earlier log.
    while fill(&mut from, &mut frame)? && frame[8..16] == header[16..24] {
        sum.add(&frame[..8]);
        sum.add(&frame[24..]);
        if sum.sum != (word(&frame, 16), word(&frame, 20)) {
            break;
        }
        pending.push(word(&frame, 0));
        // Only the last frame of a commit has the size of the database; all others have 0.
        let pages = word(&frame, 4);
        if pages > 0 {
            log.commits += 1;
            log.pages = pages;
            log.written.extend(pending.drain(..));
        }
    }
    Ok(log)
}

/// Fills the buffer. Returns `false` at the end of the input, also when the buffer is only partly filled.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The checksum that runs on over the header and all frames.
struct Checksum {
    big_endian: bool,
    sum: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = self.sum;
        for pair in bytes.chunks_exact(8) {
            let value = |at: usize| {
                let word = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                match self.big_endian {
                    true => u32::from_be_bytes(word),
                    false => u32::from_le_bytes(word),
                }
            };
            first = first.wrapping_add(value(0)).wrapping_add(second);
            second = second.wrapping_add(value(4)).wrapping_add(first);
        }
        self.sum = (first, second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a database with three commits in its log.
    fn written() -> (tempfile::TempDir, PathBuf, rusqlite::Connection) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.db");
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; CREATE TABLE t (x);
                 INSERT INTO t VALUES (zeroblob(9000)); INSERT INTO t VALUES (2);",
            )
            .unwrap();
        (dir, file, connection)
    }

    #[test]
    fn finds_the_commits_that_are_whole() {
        let (_dir, file, connection) = written();
        let log = scan(&file).unwrap().unwrap();
        let pages: u32 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        assert_eq!((log.commits, log.pages), (3, pages));
        assert!(log.written.contains(&1) && log.written.contains(&pages));

        let whole = std::fs::read(log_of(&file)).unwrap();
        let cut = read(&whole[..whole.len() - 1]).unwrap();
        assert_eq!(cut.commits, 2, "the last frame is not whole");
        let mut flipped = whole.clone();
        let at = flipped.len() - 100;
        flipped[at] ^= 1;
        assert_eq!(read(&flipped[..]).unwrap().commits, 2);
        flipped[33] ^= 1;
        assert_eq!(read(&flipped[..]).unwrap().commits, 0, "the first frame");
        assert_eq!(read(&vec![0; whole.len()][..]).unwrap(), Log::default());
        assert_eq!(read(&whole[..20]).unwrap(), Log::default());
    }
}
