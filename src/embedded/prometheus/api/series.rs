//! What there is: `series`, `labels`, `label/<name>/values`, `metadata`.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;

use super::params::Params;
use super::{ApiError, ApiState, json, success};
use crate::embedded::prometheus::exposition::is_name;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::promql::{Query, QueryError, Selector};

pub(super) async fn series(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data(
            "no match[] parameter provided".to_owned(),
        ));
    }
    let found: Vec<_> = matching(&state, &params)?.into_iter().collect();
    Ok(success(&json::label_sets(&found)))
}

pub(super) async fn labels(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let found = matching(&state, &params)?;
    let names: BTreeSet<&str> = found
        .iter()
        .flat_map(|l| l.iter().map(|(n, _)| n))
        .collect();
    Ok(success(&serde_json::json!(names).to_string()))
}

pub(super) async fn label_values(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    if !is_name(&name, false) {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let found = matching(&state, &params)?;
    let values: BTreeSet<&str> = found
        .iter()
        .map(|l| l.get(&name))
        .filter(|v| !v.is_empty())
        .collect();
    Ok(success(&serde_json::json!(values).to_string()))
}

pub(super) async fn metadata(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        "" => usize::MAX,
        text => text
            .parse()
            .map_err(|_| ApiError::bad_data("limit must be a number".to_owned()))?,
    };
    let only = params.get("metric");
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

/// The label sets that any `match[]` selects (all, if there is none) between `start` and `end`.
fn matching(state: &ApiState, params: &Params) -> Result<BTreeSet<Labels>, ApiError> {
    let start = params.time("start")?.unwrap_or(i64::MIN);
    let end = params.time("end")?.unwrap_or(i64::MAX);
    let selectors: Vec<Selector> = params
        .all("match[]")
        .map(|text| Query::parse_selector(text, &state.limits))
        .collect::<Result<_, QueryError>>()
        .map_err(|e| ApiError::parameter("match[]", e))?;
    let mut found = BTreeSet::new();
    if selectors.is_empty() {
        let all = state.tsdb.select(None, |_| true, start, end);
        found.extend(all.into_iter().map(|s| s.labels));
    }
    for selector in &selectors {
        let some = selector.select(&state.tsdb, start, end);
        found.extend(some.into_iter().map(|s| s.labels));
    }
    Ok(found)
}
