//! The embedded Tempo over TCP has the shapes and rules of Tempo's documentation, and the client reads it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use concertctl::clients::HttpSource;
use concertctl::clients::tempo::Tempo;
use concertctl::embedded::tempo::{TempoConfig, TempoStore, routes};
use concertctl::telemetry::{SpanKind, SpanRecord, TraceRecord, Value};
use reqwest::{Client, StatusCode};
use serde_json::Value as Json;
use tokio_util::task::AbortOnDropHandle;

mod by_id;
mod client;
mod search;

const MS: u64 = 1_000_000;

const SECOND: u64 = 1000 * MS;

struct Server {
    store: Arc<TempoStore>,
    base: String,
    client: Client,
    /// The start of the first trace in nanoseconds: a whole second, a minute ago.
    t0: u64,
    _serving: AbortOnDropHandle<()>,
}

fn span(name: &'static str, id: u64, parent: Option<u64>, start_ns: u64, ms: u64) -> SpanRecord {
    SpanRecord {
        name: name.into(),
        kind: if parent.is_none() {
            SpanKind::Server
        } else {
            SpanKind::Client
        },
        span_id: id,
        parent_span_id: parent,
        start_ns,
        duration_ns: ms * MS,
        attributes: Vec::new(),
        error: None,
    }
}

/// A request of `ms` with a statement. In a failed request the statement failed.
fn request(id: u128, route: &'static str, start_ns: u64, ms: u64, failed: bool) -> TraceRecord {
    let code = if failed { 503 } else { 200 };
    let mut root = span(route, 1, None, start_ns, ms);
    root.attributes = vec![
        ("http.route", Value::Text(route.into())),
        ("http.response.status_code", Value::Int(code)),
        ("cached", Value::Bool(false)),
    ];
    root.error = failed.then(|| "the pool is exhausted".into());
    let mut wait = span("db.acquire", 2, Some(1), start_ns + MS, ms / 2);
    wait.attributes = vec![("db.share", Value::Float(0.5))];
    TraceRecord {
        trace_id: id,
        service_name: "concertctl-api",
        instance: Some("127.0.0.1:8080".into()),
        spans: vec![root, wait],
    }
}

impl Server {
    async fn start(config: TempoConfig) -> Server {
        let store = Arc::new(TempoStore::new(config));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = socket.local_addr().unwrap();
        let app = routes(Arc::clone(&store));
        let serving = tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Server {
            store,
            base: format!("http://{address}"),
            client: concertctl::http_client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            t0: (now - 60) * SECOND,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Three requests, a second apart: fast, failed, slow.
    async fn with_traces() -> Server {
        let server = Server::start(TempoConfig::default()).await;
        let t0 = server.t0;
        for record in [
            request(0xa1, "/queue", t0, 20, false),
            request(0xa2, "/reservations", t0 + SECOND, 100, true),
            request(0xa3, "/queue", t0 + 2 * SECOND, 700, false),
        ] {
            server.store.push(&Arc::new(record));
        }
        server
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> (StatusCode, String) {
        let url = format!("{}{path}", self.base);
        let response = self.client.get(url).query(params).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn json(&self, path: &str, params: &[(&str, &str)]) -> Json {
        let (status, body) = self.get(path, params).await;
        assert_eq!(status, 200, "{path} {params:?}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The last two digits of the ids that a search finds, in its order.
    async fn found(&self, params: &[(&str, &str)]) -> Vec<String> {
        let answer = self.json("/api/search", params).await;
        let traces = answer["traces"].as_array().unwrap().iter();
        let id = |trace: &Json| trace["traceID"].as_str().unwrap()[30..].to_owned();
        traces.map(id).collect()
    }

    async fn refused(&self, path: &str, params: &[(&str, &str)]) -> String {
        let (status, body) = self.get(path, params).await;
        assert_eq!(status, 400, "{path} {params:?}: {body}");
        body
    }

    fn tempo(&self) -> Tempo {
        Tempo::new(HttpSource::new(&self.base).unwrap())
    }
}
