//! The audit log: the user, the action, the time, the target and the outcome, as one JSON object per line. Only its
//! owner can read the file. Its size is bounded: a full file is renamed to `.1`, which replaces an earlier `.1`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::files::{self, Limits, RotatingFile};
use crate::tui::format::one_line;

/// The file's name in the data directory.
pub const FILE_NAME: &str = "console-audit.log";
/// The largest size of the file, in bytes.
const FULL: u64 = 8 * 1024 * 1024;
/// The number of entries that the console keeps in memory.
pub(crate) const KEPT: usize = 200;
/// The number of bytes that are read from the end of an earlier session's file.
const TAIL: u64 = 64 * 1024;
/// Longest text of an entry, in characters.
const MAX_TEXT: usize = 500;

/// The outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuditOutcome {
    Done,
    Failed,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditEntry {
    /// The end of the action, in Unix milliseconds; RFC 3339 in the file.
    #[serde(rename = "time", with = "time")]
    pub(crate) at: i64,
    pub(crate) who: String,
    pub(crate) action: String,
    /// The `host:port` that the action changed. For a drill, which starts its own server, it is `a server of its own`.
    pub(crate) target: String,
    pub(crate) outcome: AuditOutcome,
    /// Further details, such as the reason of a failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

impl AuditEntry {
    /// An action of `who` that ended at `at`: with a detail, or with the reason of its failure.
    pub(crate) fn new(
        at: i64,
        who: &str,
        action: &str,
        target: &str,
        result: Result<&str, &str>,
    ) -> AuditEntry {
        let short = |text: &str| one_line(text).chars().take(MAX_TEXT).collect();
        let (outcome, detail) = match result {
            Ok(word) => (AuditOutcome::Done, word),
            Err(reason) => (AuditOutcome::Failed, reason),
        };
        AuditEntry {
            at,
            who: short(who),
            action: short(action),
            target: short(target),
            outcome,
            detail: short(detail),
        }
    }
}

/// The file for the entries.
#[derive(Debug)]
pub(crate) struct AuditFile {
    /// `None`: no file is written.
    path: Option<PathBuf>,
    pub(crate) who: String,
    full: u64,
    /// One writer at a time, so that a rotation never splits a line.
    writing: Mutex<()>,
}

impl AuditFile {
    pub(crate) fn new(path: Option<PathBuf>, who: String) -> AuditFile {
        AuditFile {
            path,
            who,
            full: FULL,
            writing: Mutex::new(()),
        }
    }

    /// Appends `entry` as one line, written at once.
    ///
    /// # Errors
    /// The path, and why it cannot be written, as text for the status line.
    pub(crate) fn append(&self, entry: &AuditEntry) -> Result<(), String> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let _one = self.writing.lock();
        let written = serde_json::to_string(entry)
            .map_err(std::io::Error::from)
            .and_then(|line| self.write(path, &format!("{line}\n")));
        written.map_err(|error| {
            let path = path.display();
            format!("the audit log {path} cannot be written: {error}; actions go on unrecorded")
        })
    }

    /// Opens the file for each line: another console may have renamed it meanwhile.
    fn write(&self, path: &Path, line: &str) -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            files::create_private_dir(dir)?;
        }
        let limits = Limits {
            max_bytes: self.full,
            keep: 1,
        };
        let mut file = RotatingFile::open(path, limits)?;
        let written = file.write_lines(line.as_bytes());
        written.map_err(|(error, _)| error)
    }

    /// The last entries of the file, oldest first; none if it cannot be read.
    pub(crate) fn last(&self) -> Vec<AuditEntry> {
        let text = self.path.as_deref().and_then(|path| tail(path).ok());
        let text = text.unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut entries: Vec<AuditEntry> = lines.collect();
        entries.drain(..entries.len().saturating_sub(KEPT));
        entries
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Unix milliseconds as RFC 3339.
mod time {
    use jiff::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &i64, out: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::from_millisecond(*at).unwrap_or_default();
        out.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
        let text = String::deserialize(input)?;
        let time: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(time.as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn older(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".1");
        PathBuf::from(name)
    }

    const NOON: i64 = 1_780_315_200_000;

    fn entry(action: &str) -> AuditEntry {
        AuditEntry::new(NOON, "mona", action, "127.0.0.1:8081", Ok(""))
    }

    #[test]
    fn an_action_is_one_json_line_in_a_file_that_only_its_owner_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/console-audit.log");
        let file = AuditFile::new(Some(path.clone()), "mona".into());
        file.append(&entry("admission\npaused")).unwrap();
        let failed = AuditEntry::new(NOON, "mona", "seeding demo", "h:1", Err("refused (409)"));
        file.append(&failed).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"time":"2026-06-01T12:00:00.000Z","who":"mona","action":"admission paused","target":"127.0.0.1:8081","outcome":"done"}"#
        );
        assert!(lines[1].ends_with(r#""outcome":"failed","detail":"refused (409)"}"#));
        assert_eq!(lines.len(), 2);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(file.last(), [entry("admission paused"), failed]);
    }

    #[test]
    fn a_full_file_is_kept_once_and_a_new_one_begun() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut file = AuditFile::new(Some(path.clone()), "mona".into());
        file.full = 400;
        for n in 0..9 {
            file.append(&entry(&format!("action {n}"))).unwrap();
        }
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        assert!(size(&path) <= 400 && size(&older(&path)) <= 400);
        let last = file.last();
        assert_eq!(last.last().map(|one| one.action.as_str()), Some("action 8"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn lines_that_are_not_entries_are_skipped_and_only_the_last_entries_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let file = AuditFile::new(Some(path.clone()), "mona".into());
        fs::write(&path, b"torn\xff\n{}\n").unwrap();
        for n in 0..KEPT + 5 {
            file.append(&entry(&format!("action {n}"))).unwrap();
        }
        let last = file.last();
        assert_eq!(last.len(), KEPT);
        assert_eq!(last[0].action, "action 5");
    }

    #[test]
    fn a_file_that_cannot_be_written_says_where_and_why() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("a-file");
        fs::write(&taken, "").unwrap();
        let file = AuditFile::new(Some(taken.join("audit.log")), "mona".into());
        let error = file.append(&entry("x")).unwrap_err();
        assert!(
            error.contains("a-file/audit.log cannot be written"),
            "{error}"
        );
        assert!(file.last().is_empty());
        assert_eq!(
            AuditFile::new(None, String::new()).append(&entry("x")),
            Ok(())
        );
    }

    #[test]
    fn a_file_at_the_size_limit_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        File::create(&path).unwrap().set_len(FULL).unwrap();
        let file = AuditFile::new(Some(path.clone()), "mona".into());
        file.append(&entry("the first of a new file")).unwrap();
        assert_eq!(fs::metadata(older(&path)).unwrap().len(), FULL);
        assert_eq!(file.last(), [entry("the first of a new file")]);
    }

    #[test]
    fn a_line_longer_than_the_limit_does_not_rename_an_empty_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        File::create(&path).unwrap();
        let mut file = AuditFile::new(Some(path.clone()), "mona".into());
        file.full = 1;
        file.append(&entry("long")).unwrap();
        assert!(!older(&path).exists());
    }

    #[test]
    fn the_end_of_a_long_file_is_read_and_the_beginning_of_a_long_text_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let file = AuditFile::new(Some(path.clone()), "mona".into());
        file.append(&entry("long ago")).unwrap();
        let mut long = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let nothing = "{}\n".repeat(TAIL as usize / 3);
        long.write_all(nothing.as_bytes()).unwrap();
        file.append(&entry(&"long ".repeat(1_000))).unwrap();
        let last = file.last();
        assert_eq!(last.len(), 1, "{last:?}");
        assert_eq!(last[0].action.chars().count(), MAX_TEXT);
    }
}
