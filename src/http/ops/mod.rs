//! The operations API: metrics, admission, seeding, audit, faults, and the embedded telemetry stores.
//!
//! The listener is bound to loopback by default. A request that changes something or reads about users needs the
//! bearer token.

mod access;
mod admission;
mod audit;
mod consoles;
mod faults;
mod load;
mod seed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::{HeaderMap, HeaderValue, header};

pub use access::{BearerToken, Hosts};
pub use consoles::Consoles;
pub use load::{RunControl, load_router};
pub use seed::SeedControl;

use access::{authorize, check_host};

use super::reservations::iso8601;
use super::{ApiError, Limits, error, extract, middleware};
use crate::api::ErrorCode;
use crate::api::ops::{AdmissionState, Dataset, QueueState, Status};
use crate::booking::{Booking, DatasetInfo, Refusal};
use crate::faults::Faults;
use crate::telemetry::{Metrics, host};

/// The state that the operations handlers share.
#[derive(Clone)]
pub struct OpsState {
    /// The use cases of the ticketing service.
    pub booking: Arc<Booking>,
    /// The metrics of the service.
    pub metrics: Metrics,
    /// Seeds a dataset. `serve` provides it.
    pub seeding: Arc<dyn SeedControl>,
    /// The injected faults.
    pub faults: Faults,
    /// The address of the ticketing API.
    pub api_addr: std::net::SocketAddr,
    /// The consoles that observe this server.
    pub consoles: Consoles,
}

/// The router of the operations API. The embedded stores add the routes in `open`, which need no token, and in
/// `guarded`, which need it.
pub fn router(
    state: OpsState,
    (token, hosts): (BearerToken, Hosts),
    open: Router,
    guarded: Router,
) -> Router {
    let reads = Router::new()
        .route("/metrics", get(meters))
        .route("/ops/v1/status", get(status))
        .route("/ops/v1/admission", get(admission::read))
        .route("/ops/v1/seed", get(seed::progress))
        .route("/ops/v1/audit", get(audit::count))
        .route("/ops/v1/faults", get(faults::list));
    let writes = Router::new()
        .route("/ops/v1/admission", axum::routing::put(admission::change))
        .route("/ops/v1/seed", post(seed::start).delete(seed::cancel))
        .route("/ops/v1/audit/lookup", post(audit::lookup))
        .route("/ops/v1/faults", delete(faults::end_all))
        .route(
            "/ops/v1/faults/{kind}",
            axum::routing::put(faults::inject).delete(faults::end),
        )
        .route(
            "/ops/v1/seal",
            axum::routing::put(faults::seal).delete(faults::unseal),
        )
        .with_state(state.clone())
        .merge(guarded)
        .route_layer(from_fn_with_state(token.clone(), authorize));
    let router = reads
        .with_state(state)
        .merge(writes)
        .merge(open)
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::method_not_allowed);
    // An audit over ten million seats takes longer than a ticketing request may take.
    let limits = Limits {
        request_timeout: Duration::from_secs(130),
        ..Limits::default()
    };
    protected(router, hosts, limits, move |request| {
        match token.is_in(request.headers()) {
            true => GUARDED_BODY,
            false => OPEN_BODY,
        }
    })
}

/// The largest body of a request with the token, in bytes: a look-up of ten thousand facts.
const GUARDED_BODY: usize = 2 * 1024 * 1024;
/// The largest body of any other request, in bytes: a query as a form.
const OPEN_BODY: usize = 64 * 1024;

/// Adds the checks and limits that all routes of an operations listener need.
fn protected(
    router: Router,
    hosts: Hosts,
    limits: Limits,
    body_limit: impl Fn(&Request) -> usize + Send + Sync + 'static,
) -> Router {
    let router = router.layer(from_fn_with_state(hosts, check_host));
    middleware::stack(router, None, limits, Faults::default(), body_limit)
}

/// `GET /metrics`. A client that accepts OpenMetrics, as Prometheus does, gets it. Any other client gets the
/// Prometheus text format.
async fn meters(State(state): State<OpsState>, headers: HeaderMap) -> Result<Response, ApiError> {
    if !state.faults.reports_telemetry().await {
        let detail = "the metrics are not available";
        return Err(ApiError::new(ErrorCode::Overloaded, detail));
    }
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    let named = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value.contains("application/openmetrics-text")
    };
    if !accepted.any(named) {
        return Ok(exposition(state.metrics.render()));
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let kind = HeaderValue::from_static(kind);
    let text = state.metrics.render_openmetrics();
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn exposition(text: String) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn status(
    State(state): State<OpsState>,
    headers: HeaderMap,
) -> Result<axum::Json<Status>, ApiError> {
    let consoles = state.consoles.seen(&headers, Instant::now());
    let dataset = match state.booking.dataset() {
        Ok(active) => Some(dataset(active.info())),
        Err(_) => None,
    };
    let (queue, admission) = match state.booking.queue_state() {
        Ok((counts, admission)) => (
            QueueState {
                registered: counts.registered,
                admitted_mark: counts.watermark,
                waiting: counts.waiting,
                active: counts.active,
            },
            admission,
        ),
        Err(Refusal::NoDataset) => Default::default(),
        Err(other) => return Err(other.into()),
    };
    Ok(axum::Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_addr: state.api_addr.to_string(),
        dataset,
        queue,
        admission: admission_state(&state.booking, &admission),
        consoles,
        memory_bytes: host::resident_memory(),
    }))
}

fn admission_state(booking: &Booking, admission: &crate::booking::Admission) -> AdmissionState {
    AdmissionState {
        batch: admission.batch,
        every_ms: admission.every_ms,
        follow: admission.follow,
        rate: booking.admission_rate(admission),
        paused: admission.paused,
        opens_at_ms: admission.opens_at.map(|at| at.0),
        open: booking.is_open(admission),
    }
}

fn dataset(info: &DatasetInfo) -> Dataset {
    Dataset {
        profile: info.profile.clone(),
        concerts: info.concerts,
        dates: info.dates,
        seats: info.seats(),
        users: info.users,
        on_sale_concert: info.on_sale.0,
        on_sale_seats: info.on_sale_seats,
        popular_seats: info.popular_seats,
        seats_per_date: info.seats_per_date,
        seeded_at: iso8601(info.seeded_at),
    }
}

/// Parses the JSON body of an operations request.
async fn body<T: serde::de::DeserializeOwned>(
    request: Request,
    limit: usize,
) -> Result<T, ApiError> {
    let (_, bytes) = extract::read(request, limit).await?;
    extract::parsed(&bytes)
}
