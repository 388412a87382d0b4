//! Alertmanager's HTTP API, version 2. A refusal of a handler is a JSON string, a refusal of the request validation
//! is `{"code":…,"message":…}` ([`super::errors`]).

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::errors::{BadRequest, Body, Refusal, parse_body};
use super::labels::parse_filter;
use super::store::{AlertFilter, AlertStore, Rejected};
use super::uri::is_request_uri;
use super::wire::{GettableAlert, PostableAlert, PostableSilence};
use super::{GROUP_BY, MAX_BODY_BYTES, RECEIVER, groups, time};
use crate::embedded::matcher::Matcher;
use crate::embedded::regex::{Dialect, anchored};
use crate::embedded::request;

const MAX_FILTERS: usize = 64;

/// The reading routes, which need no guard: alerts, also in groups, silences, status, receivers, readiness.
pub fn read_routes(store: Arc<AlertStore>) -> Router {
    api_routes([
        ("/api/v2/alerts", get(list_alerts)),
        ("/api/v2/alerts/groups", get(list_groups)),
        ("/api/v2/silences", get(list_silences)),
        ("/api/v2/silence/{id}", get(get_silence)),
        ("/api/v2/status", get(status)),
        ("/api/v2/receivers", get(receivers)),
    ])
    .route("/-/healthy", get(async || "OK"))
    .route("/-/ready", get(async || "OK"))
    .with_state(store)
}

/// The writing routes, which the caller must guard: they accept alerts and create and expire silences.
pub fn write_routes(store: Arc<AlertStore>) -> Router {
    api_routes([
        ("/api/v2/alerts", post(post_alerts)),
        ("/api/v2/silences", post(post_silence)),
        ("/api/v2/silence/{id}", delete(delete_silence)),
    ])
    .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
    .with_state(store)
}

/// Like Alertmanager, this accepts a slash after each path.
fn api_routes<const N: usize>(routes: [(&str, Methods); N]) -> Router<Arc<AlertStore>> {
    routes
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            let router = router.route(&format!("{path}/"), methods.clone());
            router.route(path, methods)
        })
}

type Methods = MethodRouter<Arc<AlertStore>>;
type Store = State<Arc<AlertStore>>;
type Params = request::ApiParams<Refusal>;

async fn list_alerts(State(store): Store, params: Params) -> Result<Response, Refusal> {
    Ok(Json(listed(&store, &params)?).into_response())
}

async fn list_groups(State(store): Store, params: Params) -> Result<Response, Refusal> {
    Ok(Json(groups::of(listed(&store, &params)?)).into_response())
}

/// The alerts that the parameters select.
fn listed(store: &AlertStore, params: &Params) -> Result<Vec<GettableAlert>, Refusal> {
    let filter = AlertFilter {
        matchers: filters(params)?,
        active: flag(params, "active"),
        silenced: flag(params, "silenced"),
    };
    // Alerts are never inhibited or unprocessed here, so the flags of these states change nothing.
    if let Some(receiver) = params.get("receiver") {
        let regex = anchored(receiver, Dialect::Prometheus3).map_err(|reason| {
            Rejected::Invalid(format!("failed to parse receiver param: {reason}"))
        })?;
        if !regex.is_match(RECEIVER) {
            return Ok(Vec::new());
        }
    }
    Ok(store.list(&filter, Timestamp::now()))
}

async fn post_alerts(State(store): Store, body: Body) -> Result<(), Refusal> {
    let alerts: Option<Vec<PostableAlert>> = parse_body("alerts", body)?;
    let alerts = alerts.unwrap_or_default();
    for (index, alert) in alerts.iter().enumerate() {
        let url = &alert.generator_url;
        if !url.is_empty() && !is_request_uri(url) {
            let name = format!("{index}.generatorURL");
            return Err(BadRequest::wrong_type("body", &name, "uri", url).into());
        }
    }
    Ok(store.put_from_api(alerts, Timestamp::now())?)
}

async fn list_silences(State(store): Store, params: Params) -> Result<Response, Refusal> {
    let matchers = filters(&params)?;
    Ok(Json(store.silences(&matchers, Timestamp::now())).into_response())
}

async fn post_silence(State(store): Store, body: Body) -> Result<Response, Refusal> {
    let silence: Option<PostableSilence> = parse_body("silence", body)?;
    // Null lacks every field. Alertmanager reports this one.
    let silence = silence.ok_or_else(|| BadRequest::required("comment"))?;
    if silence.matchers.is_empty() {
        return Err(BadRequest::too_few_items("matchers").into());
    }
    let id = store.silence(silence, Timestamp::now())?;
    Ok(Json(json!({ "silenceID": id.to_string() })).into_response())
}

async fn get_silence(State(store): Store, Path(id): Path<String>) -> Result<Response, Refusal> {
    let silence = store
        .get_silence(silence_id(&id)?, Timestamp::now())
        .ok_or(Rejected::NotFound("silence not found"))?;
    Ok(Json(silence).into_response())
}

async fn delete_silence(State(store): Store, Path(id): Path<String>) -> Result<(), Refusal> {
    Ok(store.expire_silence(silence_id(&id)?, Timestamp::now())?)
}

async fn status(State(store): Store) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let original = format!(
        "# concertctl's embedded alert store\nglobal:\n  resolve_timeout: {}s\nroute:\n  receiver: \
         {RECEIVER}\n  group_by: [{}]\nreceivers:\n- name: {RECEIVER}\n",
        store.config.resolve_timeout.as_secs(),
        GROUP_BY.join(", "),
    );
    Json(json!({
        "cluster": { "peers": [], "status": "disabled" },
        "config": { "original": original },
        "uptime": time::text(store.started),
        "versionInfo": {
            "branch": "", "buildDate": "", "buildUser": "", "goVersion": "", "revision": "",
            "version": format!("concertctl {version}"),
        },
    }))
    .into_response()
}

async fn receivers() -> Response {
    Json(json!([{ "name": RECEIVER }])).into_response()
}

fn filters(params: &Params) -> Result<Vec<Matcher>, Rejected> {
    let filters: Vec<&str> = params.all("filter").collect();
    if filters.len() > MAX_FILTERS {
        return Err(Rejected::Invalid(format!(
            "more than {MAX_FILTERS} filters"
        )));
    }
    filters
        .into_iter()
        .map(|text| parse_filter(text).map_err(Rejected::Invalid))
        .collect()
}

/// The value of a boolean parameter, true by default. If the parameter is given several times, the last value counts.
/// Like Alertmanager, this reads every text that is not in `TRUE` as false.
fn flag(params: &Params, name: &str) -> bool {
    const TRUE: [&str; 10] = [
        "true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled",
    ];
    let given = params.all(name).last().filter(|text| !text.is_empty());
    given.is_none_or(|text| TRUE.iter().any(|word| word.eq_ignore_ascii_case(text)))
}

fn silence_id(text: &str) -> Result<Uuid, BadRequest> {
    Uuid::parse_str(text).map_err(|_| BadRequest::wrong_type("path", "silenceID", "uuid", text))
}
