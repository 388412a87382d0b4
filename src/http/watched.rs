//! A request under way, as meters and traces see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::extract::RequestInfo;
use crate::api::ErrorCode;
use crate::telemetry::{RequestSpan, RootSpan, RouteMetrics, SpanKind, Value};

/// The status that stands in the meters when a client went away before its answer (as nginx has it).
const CLIENT_CLOSED: u16 = 499;

/// A request under way. Dropped unfinished, its client has gone: it is metered all the same, so that
/// the gauge of active requests comes down again.
pub(super) struct Watched {
    /// None for operations: what users get is not mixed with what operators ask.
    under_way: Option<RouteMetrics>,
    span: RequestSpan,
    info: Arc<RequestInfo>,
    started: Instant,
}

impl Watched {
    /// A request that began at `started`.
    pub(super) fn begin(
        meters: Option<RouteMetrics>,
        info: Arc<RequestInfo>,
        span: RequestSpan,
        started: Instant,
    ) -> Watched {
        if let Some(meters) = &meters {
            meters.start();
        }
        Watched {
            under_way: meters,
            span,
            info,
            started,
        }
    }

    /// Whether the request is metered at all.
    pub(super) fn finish(&mut self, status: u16, error: Option<ErrorCode>, took: Duration) -> bool {
        let Some(meters) = self.under_way.take() else {
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

impl Drop for Watched {
    fn drop(&mut self) {
        self.finish(CLIENT_CLOSED, None, self.started.elapsed());
    }
}

/// By the semantic conventions of HTTP servers: only what is the server's fault is an error.
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
