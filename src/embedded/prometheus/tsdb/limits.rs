//! The limits of the store, its reasons to refuse a sample, and its figures.

use std::time::Duration;

/// The bounds of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TsdbConfig {
    /// Bytes that samples and label sets may take together.
    pub max_bytes: usize,
    /// Samples older than this, seen from the newest one, are dropped.
    pub retention: Duration,
    /// Series beyond this many are refused.
    pub max_series: usize,
}

impl Default for TsdbConfig {
    /// 64 MiB, three hours, 50,000 series: three hours of 2,000 series scraped each second fit.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            retention: Duration::from_secs(3 * 3600),
            max_series: 50_000,
        }
    }
}

/// What the store holds and what it had to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TsdbStats {
    /// Series at present.
    pub series: usize,
    /// Finished and growing chunks at present.
    pub chunks: usize,
    /// Bytes taken by chunks and label sets (an estimate from above for the latter).
    pub bytes: usize,
    /// Samples taken in since the start.
    pub samples_appended: u64,
    /// Samples refused because they were not newer than the last one of their series.
    pub samples_out_of_order: u64,
    /// Samples refused because the store has no room for another series.
    pub samples_over_series_limit: u64,
    /// Samples dropped at the old end for age or room.
    pub samples_evicted: u64,
    /// Time stamp of the oldest sample held, milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// Time stamp of the newest sample held, milliseconds since 1970.
    pub newest_ms: Option<i64>,
}

/// Why a sample was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Older than the last sample of its series.
    #[error("out of order sample")]
    OutOfOrder,
    /// Another value for a time stamp that has one.
    #[error("duplicate sample for timestamp")]
    DuplicateTimestamp,
    /// Older than the retention, or not a time at all.
    #[error("out of bounds")]
    OutOfBounds,
    /// The store holds as many series as it may.
    #[error("series limit reached")]
    TooManySeries,
}
