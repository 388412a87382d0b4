//! Injected faults of requests. They act before the server does anything for a request.

use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::api::ErrorCode;
use crate::faults::Faults;
use crate::yaml::suggestion;

/// A route of the ticketing API that faults can name.
pub(super) struct Route {
    /// `METHOD /path`.
    pub(super) name: String,
    pub(super) part: Part,
}

/// The purpose of a route. A fault that names no routes breaks a whole part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Queue,
    Buying,
    /// Probes and the OpenAPI document. A fault breaks them only when it names them.
    Other,
}

/// All routes of the route table.
pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let document = serde_json::to_value(super::routes().into_openapi()).unwrap_or_default();
    let paths = document["paths"].as_object().into_iter().flatten();
    let calls = paths.flat_map(|(path, calls)| {
        let calls = calls.as_object().into_iter().flatten();
        calls.map(move |(method, call)| Route {
            name: format!("{} {path}", method.to_uppercase()),
            part: match call["tags"][0].as_str() {
                Some("queue") => Part::Queue,
                Some("health" | "description") => Part::Other,
                _ => Part::Buying,
            },
        })
    });
    calls.collect()
});

/// Checks the routes that a fault names: there is at least one, and each exists.
///
/// # Errors
/// The mistake, as a predicate of `routes`.
pub(crate) fn check_routes(named: &[String]) -> Result<(), String> {
    if named.is_empty() {
        return Err("is empty: leave it out, or name some".to_owned());
    }
    let known: Vec<&str> = ROUTES.iter().map(|route| route.name.as_str()).collect();
    let unknown = named.iter().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |unknown| {
        let near = suggestion::among(unknown, &known);
        Err(format!("has {unknown:?}, which is no route{near}"))
    })
}

/// Returns whether `METHOD /path` is a step of buying.
pub(super) fn is_buying(method: &str, path: &str) -> bool {
    let mut routes = ROUTES.iter();
    let named = |route: &&Route| route.name.split_once(' ') == Some((method, path));
    routes.find(named).is_some_and(|it| it.part == Part::Buying)
}

/// Runs the request, unless an injected fault answers it.
pub(super) async fn serve(faults: &Faults, request: Request, next: Next) -> Response {
    if faults.may_affect_requests()
        && let Some(error) = refusal(faults, &request).await
    {
        return error.into_response();
    }
    next.run(request).await
}

/// Waits for the injected latency, then returns the injected error.
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
        let detail = faults.reason(
            "an injected fault answered this request; GET /ops/v1/faults lists the faults",
            "the server could not serve this request; send it again",
        );
        Some(ApiError::new(code, detail))
    }
}
