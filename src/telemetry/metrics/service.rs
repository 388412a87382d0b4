//! The metrics of the service. Each has a line in the table, a method that records it, and a row in
//! docs/telemetry.md.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Gauge, Histogram};

use super::instruments::{CounterBy, CounterFrom, LatencyBy, Level, instruments};
use super::{
    Buying, BuyingCounts, ClockStep, LockOutcome, Metrics, NotificationOutcome, PaymentOutcome,
    ReservationOutcome, RouteMetrics,
};

/// The metric whose buckets have exemplars.
pub(super) const REQUEST_DURATION: &str = "http_server_request_duration_seconds";

instruments! {
    Service {
        active_requests: Level = "http_server_active_requests", "Requests being served.";
        request_duration: Histogram<f64> = REQUEST_DURATION, "Time to answer a request.";
        reservations: CounterBy<ReservationOutcome> = "concert_reservations", "Attempts to reserve a seat and ends of holds, by outcome.";
        payments: CounterBy<PaymentOutcome> = "concert_payments", "Attempts to pay, by outcome.";
        registered: BoundCounter<u64> = "concert_queue_registered", "Users who took a place in the queue.";
        admitted: BoundCounter<u64> = "concert_queue_admitted", "Users admitted from the queue.";
        queue_waiting: Gauge<u64> = "concert_queue_waiting", "Users waiting in the queue.";
        queue_active: Gauge<u64> = "concert_queue_active", "Users who are admitted and whose admission has not ended.";
        queue_watermark: Gauge<u64> = "concert_queue_admitted_mark", "The last place that is admitted.";
        seats: Gauge<u64> = "concert_seats", "Seats of the concert on sale, by status.";
        admission_batch: Gauge<u64> = "concert_admission_batch", "Users that one batch admits.";
        admission_interval: Gauge<f64> = "concert_admission_interval_seconds", "Time between two batches.";
        admission_paused: Gauge<u64> = "concert_admission_paused", "1 while admission is paused.";
        admission_open: Gauge<u64> = "concert_admission_open", "1 once the opening time of the sale has come.";
        admission_rate: Gauge<f64> = "concert_admission_rate", "Users admitted a second: the rate of the settings, or a lower one while admission follows the objective.";
        admission_cap: Gauge<f64> = "concert_admission_cap", "The most users admitted a second, by the settings.";
        admission_decisions: Counter<u64> = "concert_admission_decisions", "Decisions on the rate of admission that follows the objective, by reason.";
        coordination_up: Gauge<u64> = "concert_coordination_up", "1 while the shared queue answers and is recovered; at 0 admission is paused.";
        database_up: Gauge<u64> = "concert_database_up", "1 while the database answers and takes writes.";
        fault_active: Gauge<u64> = "concert_fault_active", "1 while a fault of that kind is injected on purpose.";
        clock_steps: CounterBy<ClockStep> = "concert_clock_steps", "Times that the system's clock was set, by direction.";
        clock_offset: Gauge<f64> = "concert_clock_offset_seconds", "Seconds by which the system's clock is ahead of the service's time.";
        certificate_expiry: Gauge<f64> = "concert_tls_certificate_expiry_timestamp_seconds", "Unix time at which the certificate in use expires.";
        lock_wait: LatencyBy<(&'static str, LockOutcome)> = "concert_seat_lock_wait_seconds", "Time of an attempt to lock a seat.";
        db_wait: BoundHistogram<f64> = "db_client_connection_wait_time_seconds", "Time spent waiting for a database connection.";
        db_operation: LatencyBy<&'static str> = "db_client_operation_duration_seconds", "Time of a database operation, by the name of its statement.";
        db_connections: Gauge<u64> = "db_client_connection_count", "Database connections, by state.";
        db_connections_max: Gauge<u64> = "db_client_connection_max", "The largest number of database connections.";
        log_dropped: CounterFrom = "concert_log_dropped", "Log records dropped because the queue to the writer was full.";
        telemetry_dropped: CounterFrom = "concert_telemetry_dropped", "Log records, traces and pushes of metrics that did not reach the collector.";
        alerts_refused: CounterFrom = "concert_alert_store_refused", "Alerts and silences that the embedded alert store refused.";
        notifications: Counter<u64> = "concert_notifications", "Notifications of alerts, by receiver and outcome.";
    }
}

impl Metrics {
    /// The metrics of one method and route. `http` binds them once, at the first request.
    #[must_use]
    pub fn route(&self, method: &'static str, route: &'static str) -> RouteMetrics {
        self.meters(method, route, None)
    }

    /// Like [`Metrics::route`], for a request of buying, whose latency admission follows.
    #[must_use]
    pub fn buying_route(&self, method: &'static str, route: &'static str) -> RouteMetrics {
        self.meters(method, route, Some(Arc::clone(&self.0.buying)))
    }

    /// The counts of the requests of buying.
    #[must_use]
    pub fn buying(&self) -> BuyingCounts {
        self.0.buying.read(Instant::now())
    }

    fn meters(
        &self,
        method: &'static str,
        route: &'static str,
        buying: Option<Arc<Buying>>,
    ) -> RouteMetrics {
        let service = &self.0.service;
        RouteMetrics::new(
            method,
            route,
            Arc::clone(&service.active_requests.0),
            service.request_duration.clone(),
            Arc::clone(&self.0.exemplars),
            buying,
        )
    }

    /// The number of requests in flight.
    #[must_use]
    pub fn active_requests(&self) -> u64 {
        let active = self.0.service.active_requests.0.load(Ordering::Relaxed);
        u64::try_from(active).unwrap_or(0)
    }

    /// Counts an attempt to reserve a seat, or the end of a hold.
    pub fn reservation(&self, outcome: ReservationOutcome) {
        self.0.service.reservations.add(outcome, 1);
    }

    /// Counts an attempt to pay.
    pub fn payment(&self, outcome: PaymentOutcome) {
        self.0.service.payments.add(outcome, 1);
    }

    /// Counts `n` users who took a place in the queue.
    pub fn registered(&self, n: u64) {
        self.0.service.registered.add(n);
    }

    /// Counts `n` users who were admitted.
    pub fn admitted(&self, n: u64) {
        self.0.service.admitted.add(n);
    }

    /// Sets the state of the queue: waiting users, active users, and the admitted-up-to watermark.
    pub fn set_queue(&self, waiting: u64, active: u64, watermark: u64) {
        self.0.service.queue_waiting.record(waiting, &[]);
        self.0.service.queue_active.record(active, &[]);
        self.0.service.queue_watermark.record(watermark, &[]);
    }

    /// Sets the number of seats of the concert on sale by status.
    pub fn set_seats(&self, available: u64, pending: u64, unavailable: u64) {
        for (status, count) in [
            ("AVAILABLE", available),
            ("PENDING", pending),
            ("UNAVAILABLE", unavailable),
        ] {
            let status = [KeyValue::new("status", status)];
            self.0.service.seats.record(count, &status);
        }
    }

    /// Sets the admission: `batch` users every `interval_seconds` when it is `open`, unless it is paused.
    pub fn set_admission(&self, batch: u64, interval_seconds: f64, paused: bool, open: bool) {
        let service = &self.0.service;
        service.admission_batch.record(batch, &[]);
        service.admission_interval.record(interval_seconds, &[]);
        service.admission_paused.record(u64::from(paused), &[]);
        service.admission_open.record(u64::from(open), &[]);
    }

    /// Sets the admission rate and its cap, in users per second.
    pub fn set_admission_rate(&self, rate: f64, cap: f64) {
        self.0.service.admission_rate.record(rate, &[]);
        self.0.service.admission_cap.record(cap, &[]);
    }

    /// Counts `n` decisions on the rate of admission. With `n` 0 the reason is exported as zero, because `increase()`
    /// over a counter that appears with 1 misses the first event.
    pub fn admission_decision(&self, reason: &'static str, n: u64) {
        let reason = [KeyValue::new("reason", reason)];
        self.0.service.admission_decisions.add(n, &reason);
    }

    /// Sets whether the shared coordination answers.
    pub fn set_coordination(&self, backend: &'static str, up: bool) {
        let backend = [KeyValue::new("backend", backend)];
        self.0
            .service
            .coordination_up
            .record(u64::from(up), &backend);
    }

    /// Sets whether the database (`sqlite`, `postgres`, `mysql`) answers and accepts writes.
    pub fn set_database(&self, backend: &'static str, up: bool) {
        let backend = [KeyValue::new("backend", backend)];
        self.0.service.database_up.record(u64::from(up), &backend);
    }

    /// Sets whether a fault of that kind is injected.
    pub fn set_fault(&self, fault: &'static str, active: bool) {
        let fault = [KeyValue::new("fault", fault)];
        self.0
            .service
            .fault_active
            .record(u64::from(active), &fault);
    }

    /// Counts a change of the system's clock.
    pub fn clock_step(&self, direction: ClockStep) {
        self.0.service.clock_steps.add(direction, 1);
    }

    /// Sets the number of seconds by which the system's clock is ahead of the service's time.
    pub fn set_clock_offset(&self, seconds: f64) {
        self.0.service.clock_offset.record(seconds, &[]);
    }

    /// Sets the time at which the certificate in use expires.
    pub fn set_certificate_expiry(&self, at: jiff::Timestamp) {
        let gauge = &self.0.service.certificate_expiry;
        gauge.record(at.as_duration().as_secs_f64(), &[]);
    }

    /// Records an attempt to lock a seat at `backend` (`embedded`, `redis`) that took `wait`.
    pub fn seat_lock(&self, backend: &'static str, outcome: LockOutcome, wait: Duration) {
        let labels = || {
            vec![
                KeyValue::new("backend", backend),
                KeyValue::new("outcome", outcome.label()),
            ]
        };
        let key = (backend, outcome);
        self.0.service.lock_wait.record(key, wait, labels);
    }

    /// Records the wait for a database connection.
    pub fn db_wait(&self, wait: Duration) {
        self.0.service.db_wait.record(wait.as_secs_f64());
        self.0.buying.waited(wait);
    }

    /// Records a database operation by the name of its statement.
    pub fn db_operation(&self, name: &'static str, took: Duration) {
        let labels = || vec![KeyValue::new("db_operation_name", name)];
        self.0.service.db_operation.record(name, took, labels);
    }

    /// Sets the number of used and idle database connections, and the largest allowed number.
    pub fn set_db_connections(&self, used: u64, idle: u64, max: u64) {
        let connections = &self.0.service.db_connections;
        connections.record(used, &[KeyValue::new("state", "used")]);
        connections.record(idle, &[KeyValue::new("state", "idle")]);
        self.0.service.db_connections_max.record(max, &[]);
    }

    /// Sets the source of the number of dropped log records.
    pub fn log_dropped_source(&self, source: impl Fn() -> u64 + Send + Sync + 'static) {
        let dropped = move |observe: &dyn Fn(u64, &[KeyValue])| observe(source(), &[]);
        self.0.service.log_dropped.read(dropped);
    }

    /// Sets the source of the numbers of refused alerts and silences, with one count for each value of the label
    /// `kind`.
    pub fn alerts_refused_source<const N: usize>(
        &self,
        source: impl Fn() -> [(&'static str, u64); N] + Send + Sync + 'static,
    ) {
        let refused = move |observe: &dyn Fn(u64, &[KeyValue])| {
            for (kind, count) in source() {
                observe(count, &[KeyValue::new("kind", kind)]);
            }
        };
        self.0.service.alerts_refused.read(refused);
    }

    /// Counts the outcome of a notification to `receiver`. The settings bound the number of receivers.
    pub fn notification(&self, receiver: &str, outcome: NotificationOutcome) {
        self.count_notifications(receiver, outcome, 1);
    }

    /// Exports every outcome of a receiver as zero, because `increase()` over a counter that appears with 1 misses
    /// the first event.
    pub fn notification_receiver(&self, receiver: &str) {
        for outcome in NotificationOutcome::ALL {
            self.count_notifications(receiver, *outcome, 0);
        }
    }

    fn count_notifications(&self, receiver: &str, outcome: NotificationOutcome, n: u64) {
        let labels = [
            KeyValue::new("receiver", receiver.to_owned()),
            KeyValue::new("outcome", outcome.label()),
        ];
        self.0.service.notifications.add(n, &labels);
    }
}
