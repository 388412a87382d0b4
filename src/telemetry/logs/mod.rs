//! Logs: one JSON object a line, in the field order of `docs/telemetry.md`, written by a thread of
//! their own and handed to subscribers.
//!
//! Logging never blocks: between the callers and the writer is a bounded queue, and what does not fit
//! is dropped and counted ([`Logs::dropped`]).

mod access;
mod batch;
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
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use super::subscription::Subscription;
use super::trace::{Step, TraceConfig, Traces};
use crate::files;
pub use access::AccessRecord;
pub use batch::LogRecord;
use layer::JsonLayer;
pub(super) use output::{Output, with_output};
use queue::Queue;
pub use sampling::AccessSampling;
use sampling::Sampler;
use writer::{Shared, Writer};

/// Keeps libraries' debug and info records out. The operator's filter takes precedence.
const QUIET: &str = "hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,tower=warn,sqlx=warn,\
                     opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,\
                     opentelemetry-http=off,opentelemetry-prometheus=warn,tonic=warn,\
                     mio=warn,rustls=warn";

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file, which is created if need be, rotated, and reopened on request.
    File(PathBuf),
    /// Nowhere; subscribers still get every record.
    None,
}

/// What keeps a log from filling a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// How large a log file becomes, and how many older ones are kept.
    pub file: files::Limits,
    /// Which access records are kept.
    pub access: AccessSampling,
}

impl LogLimits {
    /// Bytes of one log file, unless something else is asked for.
    pub const DEFAULT_MAX_BYTES: u64 = 100_000_000;
    /// Older log files that are kept, unless something else is asked for.
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

/// How to log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `service_name` of every record that is not the load generator's.
    pub service_name: &'static str,
    /// Where lines go.
    pub output: LogOutput,
    /// What is recorded, in the syntax of `tracing_subscriber::EnvFilter`: `info`,
    /// `info,concertctl::store=debug`.
    pub filter: String,
    /// How many records (and kibibytes) may wait for the writer before more are dropped.
    pub queue: usize,
    /// Bounds of what is written.
    pub limits: LogLimits,
    /// Which traces are kept.
    pub traces: TraceConfig,
}

/// A subscriber's end of the records.
pub type LogSubscription = Subscription<LogRecord>;

/// A handle on the process's logging. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Logs {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    traces: Traces,
}

static INSTALLED: OnceLock<Logs> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());

/// Makes `config` the process's logging. Only the first call has an effect; later ones return what
/// the first installed.
///
/// # Errors
/// A filter that cannot be parsed, a log file that cannot be opened, or another subscriber that is
/// installed already.
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

/// Logging that is not (yet) the process's: for tests, with `tracing::subscriber::with_default`.
///
/// # Errors
/// As [`init`].
pub fn build(config: LogConfig) -> anyhow::Result<(impl Subscriber + Send + Sync, Logs)> {
    let filter = filter(&config.filter)?;
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

fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    let text = text.trim();
    let wanted = if text.is_empty() { "info" } else { text };
    // Parsed alone first, so that a mistake is reported in the operator's own words.
    wanted.parse::<EnvFilter>().with_context(|| {
        format!("log filter \"{wanted}\" is not valid; try \"info\" or \"debug\"")
    })?;
    format!("{QUIET},{wanted}")
        .parse()
        .context("cannot combine the log filter with its defaults")
}

impl Logs {
    /// Records lost so far: the queue was full or the output failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Subscribes to every record from now on. At most `capacity` records wait; a subscriber that does not
    /// keep up misses records ([`LogSubscription::missed`]), the others do not.
    #[must_use]
    pub fn subscribe(&self, capacity: usize) -> LogSubscription {
        self.shared.subscribe(capacity)
    }

    /// Names this process's instance (its listen address, say) in records and traces from now on.
    pub fn set_instance(&self, instance: &str) {
        self.shared.set_instance(instance);
        self.traces.set_instance(instance);
    }

    /// The traces of the requests that are logged here.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Opens the log file anew, soon: after something else renamed or removed it.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Waits, blocking the thread, until every record made before the call is written. False if that
    /// took longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.queue.flush(timeout)
    }

    /// Writes what is there and ends the writer thread; later records are dropped and counted. For
    /// logging that was only [`build`]t.
    pub fn close(&self, timeout: Duration) -> bool {
        let written = self.flush(timeout);
        self.queue.close();
        written
    }
}

/// Reports a statement that took `threshold` or longer, by its name and never its values. `step` is
/// what it was in its request's trace.
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
