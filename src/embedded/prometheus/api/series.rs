//! Lists the stored series: `series`, `labels`, `label/<name>/values`, `metadata`.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;

use super::params::Params;
use super::query::evaluate;
use super::{ApiError, ApiState, json, success};
use crate::embedded::prometheus::exposition::is_name;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::promql::Query;

pub(super) async fn series(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data(
            "no match[] parameter provided".to_owned(),
        ));
    }
    listing(state, &params, |found| {
        let found: Vec<_> = found.into_iter().collect();
        json::label_sets(&found)
    })
    .await
}

pub(super) async fn labels(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    listing(state, &params, |found| {
        let names = found.iter().flat_map(|l| l.iter().map(|(n, _)| n));
        serde_json::json!(names.collect::<BTreeSet<_>>()).to_string()
    })
    .await
}

pub(super) async fn label_values(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    if !is_name(&name, false) {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    listing(state, &params, move |found| {
        let values = found.iter().map(|l| l.get(&name)).filter(|v| !v.is_empty());
        serde_json::json!(values.collect::<BTreeSet<_>>()).to_string()
    })
    .await
}

pub(super) async fn metadata(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        None => usize::MAX,
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::bad_data("limit must be a number".to_owned()))?,
    };
    let only = params.text("metric");
    let all: serde_json::Map<_, _> = state
        .tsdb
        .metadata()
        .into_iter()
        .filter(|(name, _)| only.is_empty() || only == name)
        .take(limit)
        .map(|(name, m)| {
            let entry = serde_json::json!([{
                "type": m.kind.as_str(), "help": m.help, "unit": "",
            }]);
            (name, entry)
        })
        .collect();
    Ok(success(&serde_json::Value::Object(all).to_string()))
}

/// Renders the label sets between `start` and `end` that any `match[]` selects. Without `match[]` it renders all.
async fn listing(
    state: ApiState,
    params: &Params,
    render: impl FnOnce(BTreeSet<Labels>) -> String + Send + 'static,
) -> Result<Response, ApiError> {
    let start = params.time("start")?.unwrap_or(i64::MIN);
    let end = params.time("end")?.unwrap_or(i64::MAX);
    let texts: Vec<String> = params.all("match[]").map(str::to_owned).collect();
    let timeout = state.limits.timeout;
    evaluate(state, timeout, move |ctx| {
        let mut found = BTreeSet::new();
        if texts.is_empty() {
            found.extend(ctx.tsdb.label_sets(None, |_| true, start, end));
        }
        for text in &texts {
            let selector = Query::parse_selector(text, ctx.limits)
                .map_err(|e| ApiError::parameter("match[]", e))?;
            found.extend(selector.label_sets(ctx.tsdb, start, end));
        }
        Ok(render(found))
    })
    .await
}
