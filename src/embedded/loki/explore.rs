//! The routes that Grafana's Explore needs besides queries: readiness, volumes, labels and fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::eval::{self, Budget, Direction, ResultStream, Window};
use super::http::{Store, check_range, in_turn, label_sets, parse, selector};
use super::logql::{self, LogExpr, Query};
use super::params::Params;
use super::responses::success;
use super::store::{Labels, LokiStore, StreamSnapshot};
use super::{QueryError, tail_socket};
use crate::embedded::now_ns;
use crate::embedded::request::{build_info, get_or_post};

/// The default limit on series of a volume, on fields, and on values of a field. Loki has the same.
const DEFAULT_SERIES: usize = 100;
const DEFAULT_FIELDS: usize = 1000;
/// The default number of lines that are searched for fields.
const DEFAULT_LINES: usize = 1000;

/// Readiness, which needs no token.
pub fn readiness_route() -> Router {
    Router::new().route("/ready", get(async || "ready\n"))
}

/// Routes for a store, below `/loki/api/v1`.
pub(super) fn routes() -> Router<Arc<LokiStore>> {
    Router::new()
        .route("/status/buildinfo", get(buildinfo))
        .route("/index/stats", get_or_post(stats))
        .route("/index/volume", get_or_post(volume))
        .route("/index/volume_range", get_or_post(volume_range))
        .route("/detected_labels", get_or_post(detected_labels))
        .route("/detected_fields", get_or_post(detected_fields))
        .route(
            "/detected_field/{name}/values",
            get_or_post(detected_values),
        )
        .route("/patterns", get_or_post(patterns))
        .route("/format_query", get_or_post(format_query))
        .route("/tail", get(tail_socket::tail))
}

/// Grafana chooses its requests by this version.
async fn buildinfo() -> Json<Value> {
    Json(build_info("3.0.0"))
}

/// The streams that the parameter `query` selects in the range of the parameters, and that range.
fn selected(
    store: &LokiStore,
    params: &Params,
) -> Result<(Vec<StreamSnapshot>, (i64, i64)), QueryError> {
    let (start_ns, end_ns) = params.range(now_ns())?;
    check_range(end_ns.saturating_sub(start_ns), &store.config.limits)?;
    let groups = match params.get("query") {
        None => Vec::new(),
        Some(text) => vec![selector(text, &store.config.limits)?],
    };
    let groups: Vec<_> = groups.iter().map(Vec::as_slice).collect();
    Ok((
        store.snapshot(&groups, start_ns, end_ns),
        (start_ns, end_ns),
    ))
}

async fn stats(State(store): Store, params: Params) -> Result<Json<Value>, QueryError> {
    let (streams, (start_ns, end_ns)) = selected(&store, &params)?;
    let chunks = streams.iter().flat_map(|stream| &stream.chunks);
    let (mut entries, mut bytes, mut count) = (0, 0, 0);
    for chunk in chunks {
        let (lines, size) = chunk.volume(start_ns, end_ns);
        (entries, bytes, count) = (entries + lines, bytes + size, count + 1);
    }
    Ok(Json(json!({
        "streams": streams.len(), "chunks": count, "bytes": bytes, "entries": entries,
    })))
}

/// Chooses the labels under which the bytes of a stream are counted.
fn volume_labels(params: &Params) -> Result<impl Fn(&StreamSnapshot) -> Vec<Labels>, QueryError> {
    let by_label = params.get("aggregateBy") == Some("labels");
    let targets: Vec<String> = match params.get("targetLabels") {
        Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
        None if by_label => Vec::new(),
        None => {
            let selector = logql::parse_selector(params.get("query").unwrap_or("{}"))?;
            selector.into_iter().map(|matcher| matcher.name).collect()
        }
    };
    Ok(move |stream: &StreamSnapshot| {
        let wanted = stream
            .labels
            .iter()
            .filter(|(name, _)| targets.is_empty() || targets.contains(name));
        if by_label {
            let alone =
                |(name, _): (&String, &String)| BTreeMap::from([(name.clone(), String::new())]);
            return wanted.map(alone).collect();
        }
        vec![
            wanted
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        ]
    })
}

async fn volume(State(store): Store, params: Params) -> Result<Response, QueryError> {
    let (streams, window) = selected(&store, &params)?;
    let result: Vec<_> = volumes(&params, &streams, window)?
        .into_iter()
        .map(|(labels, bytes)| json!({"metric": labels, "value": [window.1 / 1_000_000_000, bytes.to_string()]}))
        .collect();
    Ok(success(&json!({"resultType": "vector", "result": result})))
}

async fn volume_range(State(store): Store, params: Params) -> Result<Response, QueryError> {
    let (streams, (start_ns, end_ns)) = selected(&store, &params)?;
    let mut series: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
    let steps = params.steps(start_ns, end_ns)?;
    for pair in steps.windows(2) {
        let window = (pair[0].max(start_ns), pair[1].min(end_ns));
        for (labels, bytes) in volumes(&params, &streams, window)? {
            let point = json!([pair[1] as f64 / 1e9, bytes.to_string()]);
            series.entry(labels).or_default().push(point);
        }
    }
    let result: Vec<_> = series
        .into_iter()
        .map(|(labels, values)| json!({"metric": labels, "values": values}))
        .collect();
    Ok(success(&json!({"resultType": "matrix", "result": result})))
}

