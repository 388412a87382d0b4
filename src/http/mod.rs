//! The HTTP server on axum: route tables, middleware, extractors, one file per resource, and listeners.
//!
//! Handlers call the use cases of `booking` and answer each [`Refusal`](crate::booking::Refusal) with a problem
//! document. The ticketing API ([`public`]) and the operations API ([`ops::router`]) each have their own router and
//! their own listener ([`listener`]).

mod accounts;
mod body;
mod concerts;
mod connections;
pub mod cors;
mod error;
mod extract;
mod faulty;
mod framing;
mod health;
pub mod listener;
mod middleware;
mod openapi;
pub mod ops;
mod page;
mod queue;
pub mod rate_limit;
mod request_guard;
mod reservations;
mod served_stream;
mod strictness;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use error::ApiError;
pub(crate) use faulty::check_routes;
pub use rate_limit::TokenLimit;

use rate_limit::RateLimit;

use crate::booking::Booking;
use crate::faults::Faults;
use crate::telemetry::Metrics;

/// Limits on requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time-out for an answer.
    pub request_timeout: Duration,
    /// The additional time for a write that has begun by then.
    pub outcome_timeout: Duration,
    /// The time-out for a body to arrive.
    pub body_timeout: Duration,
    /// The largest number of requests in flight. Further requests are answered with 503.
    pub in_flight: usize,
    /// The limits of one token. `None` means no limits.
    pub token: Option<TokenLimit>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_timeout: Duration::from_secs(10),
            outcome_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            in_flight: 20_000,
            token: Some(TokenLimit::default()),
        }
    }
}

/// The largest request body, in bytes.
pub const BODY_LIMIT: usize = 16 * 1024;

/// The state that the public handlers share.
#[derive(Clone)]
pub struct AppState {
    booking: Arc<Booking>,
    rate_limit: Option<Arc<RateLimit>>,
}

/// The route table of the ticketing API. The OpenAPI document and the routes that faults can name come from it.
fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(queue::register, queue::poll))
        .routes(routes!(concerts::list))
        .routes(routes!(concerts::dates))
        .routes(routes!(concerts::seats))
        .routes(routes!(reservations::reserve))
        .routes(routes!(reservations::cancel))
        .routes(routes!(reservations::pay))
        .routes(routes!(reservations::list))
        .routes(routes!(accounts::balance))
        .routes(routes!(accounts::charge))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(openapi::document))
}

/// The public ticketing API.
pub fn public(booking: Arc<Booking>, metrics: &Metrics, limits: Limits, faults: Faults) -> Router {
    let state = AppState {
        booking,
        rate_limit: limits.token.map(RateLimit::new),
    };
    let (router, document) = routes().split_for_parts();
    let router = router
        .layer(axum::Extension(openapi::Rendered::new(document)))
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(state);
    middleware::stack(router, Some(metrics), limits, faults, |_| BODY_LIMIT)
}
