//! The output of all log records. The thread that logs writes the line and queues it.
//!
//! The fields are borrowed, so the writer's thread could write them only from copies. For an access record, a copy
//! costs the caller more than the line.

use std::cell::Cell;
use std::sync::Arc;

use tracing::Level;

use super::json;
use super::layer::JsonLayer;
use super::queue::Queue;
use super::sampling::Sampler;
use crate::telemetry::{TraceContext, Traces};

/// The largest buffer that is kept after a long line, in bytes.
const KEEP_SCRATCH_BYTES: usize = 4 * 1024;

/// The parts of the logging that the threads that log use.
pub(in crate::telemetry) struct Output {
    pub(in crate::telemetry) service_name: &'static str,
    pub(in crate::telemetry) traces: Traces,
    pub(super) queue: Arc<Queue>,
    pub(super) sampler: Sampler,
}

/// Calls `look` with the current output. `None` where there is none.
pub(in crate::telemetry) fn with_output<T>(look: impl FnOnce(&Output) -> T) -> Option<T> {
    // `look` is called once, but the compiler cannot know this.
    let mut look = Some(look);
    tracing::dispatcher::get_default(|dispatch| {
        let JsonLayer(output) = dispatch.downcast_ref()?;
        look.take().map(|look| look(output))
    })
}

impl Output {
    /// Queues the line that `write` appends, including its newline. `write` gets the time of the line in microseconds
    /// since the epoch.
    pub(super) fn line(
        &self,
        level: Level,
        service: &'static str,
        write: impl FnOnce(&mut Vec<u8>, i64),
    ) {
        thread_local! {
            static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // The buffer is taken and not borrowed, because a `Debug` that logs itself must find one.
        let mut line = SCRATCH.try_with(Cell::take).unwrap_or_default();
        line.clear();
        let timestamp_us = json::now_us();
        write(&mut line, timestamp_us);
        self.queue.push(timestamp_us, level, service, &line);
        if line.capacity() <= KEEP_SCRATCH_BYTES {
            let _thread_is_ending = SCRATCH.try_with(|scratch| scratch.set(line));
        }
    }
}

/// Writes the line up to its message. The field order is part of the format.
pub(super) fn push_head(
    line: &mut Vec<u8>,
    timestamp_us: i64,
    level: Level,
    context: Option<TraceContext>,
    service: &str,
) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    json::push_timestamp(line, timestamp_us);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(level.as_str().as_bytes());
    line.extend_from_slice(b"\",\"trace_id\":");
    json::push_id(line, context.map(|it| it.trace_id), 32);
    line.extend_from_slice(b",\"span_id\":");
    json::push_id(line, context.map(|it| it.span_id.into()), 16);
    line.extend_from_slice(b",\"parent_span_id\":");
    let parent = context.and_then(|it| it.parent_span_id);
    json::push_id(line, parent.map(u128::from), 16);
    line.extend_from_slice(b",\"service_name\":");
    json::push_str(line, service);
    line.extend_from_slice(b",\"message\":");
}
