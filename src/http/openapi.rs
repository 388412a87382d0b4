//! Generates the OpenAPI document of the public API from the handlers.
//!
//! Each operation declares its own refusals ([`refusals`]) as error codes, which imply the statuses. The parts that
//! all operations share are added at the end. A fuzzer checks the server against the document.

use std::collections::BTreeMap;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::OpenApi as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::response::{Response as OpenApiResponse, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr};

use crate::api::{ErrorCode, IDEMPOTENCY_KEY, Problem};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "concertctl ticketing API",
        description = "Queue for an on-sale, look at seats, reserve, charge and pay.\n\n\
            Errors are RFC 9457 problem documents with a stable code. The connection itself answers a request \
            that is not HTTP/1, or whose header is too large or late: \
            400, 408, 414 or 431 without a body, or no answer, and the connection is closed. An \
            integer may be written with a fraction or an exponent: 216.0 and 2.16e2 are 216, up to 2^53 - 1. An unknown \
            path is a 404 `route.unknown`, an unknown method of a path a 405 `route.method`."
    ),
    components(schemas(Problem, ErrorCode))
)]
struct Base;

/// The document without any route.
pub(super) fn base() -> OpenApi {
    Base::openapi()
}

/// The refusals of each operation, by code. Each has a type that the operation's `responses(…)` names.
pub(super) mod refusals {
    use std::collections::BTreeMap;

    use utoipa::IntoResponses;
    use utoipa::openapi::RefOr;
    use utoipa::openapi::response::Response;

    use crate::api::ErrorCode::{self, *};

    /// The refusals that every operation shares: those of HTTP, and those of the bounds on a body.
    const WIRE: &[ErrorCode] = &[
        RequestMalformed,
        RequestTimeout,
        RequestTooLarge,
        RequestExpectation,
    ];
    const SERVICE: &[ErrorCode] = &[Overloaded, Timeout, Internal];
    const DATA: &[ErrorCode] = &[
        Overloaded,
        Timeout,
        Internal,
        DatasetMissing,
        StoreUnavailable,
    ];
    const BODY: &[ErrorCode] = &[RequestMediaType];
    const WRITE: &[ErrorCode] = &[IdempotencyMalformed, IdempotencyMismatch, OutcomeUnknown];
    const HOLDER: &[ErrorCode] = &[TokenMissing, TokenRefused, RateLimited];
    const ADMITTED: &[ErrorCode] = &[
        TokenMissing,
        TokenRefused,
        RateLimited,
        QueueNotAdmitted,
        QueueExpired,
    ];

    macro_rules! refusals {
        ($($name:ident: $($group:ident)* [$($code:ident),*];)*) => {
            $(pub(in crate::http) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let groups: &[&[ErrorCode]] = &[WIRE, $($group,)* &[$($code),*]];
                    super::problems(groups.concat())
                }
            })*
        };
    }

    refusals! {
        Register: DATA BODY WRITE [UserUnknown, QueueAlreadyRegistered];
        PollQueue: DATA [TokenMissing, TokenUnknown, RateLimited];
        ListConcerts: DATA [];
        ListPerformanceDates: DATA ADMITTED [ConcertUnknown];
        ListSeats: DATA ADMITTED [ConcertUnknown, DateUnknown];
        Reserve: DATA BODY WRITE ADMITTED
            [TokenForeign, SeatUnknown, SeatMismatch, SeatTaken, SeatLocked, ReservationLimit];
        CancelReservation: DATA WRITE HOLDER
            [QueueNotAdmitted, ReservationUnknown, ReservationForeign, ReservationPaid];
        Pay: DATA WRITE ADMITTED
            [TokenForeign, ReservationNotPayable, ReservationExpired, ReservationForeign,
             ReservationPaid, BalanceTooLow];
        ListReservations: DATA HOLDER [TokenForeign];
        GetBalance: DATA HOLDER [TokenForeign, QueueExpired, AccountUnknown];
        Charge: DATA BODY WRITE HOLDER
            [TokenForeign, QueueExpired, AmountInvalid, AccountUnknown];
        GetLiveness: SERVICE [];
        GetReadiness: [Internal];
        GetDescription: SERVICE [];
    }
}

/// One response per status, described by its codes.
fn problems(mut codes: Vec<ErrorCode>) -> BTreeMap<String, RefOr<OpenApiResponse>> {
    codes.sort_by_key(|code| code.as_str());
    codes.dedup();
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes {
        by_status
            .entry(code.status())
            .or_default()
            .push(code.as_str());
    }
    let schema = Ref::from_schema_name("Problem");
    by_status
        .into_iter()
        .map(|(status, codes)| {
            let content = ContentBuilder::new().schema(Some(schema.clone())).build();
            let response = ResponseBuilder::new()
                .description(codes.join(", "))
                .content(Problem::CONTENT_TYPE, content)
                .build();
            (status.to_string(), RefOr::T(response))
        })
        .collect()
}

/// Adds the parts that all operations share: the headers of every answer, and the description of idempotency keys.
fn complete(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let trace = HeaderBuilder::new()
            .schema(Some(text().pattern(Some("^[0-9a-f]{32}$"))))
            .description(Some(
                "Leads to the log records and the trace of the request",
            ));
        let headers = &mut response.headers;
        headers.insert("X-Trace-Id".to_owned(), RefOr::T(trace.build()));
        if matches!(status.as_str(), "429" | "503") {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer);
            let retry = HeaderBuilder::new()
                .schema(Some(seconds.minimum(Some(1))))
                .description(Some("Seconds after which to try again"));
            headers.insert("Retry-After".to_owned(), RefOr::T(retry.build()));
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        if parameter.parameter_in == ParameterIn::Header
            && parameter.name.eq_ignore_ascii_case(IDEMPOTENCY_KEY)
        {
            let key = text()
                .min_length(Some(1))
                .max_length(Some(super::extract::KEY_MAX))
                .pattern(Some("^[!-~]+$"));
            parameter.schema = Some(key.into());
        }
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The document in the form that is sent.
#[derive(Clone)]
pub(super) struct Rendered(Bytes);

impl Rendered {
    pub(super) fn new(mut document: OpenApi) -> Rendered {
        for path in document.paths.paths.values_mut() {
            let calls = [
                &mut path.get,
                &mut path.post,
                &mut path.put,
                &mut path.delete,
            ];
            calls.into_iter().flatten().for_each(complete);
        }
        Rendered(serde_json::to_vec(&document).unwrap_or_default().into())
    }
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getDescription",
    tag = "description",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
        refusals::GetDescription,
    )
)]
pub(super) async fn document(Extension(Rendered(body)): Extension<Rendered>) -> Response {
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    (json, body).into_response()
}
