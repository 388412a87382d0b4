//! Each tested command reports a TLS failure in one line. The line says what is wrong, where, and what to do.

use super::{Authority, Pair, Secured, run, sink};

/// The tested commands, which connect to the server at `url`.
fn commands(url: &str) -> Vec<Vec<String>> {
    let lines = [
        format!("health {url}"),
        format!("fault list --target {url}"),
        format!("load onsale-short --quiet --target {url} --ops-url {url}"),
    ];
    let words = |line: &String| line.split(' ').map(str::to_owned).collect();
    lines.iter().map(words).collect()
}

async fn all_fail(url: &str, ca: Option<&Authority>, parts: &[&str]) {
    let address = url.split_once("://").unwrap().1;
    for mut command in commands(url) {
        if let Some(ca) = ca {
            command.extend(["--ca".to_owned(), ca.ca().to_owned()]);
        }
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let ended = run(&args).await;
        ended.failed_with(1, parts);
        ended.failed_with(1, &[address]);
    }
}

async fn server_of(pair: &Pair) -> u16 {
    sink(pair.acceptor()).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let port = server_of(&authority.issue("server", &["localhost"])).await;
    let url = format!("https://localhost:{port}");
    all_fail(&url, Some(&other), &["does not trust", "--ca FILE"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate() {
    let authority = Authority::new();
    let port = server_of(&authority.issue_expired("server", &["localhost"])).await;
    let url = format!("https://localhost:{port}");
    all_fail(
        &url,
        Some(&authority),
        &["expired at 2020-12-31", "renew it"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_name() {
    let authority = Authority::new();
    let port = server_of(&authority.issue("server", &["tickets.example"])).await;
    let url = format!("https://localhost:{port}");
    let parts = ["is for tickets.example, not for localhost", "issue one"];
    all_fail(&url, Some(&authority), &parts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_http() {
    let authority = Authority::new();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(socket, axum::Router::new()).await.unwrap() });
    let url = format!("https://localhost:{port}");
    all_fail(&url, Some(&authority), &["does not speak TLS", "http://"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_to_a_server_that_speaks_https() {
    let authority = Authority::new();
    let server = Secured::start(&authority.issue("server", &["localhost"]), &[]).await;
    for (url, code, command) in [
        (format!("http://localhost:{}", server.api_port), 1, "health"),
        (
            format!("http://localhost:{}", server.ops_port),
            2,
            "fault list --target",
        ),
    ] {
        let line = format!("{command} {url}");
        let args: Vec<&str> = line.split(' ').collect();
        let ended = run(&args).await;
        ended.failed_with(code, &["localhost:", "speaks TLS", "https://"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_client_files() {
    let authority = Authority::new();
    let pair = authority.issue("client", &["client"]);
    let certificate = pair.certificate.to_str().unwrap();
    let missing = run(&["--ca", "/nowhere.pem", "health"]).await;
    missing.failed_with(2, &["--ca", "/nowhere.pem cannot be read"]);
    let half = run(&["health", "--client-cert", certificate]).await;
    half.failed_with(2, &["--client-key"]);
    let key = ["--client-key", certificate];
    let wrong = run(&["health", "--client-cert", certificate, key[0], key[1]]).await;
    wrong.failed_with(2, &["--client-key", "holds no private key"]);
}
