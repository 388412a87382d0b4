//! A file of lines that is rotated when it reaches a bound.
//!
//! `log` is the newest file, `log.1` the previous one, and so on. Together they have at most `(keep + 1) × max_bytes`
//! bytes. A device, a named pipe and a descriptor are written to and not rotated.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Permission, access};

use super::append::{append_regular, open_special};
use super::target::{Target, parent};
use super::{Access, refused};

/// The limits of a rotating file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest size of one file in bytes. 0 means no limit, because another program rotates it.
    pub max_bytes: u64,
    /// The number of older files to keep.
    pub keep: u32,
}

/// A file that is appended to by whole lines.
#[derive(Debug)]
pub struct RotatingFile {
    given: PathBuf,
    /// The path after its links are followed. `None` if it is not a regular file.
    path: Option<PathBuf>,
    file: File,
    /// The length of a regular file before the next write. Other processes may write the same file.
    size: u64,
    limits: Limits,
}

impl RotatingFile {
    /// Opens `path` for appending. A new file is only for its owner, an existing one keeps its mode.
    ///
    /// # Errors
    /// The file cannot be written, or its directory cannot, which prevents rotation.
    pub fn open(path: &Path, limits: Limits) -> io::Result<RotatingFile> {
        let (file, regular) = match Target::of(path)? {
            Target::Special(path) | Target::Descriptor(path) => (open_special(&path)?, None),
            Target::Regular(path, _) | Target::Missing(path) => {
                (append_regular(&path, Access::Owner)?, Some(path))
            }
        };
        let rotated = regular.as_deref().filter(|_| limits.max_bytes > 0);
        if let Some(path) = rotated {
            access(parent(path), Permission::WRITE_OK).map_err(|error| {
                let dir = parent(path).display();
                let why = format!(
                    "the directory {dir} cannot be written ({error}), so the file cannot be rotated"
                );
                refused(io::Error::from(error).kind(), why)
            })?;
        }
        Ok(RotatingFile {
            given: path.to_owned(),
            size: file.metadata()?.len(),
            path: regular,
            file,
            limits,
        })
    }

    /// Reopens the path, after another program has renamed or removed the file. If this fails, the open file stays in
    /// use.
    ///
    /// # Errors
    /// See [`RotatingFile::open`].
    pub fn reopen(&mut self) -> io::Result<()> {
        *self = RotatingFile::open(&self.given, self.limits)?;
        Ok(())
    }

    /// Appends whole lines, and rotates between two lines when the bound is reached. After an error, a regular file
    /// has no part of a line.
    ///
    /// # Errors
    /// The error, and the number of bytes at the end of `lines` that were lost.
    pub fn write_lines(&mut self, lines: &[u8]) -> Result<(), (io::Error, usize)> {
        let mut rest = lines;
        while !rest.is_empty() {
            let lost = |error| (error, rest.len());
            if self.path.is_some() {
                self.size = self.file.metadata().map_err(lost)?.len();
            }
            let fits = self.fitting(rest);
            if fits == 0 {
                self.rotate().map_err(lost)?;
                continue;
            }
            let whole = self.append(&rest[..fits]);
            rest = &rest[whole.as_ref().map_or_else(|(_, done)| *done, |()| fits)..];
            whole.map_err(|(error, _)| (error, rest.len()))?;
        }
        Ok(())
    }

