//! HTTP server metrics of one method and route. The attributes of a common status are bound once, at its
//! first request.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, Histogram};

use super::buying::{Buying, UnderWay};
use super::openmetrics::Exemplars;

/// Statuses whose histogram is bound once. For any other the attributes are built at each request.
const STATUSES: [u16; 29] = [
    200, 201, 202, 204, 206, 301, 302, 304, 400, 401, 402, 403, 404, 405, 408, 409, 410, 412, 413,
    415, 417, 421, 422, 429, 499, 500, 502, 503, 504,
];
const NO_SLOT: u8 = u8::MAX;

/// The slot of each status. The compiler computes the table, so that a request needs only one load.
const SLOTS: [u8; 600] = {
    let mut slots = [NO_SLOT; 600];
    let mut i = 0;
    while i < STATUSES.len() {
        slots[STATUSES[i] as usize] = i as u8;
        i += 1;
    }
    slots
};

/// Counts and measures the requests of one method and route. Clones share the counts.
#[derive(Clone)]
pub struct RouteMetrics(Arc<Inner>);

struct Inner {
    method: &'static str,
    route: &'static str,
    active: Arc<AtomicI64>,
    duration: Histogram<f64>,
    exemplars: Arc<Exemplars>,
    /// The counts of the requests of buying, on a route of buying.
    buying: Option<Arc<Buying>>,
    by_status: [OnceLock<BoundHistogram<f64>>; STATUSES.len()],
}

impl RouteMetrics {
    pub(super) fn new(
        method: &'static str,
        route: &'static str,
        active: Arc<AtomicI64>,
        duration: Histogram<f64>,
        exemplars: Arc<Exemplars>,
        buying: Option<Arc<Buying>>,
    ) -> Self {
        RouteMetrics(Arc::new(Inner {
            method,
            route,
            active,
            duration,
            exemplars,
            buying,
            by_status: [const { OnceLock::new() }; STATUSES.len()],
        }))
    }

    /// The request method.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.0.method
    }

    /// The route template, as in the route table.
    #[must_use]
    pub fn route(&self) -> &'static str {
        self.0.route
    }

    /// Records that a request arrived: `http_server_active_requests` rises by one.
    ///
    /// Each call must be followed by exactly one [`finish`](Self::finish), even if the request is abandoned.
    pub fn start(&self) {
        self.0.active.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a request of buying, which has arrived completely; `None` on any other route.
    #[must_use]
    pub fn step_of_buying(&self) -> Option<UnderWay> {
        let buying = self.0.buying.as_ref();
        buying.map(|buying| buying.begin(Instant::now()))
    }

    /// Records that the request ended with `status` after `took`: one observation in
    /// `http_server_request_duration_seconds`, and one active request less.
    pub fn finish(&self, status: u16, took: Duration) {
        let inner = &*self.0;
        inner.active.fetch_sub(1, Ordering::Relaxed);
        let slot = SLOTS.get(usize::from(status)).copied().unwrap_or(NO_SLOT);
        match inner.by_status.get(usize::from(slot)) {
            Some(cell) => cell
                .get_or_init(|| inner.duration.bind(&inner.attributes(status)))
                .record(took.as_secs_f64()),
            None => inner
                .duration
                .record(took.as_secs_f64(), &inner.attributes(status)),
        }
    }

    /// Keeps `trace_id` as the exemplar of the bucket in which [`finish`](Self::finish) counted this
    /// request.
    pub fn exemplar(&self, status: u16, took: Duration, trace_id: u128) {
        let inner = &*self.0;
        let route = (inner.method, inner.route);
        inner.exemplars.put(route, status, took, trace_id);
    }
}

impl Inner {
    fn attributes(&self, status: u16) -> [KeyValue; 3] {
        [
            KeyValue::new("http_request_method", self.method),
            KeyValue::new("http_route", self.route),
            KeyValue::new("http_response_status_code", i64::from(status)),
        ]
    }
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteMetrics({} {})", self.0.method, self.0.route)
    }
}
