//! Tempo's HTTP API (<https://grafana.com/docs/tempo/latest/api_docs/>), the reading half of it.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::otlp::{self, Version};
use super::search::Deadline;
use super::store::TempoStore;
use super::traceql::{Field, parse_field};
use super::{TempoError, params, shapes};

/// What Grafana takes the version for: whether there is TraceQL, and the second version of the API.
const VERSION: &str = "2.6.0";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/protobuf";

/// Tempo's API over a store. Reading only: nothing can be pushed.
pub fn routes(store: Arc<TempoStore>) -> Router {
    Router::new()
        .route("/api/traces/{id}", get(trace_v1))
        .route("/api/v2/traces/{id}", get(trace_v2))
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
type Name = Result<Path<String>, PathRejection>;

async fn trace_v1(
    State(store): Store,
    id: Name,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, TempoError> {
    trace(store, id, query, headers, Version::One).await
}

async fn trace_v2(
    State(store): Store,
    id: Name,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, TempoError> {
    trace(store, id, query, headers, Version::Two).await
}

async fn trace(
    store: Arc<TempoStore>,
    id: Name,
    query: Option<String>,
    headers: HeaderMap,
    version: Version,
) -> Result<Response, TempoError> {
    let id = params::trace_id(&name(id)?)?;
    let params = params::parse(query.as_deref())?;
    params::only(&params, &["start", "end"])?;
    let (from_ns, to_ns) = params::window(&params)?;
    let binary = wants_protobuf(&headers);
    evaluate(store, move |store, _| {
        let trace = store.trace(id).ok_or(TempoError::NotFound)?;
        if trace.start_ns > to_ns || trace.end_ns < from_ns {
            return Err(TempoError::NotFound);
        }
        Ok(if binary {
            answer(PROTOBUF, otlp::protobuf(&trace, version))
        } else {
            success(&otlp::json(&trace, version))
        })
    })
    .await
}

/// Whether protobuf is asked for. JSON is the answer to everything else.
fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| kind.eq_ignore_ascii_case(PROTOBUF))
}

async fn search(State(store): Store, RawQuery(query): RawQuery) -> Result<Response, TempoError> {
    let params = params::parse(query.as_deref())?;
    let (search, bounds) = params::search(&params, &store.config.limits)?;
    evaluate(store, move |store, deadline| {
        shapes::search(store, &search, bounds, deadline).map(|answer| success(&answer))
    })
    .await
}

async fn tags_v1(State(store): Store, RawQuery(query): RawQuery) -> Result<Response, TempoError> {
    let scopes = names(&store, query.as_deref())?;
    Ok(success(&shapes::names_v1(&scopes)))
}

async fn tags_v2(State(store): Store, RawQuery(query): RawQuery) -> Result<Response, TempoError> {
    let scopes = names(&store, query.as_deref())?;
    Ok(success(&shapes::names_v2(&scopes)))
}

fn names(
    store: &TempoStore,
    query: Option<&str>,
) -> Result<Vec<(&'static str, Vec<&'static str>)>, TempoError> {
    let params = params::parse(query)?;
    shapes::names(store, params.get("scope").unwrap_or_default())
}

/// Tags of the first version are names without a scope.
async fn values_v1(
    State(store): Store,
    tag: Name,
    RawQuery(query): RawQuery,
) -> Result<Response, TempoError> {
    let field = match name(tag)?.as_str() {
        "name" => Field::Name,
        "status" | "status.code" => Field::Status,
        "root.name" => Field::RootName,
        "root.service.name" => Field::RootService,
        other => Field::Either(other.to_owned()),
    };
    let params = params::parse(query.as_deref())?;
    let limits = &store.config.limits;
    let most = params::count(&params, "limit", limits.max_values, limits.max_values)?;
    evaluate(store, move |store, deadline| {
        let found = shapes::values(store, &field, None, most, deadline)?;
        let texts: Vec<_> = found.into_iter().map(|(_, text)| text).collect();
        Ok(success(&json!({ "tagValues": texts, "metrics": {} })))
    })
    .await
}

/// Tags of the second version are fields of TraceQL.
async fn values_v2(
    State(store): Store,
    tag: Name,
    RawQuery(query): RawQuery,
) -> Result<Response, TempoError> {
    let limits = &store.config.limits;
    let field = parse_field(params::short(&name(tag)?, limits)?)?;
    let params = params::parse(query.as_deref())?;
    let most = params::count(&params, "limit", limits.max_values, limits.max_values)?;
    // As Tempo documents it, a query that is not finished yet narrows nothing: it comes from a person
    // who is typing.
    let query = params.get("q").and_then(|q| params::expr(q, limits).ok());
    evaluate(store, move |store, deadline| {
        let found = shapes::values(store, &field, query, most, deadline)?;
        let values: Vec<_> = found
            .into_iter()
            .map(|(kind, value)| json!({ "type": kind, "value": value }))
            .collect();
        Ok(success(&json!({ "tagValues": values, "metrics": {} })))
    })
    .await
}

async fn buildinfo() -> Response {
    success(&json!({
        "version": VERSION,
        "revision": concat!("concertctl-", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildDate": "",
        "buildUser": "",
        "goVersion": "",
    }))
}

fn name(path: Name) -> Result<String, TempoError> {
    path.map(|Path(name)| name)
        .map_err(|error| TempoError::refused(error.body_text()))
}

/// Waits for a turn, computes off the async threads, and answers.
async fn evaluate(
    store: Arc<TempoStore>,
    work: impl FnOnce(&TempoStore, Deadline) -> Result<Response, TempoError> + Send + 'static,
) -> Result<Response, TempoError> {
    let timeout = store.config.limits.timeout;
    let deadline = Deadline::new(Instant::now(), timeout);
    let turn = tokio::time::timeout(timeout, Arc::clone(&store.turns).acquire_owned())
        .await
        .map_err(|_| TempoError::TimedOut(timeout.as_millis()))?
        .map_err(|_| TempoError::Internal("the trace store is closed".into()))?;
    let evaluation = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&store, deadline)
    });
    evaluation.await.map_err(|error| {
        TempoError::Internal(format!("the query could not be evaluated: {error}"))
    })?
}

fn success<T: Serialize>(data: &T) -> Response {
    match serde_json::to_vec(data) {
        Ok(body) => answer(JSON, body),
        Err(error) => TempoError::Internal(error.to_string()).into_response(),
    }
}

fn answer(kind: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::embedded::tempo::{QueryLimits, TempoConfig};

    #[tokio::test]
    async fn a_query_waits_for_its_turn_and_no_longer_than_it_may_take() {
        let store = Arc::new(TempoStore::new(TempoConfig {
            limits: QueryLimits {
                max_concurrent: 1,
                timeout: Duration::from_millis(20),
                ..QueryLimits::default()
            },
            ..TempoConfig::default()
        }));
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, waits) = mpsc::channel::<()>();
        let first = tokio::spawn(evaluate(Arc::clone(&store), move |_, _| {
            begun.send(()).unwrap();
            // Until the other side has gone.
            let _ = waits.recv();
            Ok(success(&1))
        }));
        has_begun.recv().await.unwrap();
        let second = evaluate(Arc::clone(&store), |_, _| Ok(success(&2)));
        let second = tokio::time::timeout(Duration::from_secs(20), second).await;
        let refused = second.expect("it waits for ever").unwrap_err();
        assert_eq!(refused, TempoError::TimedOut(20));
        drop(go_on);
        assert!(first.await.unwrap().is_ok());
        assert!(evaluate(store, |_, _| Ok(success(&3))).await.is_ok());
    }
}