    /// The number of bytes of whole lines that fit. A line longer than the bound gets its own file.
    fn fitting(&self, lines: &[u8]) -> usize {
        if self.path.is_none() || self.limits.max_bytes == 0 {
            return lines.len();
        }
        let room = self.limits.max_bytes.saturating_sub(self.size);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return lines.len();
        }
        let end = |newline: usize| newline + 1;
        match lines[..room].iter().rposition(|byte| *byte == b'\n') {
            Some(last) => end(last),
            None if self.size > 0 => 0,
            None => {
                let first = lines.iter().position(|byte| *byte == b'\n');
                first.map_or(lines.len(), end)
            }
        }
    }

    /// Appends `lines`. An error has the number of bytes of whole lines that were still written.
    fn append(&mut self, lines: &[u8]) -> Result<(), (io::Error, usize)> {
        let (mut written, mut last) = (0, 0);
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => {
                    let whole = self.mend(&lines[..written], last);
                    return Err((io::ErrorKind::WriteZero.into(), whole));
                }
                Ok(more) => {
                    written += more;
                    last = more;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((error, self.mend(&lines[..written], last))),
            }
        }
        Ok(())
    }

    /// Cuts off a partial line at the end of the file, so that the next line starts correctly. `written` is what was
    /// written, of which `last` bytes by the last write. Returns the number of bytes of whole lines.
    fn mend(&mut self, written: &[u8], last: usize) -> usize {
        let newline = written.iter().rposition(|byte| *byte == b'\n');
        let whole = newline.map_or(0, |newline| newline + 1);
        let part = written.len() - whole;
        // A part that cannot be cut off stays as one torn line.
        if (1..=last).contains(&part) {
            let _ = self.cut(part as u64);
        }
        whole
    }

    /// Cuts off the last bytes of the last write, unless another process has written after it.
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        if self.path.is_none() {
            return Ok(());
        }
        let end = self.file.stream_position()?;
        match self.file.metadata()?.len() == end {
            true => self.file.set_len(end - bytes),
            false => Ok(()),
        }
    }

    /// Renames the file and begins a new one with the same mode, so that users who may read the log can continue. If
    /// several processes write the same file, one of them rotates it and the others follow.
    fn rotate(&mut self) -> io::Result<()> {
        let mut mode = None;
        if let Some(path) = &self.path {
            let holds_lock = self.file.try_lock().is_ok();
            if holds_lock && self.is_at(path)? {
                mode = Some(self.file.metadata()?.permissions());
                set_aside(path, self.limits.keep)?;
            }
        }
        self.reopen()?;
        mode.map_or(Ok(()), |mode| self.file.set_permissions(mode))
    }

    /// Returns whether the open file is still the one at `path`.
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let own = self.file.metadata()?;
        Ok(fs::metadata(path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
    }
}

/// Renames `path` to `path.1`, that to `path.2` and so on. It begins at the first free number, so that an
/// interruption loses only the file beyond the last number.
fn set_aside(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        fs::remove_file(path)?;
        remove_beyond(path, keep);
        return Ok(());
    }
    let free = (1..keep).find(|number| !numbered(path, *number).exists());
    for number in (1..free.unwrap_or(keep)).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    fs::rename(path, numbered(path, 1))?;
    remove_beyond(path, keep);
    Ok(())
}

/// The most files that a rotation removes because fewer are kept than before.
const REMOVED: u32 = 1_000;

/// Removes the files with numbers above `keep`, up to the first number without a file.
fn remove_beyond(path: &Path, keep: u32) {
    let numbers = keep.saturating_add(1)..=keep.saturating_add(REMOVED);
    let mut numbered = numbers.map(|number| numbered(path, number));
    // A file that cannot be removed stays. It does not end the rotation.
    let _last = numbered.find(|file| fs::remove_file(file).is_err());
}

