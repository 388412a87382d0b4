//! The format of a recording: JSON lines, compressed (zstd). The first line is the head, every other line is an event
//! of a source with its time. `record` writes the file, `replay` plays it. The file is untrusted. Files of earlier
//! versions, plain JSON lines, are read too.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::tui::event::Event;
use crate::tui::sources::series::QueryAnswer;

/// The `kind` in the head.
const KIND: &str = "console recording";
/// The only version of the format.
const VERSION: u32 = 1;
/// The largest file, in bytes: enough for hours of a sale.
pub(crate) const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The largest text of a file, in bytes: `replay` holds it in memory.
pub(crate) const MAX_TEXT: u64 = 512 * 1024 * 1024;
/// The most bytes of text that are read: the last line may exceed [`MAX_TEXT`].
const MAX_READ: u64 = MAX_TEXT + 32 * 1024 * 1024;
/// The first bytes of a compressed file.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The latest valid time of a recording, in Unix milliseconds: the year 2200.
const LAST_MS: i64 = 7_258_118_400_000;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    kind: String,
    version: u32,
    /// The address of the recorded server: `127.0.0.1:8081`.
    pub(crate) target: String,
    /// The version of the program that made the recording.
    program: String,
}

impl Head {
    pub(crate) fn new(target: &str) -> Head {
        Head {
            kind: KIND.into(),
            version: VERSION,
            target: target.into(),
            program: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// Any other line. The recorder serializes a borrowed event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry<E = Event> {
    /// The time of the event, in Unix milliseconds.
    pub(crate) t: i64,
    #[serde(rename = "said")]
    pub(crate) event: E,
}

/// A recording, read and checked.
#[derive(Clone, Debug)]
pub struct Recording {
    pub(crate) head: Head,
    /// The lines after the head, at least one.
    pub(crate) entries: Vec<Entry>,
}

impl Recording {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file, the line and the mistake.
    pub fn read(path: &Path) -> Result<Recording, String> {
        let shown = path.display();
        let cannot = |error: std::io::Error| format!("{shown} cannot be read: {error}");
        let file = std::fs::File::open(path).map_err(cannot)?;
        let bytes = text(file, MAX_READ).map_err(cannot)?;
        let bytes = bytes.ok_or_else(|| format!("{shown} is larger than any recording"))?;
        Recording::parse(&bytes).map_err(|(line, why)| format!("{shown}, line {line}: {why}"))
    }

    /// Reads and checks the bytes of a file. An error is the number of the line, from 1, and the mistake.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Recording, (usize, String)> {
        // A truncated recording ends within a line, which is left out.
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        let whole = end.map_or(bytes, |newline| &bytes[..=newline]);
        let mut lines = whole.split_inclusive(|byte| *byte == b'\n').zip(1..);
        let (first, _) = lines.next().ok_or((1, "the file is empty".to_owned()))?;
        let head = head(first).map_err(|why| (1, why))?;
        let mut entries: Vec<Entry> = Vec::new();
        for (line, number) in lines {
            let entry = entry(line).map_err(|why| (number, why))?;
            // If the recorded clock was set back, the replay stays at the latest time until the recording catches up.
            let t = entries.last().map_or(entry.t, |last| last.t.max(entry.t));
            entries.push(Entry { t, ..entry });
        }
        if entries.is_empty() {
            return Err((2, "nothing was recorded".into()));
        }
        Ok(Recording { head, entries })
    }

    /// The beginning and the end, in Unix milliseconds.
    pub(crate) fn span(&self) -> (i64, i64) {
        let at = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.t);
        (at(self.entries.first()), at(self.entries.last()))
    }
}

/// The text of a recording; `None` if it is longer than `most`. A truncated file gives the text up to its end.
fn text(file: std::fs::File, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = BufReader::new(file);
    let compressed = file.fill_buf()?.starts_with(&ZSTD_MAGIC);
    let mut bytes = Vec::new();
    let read = match compressed {
        true => zstd::Decoder::with_buffer(file)?
            .take(most + 1)
            .read_to_end(&mut bytes),
        false => file.take(most + 1).read_to_end(&mut bytes),
    };
    match read {
        Err(error) if compressed && error.kind() == ErrorKind::UnexpectedEof => {}
        read => drop(read?),
    }
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

fn head(line: &[u8]) -> Result<Head, String> {
    #[derive(Deserialize)]
    struct Versioned {
        kind: String,
        version: u32,
    }
    let no = || "this is not a recording of the console (--record FILE makes one)".to_owned();
    let head: Versioned = serde_json::from_slice(line).map_err(|_| no())?;
    if head.kind != KIND {
        return Err(no());
    }
    if head.version != VERSION {
        return Err(format!(
            "a recording of version {}; this program reads version {VERSION}",
            head.version
        ));
    }
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

fn entry(line: &[u8]) -> Result<Entry, String> {
    let reason = |error: serde_json::Error| {
        // serde_json counts lines within this line.
        let text = error.to_string();
        text.split(" at line").next().unwrap_or_default().to_owned()
    };
    let entry: Entry = serde_json::from_slice(line).map_err(reason)?;
    let sane = |at: i64| (0..LAST_MS).contains(&at);
    let are_sane = |answers: &BTreeMap<_, QueryAnswer>| {
        let series = answers.values().flatten().flatten();
        series.flat_map(|one| &one.points).all(|(at, _)| sane(*at))
    };
    let times = match &entry.event {
        Event::Metrics { at, now, past } => {
            sane(*at) && are_sane(now) && past.as_ref().is_none_or(are_sane)
        }
        Event::Down { retry_ms, .. } => sane(*retry_ms),
        Event::Clock { ahead_s, .. } => sane(ahead_s.saturating_abs()),
        _ => true,
    };
    match sane(entry.t) && times {
        true => Ok(entry),
        false => Err("a time is out of range".into()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
