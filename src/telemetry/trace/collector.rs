//! The spans of one request, gathered until its fate is known.
//!
//! Whether a trace is worth keeping is known when its root ends (tail sampling), so every span up to
//! there is gathered: cheaply, without the tracing registry (which costs about half a microsecond a
//! span). What belongs to a trace that is not kept is dropped with it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::record::{SpanRecord, TraceRecord};
use super::{Root, RootSpan, TraceContext, Traces};

/// Spans of one trace; more are counted on its root and left out.
const MOST_SPANS: usize = 128;

/// Gathers a request's spans. The last who holds it hands the trace over, so that a step that goes
/// on after the answer is still part of it.
#[derive(Debug)]
pub(in crate::telemetry) struct Collector {
    context: TraceContext,
    service_name: &'static str,
    began: Instant,
    /// Read off the clock when it is first needed: most traces are dropped without it.
    began_ns: OnceLock<u64>,
    traces: Traces,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<SpanRecord>,
    left_out: i64,
    fate: Fate,
}

#[derive(Debug, Default)]
enum Fate {
    /// The root has not ended.
    #[default]
    Open,
    Kept(SpanRecord),
    Dropped,
}

impl Collector {
    pub(super) fn new(
        context: TraceContext,
        service_name: &'static str,
        began: Instant,
        traces: Traces,
    ) -> Collector {
        Collector {
            context,
            service_name,
            began,
            began_ns: OnceLock::new(),
            traces,
            state: Mutex::default(),
        }
    }

    /// The id of the request's own span.
    pub(in crate::telemetry) fn root_id(&self) -> u64 {
        self.context.span_id
    }

    fn began_ns(&self) -> u64 {
        *self.began_ns.get_or_init(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_ns = now.map_or(0, nanoseconds);
            now_ns.saturating_sub(nanoseconds(self.began.elapsed()))
        })
    }

    /// The instant in nanoseconds since the Unix epoch, by the clock of its first look.
    pub(in crate::telemetry) fn unix_ns(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.began) {
            Some(after) => self.began_ns().saturating_add(nanoseconds(after)),
            None => self
                .began_ns()
                .saturating_sub(nanoseconds(self.began.duration_since(at))),
        }
    }

    /// A span that has ended.
    pub(in crate::telemetry) fn add(&self, span: SpanRecord) {
        let mut state = self.state.lock();
        match state.fate {
            Fate::Dropped => {}
            _ if state.spans.len() >= MOST_SPANS => state.left_out += 1,
            _ => state.spans.push(span),
        }
    }

    /// Whether spans are of use still.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state.lock().fate, Fate::Dropped)
    }

    /// The root has ended: decides. `describe` is asked only when the trace is kept: then its id.
    pub(super) fn end(&self, failed: bool, describe: impl FnOnce() -> RootSpan) -> Option<u128> {
        let took = self.began.elapsed();
        let keep = self
            .traces
            .worth_keeping(self.context.trace_id, took, failed);
        let fate = if keep {
            let root = describe();
            Fate::Kept(SpanRecord {
                name: root.name,
                kind: root.kind,
                span_id: self.context.span_id,
                parent_span_id: self.context.parent_span_id,
                start_ns: self.began_ns(),
                duration_ns: nanoseconds(took),
                attributes: root.attributes,
                error: root.error,
            })
        } else {
            Fate::Dropped
        };
        let mut state = self.state.lock();
        if !keep {
            state.spans = Vec::new();
        }
        state.fate = fate;
        keep.then_some(self.context.trace_id)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Fate::Kept(mut root) = std::mem::take(&mut state.fate) {
            if state.left_out > 0 {
                root.attributes
                    .push(("concert.spans_left_out", state.left_out.into()));
            }
            let mut spans = std::mem::take(&mut state.spans);
            spans.insert(0, root);
            self.traces.publish(TraceRecord {
                trace_id: self.context.trace_id,
                service_name: self.service_name,
                instance: None,
                spans,
            });
        }
    }
}

impl Root {
    /// Begins to gather the spans of the request that `span` is of, if anybody wants traces. `context`
    /// is what the span was made of.
    #[must_use]
    pub fn begin(context: TraceContext, span: &tracing::Span, began: Instant) -> Root {
        let trace = crate::telemetry::logs::with_data(span, |data, layer| {
            layer.traces.wanted().then(|| {
                let traces = layer.traces.clone();
                let trace = Arc::new(Collector::new(context, layer.service_name, began, traces));
                data.trace = Some(Arc::clone(&trace));
                trace
            })
        });
        Root(trace.flatten())
    }
}

pub(in crate::telemetry) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::{SpanKind, TraceConfig};

    fn step() -> SpanRecord {
        SpanRecord {
            name: "seat.lock".into(),
            kind: SpanKind::Internal,
            span_id: 2,
            parent_span_id: Some(1),
            start_ns: 0,
            duration_ns: 0,
            attributes: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn a_trace_that_is_not_kept_holds_no_span_even_while_a_late_step_holds_it() {
        let traces = Traces::new(TraceConfig {
            slow: Duration::MAX,
            ratio: 0.0,
        });
        let trace = Collector::new(TraceContext::fresh(), "test", Instant::now(), traces);
        let held = || trace.state.lock().spans.capacity();
        trace.add(step());
        assert!(held() > 0);
        let kept = trace.end(false, || unreachable!("nobody keeps it"));
        assert_eq!((kept, held()), (None, 0));
        trace.add(step());
        assert_eq!(held(), 0);
    }
}
