//! Injected faults of requests. They take effect before anything is done for a request.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::api::ErrorCode;
use crate::faults::Faults;

/// The steps of buying: where errors are injected unless routes are named.
pub(super) const BUYING: [&str; 9] = [
    "GET /concerts",
    "GET /concerts/{concertId}/performanceDates",
    "GET /concerts/{concertId}/performanceDates/{performanceDateId}/seats",
    "POST /reservations",
    "DELETE /reservations/{reservationId}",
    "POST /users/{userId}/reservations/{reservationId}/pay",
    "GET /users/{userId}/reservations",
    "GET /accounts/{userId}",
    "POST /accounts/{userId}/charge",
];

/// The queue. Latency is injected here and in [`BUYING`] unless routes are named.
pub(super) const QUEUE: [&str; 2] = ["POST /queue", "GET /queue"];

/// Probes and the API description: faults are injected here only when the route is named.
pub(super) const OTHERS: [&str; 3] = ["GET /health/live", "GET /health/ready", "GET /openapi.json"];

/// Runs the request, unless an injected fault answers it.
pub(super) async fn serve(faults: &Faults, request: Request, next: Next) -> Response {
    if faults.hit_requests()
        && let Some(error) = refusal(faults, &request).await
    {
        return error.into_response();
    }
    next.run(request).await
}

/// Waits for the injected latency, then gives the injected error.
fn refusal(faults: &Faults, request: &Request) -> impl Future<Output = Option<ApiError>> + use<> {
    let (faults, method) = (faults.clone(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    async move {
        let (route, method) = (route?, method.as_str());
        faults.delay_request(method, route.as_str()).await;
        let status = faults.error_for(method, route.as_str())?;
        let code = match status {
            503 => ErrorCode::Overloaded,
            _ => ErrorCode::Internal,
        };
        let detail = "an injected fault answered this request; GET /ops/v1/faults lists the faults";
        Some(ApiError::new(code, detail))
    }
}
