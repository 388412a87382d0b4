//! A batch: lines that are written together, with the properties of each. Subscribers share the text of the batch, and
//! its buffer is reused when the last of them has dropped it.

use std::fmt;
use std::sync::Arc;

use tracing::Level;

/// A buffer larger than this is not reused, in bytes.
const KEEP_BYTES: usize = 1 << 20;

/// The properties of a line that subscribers read without parsing it. `Queue::push` records them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) timestamp_us: i64,
    pub(super) level: Level,
    pub(super) service_name: &'static str,
    /// The end of the line in the batch's bytes, including the newline.
    pub(super) end: usize,
}

/// Lines that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Meta>,
    /// The instance of all lines. `Shared::publish` sets it for each batch, so a reused batch may have an old one until
    /// then.
    pub(super) instance: Option<Arc<str>>,
}

impl Batch {
    /// The records. Each of them keeps the batch alive.
    pub(super) fn records(self: &Arc<Self>) -> impl Iterator<Item = LogRecord> {
        (0..self.records.len()).map(|index| LogRecord {
            batch: Arc::clone(self),
            index,
        })
    }

    /// The line of a record. It is empty if it is not UTF-8, which no layer writes.
    fn line(&self, index: usize) -> &str {
        let start = match index.checked_sub(1) {
            Some(before) => self.records[before].end,
            None => 0,
        };
        let line = self.bytes.get(start..self.records[index].end);
        let line = line.and_then(|bytes| std::str::from_utf8(bytes).ok());
        line.map_or("", |line| line.strip_suffix('\n').unwrap_or(line))
    }
}

/// A record in the form that subscribers get.
#[derive(Clone)]
pub struct LogRecord {
    batch: Arc<Batch>,
    index: usize,
}

impl LogRecord {
    fn meta(&self) -> &Meta {
        &self.batch.records[self.index]
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp_us(&self) -> i64 {
        self.meta().timestamp_us
    }

    /// The level of the record.
    #[must_use]
    pub fn level(&self) -> Level {
        self.meta().level
    }

    /// The service of the record.
    #[must_use]
    pub fn service_name(&self) -> &'static str {
        self.meta().service_name
    }

    /// The instance of the record, after the process has set its name
    /// ([`Logs::set_instance`](super::Logs::set_instance)).
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.batch.instance.as_deref()
    }

    /// The whole JSON line, without a newline.
    #[must_use]
    pub fn line(&self) -> &str {
        self.batch.line(self.index)
    }
}

impl fmt::Debug for LogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line())
    }
}

/// The latest written batches, which subscribers may still read. A batch without readers is reused, because releasing
/// and allocating its buffer costs a page fault per 4 KiB.
#[derive(Debug, Default)]
pub(super) struct BatchPool(Vec<Arc<Batch>>);

impl BatchPool {
    /// The largest number of remembered batches. The records of a slow reader keep older ones alive, but these are not
    /// reused.
    const MOST: usize = 8;

    pub(super) fn remember(&mut self, batch: Arc<Batch>) {
        if self.0.len() >= Self::MOST {
            self.0.remove(0);
        }
        self.0.push(batch);
    }

    /// An empty batch. It reuses the buffer of a batch without readers, if there is one.
    pub(super) fn reuse(&mut self) -> Batch {
        let free = self.0.iter_mut().position(|it| Arc::get_mut(it).is_some());
        let batch = free.and_then(|index| Arc::into_inner(self.0.remove(index)));
        let mut batch = batch.unwrap_or_default();
        if batch.bytes.capacity() > KEEP_BYTES {
            return Batch::default();
        }
        batch.bytes.clear();
        batch.records.clear();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str, ends: &[usize]) -> Arc<Batch> {
        let meta = |end: &usize| Meta {
            timestamp_us: 0,
            level: Level::INFO,
            service_name: "test",
            end: *end,
        };
        Arc::new(Batch {
            bytes: text.into(),
            records: ends.iter().map(meta).collect(),
            instance: None,
        })
    }

    #[test]
    fn each_line_is_what_was_written_without_its_newline() {
        let batch = batch("first\nsécond\n\nlast", &[6, 14, 15, 19]);
        let records: Vec<_> = batch.records().collect();
        let lines: Vec<&str> = records.iter().map(LogRecord::line).collect();
        assert_eq!(lines, ["first", "sécond", "", "last"]);
    }

    #[test]
    fn an_end_that_is_none_gives_an_empty_line_and_no_panic() {
        let batch = batch("é\n", &[1, 9]);
        assert!(batch.records().all(|record| record.line().is_empty()));
    }

    #[test]
    fn a_buffer_is_reused_only_when_it_has_no_reader() {
        let mut pool = BatchPool::default();
        let (read, free) = (batch("read\n", &[5]), batch("free\n", &[5]));
        let buffer = free.bytes.as_ptr();
        let record = read.records().next().unwrap();
        pool.remember(read);
        pool.remember(free);
        let again = pool.reuse();
        assert_eq!((again.bytes.as_ptr(), again.bytes.len()), (buffer, 0));
        assert!(again.records.is_empty());
        assert_eq!(pool.reuse().bytes.capacity(), 0, "a new one");
        assert_eq!(record.line(), "read");
    }

    #[test]
    fn neither_many_batches_nor_a_huge_one_are_held() {
        let mut pool = BatchPool::default();
        (0..100).for_each(|_| pool.remember(batch("a\n", &[2])));
        assert_eq!(pool.0.len(), BatchPool::MOST);
        let mut pool = BatchPool::default();
        pool.remember(batch(&"a".repeat(2 * KEEP_BYTES), &[]));
        assert_eq!(pool.reuse().bytes.capacity(), 0);
    }
}
