//! Floods of connections: a client that sends a request always gets a connection, and so do operations.

use std::time::Duration;

use concertctl::api::faults::Fault;
use concertctl::settings::ServeSettings;
use tokio::io::AsyncWriteExt as _;

use crate::support::process::ServerProcess;
use crate::support::raw::{LIVE, Raw, raise_file_limit};
use crate::support::{TestServer, User, eventually, profile, seed};

/// The longest wait for an answer or for the end of a connection.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A request whose body lacks its end, and the end.
const BEGUN: &str = "POST /queue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
    content-length: 13\r\n\r\n{\"userId\"";
const END: &str = ": 1}";

async fn with_bounds(change: impl FnOnce(&mut ServeSettings)) -> TestServer {
    let server = TestServer::with(|settings| {
        // Only eviction must end connections in this test.
        settings.bounds.idle_timeout = Duration::from_secs(600);
        settings.bounds.header_timeout = Duration::from_secs(600);
        settings.limits.body_timeout = Duration::from_secs(600);
        settings.limits.request_timeout = Duration::from_secs(600);
        change(settings);
    })
    .await;
    seed(&server.ops, &profile(1, 5, 50)).await;
    server
}

async fn ask(raw: &mut Raw) -> u16 {
    raw.0.write_all(LIVE.as_bytes()).await.unwrap();
    raw.answer().await.0
}

async fn is_closed(raw: &mut Raw) {
    let rest = raw.rest(LONGEST_WAIT).await;
    assert_eq!(rest.as_deref(), Some(""), "closed without an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_idle_connection_is_evicted_and_a_busy_one_never() {
    let server = with_bounds(|settings| settings.bounds.connections = 4).await;
    let slow = Fault::Latency {
        delay: Duration::from_secs(5),
        share: 1.0,
        routes: Some(vec!["POST /queue".to_owned()]),
    };
    let injected = server.ops.inject_fault(&slow, LONGEST_WAIT, None).await;
    injected.unwrap();
    let whole = format!("{BEGUN}{END}");
    let mut busy = Raw::sending(&server.api, whole.as_bytes()).await;
    eventually("its request is under way", || async {
        (server.active_requests().await == 1).then_some(())
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::to(&server.api).await;
        assert_eq!(ask(&mut raw).await, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
        idle.push(raw);
    }
    // The first one was used last now, so the second has been idle longest.
    assert_eq!(ask(&mut idle[0]).await, 200);
    let mut new = Raw::to(&server.api).await;
    assert_eq!(ask(&mut new).await, 200, "a new client is served");
    is_closed(&mut idle[1]).await;
    assert_eq!(ask(&mut idle[0]).await, 200);
    assert_eq!(ask(&mut idle[2]).await, 200);
    // The request in flight gets its answer, however many connections come.
    for _ in 0..20 {
        let mut more = Raw::to(&server.api).await;
        assert_eq!(ask(&mut more).await, 200);
    }
    let (status, _, body) = busy.answer().await;
    assert_eq!(status, 201, "{body}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_keep_neither_clients_nor_operations_out() {
    let server = with_bounds(|settings| settings.bounds.connections = 40).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(Raw::sending(&server.api, BEGUN.as_bytes()).await);
    }
    // The limit of one address is 64.
    for _ in 0..100 {
        slow.push(Raw::sending(&server.ops_url, BEGUN.as_bytes()).await);
    }
    let mut user = User::new(&server.api, 1);
    assert_eq!(user.register().await.status, 201);
    assert_eq!(user.poll().await.status, 200);
    let status = User::new(&server.ops_url, 0).get("/ops/v1/status").await;
    assert_eq!(status.json()["queue"]["registered"], 1);
    drop(slow);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_takes_the_place_of_one_that_reads_no_answers() {
    let server = with_bounds(|settings| {
        settings.bounds.connections = 2;
        settings.bounds.write_timeout = Duration::from_secs(600);
    })
    .await;
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_000);
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::to(&server.api).await;
        let write = raw.0.write_all(asked.as_bytes());
        // The server reads no more requests than it can write answers.
        let _ = tokio::time::timeout(Duration::from_millis(200), write).await;
        raw.0.readable().await.unwrap();
        silent.push(raw);
    }
    let mut new = Raw::to(&server.api).await;
    assert_eq!(ask(&mut new).await, 200);
    drop(silent);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_idle_connections_delays_neither_clients_nor_operations() {
    let server = with_bounds(|settings| settings.bounds.connections = 50).await;
    let mut flood = Vec::new();
    for url in [&server.api, &server.ops_url] {
        for _ in 0..600 {
            flood.push(Raw::to(url).await);
        }
    }
    let mut user = User::new(&server.api, 1);
    assert_eq!(user.register().await.status, 201);
    assert_eq!(user.poll().await.status, 200);
    let status = User::new(&server.ops_url, 0).get("/ops/v1/status").await;
    assert_eq!(status.json()["queue"]["registered"], 1);
    drop(flood);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_headers_take_bounded_memory_and_the_largest_are_dropped_first() {
    let server = with_bounds(|settings| settings.bounds.unfinished_headers = 1_000_000).await;
    let begun = |bytes: usize| format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(bytes));
    let mut small = Raw::sending(&server.api, begun(1_000).as_bytes()).await;
    let mut large = Vec::new();
    for _ in 0..100 {
        large.push(Raw::sending(&server.api, begun(50_000).as_bytes()).await);
    }
    // A hundred connections hold five million bytes; the limit is one million.
    let mut closed = 0;
    eventually("four out of five are closed", || {
        for raw in &mut large {
            let mut byte = [0];
            if matches!(raw.0.try_read(&mut byte), Ok(0)) {
                closed += 1;
            }
        }
        let done = closed >= 80;
        closed = if done { closed } else { 0 };
        async move { done.then_some(()) }
    })
    .await;
    small.0.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(small.answer().await.0, 404, "the small one is served");
    assert_eq!(User::new(&server.api, 1).register().await.status, 201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_out_of_a_header_starts_at_its_first_byte_and_the_answer_is_408() {
    let server = with_bounds(|settings| {
        settings.bounds.header_timeout = Duration::from_millis(300);
    })
    .await;
    let mut idle = Raw::to(&server.api).await;
    for begun in ["G", "GET /health/live HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut raw = Raw::sending(&server.api, begun.as_bytes()).await;
        let rest = raw.rest(LONGEST_WAIT).await.expect("closed");
        assert!(rest.starts_with("HTTP/1.1 408 "), "{rest:?}");
    }
    // The same for a header that follows an answer on the same connection.
    let mut raw = Raw::sending(&server.api, format!("{LIVE}GET").as_bytes()).await;
    assert_eq!(raw.answer().await.0, 200);
    let rest = raw.rest(LONGEST_WAIT).await.expect("closed");
    assert!(rest.starts_with("HTTP/1.1 408 "), "{rest:?}");
    assert_eq!(ask(&mut idle).await, 200, "an idle connection stays open");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_descriptors_are_reserved_for_operations() {
    raise_file_limit();
    let dir = tempfile::tempdir().unwrap();
    let mut limited = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_concertctl");
    limited.args(["-c", "ulimit -n 700; exec \"$0\" \"$@\"", program]);
    let server = ServerProcess::with(limited, dir.path(), &[]).await;
    seed(&server.ops, &profile(1, 5, 50)).await;
    let mut flood = Vec::new();
    for _ in 0..1_000 {
        // Each has begun a request, and may be evicted by a later one.
        flood.push(Raw::sending(&server.api, BEGUN.as_bytes()).await);
    }
    // The ticketing API takes at most 253 of 700 files; the flood would take all of them.
    let taken = eventually("the flood has taken all that it can", || async {
        Some(server.active_requests().await).filter(|taken| *taken >= 250)
    })
    .await;
    assert!(taken <= 253, "{taken} connections are taken");
    // This connection is made after the flood.
    let status = User::new(&server.ops_url, 0).get("/ops/v1/status").await;
    assert_eq!(status.status, 200);
    drop(flood);
    let mut user = server.user(1);
    assert_eq!(user.register().await.status, 201);
}
