//! Metrics pushed at an interval.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};

use super::delivery::{Deliveries, Delivery, Signal};
use super::environment::push_interval;
use super::{Otlp, exporter};

/// Collects and pushes on its own thread.
pub(in crate::telemetry) type Reader = PeriodicReader<CountedExporter>;

/// Counts failed pushes.
pub(in crate::telemetry) struct CountedExporter {
    exporter: MetricExporter,
    delivery: Arc<Delivery>,
}

impl fmt::Debug for CountedExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedExporter").finish_non_exhaustive()
    }
}

impl Otlp {
    /// A reader that pushes metrics, if pushing is enabled for them.
    pub(in crate::telemetry) fn reader(
        &self,
        deliveries: &Deliveries,
    ) -> anyhow::Result<Option<Reader>> {
        let Some(route) = self.route(Signal::Metrics, deliveries) else {
            return Ok(None);
        };
        let exporter = exporter!(MetricExporter::builder(), &route)?;
        let reader = PeriodicReader::builder(CountedExporter {
            exporter,
            delivery: deliveries.of(Signal::Metrics),
        });
        Ok(Some(reader.with_interval(push_interval()).build()))
    }
}

impl PushMetricExporter for CountedExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        if self.delivery.must_wait() {
            self.delivery.lost(1);
            let early = "the collector asked for a pause, which is not over".to_owned();
            return Err(OTelSdkError::InternalFailure(early));
        }
        let result = match self.delivery.reaches_collector() {
            Ok(()) => self.exporter.export(metrics).await,
            Err(why) => Err(OTelSdkError::InternalFailure(why)),
        };
        match &result {
            Ok(()) => self.delivery.pushed(None),
            Err(error) => {
                self.delivery.lost(1);
                let refusal = self.delivery.refusal(&error.to_string());
                self.delivery.pushed(Some(&refusal.why));
            }
        }
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
