//! Where injected faults bite requests: before anything is done for them.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::api::ErrorCode;
use crate::faults::Faults;

/// The steps of buying: errors are injected here when no routes are named.
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

/// The queue. With [`BUYING`], what is delayed when no routes are named.
pub(super) const QUEUE: [&str; 2] = ["POST /queue", "GET /queue"];

/// What is broken only when it is named: probes and the description.
pub(super) const OTHERS: [&str; 3] = ["GET /health/live", "GET /health/ready", "GET /openapi.json"];

/// Serves the request, unless a fault keeps it from being served.
pub(super) async fn serve(faults: &Faults, request: Request, next: Next) -> Response {
    if faults.hit_requests()
        && let Some(error) = refusal(faults, &request).await
    {
        return error.into_response();
    }
    next.run(request).await
}

/// Waits as long as is injected; the error that is.
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
        let detail = "an injected fault answers instead of the service";
        Some(ApiError::new(code, detail))
    }
}
