//! The thread that writes: batches to the output, records to the subscribers.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;

use super::batch::{Batch, Lent};
use super::queue::Queue;
use super::{LogOutput, LogRecord, LogSubscription};
use crate::telemetry::subscription::Subscribers;

/// How long the writer rests after a batch. Lines that come meanwhile cost their callers no wake-up
/// and this thread one system call together.
const LINGER: Duration = Duration::from_millis(10);

/// What the handle and the writer thread share.
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
    File(File),
    None,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Sink::Stderr => io::stderr().lock().write_all(bytes),
            Sink::File(file) => file.write_all(bytes),
            Sink::None => Ok(()),
        }
    }
}

pub(super) struct Writer {
    sink: Sink,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn open(
        output: &LogOutput,
        queue: Arc<Queue>,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Writer> {
        let sink = match output {
            LogOutput::Stdout => Sink::Stdout,
            LogOutput::Stderr => Sink::Stderr,
            LogOutput::None => Sink::None,
            LogOutput::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                Sink::File(file.with_context(|| {
                    format!("cannot open the log file {} for appending", path.display())
                })?)
            }
        };
        Ok(Writer {
            sink,
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
        let mut lent = Lent::default();
        let mut batch = Batch::default();
        while self.queue.take(&mut batch) {
            // A failing output (disk full, reader gone) must not end logging: the next batch may
            // succeed, and subscribers still get their records.
            let records = batch.records.len();
            if self.sink.write(&batch.bytes).is_err() {
                self.queue.count_dropped(records as u64);
            }
            lent.remember(self.shared.publish(batch));
            self.queue.done(records);
            batch = lent.reuse();
            self.queue.linger(LINGER);
        }
        // Subscribers learn that nothing more will come.
        self.shared.subscribers.close();
    }
}
