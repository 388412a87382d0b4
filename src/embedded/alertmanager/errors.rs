//! Refusals in the format that Alertmanager's clients expect, always `application/json`.
//!
//! Alertmanager checks a request in two steps with different formats. The request validation (go-openapi) answers
//! `{"code":…,"message":…}` with the status, or with a more precise code (601, 602, 612). The handlers answer with a
//! JSON string.

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

/// The reason why a request is refused.
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

/// A refusal of the request validation.
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

    /// The error for a parameter with a wrong type. `place` is `path` or `body`.
    pub(super) fn wrong_type(place: &str, name: &str, kind: &str, value: &str) -> BadRequest {
        let message = format!("{name} in {place} must be of type {kind}: {value:?}");
        BadRequest::invalid(601, message)
    }

    /// The error for an empty list in the body.
    pub(super) fn too_few_items(name: &str) -> BadRequest {
        BadRequest::invalid(612, format!("{name} in body should have at least 1 items"))
    }

    pub(super) fn required(name: &str) -> BadRequest {
        BadRequest::invalid(602, format!("{name} in body is required"))
    }
}

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        let body = json!({"code": self.code, "message": self.message});
        (self.status, Json(body)).into_response()
    }
}

/// The bytes of a body with a JSON content type.
#[derive(Debug)]
pub(super) struct Body(Result<Bytes, BadRequest>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Body, Self::Rejection> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        // RFC 9110 gives this type to a body without a content type.
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

/// Parses a body. Messages call its content `what`.
pub(super) fn parse_body<T: DeserializeOwned>(what: &str, body: Body) -> Result<T, BadRequest> {
    let bytes = body.0?;
    if bytes.is_empty() {
        return Err(BadRequest::required(what));
    }
    crate::yaml::from_json(&bytes).map_err(|error| match &error.missing {
        // Alertmanager names the element of a list by its index: `0.labels`.
        Some(field) => match error
            .field
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((index, _)) => BadRequest::required(&format!("{index}.{field}")),
            None => BadRequest::required(field),
        },
        None => {
            let message = format!("parsing {what} body failed, because at {error}");
            BadRequest::with_status(StatusCode::BAD_REQUEST, message)
        }
    })
}
