//! The embedded Loki over TCP has the shapes and rules of Loki's documentation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use concertctl::embedded::loki::{LokiConfig, LokiStore, readiness_route, routes};
use reqwest::{Client, StatusCode};
use serde_json::Value;

mod answers;
mod grafana;
mod grammar;
mod limits;

/// 2023-11-14T22:13:20Z
const T0: i64 = 1_700_000_000_000_000_000;

const SECOND: i64 = 1_000_000_000;

struct Server {
    store: Arc<LokiStore>,
    base: String,
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(config: LokiConfig) -> Server {
        let store = Arc::new(LokiStore::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let app = routes(Arc::clone(&store)).merge(readiness_route());
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.unwrap();
        });
        Server {
            store,
            base: format!("http://{address}/loki/api/v1"),
            client: concertctl::http_client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            task,
        }
    }

    /// A server with lines of two services, a second apart.
    async fn with_lines() -> Server {
        let server = Server::start(LokiConfig::default()).await;
        let push = |second: i64, service: &str, level: &str, line: &str| {
            server.store.push(
                &[("level", level), ("service_name", service)],
                T0 + second * SECOND,
                line,
            );
        };
        push(
            0,
            "concertctl-api",
            "info",
            r#"{"message":"start","additional_data":{"status":200,"took":"20ms","size":"1KB"}}"#,
        );
        push(
            1,
            "concertctl-api",
            "info",
            r#"{"message":"seat held","additional_data":{"status":201,"took":"150ms","size":"2KB"}}"#,
        );
        push(
            2,
            "concertctl-api",
            "error",
            r#"{"message":"pool \"exhausted\"","level":"ERROR","additional_data":{"status":503,"took":"2s","size":"5KB"}}"#,
        );
        push(3, "concertctl-load", "info", "not json at all");
        push(
            4,
            "concertctl-api",
            "warn",
            r#"{"message":"slow query","additional_data":{"statement":"seat.list","status":200,"took":"1s"}}"#,
        );
        server
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> (StatusCode, String) {
        let url = format!("{}/{path}", self.base);
        let response = self.client.get(url).query(params).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn data(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let (status, body) = self.get(path, params).await;
        assert_eq!(status, 200, "{params:?}: {body}");
        let mut value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["status"], "success");
        value["data"].take()
    }

    async fn range(&self, query: &str, more: &[(&str, &str)]) -> Value {
        let (start, end) = (T0.to_string(), (T0 + 60 * SECOND).to_string());
        let mut params = vec![("query", query), ("start", &start), ("end", &end)];
        params.extend(more);
        self.data("query_range", &params).await
    }

    /// The messages of the lines that a query finds, oldest first.
    async fn found(&self, query: &str) -> Vec<String> {
        let data = self.range(query, &[("direction", "forward")]).await;
        assert_eq!(data["resultType"], "streams");
        let mut lines: Vec<(String, String)> = Vec::new();
        for stream in data["result"].as_array().unwrap() {
            for pair in stream["values"].as_array().unwrap() {
                let line = pair[1].as_str().unwrap();
                let message = serde_json::from_str::<Value>(line).map_or_else(
                    |_| line.to_owned(),
                    |json| json["message"].as_str().unwrap().to_owned(),
                );
                lines.push((pair[0].as_str().unwrap().to_owned(), message));
            }
        }
        lines.sort();
        lines.into_iter().map(|(_, message)| message).collect()
    }
}
