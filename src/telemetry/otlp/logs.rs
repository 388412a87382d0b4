//! Writes log lines as OTLP log records.
//!
//! The pusher's thread parses the lines, so that a caller writes only one format.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry_otlp::LogExporter;
use opentelemetry_sdk::logs::{
    LogBatch, LogExporter as _, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use serde::Deserialize;
use tracing::Level;

use super::pusher::{SendBatch, by_service};
use super::resource::resource;
use super::{Route, exporter};
use crate::telemetry::LogRecord;

/// Sends records. Each service has its own exporter, because an exporter has one resource.
pub(super) struct Sender {
    route: Route,
    instance: String,
    scope: InstrumentationScope,
    /// It creates empty records. Nothing is logged through it.
    logger: SdkLogger,
    exporters: HashMap<&'static str, LogExporter>,
}

/// The parts of a line that the record does not hold.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    trace_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    span_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    additional_data: serde_json::Map<String, serde_json::Value>,
}

impl Sender {
    pub(super) fn new(route: Route, instance: String) -> Sender {
        Sender {
            route,
            instance,
            scope: InstrumentationScope::builder("concertctl").build(),
            logger: SdkLoggerProvider::builder().build().logger("concertctl"),
            exporters: HashMap::new(),
        }
    }

    fn exporter(&mut self, service: &'static str) -> anyhow::Result<&LogExporter> {
        if !self.exporters.contains_key(service) {
            let mut exporter = exporter!(LogExporter::builder(), &self.route)?;
            exporter.set_resource(&resource(service, Some(&self.instance)));
            self.exporters.insert(service, exporter);
        }
        Ok(&self.exporters[service])
    }

    fn record(&self, record: &LogRecord) -> SdkLogRecord {
        let mut out = self.logger.create_log_record();
        let micros = u64::try_from(record.timestamp_us()).unwrap_or(0);
        let at = UNIX_EPOCH + Duration::from_micros(micros);
        out.set_timestamp(at);
        out.set_observed_timestamp(at);
        out.set_severity_text(record.level().as_str());
        out.set_severity_number(severity(record.level()));
        let Ok(line) = serde_json::from_str::<Line<'_>>(record.line()) else {
            // A line that cannot be parsed is sent unchanged.
            out.set_body(AnyValue::from(record.line().to_owned()));
            return out;
        };
        out.set_body(AnyValue::from(line.message.into_owned()));
        let trace = line.trace_id.and_then(|id| TraceId::from_hex(&id).ok());
        let span = line.span_id.and_then(|id| SpanId::from_hex(&id).ok());
        if let (Some(trace), Some(span)) = (trace, span) {
            out.set_trace_context(trace, span, Some(TraceFlags::SAMPLED));
        }
        for (name, value) in line.additional_data {
            if let Some(value) = any(value) {
                out.add_attribute(name, value);
            }
        }
        out
    }
}

impl SendBatch<LogRecord> for Sender {
    fn send(&mut self, batch: &[LogRecord]) -> Result<(), String> {
        for (service, records) in by_service(batch, LogRecord::service_name) {
            let records: Vec<_> = records.into_iter().map(|it| self.record(it)).collect();
            let scope = self.scope.clone();
            let refs: Vec<_> = records.iter().map(|record| (record, &scope)).collect();
            let exporter = self.exporter(service).map_err(|error| error.to_string())?;
            futures_executor::block_on(exporter.export(LogBatch::new(&refs)))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The mapping of <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>.
fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

fn any(value: serde_json::Value) -> Option<AnyValue> {
    use serde_json::Value;
    Some(match value {
        Value::Null => return None,
        Value::Bool(yes) => yes.into(),
        Value::String(text) => text.into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.to_string().into(),
        },
        nested => nested.to_string().into(),
    })
}
