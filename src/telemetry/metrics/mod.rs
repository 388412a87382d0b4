//! Every instrument of the service, declared in one place.
//!
//! OpenTelemetry instruments with a Prometheus reader behind them, so that another reader can be
//! added without touching a caller. Attribute sets are bound once (a bound counter costs a few
//! nanoseconds, one with attributes built per call some ninety). Each [`Metrics`] has a registry of
//! its own: two servers in one process do not see each other. A gauge nobody has set is not exported:
//! absent is true, zero would be a claim.

mod http;
mod loadgen;
mod making;
mod notifications;
mod openmetrics;
mod outcomes;
mod trouble;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, Counter, Gauge, Histogram, Meter, MeterProvider as _,
};
use opentelemetry_sdk::metrics::{MeterProviderBuilder, SdkMeterProvider};

pub use http::RouteMetrics;
pub use loadgen::{Kind as LoadgenKind, LoadgenMetrics};
pub use outcomes::{LockOutcome, NotificationOutcome, PaymentOutcome, ReservationOutcome};

use super::host::HostMetrics;
use super::otlp::{Deliveries, Otlp, resource};
use making::{
    BoundByKey, counter, from_zero, gauge, latency, observe_active_requests, observe_log_dropped,
    observe_telemetry_dropped, plain_counter,
};

/// Upper bounds of the latency buckets, in seconds. 0.05, 0.15 and 0.5 are the objectives for p95,
/// p99 and the service as a whole: with a bound exactly there, the share of requests within an
/// objective is a count and no estimate.
pub const LATENCY_BOUNDS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5,
    5.0, 10.0,
];

type DroppedSource = Box<dyn Fn() -> u64 + Send + Sync>;

/// The service's metrics. Cloning shares them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    // Instruments work only while the provider lives.
    provider: SdkMeterProvider,
    /// Pushes the figures of host and process, which `/metrics` shows without it.
    host_provider: Option<SdkMeterProvider>,
    registry: prometheus::Registry,
    host: HostMetrics,
    active_requests: Arc<AtomicI64>,
    log_dropped: Arc<OnceLock<DroppedSource>>,
    request_duration: Histogram<f64>,
    exemplars: Arc<openmetrics::Exemplars>,
    reservations: Vec<BoundCounter<u64>>,
    payments: Vec<BoundCounter<u64>>,
    notifications: Counter<u64>,
    registered: BoundCounter<u64>,
    admitted: BoundCounter<u64>,
    queue_waiting: Gauge<u64>,
    queue_active: Gauge<u64>,
    queue_mark: Gauge<u64>,
    seats: Gauge<u64>,
    admission_batch: Gauge<u64>,
    admission_interval: Gauge<f64>,
    admission_paused: Gauge<u64>,
    admission_open: Gauge<u64>,
    coordination_up: Gauge<u64>,
    trouble: trouble::Trouble,
    lock_wait: BoundByKey<(&'static str, LockOutcome)>,
    db_wait: BoundHistogram<f64>,
    db_operation: BoundByKey<&'static str>,
    db_connections: Gauge<u64>,
    db_connections_max: Gauge<u64>,
}

impl Metrics {
    /// Builds all instruments on a registry of their own. Touches no global state.
    ///
    /// # Errors
    /// When the Prometheus reader cannot be attached to the registry.
    pub fn new() -> anyhow::Result<Metrics> {
        Metrics::pushed(None, &Deliveries::default(), "")
    }

