//! The description of the public API, made from the handlers.

use std::collections::BTreeMap;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::{Response as OpenApiResponse, ResponseBuilder};
use utoipa::openapi::{OpenApi, Ref, RefOr};
use utoipa::{IntoResponses, OpenApi as _};

use crate::api::{ErrorCode, Problem};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "concertctl ticketing API",
        description = "Queue for an on-sale, look at seats, reserve, charge and pay. Errors are RFC 9457 problem documents with a stable code."
    ),
    components(schemas(Problem, ErrorCode))
)]
struct Base;

/// The document before any route.
pub(super) fn base() -> OpenApi {
    Base::openapi()
}

/// The refusals that every call may answer with.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<OpenApiResponse>> {
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in ErrorCode::ALL
            .iter()
            .filter(|code| !code.as_str().starts_with("ops."))
        {
            by_status
                .entry(code.status())
                .or_default()
                .push(code.as_str());
        }
        let schema = Ref::from_schema_name("Problem");
        by_status
            .into_iter()
            .map(|(status, codes)| {
                let response = ResponseBuilder::new()
                    .description(codes.join(", "))
                    .content(
                        Problem::CONTENT_TYPE,
                        ContentBuilder::new().schema(Some(schema.clone())).build(),
                    )
                    .build();
                (status.to_string(), RefOr::T(response))
            })
            .collect()
    }
}

/// The document as it is sent.
#[derive(Clone)]
pub(super) struct Rendered(Bytes);

impl Rendered {
    pub(super) fn new(document: OpenApi) -> Rendered {
        Rendered(serde_json::to_vec(&document).unwrap_or_default().into())
    }
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "description",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub(super) async fn document(Extension(Rendered(body)): Extension<Rendered>) -> Response {
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    (json, body).into_response()
}
