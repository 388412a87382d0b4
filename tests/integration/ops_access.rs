//! Access to the operations listener.

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::assert_refused;
use crate::support::process::{ServerProcess, concertctl, finish, run};
use crate::support::raw::Raw;
use crate::support::{TestServer, User};

const LOGS: &str = "/loki/api/v1/query_range?query=%7Bservice_name%3D%22concertctl-api%22%7D";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_whose_host_name_resolves_to_loopback_is_refused() {
    let server = TestServer::with(|settings| {
        settings.ops_hosts = vec!["ops.internal".to_owned()];
    })
    .await;
    let user = User::new(&server.ops_url, 0);
    let port = server.ops_url.rsplit(':').next().unwrap();
    for path in ["/metrics", "/ops/v1/status", "/api/v1/query?query=up"] {
        for (host, status) in [
            (format!("localhost:{port}"), 200),
            ("127.0.0.1".to_owned(), 200),
            ("127.1.2.3".to_owned(), 200),
            (format!("[::1]:{port}"), 200),
            ("ops.internal".to_owned(), 200),
            ("attacker.example".to_owned(), 421),
            ("localhost.attacker.example".to_owned(), 421),
            ("10.1.2.3".to_owned(), 421),
        ] {
            let answer = User::send(user.call(Method::GET, path).header("host", &host)).await;
            assert_eq!(answer.status, status, "{path} for {host}: {}", answer.text);
        }
    }
    let named = user
        .call(Method::GET, "/metrics")
        .header("host", "attacker.example");
    let answer = User::send(named).await;
    assert!(answer.text.contains("--ops-host"), "{}", answer.text);
    assert_refused!(answer, 421, "ops.host-refused");
    let mut old = Raw::sending(&server.ops_url, b"GET /metrics HTTP/1.0\r\n\r\n").await;
    let rest = old.rest(std::time::Duration::from_secs(20)).await.unwrap();
    assert!(
        rest.starts_with("HTTP/1.0 200 ") || rest.starts_with("HTTP/1.1 200 "),
        "{rest}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_name_users_need_the_token_and_others_do_not() {
    let server = TestServer::seeded(1, 5, 5).await;
    server.registered(1).await;
    let user = User::new(&server.ops_url, 0);
    for path in [
        LOGS,
        "/loki/api/v1/query?query=%7Blevel%3D%22info%22%7D",
        "/loki/api/v1/labels",
        "/loki/api/v1/label/level/values",
        "/loki/api/v1/series?match%5B%5D=%7Blevel%3D%22info%22%7D",
        "/api/search?q=%7B%7D",
        "/api/traces/a1",
        "/api/v2/traces/a1",
        "/api/search/tags",
        "/api/search/tag/user.id/values",
        "/api/v2/search/tag/span.user.id/values",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let plain = User::send(user.call(method.clone(), path)).await;
            assert_eq!(plain.status, 401, "{method} {path}: {}", plain.text);
        }
        let wrong = user.call(Method::GET, path).bearer_auth("wrong");
        assert_refused!(User::send(wrong).await, 401, "ops.unauthorized");
        let right = user.call(Method::GET, path).bearer_auth(&server.ops_token);
        let right = User::send(right).await;
        assert!(
            [200, 400, 404].contains(&right.status),
            "{path}: {}",
            right.text
        );
    }
    let form = user.call(Method::POST, "/loki/api/v1/query_range");
    assert_eq!(User::send(form.body("query=%7B%7D")).await.status, 401);
    for path in [
        "/metrics",
        "/ops/v1/status",
        "/ops/v1/admission",
        "/ops/v1/seed",
        "/ops/v1/audit",
        "/ops/v1/faults",
        "/api/v1/query?query=up",
        "/api/v1/rules",
        "/api/v2/alerts",
    ] {
        let answer = user.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(!answer.text.contains("user_id"), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_site_changes_nothing() {
    let server = TestServer::empty().await;
    let user = User::new(&server.ops_url, 0);
    let write = || {
        user.call(Method::PUT, "/ops/v1/admission")
            .body("{\"paused\":true}")
    };
    // An HTML form can send this: no token, and the content type of forms.
    let form = write().header("content-type", "text/plain");
    assert_refused!(User::send(form).await, 401, "ops.unauthorized");
    let port = server.ops_url.rsplit(':').next().unwrap();
    for origin in [
        "https://attacker.example",
        "null",
        &format!("http://localhost.x:{port}"),
    ] {
        let call = write()
            .header("origin", origin)
            .bearer_auth(&server.ops_token);
        assert_refused!(User::send(call).await, 403, "ops.origin-refused");
    }
    let asked = user.call(Method::OPTIONS, "/ops/v1/admission");
    let asked = User::send(asked.header("origin", "https://attacker.example")).await;
    assert_eq!(asked.status, 405);
    assert_eq!(asked.header("access-control-allow-origin"), None);
    assert!(
        asked
            .header("allow")
            .is_some_and(|allow| allow.contains("PUT"))
    );
    let own = write()
        .header("origin", &server.ops_url)
        .bearer_auth(&server.ops_token);
    let own = User::send(own).await;
    assert_ne!(own.status, 403, "{}", own.text);
    server.stop().await;
}

/// The screen of logs or traces, as the console prints it.
async fn screen(server: &TestServer, screen: &str, token: Option<&str>, more: &[&str]) -> String {
    let mut command = concertctl();
    command.args(["tui", "--once", "--read-only", "--screen", screen]);
    command.args(["--ops-url", &server.ops_url]).args(more);
    command.env("COLUMNS", "160").env("LINES", "40");
    command.env("XDG_DATA_HOME", server.dir.path().join("none"));
    if let Some(token) = token {
        command.env("CONCERTCTL_OPS_TOKEN", token);
    }
    finish(command).await.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_sends_the_token_to_the_servers_own_stores_and_to_no_other_host() {
    let server = TestServer::seeded(1, 5, 5).await;
    server.registered(1).await;
    for name in ["logs", "traces"] {
        let without = screen(&server, name, None, &[]).await;
        assert!(without.contains("--ops-token-file"), "{without}");
        let with = screen(&server, name, Some(&server.ops_token), &[]).await;
        assert!(!with.contains("--ops-token-file"), "{with}");
    }
    let overview = screen(&server, "overview", None, &[]).await;
    assert!(!overview.contains("not reachable"), "{overview}");

    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let heads = tokio::spawn(async move {
        let (mut stream, _) = other.accept().await.unwrap();
        let mut head = vec![0; 8_192];
        let length = stream.read(&mut head).await.unwrap();
        let empty = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.write_all(empty).await.unwrap();
        String::from_utf8_lossy(&head[..length]).to_lowercase()
    });
    let token = Some(server.ops_token.as_str());
    screen(&server, "logs", token, &["--loki-url", &url]).await;
    let head = heads.await.unwrap();
    assert!(head.contains("/loki/api/v1/"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    server.stop().await;
}

#[tokio::test]
async fn the_token_of_a_server_that_ended_is_sent_to_no_other_program() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    let address = server.ops_url.strip_prefix("http://").unwrap().to_owned();
    let args = ["fault", "clear", "--data-dir", dir.path().to_str().unwrap()];
    assert_eq!(run(&args).await.code, Some(0));
    // A killed server leaves server.json behind.
    server.signal_kill();
    let stranger = std::net::TcpListener::bind(&address).unwrap();
    stranger.set_nonblocking(true).unwrap();
    run(&args)
        .await
        .failed_with(1, &["no server runs on", &address]);
    assert!(stranger.accept().is_err(), "the stranger was asked");
}
