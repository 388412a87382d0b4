//! Fake sources for tests. Each answers on its own port until the end of the test's runtime.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::json;

use crate::clients::HttpSource;
use crate::clients::loki::Loki;

/// A source that answers with `routes`.
pub(crate) async fn source(routes: Router) -> HttpSource {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    HttpSource::new(&url).unwrap()
}

/// A log store without lines, and the limit of each request that it got.
pub(crate) async fn no_lines() -> (Loki, Arc<Mutex<Vec<usize>>>) {
    let limits: Arc<Mutex<Vec<usize>>> = Arc::default();
    let limits_of_requests = Arc::clone(&limits);
    let answer = move |Query(asked): Query<HashMap<String, String>>| {
        limits_of_requests
            .lock()
            .push(asked["limit"].parse().unwrap());
        async { Json(json!({"data": {"resultType": "streams", "result": []}})) }
    };
    let routes = Router::new().route("/loki/api/v1/query_range", get(answer));
    (Loki::new(source(routes).await), limits)
}