/// The number of bytes by labels, the largest first, at most `limit` entries.
fn volumes(
    params: &Params,
    streams: &[StreamSnapshot],
    (start_ns, end_ns): (i64, i64),
) -> Result<Vec<(Labels, u64)>, QueryError> {
    let labels_of = volume_labels(params)?;
    let mut by_labels: BTreeMap<_, u64> = BTreeMap::new();
    for stream in streams {
        let bytes = |chunk: &Arc<super::chunk::Chunk>| chunk.volume(start_ns, end_ns).1;
        let bytes: u64 = stream.chunks.iter().map(bytes).sum();
        for labels in labels_of(stream).into_iter().filter(|_| bytes > 0) {
            *by_labels.entry(labels).or_default() += bytes;
        }
    }
    let mut volumes: Vec<_> = by_labels.into_iter().collect();
    volumes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    volumes.truncate(number(params, "limit", DEFAULT_SERIES)?);
    Ok(volumes)
}

/// A positive number, at most the largest one that Loki accepts by default.
fn number(params: &Params, name: &str, default: usize) -> Result<usize, QueryError> {
    match params.get(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(number @ 1..=5000)) => Ok(number),
        Some(_) => Err(QueryError::refused(format!(
            "the parameter '{name}' must be a number from 1 to 5000"
        ))),
    }
}

async fn detected_labels(State(store): Store, params: Params) -> Result<Json<Value>, QueryError> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for labels in label_sets(&store, &params, params.get("query").into_iter())? {
        for (name, value) in labels.iter() {
            values
                .entry(name.clone())
                .or_default()
                .insert(value.clone());
        }
    }
    let labels: Vec<_> = values
        .into_iter()
        .map(|(label, values)| json!({"label": label, "cardinality": values.len()}))
        .collect();
    Ok(Json(json!({"detectedLabels": labels})))
}

/// The values of a field, and whether a parser finds it.
#[derive(Default)]
struct Field {
    values: BTreeSet<String>,
    parsed: bool,
}

/// The fields of the newest lines: structured metadata, and the labels that `| json` would give.
fn fields(
    store: &LokiStore,
    params: &Params,
    budget: &mut Budget,
) -> Result<BTreeMap<String, Field>, QueryError> {
    let Query::Log(mut expr) = parse(params, &store.config.limits)? else {
        return Err(QueryError::refused(
            "fields are those of lines: the query must select lines",
        ));
    };
    let parses = |expr: &LogExpr| {
        expr.stages
            .iter()
            .any(|it| matches!(it, logql::Stage::Json))
    };
    if !parses(&expr) {
        expr.stages.push(logql::Stage::Json);
    }
    let (start_ns, end_ns) = params.range(now_ns())?;
    check_range(end_ns.saturating_sub(start_ns), &store.config.limits)?;
    let window = Window {
        limit: number(params, "line_limit", DEFAULT_LINES)?,
        direction: Direction::Backward,
        categorize: true,
    };
    let snapshot = store.snapshot(&[&expr.selector], start_ns, end_ns);
    let streams = eval::log_query(&snapshot, &expr, (start_ns, end_ns), window, budget)?;
    Ok(fields_of(streams))
}

fn fields_of(streams: Vec<ResultStream>) -> BTreeMap<String, Field> {
    let mut fields: BTreeMap<String, Field> = BTreeMap::new();
    let lines = streams.into_iter().flat_map(|stream| stream.entries);
    for own in lines.filter_map(|line| line.own) {
        for (labels, parsed) in [(own.metadata, false), (own.parsed, true)] {
            for (name, value) in labels {
                if name.starts_with("__") {
                    continue;
                }
                let field = fields.entry(name).or_default();
                field.parsed = parsed;
                field.values.insert(value);
            }
        }
    }
    fields
}

async fn detected_fields(State(store): Store, params: Params) -> Result<Response, QueryError> {
    let limit = number(&params, "limit", DEFAULT_FIELDS)?;
    in_turn(store, Instant::now(), move |store, budget| {
        let fields = fields(store, &params, budget)?.into_iter().take(limit);
        let fields: Vec<_> = fields
            .map(|(label, field)| {
                json!({
                    "label": label,
                    "type": kind(&field.values),
                    "cardinality": field.values.len(),
                    "parsers": field.parsed.then_some(["json"]),
                })
            })
            .collect();
        Ok(Json(json!({"fields": fields, "limit": limit})).into_response())
    })
    .await
}

async fn detected_values(
    State(store): Store,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, QueryError> {
    let limit = number(&params, "limit", DEFAULT_FIELDS)?;
    in_turn(store, Instant::now(), move |store, budget| {
        let values = fields(store, &params, budget)?
            .remove(&name)
            .unwrap_or_default();
        let values: Vec<_> = values.values.into_iter().take(limit).collect();
        Ok(Json(json!({"values": values, "limit": limit})).into_response())
    })
    .await
}

/// The narrowest of Loki's types that fits all values.
fn kind(values: &BTreeSet<String>) -> &'static str {
    let all = |is: &dyn Fn(&str) -> bool| !values.is_empty() && values.iter().all(|it| is(it));
    if all(&|text| text.parse::<i64>().is_ok()) {
        "int"
    } else if all(&|text| text.parse::<f64>().is_ok()) {
        "float"
    } else if all(&|text| text.parse::<bool>().is_ok()) {
        "boolean"
    } else if all(&|text| logql::parse_go_duration(text).is_some()) {
        "duration"
    } else if all(&|text| logql::parse_bytes(text).is_some()) {
        "bytes"
    } else {
        "string"
    }
}

/// Patterns are not supported, so the list is always empty, but an invalid query is still refused.
async fn patterns(State(store): Store, params: Params) -> Result<Response, QueryError> {
    if let Some(query) = params.get("query") {
        selector(query, &store.config.limits)?;
    }
    Ok(success(&json!([])))
}

/// The query unchanged, if it can be parsed.
async fn format_query(State(store): Store, params: Params) -> Result<Response, QueryError> {
    parse(&params, &store.config.limits)?;
    Ok(success(&params.get("query").unwrap_or_default().trim()))
}
