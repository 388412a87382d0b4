//! The live tail over a WebSocket, as Grafana's "Live" and `logcli query --tail` use it.

use std::sync::Arc;
use std::time::Duration;

use concertctl::embedded::loki::{LokiConfig, LokiStore, QueryLimits, routes};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::task::AbortOnDropHandle;

use crate::support::{PATIENCE, TestServer, eventually};

struct Loki {
    store: Arc<LokiStore>,
    base: String,
    _serving: AbortOnDropHandle<()>,
}

impl Loki {
    async fn start(limits: QueryLimits) -> Loki {
        let config = LokiConfig {
            limits,
            ..LokiConfig::default()
        };
        let store = Arc::new(LokiStore::new(config));
        let app = routes(Arc::clone(&store));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Loki {
            store,
            base,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    fn push(&self, app: &str, at: i64, line: &str) {
        self.store.push(&[("app", app)], at, line);
    }

    async fn tail(&self, params: &[(&str, &str)]) -> Result<Reader, String> {
        Reader::connect(&self.base, params, &[]).await
    }
}

struct Reader(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Reader {
    /// Opens a tail. An error is the status and text of a refusal.
    async fn connect(
        base: &str,
        params: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> Result<Reader, String> {
        let path = format!("ws://{base}/loki/api/v1/tail");
        let url = reqwest::Url::parse_with_params(&path, params).unwrap();
        let mut request = url.as_str().into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Reader(socket)),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let body = String::from_utf8(body).unwrap();
                Err(format!("{} {body}", response.status().as_u16()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn message(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.0.next());
        next.await.expect("a message comes").and_then(Result::ok)
    }

    /// The next frame of lines; `None` at the end.
    async fn frame(&mut self) -> Option<Value> {
        loop {
            match self.message().await? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Reads until there are `count` lines, each with its time.
    async fn lines(&mut self, count: usize) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        while lines.len() < count {
            let frame = self.frame().await.expect("more lines");
            for stream in frame["streams"].as_array().unwrap() {
                for line in stream["values"].as_array().unwrap() {
                    let text = |at: usize| line[at].as_str().unwrap().to_owned();
                    lines.push((text(0), text(1)));
                }
            }
        }
        lines
    }
}

fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

#[tokio::test]
async fn a_tail_gets_the_latest_lines_and_then_each_new_matching_one() {
    let loki = Loki::start(QueryLimits::default()).await;
    let now = now_ns();
    for (nth, line) in ["old", "one", "two", "noise"].iter().enumerate() {
        loki.push("x", now + nth as i64, line);
    }
    loki.push("other", now, "one");
    let query = [("query", r#"{app="x"} != "noise""#), ("limit", "2")];
    let mut reader = loki.tail(&query).await.unwrap();
    let first = reader.frame().await.unwrap();
    assert_eq!(
        first,
        json!({"streams": [{
            "stream": {"app": "x"},
            "values": [[(now + 1).to_string(), "one"], [(now + 2).to_string(), "two"]],
        }]})
    );
    loki.push("x", now + 5, "noise again");
    loki.push("other", now + 6, "three");
    // Late lines count as new.
    loki.push("x", now - 7, "late");
    loki.push("x", now + 8, "four");
    let lines = reader.lines(2).await;
    let lines: Vec<&str> = lines.iter().map(|line| line.1.as_str()).collect();
    assert_eq!(lines, ["late", "four"]);
}

#[tokio::test]
async fn labels_of_lines_are_separate_on_request() {
    let loki = Loki::start(QueryLimits::default()).await;
    let flags = [("x-loki-response-encoding-flags", "categorize-labels")];
    let query = [("query", r#"{app="x"} | json"#)];
    let mut reader = Reader::connect(&loki.base, &query, &flags).await.unwrap();
    let metadata = [("trace_id", "a1")];
    let line = r#"{"level":"info"}"#;
    loki.store
        .push_with_metadata(&[("app", "x")], 1_000, line, &metadata);
    let own = json!({"structuredMetadata": {"trace_id": "a1"}, "parsed": {"level": "info"}});
    assert_eq!(
        reader.frame().await.unwrap(),
        json!({
            "streams": [{"stream": {"app": "x"}, "values": [["1000", line, own]]}],
            "encodingFlags": ["categorize-labels"],
        })
    );
}

#[tokio::test]
async fn a_query_that_cannot_be_tailed_is_refused_before_the_upgrade() {
    let loki = Loki::start(QueryLimits::default()).await;
    for (params, reason) in [
        (&[][..], "parse error"),
        (&[("query", "{")], "parse error"),
        (
            &[("query", "rate({app=\"x\"}[1m])")],
            "only lines can be tailed",
        ),
        (
            &[("query", "{app=\"x\"}"), ("delay_for", "6")],
            "delay_for can't be greater than 5",
        ),
        (&[("query", "{app=\"x\"}"), ("delay_for", "a")], "seconds"),
        (&[("query", "{app=\"x\"}"), ("limit", "0")], "limit"),
        (&[("query", "{app=\"x\"}"), ("start", "soon")], "'start'"),
    ] {
        let refused = loki.tail(params).await.err().expect("refused");
        assert!(refused.starts_with("400 "), "{params:?}: {refused}");
        assert!(refused.contains(reason), "{params:?}: {refused}");
    }
    // A request without an upgrade is refused too.
    let url = format!(
        "http://{}/loki/api/v1/tail?query=%7Bapp%3D%22x%22%7D",
        loki.base
    );
    let plain = crate::support::client().get(url).send().await.unwrap();
    assert!(plain.status().is_client_error(), "{plain:?}");
}

#[tokio::test]
async fn the_number_of_tails_is_bounded_and_an_ended_one_makes_room() {
    let limits = QueryLimits {
        max_tails: 2,
        ..QueryLimits::default()
    };
    let loki = Loki::start(limits).await;
    let query = [("query", r#"{app="x"}"#)];
    let first = loki.tail(&query).await.unwrap();
    let _second = loki.tail(&query).await.unwrap();
    let refused = loki.tail(&query).await.err().expect("too many");
    assert!(
        refused.contains("limit exceeded, count > limit (3 > 2)"),
        "{refused}"
    );
    drop(first);
    eventually("there is room again", || async {
        loki.tail(&query).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_is_behind_gets_a_list_of_the_lines_it_missed() {
    let loki = Loki::start(QueryLimits::default()).await;
    let mut reader = loki.tail(&[("query", r#"{app="x"}"#)]).await.unwrap();
    // More lines than sockets and queue can hold.
    let long = "y".repeat(60 << 10);
    for at in 0..1_000 {
        loki.push("x", at, &long);
    }
    let dropped = loop {
        let frame = reader.frame().await.expect("more lines");
        if let Some(dropped) = frame["dropped_entries"].as_array() {
            break dropped.clone();
        }
    };
    assert_eq!(dropped[0]["labels"], json!({"app": "x"}));
    let at: i64 = dropped[0]["timestamp"].as_str().unwrap().parse().unwrap();
    assert!((1..1_000).contains(&at), "{at}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_tailed_with_its_token_until_it_stops() {
    let server = TestServer::with(|settings| {
        settings.bounds.header_timeout = Duration::from_millis(200);
        settings.bounds.idle_timeout = Duration::from_millis(300);
    })
    .await;
    let base = server.ops_url.trim_start_matches("http://").to_owned();
    let query = [("query", r#"{service_name="concertctl-api"} |= "/concerts""#)];
    let refused = Reader::connect(&base, &query, &[]).await.err();
    assert!(refused.unwrap().starts_with("401 "));
    let bearer = format!("Bearer {}", server.ops_token);
    let access = [("authorization", bearer.as_str())];
    let mut reader = Reader::connect(&base, &query, &access).await.unwrap();
    // A tail sends no HTTP, so neither the header time-out nor the idle time-out ends it.
    reader
        .0
        .send(Message::text("GET / no header"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let user = server.stranger(1);
    user.get("/concerts").await;
    let lines = reader.lines(1).await;
    assert!(lines[0].1.contains("/concerts"), "{lines:?}");
    // A stopping server ends its tails.
    let stopping = tokio::spawn(server.stop());
    while reader.frame().await.is_some() {}
    stopping.await.unwrap();
}

#[tokio::test]
async fn readiness_needs_no_token() {
    let server = TestServer::empty().await;
    for (path, text) in [
        ("/ready", "ready\n"),
        ("/-/healthy", "OK"),
        ("/-/ready", "OK"),
    ] {
        let answer = crate::support::client()
            .get(format!("{}{path}", server.ops_url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.text().await.unwrap(), text, "{path}");
    }
    server.stop().await;
}
