//! Fuzz target `alerts`: posts a body to the embedded Alertmanager, then lists and filters what it accepted.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;

use crate::embedded::alertmanager::{AlertConfig, AlertStore, read_routes, write_routes};

use super::inputs::{ask, encode, first_line, get, text};

/// The first line of the input selects the kind of the body: `silences`, or otherwise alerts. The second line is a
/// filter, and the rest is the body. No input may cause a 5xx. The client must be able to parse the list of the
/// accepted entries.
pub(super) fn run(data: &[u8]) {
    let (kind, rest) = first_line(text(data));
    let (filter, body) = first_line(rest);
    let kind = if kind == "silences" { kind } else { "alerts" };
    let store = Arc::new(AlertStore::new(AlertConfig::default()));
    let router: Router = read_routes(Arc::clone(&store)).merge(write_routes(store));
    let path = format!("/api/v2/{kind}");
    let request = Request::post(&path).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned()));
    let (status, answer) = ask(&router, request.expect("the path is constant"));
    assert!(!status.is_server_error(), "{status}: {answer:?}");
    let (status, listed) = get(&router, &path);
    assert!(status.is_success(), "cannot be listed: {status}");
    super::answers::read_alertmanager(kind, &listed).expect("our own client reads what is listed");
    get(&router, &format!("{path}?filter={}", encode(filter)));
    get(&router, &format!("{path}?receiver={}", encode(filter)));
}
