//! Alertmanager's HTTP API, version 2. Errors are a JSON string, as there.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use super::RECEIVER;
use super::labels::parse_filter;
use super::store::{AlertFilter, AlertStore, Rejected};
use super::wire::{PostableAlert, PostableSilence};
use crate::embedded::loki::params::Params;
use crate::embedded::matcher::{Matcher, compile};

const MAX_BODY_BYTES: usize = 1 << 20;
const MAX_FILTERS: usize = 64;

/// What anybody may ask: alerts, silences, status, receivers.
pub fn read_routes(store: Arc<AlertStore>) -> Router {
    Router::new()
        .route("/api/v2/alerts", get(list_alerts))
        .route("/api/v2/silences", get(list_silences))
        .route("/api/v2/silence/{id}", get(get_silence))
        .route("/api/v2/status", get(status))
        .route("/api/v2/receivers", get(receivers))
        .with_state(store)
}

/// What changes something, to be guarded by the caller: sending alerts, making and ending silences.
pub fn write_routes(store: Arc<AlertStore>) -> Router {
    Router::new()
        .route("/api/v2/alerts", post(post_alerts))
        .route("/api/v2/silences", post(post_silence))
        .route("/api/v2/silence/{id}", delete(delete_silence))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(store)
}

type Store = State<Arc<AlertStore>>;
type Body = Result<Bytes, BytesRejection>;

async fn list_alerts(State(store): Store, RawQuery(query): RawQuery) -> Result<Response, Rejected> {
    let params = params(query)?;
    let filter = AlertFilter {
        matchers: filters(&params)?,
        active: flag(&params, "active")?,
        silenced: flag(&params, "silenced")?,
    };
    // Nothing is inhibited or unprocessed here, but a wrong value is still wrong.
    flag(&params, "inhibited")?;
    flag(&params, "unprocessed")?;
    if let Some(receiver) = params.get("receiver") {
        let regex = compile(&format!("^(?:{receiver})$")).map_err(|reason| {
            Rejected::Invalid(format!("failed to parse receiver param: {reason}"))
        })?;
        if !regex.is_match(RECEIVER) {
            return Ok(Json(json!([])).into_response());
        }
    }
    Ok(Json(store.list(&filter, Timestamp::now())).into_response())
}

async fn post_alerts(State(store): Store, body: Body) -> Result<(), Rejected> {
    let alerts: Vec<PostableAlert> = parse_body(body)?;
    store.put_from_outside(alerts, Timestamp::now())
}

async fn list_silences(
    State(store): Store,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejected> {
    let matchers = filters(&params(query)?)?;
    Ok(Json(store.silences(&matchers, Timestamp::now())).into_response())
}

async fn post_silence(State(store): Store, body: Body) -> Result<Response, Rejected> {
    let silence: PostableSilence = parse_body(body)?;
    let id = store.silence(silence, Timestamp::now())?;
    Ok(Json(json!({ "silenceID": id.to_string() })).into_response())
}

async fn get_silence(State(store): Store, Path(id): Path<String>) -> Result<Response, Rejected> {
    let silence = silence_id(&id)
        .ok()
        .and_then(|id| store.get_silence(id, Timestamp::now()))
        .ok_or(Rejected::NotFound("silence not found"))?;
    Ok(Json(silence).into_response())
}

async fn delete_silence(State(store): Store, Path(id): Path<String>) -> Result<(), Rejected> {
    store.expire_silence(silence_id(&id)?, Timestamp::now())
}

async fn status(State(store): Store) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let original = format!(
        "# concertctl's embedded alert store\nglobal:\n  resolve_timeout: {}s\nroute:\n  receiver: \
         {RECEIVER}\nreceivers:\n- name: {RECEIVER}\n",
        store.config.resolve_timeout.as_secs()
    );
    Json(json!({
        "cluster": { "peers": [], "status": "disabled" },
        "config": { "original": original },
        "uptime": store.started.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
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

fn params(query: Option<String>) -> Result<Params, Rejected> {
    Params::parse(&query.unwrap_or_default()).map_err(|error| Rejected::Invalid(error.to_string()))
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

/// True unless told otherwise.
fn flag(params: &Params, name: &str) -> Result<bool, Rejected> {
    match params.get(name) {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Rejected::Invalid(format!(
            "{name} in query must be of type boolean: \"{other}\""
        ))),
    }
}

fn silence_id(text: &str) -> Result<Uuid, Rejected> {
    Uuid::parse_str(text).map_err(|_| {
        Rejected::Invalid(format!(
            "silenceID in path must be of type uuid: \"{text}\""
        ))
    })
}

fn parse_body<T: DeserializeOwned>(body: Body) -> Result<T, Rejected> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Rejected::TooLarge(MAX_BODY_BYTES),
        _ => Rejected::Invalid(format!("reading body failed: {}", rejection.body_text())),
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| Rejected::Invalid(format!("parsing body failed: {error}")))
}

impl IntoResponse for Rejected {
    fn into_response(self) -> Response {
        let status = match self {
            Rejected::Invalid(_) => StatusCode::BAD_REQUEST,
            Rejected::NotFound(_) => StatusCode::NOT_FOUND,
            Rejected::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        };
        (status, Json(self.to_string())).into_response()
    }
}
