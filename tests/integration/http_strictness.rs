//! Requests that two servers could interpret differently are refused, and the client receives every refusal.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::assert_refused;
use crate::support::raw::{LIVE, Raw};
use crate::support::{TestServer, User};

const PATIENCE: Duration = Duration::from_secs(30);
const JSON: &str = "content-type: application/json\r\n";

/// Sends a request. Returns the status and the code of the problem that answers it. The connection must end then.
async fn refused(url: &str, request: &str) -> (u16, String) {
    let mut raw = Raw::sending(url, format!("{request}{LIVE}").as_bytes()).await;
    let (status, head, body) = raw.answer().await;
    assert!(head.contains("connection: close"), "{request:?}: {head}");
    let rest = raw.rest(PATIENCE).await;
    assert_eq!(
        rest.as_deref(),
        Some(""),
        "what follows is not answered: {request:?}"
    );
    let body: Value =
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("{request:?}: {body:?}"));
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_requests_are_refused() {
    let server = TestServer::empty().await;
    let post = |headers: &str| format!("POST /queue HTTP/1.1\r\n{JSON}{headers}\r\n12345");
    let get = |headers: &str| format!("GET /health/live HTTP/1.1\r\n{headers}\r\n");
    for request in [
        post("host: localhost\r\ncontent-length: 5\r\ncontent-length: 5\r\n"),
        post("host: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n"),
        post("host: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n"),
        post("host: localhost\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        post("host: localhost\r\ntransfer-encoding: gzip, chunked\r\n"),
        get(""),
        get("host: localhost\r\nhost: localhost\r\n"),
        get("host: localhost\r\nHOST: other\r\n"),
        get("host:\r\n"),
        get("host: a b\r\n"),
        get("host: user@a\r\n"),
        get("host: a:99999\r\n"),
        get("host: a/b\r\n"),
        get("host: localhost\r\nwait-token: a\r\nWait-Token: b\r\n"),
        get("host: localhost\r\nidempotency-key: a\r\nidempotency-key: a\r\n"),
        get("host: localhost\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n"),
        get("host: localhost\r\ncontent-type: text/plain\r\ncontent-type: text/plain\r\n"),
        "GET http://evil/metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "GET http://localhost:1/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "GET http://user@localhost/metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "GET /queue#f HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
    ] {
        for url in [&server.api, &server.ops_url] {
            let expected = (400, "request.malformed".to_owned());
            assert_eq!(refused(url, &request).await, expected, "{request:?}");
        }
    }
    let request = get("host: localhost\r\nexpect: 200-maybe\r\n");
    let expected = (417, "request.expectation".to_owned());
    assert_eq!(refused(&server.api, &request).await, expected);
    let absolute = "GET http://LOCALHOST/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut raw = Raw::sending(&server.api, absolute.as_bytes()).await;
    assert_eq!(raw.answer().await.0, 200, "both name the same host");
    // The answers to earlier requests on the connection come first.
    let both = format!("{LIVE}{}", get(""));
    let mut raw = Raw::sending(&server.api, both.as_bytes()).await;
    assert_eq!(raw.answer().await.0, 200);
    assert_eq!(raw.answer().await.0, 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_expect_100_continue_gets_100_continue() {
    let server = TestServer::seeded(1, 5, 5).await;
    let head = |length: usize| {
        format!(
            "POST /queue HTTP/1.1\r\nhost: a\r\n{JSON}content-length: {length}\r\n\
             Expect: 100-Continue\r\n\r\n"
        )
    };
    let mut raw = Raw::sending(&server.api, head(12).as_bytes()).await;
    assert_eq!(raw.answer().await.0, 100);
    raw.0.write_all(b"{\"userId\":1}").await.unwrap();
    assert_eq!(raw.answer().await.0, 201);
    let mut raw = Raw::sending(&server.api, head(20_000).as_bytes()).await;
    assert_eq!(
        raw.answer().await.0,
        413,
        "refused before the client sends the body"
    );
    server.stop().await;
}

/// Sends a part of a request and a little more: the answer is 408, and the connection ends without a reset.
async fn slow(url: String, begun: String) {
    let mut raw = Raw::sending(&url, begun.as_bytes()).await;
    let (status, head, body) = raw.answer().await;
    assert_eq!(status, 408, "{begun:?}: {body}");
    assert!(head.contains("connection: close"), "{head}");
    for _ in 0..3 {
        raw.0.write_all(b" ").await.expect("the server still reads");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, raw.0.read_to_end(&mut rest)).await;
    read.expect("the connection ends").expect("no reset");
    assert_eq!(rest, b"", "{begun:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_is_answered_408_on_every_route() {
    let server = TestServer::with(|settings| {
        settings.limits.body_timeout = Duration::from_millis(300);
    })
    .await;
    let mut clients = Vec::new();
    for (url, line) in [
        (&server.api, "POST /queue"),
        (&server.api, "GET /queue"),
        (&server.api, "POST /reservations"),
        (&server.api, "DELETE /reservations/1"),
        (&server.api, "POST /accounts/1/charge"),
        (&server.api, "POST /users/1/reservations/1/pay"),
        (&server.api, "PATCH /queue"),
        (&server.api, "POST /nowhere"),
        (&server.api, "GET /health/live"),
        (&server.ops_url, "PUT /ops/v1/admission"),
        (&server.ops_url, "POST /loki/api/v1/query"),
        (&server.ops_url, "GET /metrics"),
    ] {
        for framing in [
            "content-length: 500\r\n\r\n{",
            "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
        ] {
            let begun = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{framing}");
            clients.push(tokio::spawn(slow(url.clone(), begun)));
        }
    }
    for client in clients {
        client.await.unwrap();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn integers_follow_json_schema_and_the_content_type_must_match() {
    let server = TestServer::seeded(1, 5, 5).await;
    let user = User::new(&server.api, 1);
    let post = |body: &'static str| user.call(Method::POST, "/queue").body(body);
    let json = |body| post(body).header("content-type", "application/json");
    for (body, status) in [
        (r#"{"userId":1.0}"#, 201),
        (r#"{"userId":2e0}"#, 201),
        (r#"{"userId":1.5}"#, 400),
        (r#"{"userId":9007199254740993.0}"#, 400),
        (r#"{"userId":"1"}"#, 400),
    ] {
        let answer = User::send(json(body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
    let user = server.admitted(3).await;
    let wish = r#"{"userId":3.0,"seatId":1.0,"concertId":1.0,"performanceDateId":1.0}"#;
    let wish = user.call(Method::POST, "/reservations").body(wish);
    let held = User::send(wish.header("content-type", "application/json")).await;
    assert_eq!(held.status, 201, "{}", held.text);
    assert_eq!(user.charge(json!(216.0)).await.json()["balance"], 216);
    assert_eq!(user.get("/accounts/3.0").await.json()["balance"], 216);
    assert_refused!(user.get("/accounts/3.5").await, 400, "request.malformed");
    for list in ["/concerts", "/users/3/reservations"] {
        let page = user.get(&format!("{list}?limit=1.0&after=0e0")).await;
        assert_eq!(page.status, 200, "{list}: {}", page.text);
    }
    assert_refused!(
        user.get("/concerts?limit=1.5").await,
        400,
        "request.malformed"
    );
    for coding in ["gzip", "br", "identity, gzip", "x"] {
        let coded = json(r#"{"userId":4}"#).header("content-encoding", coding);
        assert_refused!(User::send(coded).await, 415, "request.media-type");
    }
    let plain = json(r#"{"userId":4}"#).header("content-encoding", "identity");
    assert_eq!(User::send(plain).await.status, 201);
    for kind in ["text/plain", "application/jsonp", ""] {
        let wrong = post(r#"{"userId":5}"#).header("content-type", kind);
        assert_refused!(User::send(wrong).await, 415, "request.media-type");
    }
    assert_refused!(
        User::send(post(r#"{"userId":5}"#)).await,
        415,
        "request.media-type"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsupported_method_gets_405_with_the_supported_ones() {
    let server = TestServer::empty().await;
    let user = User::new(&server.api, 1);
    for (method, path, allowed) in [
        (Method::OPTIONS, "/queue", "GET,HEAD,POST"),
        (Method::PUT, "/queue", "GET,HEAD,POST"),
        (Method::TRACE, "/health/live", "GET,HEAD"),
        (Method::GET, "/reservations", "POST"),
        (Method::POST, "/reservations/1", "DELETE"),
    ] {
        let answer = User::send(user.call(method.clone(), path)).await;
        let mut allow: Vec<_> = answer
            .header("allow")
            .unwrap_or_default()
            .split(',')
            .collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{method} {path}");
        assert_refused!(answer, 405, "route.method");
    }
    let head = User::send(user.call(Method::HEAD, "/health/live")).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    server.stop().await;
}

#[tokio::test]
async fn a_mistake_in_a_request_is_reported_with_its_place_and_field() {
    let server = TestServer::empty().await;
    let user = User::new(&server.api, 1);
    let post = |body: &str| {
        let call = user.call(Method::POST, "/queue").body(body.to_owned());
        User::send(call.header("content-type", "application/json"))
    };
    for (body, detail) in [
        (
            "{\"userId\": \"x\"}",
            "body, line 1, column 14: userId: `x` is not a whole number such as 20",
        ),
        (
            "{\n}",
            "body, line 2, column 1: `userId` is missing: add it",
        ),
        (
            "{\"userId\": 1",
            "body, line 1, column 12: the JSON ends here too early: is it complete?",
        ),
        (
            "userId=1",
            "body, line 1, column 1: is not JSON: expected value",
        ),
        (
            " [1]",
            "body: is a list: write an object such as { \"field\": value }",
        ),
    ] {
        let answer = post(body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["detail"], detail, "{body}");
    }
    let call = user.call(Method::POST, "/queue");
    let call = call.header("content-type", "application/json");
    let answer = User::send(call.body(b"{\"userId\": 1, \"note\": \"\xff\"}".as_slice())).await;
    assert_eq!(answer.json()["detail"], "body: is not UTF-8 text");
    let answer = user.get("/concerts?after=x").await;
    let detail = "query: after: \"x\" is not an integer that fits";
    assert_eq!(answer.json()["detail"], detail);
    server.stop().await;
}
