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

/// Requests to the ticketing API, one after the other; see [`read`].
pub(super) fn public(data: &[u8]) {
    send(&service().public, text(data));
}

/// Requests to the operations API.
pub(super) fn ops(data: &[u8]) {
    send(&service().ops, text(data));
}

/// Requests in HTTP's format, but with bare line feeds and without `Content-Length`. A line `---` separates two
/// requests. `{token}` and `{user}` are replaced by those of an admitted user, `{ops}` by the operations token.
fn send(router: &Router, text: &str) {
    let (token, user) = service().waiting_user();
    let text = text
        .replace("{token}", token)
        .replace("{user}", &user.to_string())
        .replace("{ops}", OPS_TOKEN);
    for one in text.split("\n---\n").take(MAX_REQUESTS) {
        let Some(request) = read(one) else { continue };
        let keyed = request.headers().contains_key(IDEMPOTENCY_KEY);
        let (status, body) = ask(router, request);
        check(one, status, &body);
        // A keyed request that is sent again must get the same answer.
        if keyed && let Some(request) = read(one) {
            let (again, body) = ask(router, request);
            check(one, again, &body);
            assert_eq!(again, status, "sent again: {one}");
        }
    }
}

fn check(request: &str, status: StatusCode, body: &[u8]) {
    let answer = String::from_utf8_lossy(body);
    assert!(!status.is_server_error(), "{status} {answer} to {request}");
    if status.is_client_error() && !body.is_empty() {
        let problem = serde_json::from_slice::<Problem>(body).is_ok();
        // The embedded stores refuse in the format of the product that they replace.
        let other = serde_json::from_slice::<Value>(body).is_ok() || answer.is_ascii();
        assert!(problem || other, "not a problem: {answer} to {request}");
    }
}

/// A request, if an HTTP parser would accept the text.
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
