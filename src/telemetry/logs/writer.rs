//! The writer thread. It writes batches to the output and sends records to the subscribers.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;

use super::batch::{Batch, BatchPool};
use super::queue::{Queue, Task};
use super::{LogOutput, LogRecord, LogSubscription};
use crate::files::{Limits, RotatingFile};
use crate::telemetry::subscription::Subscribers;

/// The rest of the writer after a batch. Lines that arrive meanwhile need no wake-up and are written with one system
/// call.
const LINGER: Duration = Duration::from_millis(10);

/// The state that the handle and the writer thread share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    subscribers: Subscribers<LogRecord>,
    instance: Mutex<Option<Arc<str>>>,
}

impl Shared {
    pub(super) fn subscribe(&self, capacity: usize) -> LogSubscription {
        self.subscribers.subscribe(capacity)
    }

    pub(super) fn set_instance(&self, instance: &str) {
        *self.instance.lock() = Some(Arc::from(instance));
    }

    fn publish(&self, mut batch: Batch) -> Arc<Batch> {
        batch.instance.clone_from(&self.instance.lock());
        let batch = Arc::new(batch);
        if self.subscribers.any() {
            self.subscribers.offer(batch.records());
        }
        batch
    }
}

enum Sink {
    Stdout,
    Stderr,
    File(RotatingFile),
    None,
}

impl Sink {
    /// Writes whole lines. The error has the number of lost lines.
    fn write(&mut self, lines: &[u8]) -> Result<(), (io::Error, u64)> {
        let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let all_lost = |error| (error, count(lines));
        match self {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                let written = out.write_all(lines).and_then(|()| out.flush());
                written.map_err(all_lost)
            }
            Sink::Stderr => io::stderr().lock().write_all(lines).map_err(all_lost),
            Sink::File(file) => file
                .write_lines(lines)
                .map_err(|(error, lost)| (error, count(&lines[lines.len() - lost..]))),
            Sink::None => Ok(()),
        }
    }
}

pub(super) struct Writer {
    sink: Sink,
    /// The name of the output in messages.
    name: String,
    /// Whether the last batch could not be written.
    failing: bool,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn open(
        output: &LogOutput,
        limits: Limits,
        queue: Arc<Queue>,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Writer> {
        let (sink, name) = match output {
            LogOutput::Stdout => (Sink::Stdout, "standard output".to_owned()),
            LogOutput::Stderr => (Sink::Stderr, "standard error".to_owned()),
            LogOutput::None => (Sink::None, String::new()),
            LogOutput::File(path) => {
                let name = format!("the log file {}", path.display());
                let file = RotatingFile::open(path, limits);
                let file = file.with_context(|| format!("cannot open {name} for appending"))?;
                (Sink::File(file), name)
            }
        };
        Ok(Writer {
            sink,
            name,
            failing: false,
            queue,
            shared,
        })
    }

    pub(super) fn spawn(self) -> anyhow::Result<()> {
        thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || self.run())
            .context("cannot start the log writer's thread")?;
        Ok(())
    }

    fn run(mut self) {
        let mut pool = BatchPool::default();
        let mut batch = Batch::default();
        loop {
            match self.queue.take(&mut batch) {
                Task::Write => {}
                Task::Reopen => {
                    self.reopen();
                    continue;
                }
                Task::End => break,
            }
            let records = batch.records.len();
            self.write(&batch.bytes);
            pool.remember(self.shared.publish(batch));
            self.queue.done(records);
            batch = pool.reuse();
            self.queue.linger(LINGER);
        }
        // This ends the subscriptions.
        self.shared.subscribers.close();
    }

    /// A failing output (disk full, reader gone) must not end logging. The next batch may succeed, and subscribers
    /// still get their records.
    fn write(&mut self, lines: &[u8]) {
        let written = self.sink.write(lines);
        if let Err((error, lost)) = &written {
            self.queue.count_dropped(*lost);
            if !self.failing {
                warn(&format!(
                    "{} cannot be written: {error}; records are dropped and counted \
                     (concert_log_dropped_total) until it can",
                    self.name
                ));
            }
        }
        self.failing = written.is_err();
    }

    fn reopen(&mut self) {
        let Sink::File(file) = &mut self.sink else {
            return;
        };
        if let Err(error) = file.reopen() {
            warn(&format!(
                "cannot reopen {}: {error}; the file that was open stays in use",
                self.name
            ));
        }
    }
}

/// Writes a warning to standard error, because the log itself fails.
fn warn(message: &str) {
    // If standard error also fails, only the counter shows it.
    let _ = writeln!(io::stderr(), "concertctl: {message}");
}
