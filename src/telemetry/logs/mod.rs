//! Logs: one JSON object per line, in the field order of `docs/telemetry.md`. A separate thread writes the lines and
//! sends them to subscribers.
//!
//! Logging never blocks, because a bounded queue is between the callers and the writer. Records that do not fit are
//! dropped and counted ([`Logs::dropped`]).

mod access;
mod batch;
mod filter;
mod json;
mod layer;
mod output;
mod queue;
mod sampling;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tracing::Subscriber;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use super::subscription::Subscription;
use super::trace::{Step, TraceConfig, Traces};
use crate::files;
pub use access::AccessRecord;
pub use batch::LogRecord;
pub use filter::check as check_filter;
use layer::JsonLayer;
pub(super) use output::{Output, with_output};
use queue::Queue;
pub use sampling::AccessSampling;
use sampling::Sampler;
use writer::{Shared, Writer};

/// The destination of log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file. It is created if it is missing, appended to, rotated, and reopened on request.
    File(PathBuf),
    /// No output. Subscribers still get every record.
    None,
}

/// The limits that keep a log from filling a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// The largest size of a log file, and the number of older files that are kept.
    pub file: files::Limits,
    /// The sampling of access records.
    pub access: AccessSampling,
}

impl LogLimits {
    /// The default size of a log file, in bytes.
    pub const DEFAULT_MAX_BYTES: u64 = 100_000_000;
    /// The default number of older log files.
    pub const DEFAULT_KEEP: u32 = 5;
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits {
            file: files::Limits {
                max_bytes: LogLimits::DEFAULT_MAX_BYTES,
                keep: LogLimits::DEFAULT_KEEP,
            },
            access: AccessSampling::default(),
        }
    }
}

/// The settings of logging.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The `service_name` of all records except the load generator's.
    pub service_name: &'static str,
    /// The destination of lines.
    pub output: LogOutput,
    /// The filter in the syntax of `tracing_subscriber::EnvFilter`, as [`check_filter`] accepts it: `info`,
    /// `info,concertctl::store=debug`.
    pub filter: String,
    /// The largest number of records (and of kibibytes) that wait for the writer. Further ones are dropped.
    pub queue: usize,
    /// The limits of the output.
    pub limits: LogLimits,
    /// The rules for keeping traces.
    pub traces: TraceConfig,
}

/// A subscriber's end of the records.
pub type LogSubscription = Subscription<LogRecord>;

/// A handle to the logging of the process. Clones share it.
#[derive(Debug, Clone)]
pub struct Logs {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    traces: Traces,
}

static INSTALLED: OnceLock<Logs> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());

/// Makes `config` the logging of the process. Only the first call has an effect. Later calls return the result of the
/// first.
///
/// # Errors
/// The filter cannot be parsed, the log file cannot be opened, or another subscriber is already installed.
pub fn init(config: LogConfig) -> anyhow::Result<Logs> {
    let _one_at_a_time = INSTALLING.lock();
    if let Some(logs) = INSTALLED.get() {
        return Ok(logs.clone());
    }
    let (subscriber, logs) = build(config)?;
    tracing::subscriber::set_global_default(subscriber)
        .context("another logging subscriber is installed already")?;
    Ok(INSTALLED.get_or_init(|| logs).clone())
}

/// Builds logging without installing it for the process, for tests with `tracing::subscriber::with_default`.
///
/// # Errors
/// See [`init`].
pub fn build(config: LogConfig) -> anyhow::Result<(impl Subscriber + Send + Sync, Logs)> {
    let filter = filter::filter(&config.filter)?;
    let queue = Arc::new(Queue::new(config.queue));
    let shared = Arc::new(Shared::default());
    let (output, limits) = (&config.output, config.limits.file);
    Writer::open(output, limits, Arc::clone(&queue), Arc::clone(&shared))?.spawn()?;
    let traces = Traces::new(config.traces);
    let layer = JsonLayer(Output {
        service_name: config.service_name,
        traces: traces.clone(),
        queue: Arc::clone(&queue),
        sampler: Sampler::new(config.limits.access),
    });
    let subscriber = Registry::default().with(filter).with(layer);
    let logs = Logs {
        queue,
        shared,
        traces,
    };
    Ok((subscriber, logs))
}

impl Logs {
    /// The number of records lost because the queue was full or the output failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Subscribes to all records from now on. At most `capacity` records wait. A slow subscriber misses records
    /// ([`LogSubscription::missed`]), and the others do not.
    #[must_use]
    pub fn subscribe(&self, capacity: usize) -> LogSubscription {
        self.shared.subscribe(capacity)
    }

    /// Sets the instance name (for example the listen address) of later records and traces.
    pub fn set_instance(&self, instance: &str) {
        self.shared.set_instance(instance);
        self.traces.set_instance(instance);
    }

    /// The traces of the requests in this logging.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Reopens the log file soon, after another program has renamed or removed it.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Blocks the thread until all earlier records are written. `false` if this takes longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.queue.flush(timeout)
    }

    /// Writes the waiting records and ends the writer thread. Later records are dropped and counted. Only for logging
    /// from [`build`].
    pub fn close(&self, timeout: Duration) -> bool {
        let written = self.flush(timeout);
        self.queue.close();
        written
    }
}

/// Logs a statement that took at least `threshold`, by its name and never by its values. `step` is its step in the
/// request's trace.
pub fn slow_query(name: &'static str, took: Duration, threshold: Duration, step: &Step) {
    if took < threshold {
        return;
    }
    let duration_ms = took.as_secs_f64() * 1e3;
    match step.ids() {
        Some(ids) => tracing::warn!(
            trace_id = ids.trace_id,
            span_id = ids.span_id,
            parent_span_id = ids.parent_span_id,
            statement = name,
            duration_ms,
            "slow query"
        ),
        None => tracing::warn!(statement = name, duration_ms, "slow query"),
    }
}

#[cfg(test)]
mod tests;
