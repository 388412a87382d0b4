//! Writes whose answer is lost although the server did them: the rehearsal counts them by operation.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use concertctl::api::ops::{KeyFact, LookupRequest};
use concertctl::load::model::Operation;
use concertctl::load::{Outcome, RunOptions, Scenario, Target, start};
use parking_lot::Mutex;

use super::TestServer;
use super::load_mimic::{Manner, Mimic};
use super::load_run::{outcome, run};

const SCENARIO: &str = "\
title: lost answers
dataset: any
users: 40
admission: { batch: 100, every: 100ms }
register: { connections: 4 }
http: { request_timeout: 5s, retries: 0 }
generator: { lag_p99: 60s, cpu: 1 }
limits: { duration: 60s, silence: 30s }
contention: { attempts: 3 }
thresholds:
  unacknowledged: 0
";

/// A proxy that forwards every request and replaces some successful answers by 503.
#[derive(Debug)]
struct Swallower {
    server: String,
    client: reqwest::Client,
    /// The answer to one of this number of writes of an operation is swallowed.
    every: u64,
    seen: Mutex<HashMap<Operation, u64>>,
    /// Writes that were done but answered with 503, by key.
    swallowed: Mutex<HashMap<String, (Operation, u32)>>,
    /// Whether the answer to a repeat is swallowed too.
    repeats: bool,
}

fn write(method: &Method, path: &str) -> Option<Operation> {
    match (method, path) {
        (&Method::POST, "/queue") => Some(Operation::Register),
        (&Method::POST, "/reservations") => Some(Operation::Reserve),
        (&Method::POST, path) if path.ends_with("/charge") => Some(Operation::Charge),
        (&Method::POST, path) if path.ends_with("/pay") => Some(Operation::Pay),
        _ => None,
    }
}

async fn pass_on(State(proxy): State<Arc<Swallower>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let operation = write(&parts.method, parts.uri.path());
    let key = parts.headers.get("idempotency-key");
    let key = key.map(|key| key.to_str().unwrap().to_owned());
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let url = format!("{}{}", proxy.server, parts.uri.path());
    let sending = proxy.client.request(parts.method, url).headers(headers);
    let answer = sending.body(body).send().await.unwrap();
    if let Some(operation) = operation
        && answer.status().is_success()
        && proxy.swallows(operation, key.expect("every write has a key"))
    {
        let lost = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        return lost.body(Body::empty()).unwrap();
    }
    let mut passed = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        passed = passed.header(name, value);
    }
    let body = answer.bytes().await.unwrap();
    passed.body(Body::from(body)).unwrap()
}

impl Swallower {
    fn swallows(&self, operation: Operation, key: String) -> bool {
        let mut swallowed = self.swallowed.lock();
        if let Some((_, times)) = swallowed.get_mut(&key) {
            *times += 1;
            return self.repeats;
        }
        let mut seen = self.seen.lock();
        let seen = seen.entry(operation).or_default();
        *seen += 1;
        let swallows = seen.is_multiple_of(self.every);
        if swallows {
            swallowed.insert(key, (operation, 1));
        }
        swallows
    }

