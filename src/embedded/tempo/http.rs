//! The reading part of Tempo's HTTP API (<https://grafana.com/docs/tempo/latest/api_docs/>).

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::otlp::{self, Version};
use super::params::{self, Params};
use super::search::Deadline;
use super::store::TempoStore;
use super::traceql::{Field, parse_field};
use super::{TempoError, responses};
use crate::embedded::request::{self, build_info};

/// Grafana concludes from this version that TraceQL and the second version of the API are supported.
const VERSION: &str = "2.6.0";
const PROTOBUF: &str = "application/protobuf";

/// Tempo's API over a store. It only reads; clients cannot push traces.
pub fn routes(store: Arc<TempoStore>) -> Router {
    Router::new()
        .route(
            "/api/traces/{id}",
            get(|State(store): Store, id, headers, params| {
                trace(store, id, params, headers, Version::One)
            }),
        )
        .route(
            "/api/v2/traces/{id}",
            get(|State(store): Store, id, headers, params| {
                trace(store, id, params, headers, Version::Two)
            }),
        )
        .route("/api/search", get(search))
        .route("/api/search/tags", get(tags_v1))
        .route("/api/v2/search/tags", get(tags_v2))
        .route("/api/search/tag/{tag}/values", get(values_v1))
        .route("/api/v2/search/tag/{tag}/values", get(values_v2))
        .route("/api/echo", get(async || "echo"))
        .route("/api/status/buildinfo", get(buildinfo))
        .with_state(store)
}

type Store = State<Arc<TempoStore>>;
type PathText = Result<Path<String>, PathRejection>;

/// Answers with a trace in the given version of the API.
async fn trace(
    store: Arc<TempoStore>,
    id: PathText,
    params: Params,
    headers: HeaderMap,
    version: Version,
) -> Result<Response, TempoError> {
    let id = params::trace_id(&path_text(id)?)?;
    params.only(&["start", "end"])?;
    let (from_ns, to_ns) = params.window()?;
    let binary = wants_protobuf(&headers);
    evaluate(store, move |store, _| {
        let trace = store.trace(id);
        let trace = trace.filter(|trace| trace.start_ns <= to_ns && trace.end_ns >= from_ns);
        let not_found = || TempoError::new(StatusCode::NOT_FOUND, "trace not found");
        let trace = trace.ok_or_else(not_found)?;
        Ok(if binary {
            let body = otlp::protobuf(&trace, version);
            ([(header::CONTENT_TYPE, PROTOBUF)], body).into_response()
        } else {
            success(&otlp::json(&trace, version))
        })
    })
    .await
}

/// Returns whether the client accepts protobuf. Every other client gets JSON.
fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| kind.eq_ignore_ascii_case(PROTOBUF))
}

async fn search(State(store): Store, params: Params) -> Result<Response, TempoError> {
    let (search, bounds) = params.search(&store.config.limits)?;
    evaluate(store, move |store, deadline| {
        responses::search(store, &search, bounds, deadline).map(|answer| success(&answer))
    })
    .await
}

async fn tags_v1(State(store): Store, params: Params) -> Result<Response, TempoError> {
    let scopes = responses::names(&store, params.get("scope").unwrap_or_default())?;
    Ok(success(&responses::names_v1(&scopes)))
}

async fn tags_v2(State(store): Store, params: Params) -> Result<Response, TempoError> {
    let scopes = responses::names(&store, params.get("scope").unwrap_or_default())?;
    Ok(success(&responses::names_v2(&scopes)))
}

/// In the first version, tags are names without a scope.
async fn values_v1(
    State(store): Store,
    tag: PathText,
    params: Params,
) -> Result<Response, TempoError> {
    let field = match path_text(tag)?.as_str() {
        "name" => Field::Name,
        "status" | "status.code" => Field::Status,
        "root.name" => Field::RootName,
        "root.service.name" => Field::RootService,
        other => Field::Either(other.to_owned()),
    };
    let most = params.values(&store.config.limits)?;
    evaluate(store, move |store, deadline| {
        let found = responses::values(store, &field, None, most, deadline)?;
        let texts: Vec<_> = found.into_iter().map(|(_, text)| text).collect();
        Ok(success(&json!({ "tagValues": texts, "metrics": {} })))
    })
    .await
}

/// In the second version, tags are fields of TraceQL.
async fn values_v2(
    State(store): Store,
    tag: PathText,
    params: Params,
) -> Result<Response, TempoError> {
    let limits = &store.config.limits;
    let field = parse_field(params::short(&path_text(tag)?, limits)?)?;
    let most = params.values(limits)?;
    // Tempo documents that an incomplete query filters nothing, because the user is still typing it.
    let query = params.get("q").and_then(|q| params::expr(q, limits).ok());
    evaluate(store, move |store, deadline| {
        let found = responses::values(store, &field, query, most, deadline)?;
        let values: Vec<_> = found
            .into_iter()
            .map(|(kind, value)| json!({ "type": kind, "value": value }))
            .collect();
        Ok(success(&json!({ "tagValues": values, "metrics": {} })))
    })
    .await
}

async fn buildinfo() -> Response {
    success(&build_info(VERSION))
}

fn path_text(path: PathText) -> Result<String, TempoError> {
    path.map(|Path(name)| name)
        .map_err(|error| TempoError::refused(error.body_text()))
}

/// Waits for its turn and computes a response.
async fn evaluate(
    store: Arc<TempoStore>,
    work: impl FnOnce(&TempoStore, Deadline) -> Result<Response, TempoError> + Send + 'static,
) -> Result<Response, TempoError> {
    let (started, timeout) = (Instant::now(), store.config.limits.timeout);
    let deadline = Deadline::new(started, timeout);
    let turns = store.turns.clone();
    let work = move || work(&store, deadline);
    turns.compute(started, timeout, work).await
}

fn success<T: Serialize>(data: &T) -> Response {
    request::json("application/json", data)
}
