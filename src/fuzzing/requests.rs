//! Fuzz targets `requests` and `ops`: requests to the ticketing API and to the operations API of a real service in this
//! process.

mod service;

use axum::Router;
use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;

use crate::api::{IDEMPOTENCY_KEY, Problem};

use super::inputs::{ask, first_line, text};
pub use service::remove_files;
use service::{OPS_TOKEN, service};

/// The largest number of requests in one input.
const MAX_REQUESTS: usize = 8;

/// Requests to the ticketing API, one after the other; see [`send`].
pub(super) fn public(data: &[u8]) {
    send(&service().public, text(data), is_problem);
}

/// Requests to the operations API.
pub(super) fn ops(data: &[u8]) {
    send(&service().ops, text(data), is_ops_refusal);
}

/// Sends requests. Each is `METHOD PATH` without a version, headers, an empty line and the body, with bare line feeds
/// and without `Content-Length`. A line `---` separates two requests. `{token}` and `{user}` are replaced by those of an
/// admitted user, `{ops}` by the operations token. The body of each refusal must pass `is_refusal`.
fn send(router: &Router, text: &str, is_refusal: fn(&[u8]) -> bool) {
    let (token, user) = service().admitted_user();
    let text = text
        .replace("{token}", token)
        .replace("{user}", &user.to_string())
        .replace("{ops}", OPS_TOKEN);
    for one in text.split("\n---\n").take(MAX_REQUESTS) {
        let Some(request) = read(one) else { continue };
        let keyed = request.headers().contains_key(IDEMPOTENCY_KEY);
        let (status, body) = ask(router, request);
        check(one, status, &body, is_refusal);
        // A repeat of a keyed request must get the same status. The body may differ: a problem has the trace id of its
        // request, and `POST /queue` returns the current state.
        if keyed && let Some(request) = read(one) {
            let (again, body) = ask(router, request);
            check(one, again, &body, is_refusal);
            assert_eq!(again, status, "sent again: {one}");
        }
    }
}

fn check(request: &str, status: StatusCode, body: &[u8], is_refusal: fn(&[u8]) -> bool) {
    let answer = String::from_utf8_lossy(body);
    assert!(!status.is_server_error(), "{status} {answer} to {request}");
    // The answer to a HEAD request has no body.
    if status.is_client_error() && !body.is_empty() {
        assert!(is_refusal(body), "not a refusal: {answer} to {request}");
    }
}

fn is_problem(body: &[u8]) -> bool {
    serde_json::from_slice::<Problem>(body).is_ok()
}

/// A problem, or one of two exceptions. No embedded store is mounted here, but errors on the paths of Alertmanager's API
/// still have its format. axum refuses `/ops/v1/faults/{kind}` with plain text if the kind is not UTF-8.
fn is_ops_refusal(body: &[u8]) -> bool {
    let is_alertmanager =
        serde_json::from_slice::<Value>(body).is_ok_and(|value| value["message"].is_string());
    is_problem(body) || is_alertmanager || body.starts_with(b"Invalid URL: ")
}

/// Reads a request. `None` if its method, path or a header is invalid.
fn read(text: &str) -> Option<Request<Body>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let (line, headers) = first_line(head);
    let (method, path) = line.split_once(' ')?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    // Without a Host, every request would be refused alike.
    let mut request = Request::builder().method(method).uri(path);
    if !headers.to_ascii_lowercase().contains("host:") {
        request = request.header(http::header::HOST, "localhost");
    }
    for header in headers.lines() {
        let (name, value) = header.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).ok()?;
        request = request.header(name, value);
    }
    let request = request.body(Body::from(body.to_owned())).ok()?;
    request.uri().path().starts_with('/').then_some(request)
}
