//! The limits of the store, its reasons to refuse samples, and its figures.

use std::time::Duration;

/// The bounds of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TsdbConfig {
    /// The largest number of bytes of samples and label sets together.
    pub max_bytes: usize,
    /// Samples that are older than the newest sample by more than this are dropped.
    pub retention: Duration,
    /// The largest number of series. Further series are refused.
    pub max_series: usize,
}

impl Default for TsdbConfig {
    /// 64 MiB, three hours, 50,000 series. Three hours of 2,000 series that are scraped every second fit.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            retention: Duration::from_secs(3 * 3600),
            max_series: 50_000,
        }
    }
}

/// The figures of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TsdbStats {
    /// Current number of series.
    pub series: usize,
    /// Current number of finished and growing chunks.
    pub chunks: usize,
    /// Bytes of chunks and label sets. The part of the label sets is an upper estimate.
    pub bytes: usize,
    /// Samples stored since the start.
    pub samples_appended: u64,
    /// Samples refused because they were not newer than the last one of their series.
    pub samples_out_of_order: u64,
    /// Samples refused because the store has no room for another series.
    pub samples_over_series_limit: u64,
    /// Samples dropped because of their age or because of the memory limit.
    pub samples_evicted: u64,
    /// Time stamp of the oldest stored sample, in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// Time stamp of the newest stored sample, in milliseconds since 1970.
    pub newest_ms: Option<i64>,
}

/// The reason why a sample was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The sample is older than the last sample of its series.
    #[error("out of order sample")]
    OutOfOrder,
    /// The time stamp already has another value.
    #[error("duplicate sample for timestamp")]
    DuplicateTimestamp,
    /// The sample is older than the retention, or its time stamp is invalid.
    #[error("out of bounds")]
    OutOfBounds,
    /// The store already holds the largest number of series.
    #[error("series limit reached")]
    TooManySeries,
}
