//! Refusals as Alertmanager's clients expect them, always `application/json`.
//!
//! Alertmanager checks a request in two steps, and each has a shape of its own. Its validation of
//! requests (go-openapi) answers `{"code":…,"message":…}`, where the code is the status, or a more
//! precise one (601, 602, 612). Its handlers answer with a JSON string.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::MAX_BODY_BYTES;
use super::store::Rejected;
use crate::embedded::request::BadParams;

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    Request(BadRequest),
    Rejected(Rejected),
}

impl From<BadRequest> for Refusal {
    fn from(bad: BadRequest) -> Refusal {
        Refusal::Request(bad)
    }
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Refusal {
        Refusal::Rejected(rejected)
    }
}

impl From<BadParams> for Refusal {
    fn from(bad: BadParams) -> Refusal {
        Refusal::Rejected(Rejected::Invalid(bad.to_string()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Request(bad) => bad.into_response(),
            Refusal::Rejected(rejected) => {
                let status = match rejected {
                    Rejected::Invalid(_) => StatusCode::BAD_REQUEST,
                    Rejected::NotFound(_) => StatusCode::NOT_FOUND,
                };
                (status, Json(rejected.to_string())).into_response()
            }
        }
    }
}

/// What the validation of requests refuses.
#[derive(Debug)]
pub(super) struct BadRequest {
    status: StatusCode,
    code: u16,
    message: String,
}

impl BadRequest {
    fn with_status(status: StatusCode, message: String) -> BadRequest {
        BadRequest {
            status,
            code: status.as_u16(),
            message,
        }
    }

    fn invalid(code: u16, message: String) -> BadRequest {
        BadRequest {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code,
            message,
        }
    }

    /// A parameter in the `place` query or path is not of its type.
    pub(super) fn wrong_type(place: &str, name: &str, kind: &str, value: &str) -> BadRequest {
        let message = format!("{name} in {place} must be of type {kind}: {value:?}");
        BadRequest::invalid(601, message)
    }

    /// A list of the body is empty.
    pub(super) fn too_few_items(name: &str) -> BadRequest {
        BadRequest::invalid(612, format!("{name} in body should have at least 1 items"))
    }

    fn required(name: &str) -> BadRequest {
        BadRequest::invalid(602, format!("{name} in body is required"))
    }
}

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        let body = json!({"code": self.code, "message": self.message});
        (self.status, Json(body)).into_response()
    }
}

/// The bytes of a body whose content type is JSON.
#[derive(Debug)]
pub(super) struct Body(Result<Bytes, BadRequest>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Body, Self::Rejection> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        // What a body without a type is, by RFC 9110.
        let kind = kind.map_or(Ok("application/octet-stream"), |kind| kind.to_str());
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind != "application/json" {
            let message =
                format!("unsupported media type {kind:?}, only [application/json] are allowed");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Ok(Body(Err(BadRequest::with_status(status, message))));
        }
        let bytes = Bytes::from_request(request, state).await;
        Ok(Body(bytes.map_err(|rejection| unread(&rejection))))
    }
}

fn unread(rejection: &BytesRejection) -> BadRequest {
    let message = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the body is larger than {MAX_BODY_BYTES} bytes: send fewer alerts at once")
        }
        _ => format!("reading the body failed: {}", rejection.body_text()),
    };
    BadRequest::with_status(rejection.status(), message)
}

/// Reads a body that holds `what`.
pub(super) fn parse_body<T: DeserializeOwned>(what: &str, body: Body) -> Result<T, BadRequest> {
    let bytes = body.0?;
    if bytes.is_empty() {
        return Err(BadRequest::required(what));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        let text = error.to_string();
        // serde knows the field, but gives it in its text only.
        let missing = text.strip_prefix("missing field `");
        if let Some((name, _)) = missing.and_then(|rest| rest.split_once('`')) {
            return BadRequest::required(name);
        }
        let message = format!("parsing {what} body failed, because {text}");
        BadRequest::with_status(StatusCode::BAD_REQUEST, message)
    })
}
