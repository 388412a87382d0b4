//! The generator's own telemetry for a collector: logs, and slow or failed requests as traces.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Failure;
use crate::load::recorder::Sample;
use crate::telemetry::{
    Deliveries, LogConfig, LogLimits, LogOutput, Logs, Otlp, Pushing, Sampler, SpanKind,
    SpanRecord, TraceConfig, TraceRecord, Traces, Value, logs,
};

/// The objective of a request for its user. Slower requests become traces.
const SLOW: Duration = Duration::from_millis(500);
/// The longest wait for the collector at the end.
const LAST_PUSH: Duration = Duration::from_secs(3);

/// The logging of the process, and its collector.
pub(super) struct RunTelemetry {
    pub(super) logs: Logs,
    pub(super) collector: Option<Otlp>,
    pub(super) deliveries: Deliveries,
    pushing: Option<Pushing>,
}

impl RunTelemetry {
    /// Standard output belongs to the report, so logs go only to a collector.
    pub(super) fn start(collector: Option<Otlp>) -> Result<RunTelemetry, Failure> {
        let could_not = |error: anyhow::Error| Failure::could_not(format!("{error:#}"));
        let logs = logs::init(LogConfig {
            service_name: "concertctl-api",
            output: LogOutput::None,
            filter: "info".to_owned(),
            queue: 4_096,
            limits: LogLimits::default(),
            traces: TraceConfig {
                slow: SLOW,
                off: Sampler::from_environment().0.is_some_and(|it| it.off),
                ..TraceConfig::default()
            },
        })
        .map_err(could_not)?;
        for warning in collector.iter().flat_map(Otlp::warnings) {
            let _ = writeln!(std::io::stderr(), "concertctl load: {warning}");
        }
        Ok(RunTelemetry {
            logs,
            collector,
            deliveries: Deliveries::default(),
            pushing: None,
        })
    }

    /// Starts its own pushes, for a server in another process.
    pub(super) fn push(&mut self) -> Result<(), Failure> {
        if let Some(collector) = &self.collector {
            let instance = format!("load-{}", std::process::id());
            let pushing = collector
                .push(&self.logs, &instance, &self.deliveries)
                .map_err(|error| Failure::could_not(format!("{error:#}")))?;
            self.pushing = Some(pushing);
        }
        Ok(())
    }

    /// Pushes the remaining records.
    pub(super) async fn end(self) {
        if let Some(pushing) = self.pushing {
            let last = tokio::task::spawn_blocking(move || pushing.end(LAST_PUSH));
            // A panic in the task has already been reported.
            drop(last.await);
        }
    }
}

/// Publishes a request as a span, the parent of the server's, if it is slow, failed or sampled.
pub(super) fn record_trace(traces: &Traces, sample: &Sample) {
    let due = sample.due.min(sample.sent);
    let took = sample.done.saturating_duration_since(due);
    let failed = sample.error_kind.is_some();
    if !traces.wanted() || !traces.worth_keeping(sample.trace.trace_id, took, failed) {
        return;
    }
    let operation = sample.operation.as_str();
    let mut attributes: Vec<(&'static str, Value)> = vec![
        ("loadgen.operation", operation.into()),
        ("loadgen.phase", sample.operation.phase().as_str().into()),
        (
            "loadgen.late_ms",
            (sample.sent.saturating_duration_since(due).as_secs_f64() * 1e3).into(),
        ),
    ];
    if sample.status != 0 {
        attributes.push(("http.response.status_code", i64::from(sample.status).into()));
    }
    let error = sample
        .error_kind
        .map(|error_kind| error_kind.as_str().into());
    traces.publish(TraceRecord {
        trace_id: sample.trace.trace_id,
        service_name: "concertctl-load",
        instance: Some(format!("load-{}", std::process::id()).into()),
        spans: vec![SpanRecord {
            name: operation.into(),
            kind: SpanKind::Client,
            span_id: sample.trace.span_id,
            parent_span_id: None,
            start_ns: unix_ns(due),
            duration_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            attributes,
            error,
        }],
    });
}

fn unix_ns(at: Instant) -> u64 {
    let ago = Instant::now().saturating_duration_since(at);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let at = now.and_then(|now| now.checked_sub(ago)).unwrap_or_default();
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}
