//! Code that the targets share: it reads an input and calls an in-process HTTP API.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

/// The largest answer of an in-process API to one small request, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// The input as text. It ends at the first byte that is not UTF-8.
pub(super) fn text(data: &[u8]) -> &str {
    match std::str::from_utf8(data) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&data[..error.valid_up_to()])
            .expect("everything before the first invalid byte is valid"),
    }
}

/// The first line and the rest; many targets choose a parser by the first line.
pub(super) fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// The runtime of the asynchronous parts.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        builder.build().expect("a runtime can be made")
    })
}

/// Percent-encodes `text` for a query string.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An in-process API's answer to `request`; its size is bounded.
pub(super) fn ask(router: &Router, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let router = router.clone();
    runtime().block_on(async {
        let response = match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, MAX_ANSWER).await;
        (head.status, body.expect("an answer is bounded").to_vec())
    })
}

/// `GET path`, whose answer must not be a server error.
pub(super) fn get(router: &Router, path: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::get(path).body(Body::empty());
    let (status, body) = ask(router, request.expect("the path is encoded"));
    assert!(
        !status.is_server_error(),
        "{status} for {path}: {}",
        String::from_utf8_lossy(&body)
    );
    (status, body)
}

/// Panics unless both numbers are equal except for rounding. NaN equals NaN.
#[track_caller]
pub(super) fn assert_close(left: f64, right: f64, what: &str) {
    let scale = left.abs().max(right.abs()).max(1e-9);
    let same =
        left == right || (left.is_nan() && right.is_nan()) || (left - right).abs() <= scale * 1e-6;
    assert!(same, "{what}: {left} and {right}");
}
