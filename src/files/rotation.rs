//! A file of lines that is rotated when it reaches a bound.
//!
//! `log` is the newest file, `log.1` the previous one, and so on. Together they have at most `(keep + 1) × max_bytes`
//! bytes. A device, a named pipe and a descriptor are written to and not rotated.

use std::fs::{self, File};
use std::io::{self, Write as _};
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
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), self.mend(lines, written))),
                Ok(more) => {
                    written += more;
                    self.size += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((error, self.mend(lines, written))),
            }
        }
        Ok(())
    }

    /// Cuts off a partial line at the end, so that the next line starts correctly.
    fn mend(&mut self, lines: &[u8], written: usize) -> usize {
        let last = lines[..written].iter().rposition(|byte| *byte == b'\n');
        let whole = last.map_or(0, |newline| newline + 1);
        let part = (written - whole) as u64;
        // A part that cannot be cut off stays as one torn line.
        if part > 0 && self.path.is_some() && self.file.set_len(self.size - part).is_ok() {
            self.size -= part;
        }
        whole
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
        return fs::remove_file(path);
    }
    let free = (1..keep).find(|number| !numbered(path, *number).exists());
    for number in (1..free.unwrap_or(keep)).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    fs::rename(path, numbered(path, 1))
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
        other.size = 27;
        one.write_lines(lines(3, 4).as_bytes()).unwrap();
        other.write_lines(lines(4, 5).as_bytes()).unwrap();
        assert_eq!(all(&path, 3), lines(0, 5).lines().collect::<Vec<_>>());
        assert!(!numbered(&path, 2).exists());
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
