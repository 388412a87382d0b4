//! Collects the spans of one request until its end.
//!
//! The decision to keep a trace is made when its root ends (tail sampling). Until then all spans are collected. Most of
//! them are thrown away later, so a span must cost little: no calendar time, no copies of names. `Traces::keeps` makes
//! the decision.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::record::{SpanKind, SpanRecord, TraceRecord, Value};
use super::{RootSpan, TraceContext, Traces};
use crate::telemetry::logs;

/// The largest number of child spans in one trace. The root's attribute `concert.spans_left_out` counts the rest.
const MOST_SPANS: usize = 128;

/// Collects the spans of a request. It is shared by the request and its steps, and publishes a kept trace when the last
/// of them drops it. So a step that continues after the answer is still part of the trace.
#[derive(Debug)]
pub(super) struct Collector {
    context: TraceContext,
    began: Instant,
    state: Mutex<State>,
}

/// Invariant: `steps` is empty once the fate is `Dropped`, so that late steps hold no memory.
#[derive(Debug)]
struct State {
    steps: Vec<Ended>,
    left_out: i64,
    fate: Fate,
}

/// A finished step. Its calendar time is computed only if the trace is kept.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: &'static str,
    pub(super) kind: SpanKind,
    pub(super) span_id: u64,
    pub(super) parent_span_id: u64,
    pub(super) began: Instant,
    pub(super) took: Duration,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) error: Option<Cow<'static, str>>,
}

/// The decision about the trace. It changes once, when the root ends.
#[derive(Debug)]
enum Fate {
    /// The root has not ended.
    Open,
    Kept(Box<Kept>),
    Dropped,
}

/// The parts of a kept trace that are known when its root ends.
#[derive(Debug)]
struct Kept {
    root: SpanRecord,
    service_name: &'static str,
    traces: Traces,
}

impl Collector {
    /// A collector for a request that began at `began`. Unless it `gathers`, it keeps nothing.
    pub(super) fn new(context: TraceContext, began: Instant, gathers: bool) -> Collector {
        let fate = if gathers { Fate::Open } else { Fate::Dropped };
        let state = State {
            steps: Vec::new(),
            left_out: 0,
            fate,
        };
        Collector {
            context,
            began,
            state: Mutex::new(state),
        }
    }

    pub(super) fn context(&self) -> TraceContext {
        self.context
    }

    /// Adds a finished step.
    pub(super) fn add(&self, step: Ended) {
        let mut state = self.state.lock();
        match state.fate {
            Fate::Dropped => {}
            _ if state.steps.len() >= MOST_SPANS => state.left_out += 1,
            _ => state.steps.push(step),
        }
    }

    /// Returns whether steps are recorded: until the root ends, and afterwards if the trace is kept.
    pub(super) fn takes_steps(&self) -> bool {
        !matches!(self.state.lock().fate, Fate::Dropped)
    }

    /// Decides about the trace when the root ended, `took` after it began. Calls `describe` only if the trace is
    /// kept, and then returns the trace's id.
    pub(super) fn end(
        &self,
        took: Duration,
        failed: bool,
        describe: impl FnOnce() -> RootSpan,
    ) -> Option<u128> {
        if !matches!(self.state.lock().fate, Fate::Open) {
            return None;
        }
        let trace_id = self.context.trace_id;
        let worth = |logs: &logs::Output| {
            let worth = logs.traces.keeps(&self.context, took, failed);
            worth.then(|| (logs.service_name, logs.traces.clone()))
        };
        let fate = match logs::with_output(worth).flatten() {
            Some((service_name, traces)) => Fate::Kept(Box::new(Kept {
                root: self.root(describe(), took),
                service_name,
                traces,
            })),
            None => Fate::Dropped,
        };
        let kept = matches!(fate, Fate::Kept(_));
        let mut state = self.state.lock();
        if !kept {
            state.steps = Vec::new();
        }
        state.fate = fate;
        kept.then_some(trace_id)
    }

    fn root(&self, root: RootSpan, took: Duration) -> SpanRecord {
        SpanRecord {
            name: root.name,
            kind: root.kind,
            span_id: self.context.span_id,
            parent_span_id: self.context.parent_span_id,
            start_ns: unix_now_ns().saturating_sub(nanoseconds(took)),
            duration_ns: nanoseconds(took),
            attributes: root.attributes,
            error: root.error,
        }
    }

    /// The span of a step in a request that began at `root_ns` of the calendar.
    fn span(&self, step: Ended, root_ns: u64) -> SpanRecord {
        let start_ns = match step.began.checked_duration_since(self.began) {
            Some(after) => root_ns.saturating_add(nanoseconds(after)),
            None => root_ns.saturating_sub(nanoseconds(self.began.duration_since(step.began))),
        };
        SpanRecord {
            name: Cow::Borrowed(step.name),
            kind: step.kind,
            span_id: step.span_id,
            parent_span_id: Some(step.parent_span_id),
            start_ns,
            duration_ns: nanoseconds(step.took),
            attributes: step.attributes,
            error: step.error,
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let Fate::Kept(kept) = std::mem::replace(&mut state.fate, Fate::Dropped) else {
            return;
        };
        let (steps, left_out) = (std::mem::take(&mut state.steps), state.left_out);
        let mut root = kept.root;
        if left_out > 0 {
            root.attributes
                .push(("concert.spans_left_out", left_out.into()));
        }
        let root_ns = root.start_ns;
        let mut spans = Vec::with_capacity(1 + steps.len());
        spans.push(root);
        spans.extend(steps.into_iter().map(|step| self.span(step, root_ns)));
        kept.traces.publish(TraceRecord {
            trace_id: self.context.trace_id,
            service_name: kept.service_name,
            instance: None,
            spans,
        });
    }
}

fn unix_now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, nanoseconds)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Ended {
        Ended {
            name: "seat.lock",
            kind: SpanKind::Internal,
            span_id: 2,
            parent_span_id: 1,
            began: Instant::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn a_trace_that_is_not_kept_holds_no_span_even_while_a_late_step_holds_it() {
        let trace = Collector::new(TraceContext::fresh(), Instant::now(), true);
        let held = || trace.state.lock().steps.capacity();
        trace.add(step());
        assert!(held() > 0);
        let kept = trace.end(Duration::ZERO, false, || unreachable!("no trace is kept"));
        assert_eq!((kept, held()), (None, 0));
        trace.add(step());
        assert_eq!(held(), 0);
    }
}
