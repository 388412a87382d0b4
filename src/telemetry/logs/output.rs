//! Where everything that is logged goes: the line is written on the thread that logs, and queued.
//!
//! The fields are borrowed, so the writer's thread could write them only after each was copied, and
//! copying an access record costs the caller more than writing it out.

use std::cell::Cell;
use std::sync::Arc;

use tracing::Level;

use super::json;
use super::layer::JsonLayer;
use super::queue::Queue;
use super::sampling::Sampler;
use crate::telemetry::{TraceContext, Traces};

/// A buffer that grew for one long line is not kept for the short ones.
const KEEP_SCRATCH_BYTES: usize = 4 * 1024;

/// What the process's logging consists of, as those see it who log.
pub(in crate::telemetry) struct Output {
    pub(in crate::telemetry) service_name: &'static str,
    pub(in crate::telemetry) traces: Traces,
    pub(super) queue: Arc<Queue>,
    pub(super) sampler: Sampler,
}

/// The output of the logging in force here; `None` where there is none.
pub(in crate::telemetry) fn with_output<T>(look: impl FnOnce(&Output) -> T) -> Option<T> {
    // It is called once, which the compiler cannot know.
    let mut look = Some(look);
    tracing::dispatcher::get_default(|dispatch| {
        let JsonLayer(output) = dispatch.downcast_ref()?;
        look.take().map(|look| look(output))
    })
}

impl Output {
    /// Queues the line that `write` appends, its newline included; `write` gets the line's time, in
    /// microseconds since the epoch.
    pub(super) fn line(
        &self,
        level: Level,
        service: &'static str,
        write: impl FnOnce(&mut Vec<u8>, i64),
    ) {
        thread_local! {
            static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // Taken, not borrowed: a `Debug` that itself logs must find something.
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

/// Writes the line up to its message. Field order is part of the format.
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