    /// The number of writes whose answer was swallowed, by operation.
    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (operation, _) in self.swallowed.lock().values() {
            *counts.entry(operation.to_string()).or_default() += 1;
        }
        counts
    }

    async fn start(server: &TestServer, every: u64, repeats: bool) -> (Arc<Swallower>, SocketAddr) {
        let proxy = Arc::new(Swallower {
            server: server.api.clone(),
            client: crate::support::client(),
            every,
            seen: Mutex::default(),
            swallowed: Mutex::default(),
            repeats,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = Router::new()
            .fallback(pass_on)
            .with_state(Arc::clone(&proxy));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (proxy, addr)
    }
}

/// Runs a rehearsal against `server` through the proxy at `addr`.
async fn rehearse(
    server: &TestServer,
    addr: SocketAddr,
    overrides: &[&str],
) -> concertctl::load::Summary {
    let dataset = server.status().await.dataset.unwrap().profile;
    let mut all = vec![format!("dataset={dataset}")];
    all.extend(overrides.iter().map(|text| (*text).to_owned()));
    let scenario = Scenario::parse("lost-answers", SCENARIO, &all).unwrap();
    let target = Target {
        api_urls: vec![format!("http://{addr}")],
        ops_url: server.ops_url.clone(),
        ops_token: Some(server.ops_token.clone()),
    };
    start(target, RunOptions::new(scenario))
        .join()
        .await
        .unwrap()
}

#[tokio::test]
async fn writes_that_were_done_but_answered_as_failed_are_counted_exactly() {
    let server = TestServer::seeded(2, 50, 60).await;
    let (proxy, addr) = Swallower::start(&server, 4, true).await;
    let summary = rehearse(&server, addr, &[]).await;
    let (found, expected) = (&summary.unacknowledged, proxy.counts());
    assert_eq!(found.operations, expected, "{found:?}");
    assert_eq!(expected["register"], 10, "every fourth of 40 users");
    for operation in ["reserve", "charge", "pay"] {
        assert!(expected[operation] > 0, "{expected:?}");
    }
    let total = expected.values().sum::<u64>();
    assert_eq!(
        (found.total, found.checked, found.unchecked),
        (Some(total), total, 0)
    );
    assert_eq!(outcome(&summary, "unacknowledged"), Outcome::Missed);
    let lost = summary.lookup.as_ref().unwrap().missing;
    assert_eq!(lost, 0, "no acknowledged write is missing");
}

/// The retry sends the same key, so it gets the answer that was lost. So a user's own registration does not lock the
/// user out of the queue.
#[tokio::test]
async fn a_lost_answer_that_a_retry_gets_is_acknowledged() {
    let server = TestServer::seeded(2, 50, 60).await;
    let (proxy, addr) = Swallower::start(&server, 4, false).await;
    let summary = rehearse(&server, addr, &["http.retries=2", "http.retry_pause=10ms"]).await;
    let found = &summary.unacknowledged;
    assert_eq!((found.total, found.checked), (Some(0), 0), "{found:?}");
    assert_eq!(outcome(&summary, "unacknowledged"), Outcome::Passed);
    assert_eq!(server.status().await.queue.registered, 40);
    let swallowed = proxy.swallowed.lock();
    assert!(swallowed.len() >= 10, "{swallowed:?}");
    assert!(
        swallowed.values().all(|(_, times)| *times == 2),
        "{swallowed:?}"
    );
}

#[tokio::test]
async fn a_server_that_looks_up_no_keys_leaves_the_count_unknown() {
    let server = Mimic::start(Manner::Fails);
    let overrides = ["http.retries=1", "thresholds.unacknowledged=0"];
    let summary = run(&server, &overrides).await;
    let found = &summary.unacknowledged;
    assert_eq!(
        (found.total, found.checked, found.unchecked),
        (None, 0, 100)
    );
    assert!(found.problem.is_some());
    assert_eq!(outcome(&summary, "unacknowledged"), Outcome::NoData);
}

#[tokio::test]
async fn the_look_up_refuses_keys_that_no_request_can_have() {
    let server = TestServer::seeded(1, 10, 10).await;
    let of = |key: &str| LookupRequest {
        keys: vec![KeyFact {
            user_id: 1,
            key: key.to_owned(),
        }],
        ..LookupRequest::default()
    };
    assert_eq!(
        server.lookup(&of("never-used")).await.done,
        Some(Vec::new())
    );
    assert_eq!(server.lookup(&LookupRequest::default()).await.done, None);
    for key in ["", "a\0b", "a b", &"x".repeat(129)] {
        let error = server.ops.lookup(&of(key)).await.unwrap_err().to_string();
        assert!(error.contains("keys[0].key"), "{key:?}: {error}");
    }
}
