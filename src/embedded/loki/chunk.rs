//! A run of lines of one stream, in one text with one index.

use std::mem::size_of;

/// Lines of one stream in the order of time, in one piece of memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunk {
    /// Identifies the chunk. It also orders lines with the same timestamp by arrival.
    pub(super) id: u64,
    text: String,
    entries: Vec<Entry>,
    /// Whether the lines are log records, which contain their own metadata.
    records: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    timestamp_ns: i64,
    start: u32,
    len: u32,
    /// The length of the structured metadata, which follows the line.
    metadata_len: u32,
}

/// The metadata of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata<'a> {
    /// The line is a record, and its fields are the metadata.
    OfRecord,
    /// A JSON object. It is empty when there is no metadata.
    Stored(&'a str),
}

impl Chunk {
    pub(super) fn new(id: u64, records: bool) -> Chunk {
        Chunk {
            id,
            records,
            ..Chunk::default()
        }
    }

    /// An empty chunk with enough capacity for the following lines, because growing would copy them.
    pub(super) fn next(&self, id: u64, text_bytes: usize) -> Chunk {
        let lines = self.entries.len();
        Chunk {
            id,
            records: self.records,
            text: String::with_capacity(text_bytes),
            // The lines may be a little shorter than those of this chunk.
            entries: Vec::with_capacity(lines + lines / 16),
        }
    }

    /// Adds a line. A late line is inserted by its time.
    pub(super) fn push(&mut self, timestamp_ns: i64, line: &str, metadata: &str) {
        let entry = Entry {
            timestamp_ns,
            // Chunks are sealed long before their text reaches 4 GiB.
            start: u32::try_from(self.text.len()).unwrap_or(u32::MAX),
            len: u32::try_from(line.len()).unwrap_or(0),
            metadata_len: u32::try_from(metadata.len()).unwrap_or(0),
        };
        self.text.push_str(line);
        self.text.push_str(metadata);
        let in_order = self
            .entries
            .last()
            .is_none_or(|last| last.timestamp_ns <= timestamp_ns);
        if in_order {
            self.entries.push(entry);
        } else {
            let at = self.first_after(timestamp_ns);
            self.entries.insert(at, entry);
        }
    }

    /// Frees unused capacity. A little is kept, because freeing copies the text.
    pub(super) fn seal(&mut self) {
        if self.text.capacity() - self.text.len() > self.text.len() / 8 {
            self.text.shrink_to_fit();
        }
        if self.entries.capacity() - self.entries.len() > self.entries.len() / 8 {
            self.entries.shrink_to_fit();
        }
    }

    pub(super) fn text_len(&self) -> usize {
        self.text.len()
    }

    /// The memory of the chunk, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>() + size_of::<Chunk>()
    }

    pub(super) fn lines(&self) -> usize {
        self.entries.len()
    }

    /// The first and the last timestamp. `None` while the chunk is empty.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        Some((
            self.entries.first()?.timestamp_ns,
            self.entries.last()?.timestamp_ns,
        ))
    }

    /// The index of the first line at `timestamp_ns` or later.
    pub(super) fn first_at(&self, timestamp_ns: i64) -> usize {
        self.entries
            .partition_point(|entry| entry.timestamp_ns < timestamp_ns)
    }

    /// The index of the first line later than `timestamp_ns`.
    pub(super) fn first_after(&self, timestamp_ns: i64) -> usize {
        self.entries
            .partition_point(|entry| entry.timestamp_ns <= timestamp_ns)
    }

    /// The timestamp and the text of the line at `index`.
    pub(super) fn line(&self, index: usize) -> (i64, &str) {
        let entry = self.entries[index];
        let start = entry.start as usize;
        (
            entry.timestamp_ns,
            &self.text[start..start + entry.len as usize],
        )
    }

    /// The number of lines and of their bytes from `start_ns` up to but not including `end_ns`.
    pub(super) fn volume(&self, start_ns: i64, end_ns: i64) -> (u64, u64) {
        let (from, to) = (self.first_at(start_ns), self.first_at(end_ns));
        let entries = self.entries.get(from..to).unwrap_or_default();
        let bytes = entries.iter().map(|entry| u64::from(entry.len)).sum();
        (entries.len() as u64, bytes)
    }

    /// Interprets the metadata that is stored with a line of this chunk.
    pub(super) fn kind_of<'a>(&self, stored: &'a str) -> Metadata<'a> {
        match self.records {
            true => Metadata::OfRecord,
            false => Metadata::Stored(stored),
        }
    }

    /// Metadata of the line at `index`.
    pub(super) fn metadata(&self, index: usize) -> Metadata<'_> {
        if self.records {
            return Metadata::OfRecord;
        }
        let entry = self.entries[index];
        let start = (entry.start + entry.len) as usize;
        Metadata::Stored(&self.text[start..start + entry.metadata_len as usize])
    }
}
