//! The operations API of a load generator: metrics, progress, and commands that steer the run.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::access::authorize;
use super::{BearerToken, Hosts, OPEN_BODY, exposition, protected};
use crate::api::ErrorCode;
use crate::api::load::LoadStatus;
use crate::http::Limits;
use crate::http::error::{self, ApiError};

/// A run that can be steered over HTTP.
pub trait RunControl: Send + Sync + 'static {
    /// The metrics of the run in the Prometheus text exposition format.
    fn metrics(&self) -> String;
    /// The progress of the run.
    fn status(&self) -> LoadStatus;
    /// Passes a command on. `None` when the command is unknown, `false` when the run is over.
    fn steer(&self, command: &str) -> Option<bool>;
}

type Shared = Arc<dyn RunControl>;

/// `GET /metrics`, `GET /ops/v1/load`, and, with the token, `POST /ops/v1/load/{command}`.
pub fn load_router(run: Shared, token: BearerToken, hosts: Hosts) -> Router {
    let commands = Router::new()
        .route("/ops/v1/load/{command}", post(command))
        .route_layer(from_fn_with_state(token, authorize));
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/ops/v1/load", get(status))
        .merge(commands)
        .with_state(run)
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::method_not_allowed);
    protected(router, hosts, Limits::default(), |_| OPEN_BODY)
}

async fn metrics(State(run): State<Shared>) -> Response {
    exposition(run.metrics())
}

async fn status(State(run): State<Shared>) -> Json<LoadStatus> {
    Json(run.status())
}

async fn command(
    State(run): State<Shared>,
    Path(command): Path<String>,
) -> Result<Response, ApiError> {
    match run.steer(&command) {
        Some(true) => Ok(Json(run.status()).into_response()),
        Some(false) => {
            let detail = "the run is over, or too many commands wait";
            Err(ApiError::new(ErrorCode::OpsConflict, detail))
        }
        None => {
            let detail = format!(
                "there is no command {command:?}; there are pause, resume, faster, slower, next, stop"
            );
            Err(ApiError::new(ErrorCode::RequestMalformed, detail))
        }
    }
}
