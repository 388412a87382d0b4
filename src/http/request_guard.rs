//! Meters and traces of one request, also when its client disconnects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::extract::RequestInfo;
use crate::api::ErrorCode;
use crate::telemetry::{RequestSpan, RootSpan, RouteMetrics, SpanKind, Value};

/// The status in the metrics of a request whose client disconnected before the answer. nginx logs the same number.
const CLIENT_CLOSED: u16 = 499;

/// Meters a request from its beginning to its end. A drop before [`finish`](RequestGuard::finish) means that the
/// client disconnected. This is metered too, so that the gauge of active requests falls again.
pub(super) struct RequestGuard {
    /// `None` when the request is not metered or is already finished.
    meters: Option<RouteMetrics>,
    span: RequestSpan,
    info: Arc<RequestInfo>,
    started: Instant,
}

impl RequestGuard {
    /// Begins a request that arrived at `started`.
    pub(super) fn begin(
        meters: Option<RouteMetrics>,
        info: Arc<RequestInfo>,
        span: RequestSpan,
        started: Instant,
    ) -> RequestGuard {
        if let Some(meters) = &meters {
            meters.start();
        }
        RequestGuard {
            meters,
            span,
            info,
            started,
        }
    }

    /// Meters the answer. Returns whether the request is metered at all.
    pub(super) fn finish(&mut self, status: u16, error: Option<ErrorCode>, took: Duration) -> bool {
        let Some(meters) = self.meters.take() else {
            return false;
        };
        meters.finish(status, took);
        let kept = self.span.end(took, status >= 500, || {
            describe(&meters, &self.info, status, error)
        });
        if let Some(trace_id) = kept {
            meters.exemplar(status, took, trace_id);
        }
        true
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.finish(CLIENT_CLOSED, None, self.started.elapsed());
    }
}

/// Describes the root span by the semantic conventions for HTTP servers, in which only 5xx is an error.
fn describe(
    meters: &RouteMetrics,
    info: &RequestInfo,
    status: u16,
    error: Option<ErrorCode>,
) -> RootSpan {
    let (method, route) = (meters.method(), meters.route());
    let mut attributes: Vec<(&'static str, Value)> = vec![
        ("http.request.method", method.into()),
        ("http.route", route.into()),
        ("http.response.status_code", i64::from(status).into()),
    ];
    if let Some(user) = info.user() {
        attributes.push(("user.id", user.to_string().into()));
    }
    if let Some(code) = error {
        attributes.push(("error.type", code.as_str().into()));
    }
    let failed = status >= 500;
    RootSpan {
        name: format!("{method} {route}").into(),
        kind: SpanKind::Server,
        attributes,
        error: failed.then(|| error.map_or("server error", ErrorCode::as_str).into()),
    }
}
