//! Malicious and faulty clients: the server continues to serve the others, and frees everything that these clients
//! used.

use std::time::{Duration, Instant};

use concertctl::api::faults::Fault;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::process::ServerProcess;
use crate::support::raw::{LIVE, Raw, raise_file_limit, status};
use crate::support::server::Server;
use crate::support::{
    Backend, Embedded, PostgresEmbedded, TestServer, User, eventually, profile, seed,
};

/// Checks that another client is served, and promptly. A machine that stands still delays one attempt, a server that is
/// kept busy delays each.
async fn others_are_served(api: &str, id: i64) {
    let mut user = User::new(api, id);
    assert_eq!(user.register().await.status, 201);
    assert_eq!(user.poll().await.status, 200);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let stranger = User::new(api, id);
        assert_eq!(stranger.get("/health/live").await.status, 200);
        waits.push(started.elapsed());
        if waits.last() < Some(&Duration::from_secs(5)) {
            return;
        }
    }
    panic!("other clients waited {waits:?}");
}

async fn nothing_is_left(server: &TestServer) {
    eventually("no request is left under way", || async {
        (server.active_requests().await == 0).then_some(())
    })
    .await;
}

async fn with_bounds(change: impl FnOnce(&mut concertctl::settings::ServeSettings)) -> TestServer {
    let server = TestServer::with(change).await;
    seed(&server.ops, &profile(1, 5, 50)).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_with_a_slow_header_are_cut_and_do_not_delay_others() {
    let server = with_bounds(|settings| {
        settings.bounds.header_timeout = Duration::from_millis(1_500);
    })
    .await;
    let mut dribblers = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::to(&server.api).await;
        dribblers.push(tokio::spawn(async move {
            // Without the time-out, all of them would be taken.
            for byte in LIVE.repeat(10).bytes().filter(|byte| *byte != b'\n') {
                if raw.0.write_all(&[byte]).await.is_err() {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            false
        }));
    }
    others_are_served(&server.api, 1).await;
    for dribbler in dribblers {
        assert!(dribbler.await.unwrap(), "its connection was kept");
    }
    others_are_served(&server.api, 2).await;
    nothing_is_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_arrive_in_time_is_answered_408() {
    let server = with_bounds(|settings| {
        settings.limits.body_timeout = Duration::from_millis(400);
    })
    .await;
    let head = "POST /queue HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let stalled = format!("{head}content-length: 12\r\n\r\n{{\"u");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{\"\r\n");
    for begun in [stalled, chunked] {
        let mut raw = Raw::sending(&server.api, begun.as_bytes()).await;
        let (status, head, body) = raw.answer().await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, body["code"].as_str()),
            (408, Some("request.timeout"))
        );
        assert!(head.contains("connection: close"), "{head}");
        let rest = raw.rest(Duration::from_secs(10)).await;
        assert_eq!(rest.as_deref(), Some(""), "the connection ends");
    }
    // Single bytes do not extend the time-out.
    let mut raw = Raw::sending(&server.api, head.as_bytes()).await;
    let length = b"content-length: 16000\r\n\r\n";
    raw.0.write_all(length).await.unwrap();
    let (mut read, mut write) = raw.0.into_split();
    let dribbling = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut begun = [0; 12];
    let read = read.read_exact(&mut begun);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    read.expect("an answer while dribbling").unwrap();
    assert_eq!(&begun, b"HTTP/1.1 408");
    dribbling.await.unwrap();
    others_are_served(&server.api, 1).await;
    nothing_is_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_idle_connections_do_not_delay_others() {
    raise_file_limit();
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(1, 5, 50)).await;
    let mut idle = Vec::new();
    for at in 0..2_000 {
        let mut raw = Raw::to(&server.api).await;
        if at % 2 == 0 {
            // Half of them have sent a request before.
            raw.0.write_all(LIVE.as_bytes()).await.unwrap();
            assert_eq!(raw.answer().await.0, 200);
        }
        idle.push(raw);
    }
    others_are_served(&server.api, 1).await;
    // The idle connections can still be used.
    let last = idle.last_mut().unwrap();
    last.0.write_all(LIVE.as_bytes()).await.unwrap();
    assert_eq!(last.answer().await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_their_answers_are_cut() {
    let server = with_bounds(|settings| {
        settings.bounds.connections = 2;
        settings.bounds.write_timeout = Duration::from_millis(500);
    })
    .await;
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_000);
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::to(&server.api).await;
        let write = raw.0.write_all(asked.as_bytes());
        // The server reads no more requests than it can write answers.
        let _ = tokio::time::timeout(Duration::from_millis(200), write).await;
        silent.push(raw);
    }
    for raw in &silent {
        raw.0.readable().await.unwrap();
    }
    // Both connections are taken until the two are cut. This sends on one raw connection, because a client with a pool
    // may open a second one, which evicts the first.
    let mut other = Raw::sending(&server.api, LIVE.as_bytes()).await;
    assert_eq!(
        other.answer().await.0,
        200,
        "the client is served once the two are cut"
    );
    nothing_is_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_too_large_are_refused_without_effect_on_others() {
    let server = with_bounds(|_| {}).await;
    let many: String = (0..200).map(|at| format!("x-{at}: y\r\n")).collect();
    let many = format!("GET /concerts HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    let mut raw = Raw::sending(&server.api, many.as_bytes()).await;
    assert_eq!(raw.answer().await.0, 431);
    let vast = "x".repeat(1024 * 1024);
    for request in [
        format!("GET /concerts HTTP/1.1\r\nhost: a\r\nx: {vast}\r\n\r\n"),
        format!("GET /{vast} HTTP/1.1\r\nhost: a\r\n\r\n"),
    ] {
        let mut raw = Raw::sending(&server.api, request.as_bytes()).await;
        let rest = raw.rest(Duration::from_secs(10)).await;
        let rest = rest.expect("the connection is closed");
        // The reset for the bytes beyond the bound may arrive before the answer.
        assert!(
            rest.is_empty() || [414, 431].contains(&status(&rest)),
            "{rest}"
        );
    }
    let big = "x".repeat(80 * 1024);
    let head = "POST /queue HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let body = format!("{head}content-length: {}\r\n\r\n{big}", big.len());
    let mut raw = Raw::sending(&server.api, body.as_bytes()).await;
    assert_eq!(raw.answer().await.0, 413);
    raw.0.write_all(LIVE.as_bytes()).await.unwrap();
    assert_eq!(raw.answer().await.0, 200, "the connection is still good");
    let endless = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let mut raw = Raw::sending(&server.api, endless.as_bytes()).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let mut sent = 0;
    while raw.0.write_all(chunk.as_bytes()).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 64 << 20, "an endless body was accepted");
    }
    others_are_served(&server.api, 1).await;
    nothing_is_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_http_are_refused_without_effect_on_others() {
    let server = with_bounds(|settings| {
        settings.bounds.header_timeout = Duration::from_secs(2);
    })
    .await;
    let json = "host: a\r\ncontent-type: application/json\r\n";
    let smuggled = format!("{LIVE}{LIVE}");
    let requests = [
        "\r\n\r\n\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET /health/live HTTP/9.9\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\na: \u{0}\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n".to_owned(),
        format!("POST /queue HTTP/1.1\r\n{json}content-length: -1\r\n\r\n"),
        format!("POST /queue HTTP/1.1\r\n{json}content-length: 99999999999999999999\r\n\r\n"),
        format!(
            "POST /queue HTTP/1.1\r\n{json}content-length: 5\r\ncontent-length: 6\r\n\r\n12345"
        ),
        format!("POST /queue HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\nZZ\r\n"),
        format!(
            "POST /queue HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n"
        ),
        format!("POST /queue HTTP/1.1\r\n{json}transfer-encoding: gzip\r\n\r\n{smuggled}"),
        format!(
            "POST /queue HTTP/1.1\r\n{json}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            smuggled.len()
        ),
    ];
    let mut all: Vec<Vec<u8>> = requests.map(String::into_bytes).into();
    all.push([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].repeat(20));
    all.push((0..=255).cycle().take(4_096).collect());
    all.push(vec![0; 4_096]);
    for bytes in all {
        for url in [&server.api, &server.ops_url] {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let mut raw = Raw::sending(url, &bytes).await;
            let _ = raw.0.shutdown().await;
            let rest = raw.rest(Duration::from_secs(10)).await;
            let rest = rest.unwrap_or_else(|| panic!("not closed after {shown:?}"));
            for line in rest.lines().filter(|line| line.starts_with("HTTP/1.")) {
                let status = status(line);
                assert!((400..500).contains(&status), "{status} for {shown:?}");
            }
        }
    }
    others_are_served(&server.api, 1).await;
    nothing_is_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_pipelining_and_half_closed_clients_are_served() {
    let server = with_bounds(|_| {}).await;
    let mut old = Raw::sending(&server.api, b"GET /health/live HTTP/1.0\r\n\r\n").await;
    let rest = old.rest(Duration::from_secs(10)).await;
    let rest = rest.expect("HTTP/1.0 connections end with the answer");
    assert_eq!(status(&rest), 200);

    let mut pipelined = String::new();
    for at in 0..100 {
        pipelined.push_str(&format!("GET /nowhere/{at} HTTP/1.1\r\nhost: a\r\n\r\n"));
    }
    let mut raw = Raw::sending(&server.api, pipelined.as_bytes()).await;
    for at in 0..100 {
        let (status, _, body) = raw.answer().await;
        assert_eq!(status, 404);
        assert!(
            body.contains(&format!("/nowhere/{at} ")),
            "in order: {body}"
        );
    }

    // The beginning of the next request does not delay the answer to this one.
    let begun = format!("{LIVE}GET /health");
    let mut raw = Raw::sending(&server.api, begun.as_bytes()).await;
    assert_eq!(raw.answer().await.0, 200);

    // A half-closed connection counts as closed: the answer may be lost, and the connection ends.
    let mut half = Raw::sending(&server.api, LIVE.as_bytes()).await;
    half.0.shutdown().await.unwrap();
    let rest = half.rest(Duration::from_secs(10)).await;
    let rest = rest.expect("the connection ends");
    assert!(rest.is_empty() || status(&rest) == 200, "{rest}");
    nothing_is_left(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_disconnects_in_the_middle_leaves_no_request_in_flight() {
    let server = with_bounds(|settings| {
        // The time-out must not end the requests in this test.
        settings.limits.body_timeout = Duration::from_secs(600);
        settings.limits.request_timeout = Duration::from_secs(600);
    })
    .await;
    let begun = "POST /queue HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{\"userId\"";
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(Raw::sending(&server.api, begun.as_bytes()).await);
    }
    eventually("all are under way", || async {
        (server.active_requests().await == 20).then_some(())
    })
    .await;
    drop(connections);
    nothing_is_left(&server).await;
    assert_eq!(server.status().await.queue.registered, 0);
    others_are_served(&server.api, 1).await;
    server.stop().await;
}

/// An audit reads each entry of the ledger, and this ledger has no last one.
const ENDLESS: &str = "ALTER TABLE ledger RENAME TO away;
    CREATE VIEW ledger AS WITH RECURSIVE entries (id) AS (SELECT 1 UNION ALL SELECT 1 FROM entries)
        SELECT 1 AS kind, 1 AS amount, 1 AS user_id, 1 AS reservation_id FROM entries;";

/// Disconnects during an audit that would not end, and checks that the database has nothing to do any more. `reads` is a
/// right that the server needs to read the view.
async fn an_audit_ends_with_its_client<B: Backend>(reads: &str) {
    let server = Server::<B>::seeded(1, 5, 5).await;
    server.tamper(&format!("{ENDLESS}{reads}")).await.unwrap();
    // The connections in use, and those that the database works on.
    let busy = async || {
        let name = "db_client_connection_count{state=\"used\"} ";
        let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let used: f64 = lines.next().unwrap().parse().unwrap();
        let Some(postgres) = server.parts.postgres() else {
            return (used, used);
        };
        let sql = "SELECT count(*) FROM pg_stat_activity
            WHERE query LIKE '%oversold%' AND state = 'active' AND pid <> pg_backend_pid()";
        (used, postgres.sql(sql).await.parse().unwrap())
    };
    let audit = "GET /ops/v1/audit HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let client = Raw::sending(&server.ops_url, audit.as_bytes()).await;
    eventually("the audit is under way", || async {
        let (used, active) = busy().await;
        (used > 0.0 && active > 0.0).then_some(())
    })
    .await;
    drop(client);
    eventually("the audit has ended", || async {
        (busy().await == (0.0, 0.0)).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_of_the_embedded_database_ends_with_its_client() {
    Box::pin(an_audit_ends_with_its_client::<Embedded>("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_of_postgres_ends_with_its_client() {
    crate::needs!(Server<PostgresEmbedded>);
    let reads = "GRANT SELECT ON ledger TO concert;";
    Box::pin(an_audit_ends_with_its_client::<PostgresEmbedded>(reads)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_whose_client_disconnected_still_uses_up_the_token() {
    let server = TestServer::seeded(1, 100, 100).await;
    let mut users = Vec::new();
    for id in 1..=100 {
        users.push((server.registered(id).await, 0));
    }
    for (user, reservation) in &mut users {
        user.until_active().await;
        *reservation = user.reserved(user.id).await;
        assert_eq!(user.charge(1_000.into()).await.status, 200);
    }
    for (user, reservation) in &users {
        let request = format!(
            "POST /users/{}/reservations/{reservation}/pay HTTP/1.1\r\nhost: a\r\nwait-token: {}\r\n\r\n",
            user.id,
            user.token.as_deref().unwrap()
        );
        // The client closes the connection as soon as it has sent the request.
        drop(Raw::sending(&server.api, request.as_bytes()).await);
    }
    nothing_is_left(&server).await;
    // Payments that have begun end within this time. Then the number of payments equals the number of used tokens.
    eventually("every payment used its token up", || async {
        let mut expired = 0;
        for (user, _) in &users {
            expired += u64::from(user.queue_status().await == "EXPIRED");
        }
        let paid = server.audit().await.reservations_paid;
        (paid > 0 && paid == expired).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_limit_in_flight_are_refused_with_retry_after() {
    let server = with_bounds(|settings| {
        settings.limits.in_flight = 10;
        // The time-out must not end the requests in this test.
        settings.limits.request_timeout = Duration::from_secs(600);
    })
    .await;
    let slow = Fault::Latency {
        delay: Duration::from_secs(30),
        share: 1.0,
        routes: Some(vec!["GET /concerts".to_owned()]),
    };
    let length = Duration::from_secs(300);
    let injected = server.ops.inject_fault(&slow, length, None).await;
    injected.unwrap();
    let request = "GET /concerts HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut under_way = Vec::new();
    for _ in 0..10 {
        under_way.push(Raw::sending(&server.api, request.as_bytes()).await);
    }
    eventually("ten are under way", || async {
        (server.active_requests().await == 10).then_some(())
    })
    .await;
    let refused = server.stranger(1).register().await;
    assert_eq!(refused.problem(), (503, "service.overloaded".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(under_way);
    nothing_is_left(&server).await;
    others_are_served(&server.api, 1).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_whose_bodies_are_slow_do_not_count_as_in_flight() {
    let server = with_bounds(|settings| {
        settings.limits.in_flight = 10;
        settings.limits.body_timeout = Duration::from_secs(600);
    })
    .await;
    let begun = "POST /queue HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{\"userId\"";
    let mut slow = Vec::new();
    for _ in 0..10 {
        slow.push(Raw::sending(&server.api, begun.as_bytes()).await);
    }
    eventually("ten have begun", || async {
        (server.active_requests().await == 10).then_some(())
    })
    .await;
    others_are_served(&server.api, 1).await;
    drop(slow);
    nothing_is_left(&server).await;
    server.stop().await;
}
