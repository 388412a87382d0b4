//! A stored trace: the records of one id, and facts about all of them.

use std::mem::size_of;
use std::sync::Arc;

use crate::telemetry::{SpanKind, SpanRecord, TraceRecord, Value};

/// The records of one trace id.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) id: u128,
    /// Its number in the order of arrival.
    pub(super) seq: u64,
    records: Vec<Arc<TraceRecord>>,
    /// The indices of the record and the span that is the root.
    root: (usize, usize),
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    /// The duration of its longest span, in nanoseconds.
    pub(super) longest_ns: u64,
    pub(super) span_count: usize,
    /// Memory of the records, in bytes.
    pub(super) bytes: usize,
}

/// A span and its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanRef<'a> {
    pub(super) record: &'a TraceRecord,
    pub(super) span: &'a SpanRecord,
}

/// The value of a field of a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ValueRef<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Text(text) => ValueRef::Text(text),
            Value::Int(number) => ValueRef::Int(*number),
            Value::Float(number) => ValueRef::Float(*number),
            Value::Bool(yes) => ValueRef::Bool(*yes),
        }
    }
}

impl Trace {
    /// A trace with its first record, which has at least one span.
    pub(super) fn new(seq: u64, record: &Arc<TraceRecord>) -> Trace {
        let mut trace = Trace {
            id: record.trace_id,
            seq,
            records: Vec::with_capacity(1),
            root: (0, 0),
            start_ns: u64::MAX,
            end_ns: 0,
            longest_ns: 0,
            span_count: 0,
            bytes: size_of::<Trace>(),
        };
        trace.add(record);
        trace
    }

    /// Adds the record of another service or instance to the trace.
    pub(super) fn add(&mut self, record: &Arc<TraceRecord>) {
        // A span without a parent ranks before spans with one, and an earlier span before a later one.
        let rank = |span: &SpanRecord| (span.parent_span_id.is_some(), span.start_ns);
        let mut best = self.records.first().map(|_| rank(self.root().span));
        for (n, span) in record.spans.iter().enumerate() {
            if best.is_none_or(|best| rank(span) < best) {
                best = Some(rank(span));
                self.root = (self.records.len(), n);
            }
            self.start_ns = self.start_ns.min(span.start_ns);
            self.end_ns = self.end_ns.max(end_of(span));
            self.longest_ns = self.longest_ns.max(span.duration_ns);
        }
        self.span_count += record.spans.len();
        self.bytes += memory_of(record);
        self.records.push(Arc::clone(record));
    }

    pub(super) fn records(&self) -> &[Arc<TraceRecord>] {
        &self.records
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = SpanRef<'_>> {
        self.records.iter().flat_map(|record| {
            let spans = record.spans.iter();
            spans.map(move |span| SpanRef { record, span })
        })
    }

    /// The span without a parent. If there is none, because the caller's service does not report to this store, the
    /// first span.
    pub(super) fn root(&self) -> SpanRef<'_> {
        let record = &self.records[self.root.0];
        SpanRef {
            record,
            span: &record.spans[self.root.1],
        }
    }

    pub(super) fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

impl<'a> SpanRef<'a> {
    pub(super) fn attribute(self, name: &str) -> Option<ValueRef<'a>> {
        let found = self.span.attributes.iter().find(|(key, _)| *key == name)?;
        Some(ValueRef::from(&found.1))
    }

    pub(super) fn resource(self, name: &str) -> Option<ValueRef<'a>> {
        let found = resource(self.record).find(|(key, _)| *key == name)?;
        Some(ValueRef::Text(found.1))
    }

    pub(super) fn status(self) -> &'static str {
        status(self.span)
    }

    pub(super) fn kind(self) -> &'static str {
        kind(self.span)
    }
}

/// The attributes of the process that sent a record, under OpenTelemetry's names.
pub(super) fn resource(record: &TraceRecord) -> impl Iterator<Item = (&'static str, &str)> {
    let instance = record.instance.as_deref();
    std::iter::once(("service.name", record.service_name))
        .chain(instance.map(|instance| ("service.instance.id", instance)))
}

/// TraceQL's keyword for the status of a span. "ok" is never used, because OpenTelemetry reserves it for people.
pub(super) fn status(span: &SpanRecord) -> &'static str {
    match span.error {
        Some(_) => "error",
        None => "unset",
    }
}

/// TraceQL's keyword for the kind of a span.
pub(super) fn kind(span: &SpanRecord) -> &'static str {
    match span.kind {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Internal => "internal",
    }
}

/// The end of a span, in nanoseconds since the epoch.
pub(super) fn end_of(span: &SpanRecord) -> u64 {
    span.start_ns.saturating_add(span.duration_ns)
}

fn memory_of(record: &TraceRecord) -> usize {
    use std::borrow::Cow;
    let owned = |text: &Cow<'static, str>| match text {
        Cow::Borrowed(_) => 0,
        Cow::Owned(text) => text.capacity(),
    };
    let of_span = |span: &SpanRecord| {
        let texts = span.attributes.iter().map(|(_, value)| match value {
            Value::Text(text) => owned(text),
            _ => 0,
        });
        texts.sum::<usize>()
            + owned(&span.name)
            + span.error.as_ref().map_or(0, owned)
            + span.attributes.capacity() * size_of::<(&str, Value)>()
    };
    let spans: usize = record.spans.iter().map(of_span).sum();
    // All records of a process share the instance's name.
    size_of::<TraceRecord>() + record.spans.capacity() * size_of::<SpanRecord>() + spans
}
