//! What every request passes through.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, header};
use hyper::body::Body as _;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::error::Asker;
use super::extract::RequestInfo;
use super::health::PROBES;
use super::watched::Watched;
use super::{ApiError, Limits, body, error, faulty, strictness};
use crate::api::{ErrorCode, TRACE_ID};
use crate::faults::Faults;
use crate::telemetry::{AccessRecord, Metrics, RequestSpan, RouteMetrics, TraceContext};

/// Methods as labels: whatever is not standard is one value, so that labels stay few.
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "_OTHER",
];

/// Where a method stands in [`METHODS`].
fn method_index(method: &Method) -> usize {
    METHODS
        .iter()
        .position(|name| *name == method.as_str())
        .unwrap_or(METHODS.len() - 1)
}

/// Meters of the routes, bound when a route is first asked for, by route and then method. Routes are
/// those of the table, so there are few.
struct Meters {
    metrics: Metrics,
    bound: RwLock<HashMap<&'static str, [Option<RouteMetrics>; METHODS.len()]>>,
}

impl Meters {
    fn of(&self, method: usize, route: &str) -> RouteMetrics {
        if let Some(Some(found)) = self.bound.read().get(route).map(|row| &row[method]) {
            return found.clone();
        }
        let mut bound = self.bound.write();
        let route = match bound.get_key_value(route) {
            Some((known, _)) => *known,
            None => Box::leak(route.to_owned().into_boxed_str()),
        };
        bound.entry(route).or_default()[method]
            .get_or_insert_with(|| self.metrics.route(METHODS[method], route))
            .clone()
    }
}

struct Shared {
    /// None for operations: what users get is not mixed with what operators ask.
    meters: Option<Meters>,
    limits: Limits,
    faults: Faults,
    in_flight: Semaphore,
    /// The largest body of a request, in bytes.
    body_limit: BodyLimit,
}

type BodyLimit = Box<dyn Fn(&Request) -> usize + Send + Sync>;

/// Wraps `router`: trace context, meters and access record outermost, so that they see every answer;
/// then what HTTP forbids, the bound on work under way, the body, the time-out and the net for panics. Without `metrics` requests
/// are not metered, and their records are DEBUG: scrapes and the console's questions.
pub(super) fn stack(
    router: Router,
    metrics: Option<&Metrics>,
    limits: Limits,
    faults: Faults,
    body_limit: impl Fn(&Request) -> usize + Send + Sync + 'static,
) -> Router {
    let shared = Arc::new(Shared {
        meters: metrics.map(|metrics| Meters {
            metrics: metrics.clone(),
            bound: RwLock::default(),
        }),
        limits,
        faults,
        in_flight: Semaphore::new(limits.in_flight),
        body_limit: Box::new(body_limit),
    });
    router.layer(from_fn_with_state(shared, observe))
}

async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let parent = request
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    let trace = TraceContext::from_traceparent(parent);
    let method = method_index(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let is_probe = PROBES.contains(&route);
    let meters = shared.meters.as_ref().filter(|_| !is_probe);
    let meters = meters.map(|meters| meters.of(method, route));
    let asker = match shared.meters {
        Some(_) => Asker::Ours,
        None => Asker::of(request.uri().path()),
    };
    let info = Arc::new(RequestInfo::default());
    request.extensions_mut().insert(Arc::clone(&info));
    // What operators and probes ask is not metered, and not traced either.
    let span = RequestSpan::begin(trace, started, meters.is_some());
    let mut watched = Watched::begin(meters, Arc::clone(&info), span.clone(), started);

    let (mut response, close) = match strictness::refusal(&request) {
        Some(error) => (error.into_response(), true),
        None => span.within(guard(&shared, &info, request, next)).await,
    };

    let trace_id = trace.trace_id_hex();
    let mut code = None;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        code = Some(error.code);
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.respond(asker, &trace_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&trace_id) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(TRACE_ID), value);
    }
    if close {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    let metered = watched.finish(status, code, took);
    span.log_access(&AccessRecord {
        method: METHODS[method],
        route,
        status,
        took,
        user: info.user(),
        of_interest: metered,
        is_probe,
    });
    response
}

/// The answer, and whether the connection ends with it.
async fn guard(
    shared: &Shared,
    info: &RequestInfo,
    request: Request,
    next: Next,
) -> (Response, bool) {
    let Ok(_permit) = shared.in_flight.try_acquire() else {
        let unread = !request.body().is_end_stream();
        let detail = "as many requests are under way as can be";
        return (
            ApiError::new(ErrorCode::Overloaded, detail).into_response(),
            unread,
        );
    };
    let limit = (shared.body_limit)(&request);
    match body::arrived(request, limit, shared.limits.body_timeout).await {
        Ok(request) => (answer(shared, info, request, next).await, false),
        Err(refused) => (refused.error.into_response(), refused.close),
    }
}

/// A request whose time is up before it writes is cancelled: nothing was done. One that writes is awaited
/// for longer, and its outcome is unknown after that.
async fn answer(shared: &Shared, info: &RequestInfo, request: Request, next: Next) -> Response {
    let answer = AssertUnwindSafe(faulty::serve(&shared.faults, request, next)).catch_unwind();
    let mut answer = std::pin::pin!(answer);
    let limits = &shared.limits;
    let mut answered = tokio::time::timeout(limits.request_timeout, &mut answer).await;
    let writing = info.is_writing();
    if answered.is_err() && writing {
        answered = tokio::time::timeout(limits.outcome_timeout, answer).await;
    }
    match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            tracing::error!("a handler panicked");
            ApiError::new(
                ErrorCode::Internal,
                "the defect is logged under the trace id",
            )
            .into_response()
        }
        Err(_) if writing => error::outcome_unknown().into_response(),
        Err(_) => {
            ApiError::new(ErrorCode::Timeout, "the answer was not ready in time").into_response()
        }
    }
}