/// `log` and 3 → `log.3`.
#[must_use]
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_bytes: u64, keep: u32) -> Limits {
        Limits { max_bytes, keep }
    }

    /// The lines of all files, oldest first.
    fn all(path: &Path, keep: u32) -> Vec<String> {
        let names = (1..=keep).rev().map(|number| numbered(path, number));
        let texts = names.chain([path.to_owned()]).map(fs::read_to_string);
        let texts: String = texts.map(Result::unwrap_or_default).collect();
        texts.lines().map(ToOwned::to_owned).collect()
    }

    fn lines(from: u32, to: u32) -> String {
        (from..to).map(|n| format!("line {n:03}\n")).collect()
    }

    #[test]
    fn files_stay_below_the_bound_and_hold_the_newest_lines_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = RotatingFile::open(&path, limits(50, 3)).unwrap();
        // A batch larger than a file, and then single lines.
        file.write_lines(lines(0, 20).as_bytes()).unwrap();
        for n in 20..40 {
            file.write_lines(lines(n, n + 1).as_bytes()).unwrap();
        }
        let sizes = fs::read_dir(dir.path()).unwrap();
        let sizes: Vec<u64> = sizes
            .map(|one| one.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 4);
        assert!(
            sizes.iter().all(|size| (1..=50).contains(size)),
            "{sizes:?}"
        );
        let kept = all(&path, 3);
        let expected = lines(40 - u32::try_from(kept.len()).unwrap(), 40);
        assert_eq!(kept, expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn an_interrupted_rotation_loses_nothing_more() {
        // Any of the numbers may be free when the process ended halfway.
        for gap in 1..=3 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let mut file = RotatingFile::open(&path, limits(9, 3)).unwrap();
            file.write_lines(lines(0, 4).as_bytes()).unwrap();
            fs::remove_file(numbered(&path, gap)).unwrap();
            let before = all(&path, 3);
            drop(file);
            let mut file = RotatingFile::open(&path, limits(9, 3)).unwrap();
            file.write_lines(b"line new\n").unwrap();
            let after = all(&path, 3);
            assert_eq!(after[..before.len()], before, "gap {gap}");
            assert_eq!(after.last().unwrap(), "line new");
        }
    }

    #[test]
    fn two_writers_rotate_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let open = || RotatingFile::open(&path, limits(27, 3)).unwrap();
        let (mut one, mut other) = (open(), open());
        one.write_lines(lines(0, 3).as_bytes()).unwrap();
        one.write_lines(lines(3, 4).as_bytes()).unwrap();
        other.write_lines(lines(4, 5).as_bytes()).unwrap();
        assert_eq!(all(&path, 3), lines(0, 5).lines().collect::<Vec<_>>());
        assert!(!numbered(&path, 2).exists());
    }

    #[test]
    fn a_torn_line_is_cut_off_unless_another_process_has_written_after_it() {
        for follows in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let open = || RotatingFile::open(&path, limits(100, 3)).unwrap();
            let (mut one, mut other) = (open(), open());
            other.write_lines(lines(0, 1).as_bytes()).unwrap();
            // The disk is full after a part of the second line.
            let written = b"line 001\nli";
            one.file.write_all(written).unwrap();
            if follows {
                other.write_lines(b"ne 002\n").unwrap();
            }
            assert_eq!(one.mend(written, written.len()), 9);
            let expected = if follows { 3 } else { 2 };
            assert_eq!(
                all(&path, 3),
                lines(0, expected).lines().collect::<Vec<_>>()
            );
            // The part belongs to two writes, between which the other process may have written.
            one.file.write_all(b"xy").unwrap();
            assert_eq!(one.mend(b"xy", 1), 0);
            assert!(fs::read_to_string(&path).unwrap().ends_with("xy"));
        }
    }

    #[test]
    fn the_bound_counts_the_lines_of_other_processes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let open = || RotatingFile::open(&path, limits(27, 3)).unwrap();
        let (mut one, mut other) = (open(), open());
        one.write_lines(lines(0, 2).as_bytes()).unwrap();
        other.write_lines(lines(2, 4).as_bytes()).unwrap();
        assert_eq!(fs::metadata(numbered(&path, 1)).unwrap().len(), 27);
        assert_eq!(all(&path, 3), lines(0, 4).lines().collect::<Vec<_>>());
    }

    #[test]
    fn files_beyond_a_lower_number_to_keep_are_removed() {
        for keep in [0, 2] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let mut file = RotatingFile::open(&path, limits(9, 5)).unwrap();
            file.write_lines(lines(0, 6).as_bytes()).unwrap();
            assert!(numbered(&path, 5).exists());
            let mut file = RotatingFile::open(&path, limits(9, keep)).unwrap();
            file.write_lines(lines(6, 7).as_bytes()).unwrap();
            let files = fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(files, keep as usize + 1);
            assert_eq!(all(&path, 5).last().unwrap(), "line 006");
        }
    }

    #[test]
    fn a_new_file_is_only_for_its_owner_and_an_existing_one_keeps_its_mode_over_rotations() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let mut file = RotatingFile::open(&path, limits(9, 2)).unwrap();
        file.write_lines(lines(0, 2).as_bytes()).unwrap();
        assert_eq!((mode(&path), mode(&numbered(&path, 1))), (0o600, 0o600));
        // The operator lets a group read the log.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut file = RotatingFile::open(&path, limits(9, 2)).unwrap();
        file.write_lines(lines(2, 4).as_bytes()).unwrap();
        assert_eq!((mode(&path), mode(&numbered(&path, 1))), (0o640, 0o640));
    }

    #[test]
    fn a_link_stays_and_its_target_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::os::unix::fs::symlink("target", &link).unwrap();
        let mut file = RotatingFile::open(&link, limits(9, 1)).unwrap();
        file.write_lines(lines(0, 2).as_bytes()).unwrap();
        assert!(link.is_symlink());
        assert_eq!(all(&target, 1), ["line 000", "line 001"]);
    }

    #[test]
    fn without_a_bound_nothing_is_rotated_and_with_none_kept_the_old_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = RotatingFile::open(&path, limits(0, 1)).unwrap();
        file.write_lines(lines(0, 100).as_bytes()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 900);
        let mut file = RotatingFile::open(&path, limits(9, 0)).unwrap();
        file.write_lines(lines(0, 2).as_bytes()).unwrap();
        assert_eq!(all(&path, 1), ["line 001"]);
    }
}
