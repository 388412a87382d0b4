//! Metrics: OpenTelemetry instruments with a Prometheus reader. Another reader can be added without changes to the
//! callers.
//!
//! `service` declares the metrics of the service, `loadgen` those of the load generator, and `instruments` the kinds.
//! Each [`Metrics`] has its own registry, so two servers in one process are separate. A gauge that was never set is
//! not exported, because zero would be a false statement.

mod buying;
mod http;
mod instruments;
mod loadgen;
mod openmetrics;
mod outcomes;
mod service;

use std::fmt;
use std::sync::Arc;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, SdkMeterProvider};

pub use buying::{Buying, BuyingCounts, Latencies, UnderWay};
pub use http::RouteMetrics;
pub use loadgen::{Kind as LoadgenKind, LoadgenMetrics};
pub use outcomes::{
    ClockStep, LockOutcome, NotificationOutcome, PaymentOutcome, ReservationOutcome,
};

use super::host::HostMetrics;
use super::otlp::{Deliveries, Otlp, Signal, resource};
use service::Service;

/// The metrics of the service. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    // The instruments work only while the provider exists.
    provider: SdkMeterProvider,
    /// Pushes the metrics of host and process. `/metrics` shows them without it.
    host_provider: Option<SdkMeterProvider>,
    registry: prometheus::Registry,
    host: HostMetrics,
    exemplars: Arc<openmetrics::Exemplars>,
    service: Service,
    buying: Arc<Buying>,
}

impl Metrics {
    /// Creates all instruments in a new registry. Changes no global state.
    ///
    /// # Errors
    /// The Prometheus reader cannot be attached to the registry.
    pub fn new() -> anyhow::Result<Metrics> {
        Metrics::pushed(None, &Deliveries::default(), "")
    }

    /// Creates all instruments. With a `collector`, their values are also pushed as `instance`.
    ///
    /// # Errors
    /// A reader cannot be created or attached.
    pub fn pushed(
        collector: Option<&Otlp>,
        deliveries: &Deliveries,
        instance: &str,
    ) -> anyhow::Result<Metrics> {
        let registry = prometheus::Registry::new();
        let resource = resource("concertctl-api", Some(instance));
        let reader = || collector.map_or(Ok(None), |it| it.reader(deliveries));
        let mut provider = provider(&registry)?.with_resource(resource.clone());
        let mut host_provider = None;
        if let Some(reader) = reader()? {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        let service = Service::declare(&provider.meter("concertctl"));
        let deliveries = deliveries.clone();
        service.telemetry_dropped.read(move |observe| {
            for signal in Signal::ALL {
                let label = [KeyValue::new("signal", signal.label())];
                observe(deliveries.dropped(signal), &label);
            }
        });
        let host = HostMetrics::new();
        if let Some(reader) = reader()? {
            let builder = SdkMeterProvider::builder().with_resource(resource);
            let pushed = builder.with_reader(reader).build();
            host.observe(&pushed.meter("concertctl"));
            host_provider = Some(pushed);
        }
        Ok(Metrics(Arc::new(Inner {
            provider,
            host_provider,
            registry,
            host,
            exemplars: Arc::default(),
            service,
            buying: Arc::default(),
        })))
    }

    /// All metrics in the Prometheus text exposition format 0.0.4, including those of host and process. It reads
    /// `/proc`, which takes a few hundred microseconds.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = exposition(&self.0.registry);
        self.0.host.render(&mut text);
        text
    }

    /// All metrics in OpenMetrics 1.0.0, which includes exemplars with kept traces.
    #[must_use]
    pub fn render_openmetrics(&self) -> String {
        openmetrics::of_text(&self.render(), &self.0.exemplars)
    }

    /// Pushes the remaining values and ends pushing. Blocks until the collector answers or the time-out ends.
    pub fn shutdown(&self) {
        // The exporter has already logged failures.
        std::thread::scope(|threads| {
            let host = self.0.host_provider.as_ref();
            let _pushing = host.map(|host| threads.spawn(|| drop(host.shutdown())));
            let _ = self.0.provider.shutdown();
        });
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A provider whose metrics also appear in `registry`.
fn provider(registry: &prometheus::Registry) -> anyhow::Result<MeterProviderBuilder> {
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_target_info()
        .without_units()
        .scope_info_enabled(false)
        .build()
        .context("cannot attach the Prometheus reader")?;
    Ok(SdkMeterProvider::builder().with_reader(reader))
}

/// The metrics of `registry` in the Prometheus text exposition format 0.0.4.
fn exposition(registry: &prometheus::Registry) -> String {
    let mut text = String::with_capacity(32 * 1024);
    // Writing to a string cannot fail. A family that cannot be encoded is left out, and the rest is served.
    let encoder = prometheus::TextEncoder::new();
    for family in registry.gather() {
        let before = text.len();
        if encoder.encode_utf8(&[family], &mut text).is_err() {
            text.truncate(before);
        }
    }
    text
}

#[cfg(test)]
mod tests;