    /// The same, pushed to `collector` as well, if there is one: as `instance`.
    ///
    /// # Errors
    /// When a reader cannot be made or attached.
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
        let meter = provider.meter("concertctl");
        observe_telemetry_dropped(&meter, deliveries);
        let host = HostMetrics::new();
        if let Some(reader) = reader()? {
            let builder = SdkMeterProvider::builder().with_resource(resource);
            let pushed = builder.with_reader(reader).build();
            host.observe(&pushed.meter("concertctl"));
            host_provider = Some(pushed);
        }
        let mut inner = Inner::new(meter, provider, registry, host);
        inner.host_provider = host_provider;
        Ok(Metrics(Arc::new(inner)))
    }

    /// Everything in the Prometheus text exposition format 0.0.4, the figures of host and process
    /// included. Reads `/proc`: a few hundred microseconds.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = exposition(&self.0.registry);
        self.0.host.render(&mut text);
        text
    }

    /// The same in OpenMetrics 1.0.0, which carries exemplars: traces that were kept.
    #[must_use]
    pub fn render_openmetrics(&self) -> String {
        openmetrics::of_text(&self.render(), &self.0.exemplars)
    }

    /// The meters of one route, to be asked for once, when the route table is built.
    #[must_use]
    pub fn route(&self, method: &'static str, route: &'static str) -> RouteMetrics {
        let inner = &*self.0;
        RouteMetrics::new(
            method,
            route,
            Arc::clone(&inner.active_requests),
            inner.request_duration.clone(),
            Arc::clone(&inner.exemplars),
        )
    }

    /// Counts an attempt to reserve a seat, or the end of a hold.
    pub fn reservation(&self, outcome: ReservationOutcome) {
        self.0.reservations[outcome as usize].add(1);
    }

    /// Counts an attempt to pay.
    pub fn payment(&self, outcome: PaymentOutcome) {
        self.0.payments[outcome as usize].add(1);
    }

    /// Counts `n` users who took a place in the queue.
    pub fn registered(&self, n: u64) {
        self.0.registered.add(n);
    }

    /// Counts `n` users let in from the queue.
    pub fn admitted(&self, n: u64) {
        self.0.admitted.add(n);
    }

    /// The queue now: users `waiting`, users let in and still `active`, and the `mark` (the last
    /// position let in).
    pub fn set_queue(&self, waiting: u64, active: u64, mark: u64) {
        self.0.queue_waiting.record(waiting, &[]);
        self.0.queue_active.record(active, &[]);
        self.0.queue_mark.record(mark, &[]);
    }

    /// Seats of the concert on sale by status.
    pub fn set_seats(&self, available: u64, pending: u64, unavailable: u64) {
        for (status, count) in [
            ("AVAILABLE", available),
            ("PENDING", pending),
            ("UNAVAILABLE", unavailable),
        ] {
            self.0
                .seats
                .record(count, &[KeyValue::new("status", status)]);
        }
    }

    /// How users are let in: `batch` users every `interval_seconds` once `open`, unless paused.
    pub fn set_admission(&self, batch: u64, interval_seconds: f64, paused: bool, open: bool) {
        self.0.admission_batch.record(batch, &[]);
        self.0.admission_interval.record(interval_seconds, &[]);
        self.0.admission_paused.record(u64::from(paused), &[]);
        self.0.admission_open.record(u64::from(open), &[]);
    }

    /// Whether what the servers share of the queue can be asked.
    pub fn set_coordination(&self, backend: &'static str, up: bool) {
        let backend = [KeyValue::new("backend", backend)];
        self.0.coordination_up.record(u64::from(up), &backend);
    }

    /// One attempt to lock a seat at `backend` (`embedded`, `redis`), which took `wait`.
    pub fn seat_lock(&self, backend: &'static str, outcome: LockOutcome, wait: Duration) {
        self.0.lock_wait.record((backend, outcome), wait, || {
            vec![
                KeyValue::new("backend", backend),
                KeyValue::new("outcome", outcome.label()),
            ]
        });
    }

    /// Time spent waiting for a database connection.
    pub fn db_wait(&self, wait: Duration) {
        self.0.db_wait.record(wait.as_secs_f64());
    }

    /// One database operation, by the name of its statement.
    pub fn db_operation(&self, name: &'static str, took: Duration) {
        self.0.db_operation.record(name, took, || {
            vec![KeyValue::new("db_operation_name", name)]
        });
    }

    /// Database connections in use and idle, and how many there may be.
    pub fn set_db_connections(&self, used: u64, idle: u64, max: u64) {
        let connections = &self.0.db_connections;
        connections.record(used, &[KeyValue::new("state", "used")]);
        connections.record(idle, &[KeyValue::new("state", "idle")]);
        self.0.db_connections_max.record(max, &[]);
    }

    /// Where `concert_log_dropped_total` is read from. The first source stays; the counter is absent
    /// until there is one.
    pub fn log_dropped_source(&self, source: impl Fn() -> u64 + Send + Sync + 'static) {
        let _already_set = self.0.log_dropped.set(Box::new(source));
    }

    /// Where `concert_alert_store_refused_total` is read from: a count for each value of the label
    /// `kind`.
    pub fn alerts_refused_source<const N: usize>(
        &self,
        source: impl Fn() -> [(&'static str, u64); N] + Send + Sync + 'static,
    ) {
        let counter = self.0.provider.meter("concertctl");
        counter
            .u64_observable_counter("concert_alert_store_refused")
            .with_description("Alerts and silences that the embedded alert store refused.")
            .with_callback(move |observer| {
                for (kind, count) in source() {
                    observer.observe(count, &[KeyValue::new("kind", kind)]);
                }
            })
            .build();
    }

    /// Pushes what was not pushed yet, and nothing after that. Blocks for as long as the collector
    /// takes, or its time-out.
    pub fn shutdown(&self) {
        // Why not was told when it happened, and there is nobody left to tell.
        std::thread::scope(|threads| {
            let host = self.0.host_provider.as_ref();
            let _pushing = host.map(|host| threads.spawn(|| drop(host.shutdown())));
            let _ = self.0.provider.shutdown();
        });
    }

    /// Requests being served at this moment.
    #[must_use]
    pub fn active_requests(&self) -> u64 {
        u64::try_from(self.0.active_requests.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Inner {
    fn new(
        meter: Meter,
        provider: SdkMeterProvider,
        registry: prometheus::Registry,
        host: HostMetrics,
    ) -> Inner {
        let active_requests = Arc::new(AtomicI64::new(0));
        let log_dropped = Arc::new(OnceLock::new());
        observe_active_requests(&meter, &active_requests);
        observe_log_dropped(&meter, &log_dropped);
        let reservations = counter(
            &meter,
            "concert_reservations",
            "Attempts to reserve a seat and ends of holds, by outcome.",
        );
        let payments = counter(&meter, "concert_payments", "Attempts to pay, by outcome.");
        Inner {
            host,
            host_provider: None,
            active_requests,
            log_dropped,
            exemplars: Arc::default(),
            request_duration: latency(
                &meter,
                "http_server_request_duration_seconds",
                "Time to answer a request.",
            ),
            reservations: from_zero(
                &reservations,
                ReservationOutcome::ALL.iter().map(|o| o.label()),
            ),
            payments: from_zero(&payments, PaymentOutcome::ALL.iter().map(|o| o.label())),
            notifications: counter(
                &meter,
                "concert_notifications",
                "Notifications of alerts, by receiver and outcome.",
            ),
            registered: plain_counter(
                &meter,
                "concert_queue_registered",
                "Users who took a place in the queue.",
            ),
            admitted: plain_counter(
                &meter,
                "concert_queue_admitted",
                "Users let in from the queue.",
            ),
            queue_waiting: gauge(
                &meter,
                "concert_queue_waiting",
                "Users waiting in the queue.",
            ),
            queue_active: gauge(
                &meter,
                "concert_queue_active",
                "Users let in and still active.",
            ),
            queue_mark: gauge(
                &meter,
                "concert_queue_admitted_mark",
                "The last queue position let in.",
            ),
            seats: gauge(
                &meter,
                "concert_seats",
                "Seats of the concert on sale, by status.",
            ),
            admission_batch: gauge(
                &meter,
                "concert_admission_batch",
                "Users let in at each admission.",
            ),
            admission_interval: meter
                .f64_gauge("concert_admission_interval_seconds")
                .with_description("Time between admissions.")
                .build(),
            admission_paused: gauge(
                &meter,
                "concert_admission_paused",
                "1 while admission is paused.",
            ),
            admission_open: gauge(
                &meter,
                "concert_admission_open",
                "1 once the opening time of the sale has come.",
            ),
            coordination_up: gauge(
                &meter,
                "concert_coordination_up",
                "1 while the queue that the servers share answers; at 0 admission is paused.",
            ),
            trouble: trouble::Trouble::new(&meter),
            lock_wait: BoundByKey::new(latency(
                &meter,
                "concert_seat_lock_wait_seconds",
                "Time to get, or be refused, the lock of a seat.",
            )),
            db_wait: latency(
                &meter,
                "db_client_connection_wait_time_seconds",
                "Time spent waiting for a database connection.",
            )
            .bind(&[]),
            db_operation: BoundByKey::new(latency(
                &meter,
                "db_client_operation_duration_seconds",
                "Time of a database operation, by the name of its statement.",
            )),
            db_connections: gauge(
                &meter,
                "db_client_connection_count",
                "Database connections, by state.",
            ),
            db_connections_max: gauge(
                &meter,
                "db_client_connection_max",
                "Database connections there may be.",
            ),
            registry,
            provider,
        }
    }
}

/// A provider whose metrics are also in `registry`.
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

/// What is in `registry`, in the Prometheus text exposition format 0.0.4.
fn exposition(registry: &prometheus::Registry) -> String {
    let mut text = String::with_capacity(32 * 1024);
    // Writing to a string cannot fail; an unencodable family is left out, the rest is served.
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
