//! TLS between the program and its own server, a collector, or a receiver of alerts.

use std::time::Duration;

use concertctl::load::recorder::BUYERS;
use concertctl::load::traffic_only::measure_traffic;
use concertctl::load::{RunOptions, Scenario};
use concertctl::tls::{ClientFiles, client};
use serde_json::Value;

use super::{Authority, Secured, run, sink};
use crate::support::process::{AT_ANY_SPEED, concertctl};
use crate::support::{PATIENCE, eventually};

/// No client trusts the authority, and the certificate does not contain the server's address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_find_a_server_by_its_data_directory_without_more_flags() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["tickets.example"]);
    let server = Secured::start(&pair, &[]).await;
    let backup = server.data.path().join("backup.db");
    let any_speed = AT_ANY_SPEED.join(" ");
    let rehearsal = format!("--set users=100 --set admission.every=200ms {any_speed}");
    for line in [
        format!("seed demo --data-dir {} --quiet", server.dir()),
        format!("fault list --data-dir {}", server.dir()),
        format!("backup {} --data-dir {}", backup.display(), server.dir()),
        format!("tui --once --data-dir {}", server.dir()),
        format!(
            "load onsale-short --data-dir {} --quiet --json --reseed {rehearsal}",
            server.dir()
        ),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        if args[0] == "load" {
            let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
            let target = format!("https://127.0.0.1:{}", server.api_port);
            assert_eq!(summary["target"], target.as_str());
            let connections = &summary["connections"];
            assert!(
                connections["opened"].as_u64().unwrap() >= 100,
                "{connections}"
            );
            assert!(
                connections["handshake"]["p50"].as_f64().unwrap() > 0.0,
                "{connections}"
            );
        }
    }
    let mut health = concertctl();
    health.env("CONCERTCTL_DATA_DIR", server.dir());
    health.args(["health", &format!("https://127.0.0.1:{}", server.api_port)]);
    let healthy = crate::support::process::finish(health).await;
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_by_address_trusts_the_authority_of_the_flag_and_reports_handshakes_apart() {
    let authority = Authority::new();
    let server = Secured::start(&authority.issue("server", &["localhost"]), &[]).await;
    let token = server.data.path().join("ops-token");
    let (api, ops) = (server.api(), server.ops());
    let args = format!(
        "load onsale-short --target {api} --ops-url {ops} --ca {} --ops-token-file {} --quiet \
         --set users=50 --set admission.every=200ms {}",
        authority.ca(),
        token.display(),
        AT_ANY_SPEED.join(" ")
    );
    let ended = run(&args.split_whitespace().collect::<Vec<_>>()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let row = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("connections"));
    let row = row.unwrap_or_else(|| panic!("no row: {}", ended.stdout));
    assert!(
        row.contains("opened") && row.contains("TLS handshake p50"),
        "{row}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collectors_and_receivers_of_alerts_trust_the_authority_of_the_flag() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["localhost"]);
    let (collector, mut pushes) = sink(pair.acceptor()).await;
    let (receiver, mut messages) = sink(pair.acceptor()).await;
    let flags = [
        "--ca".to_owned(),
        authority.ca().to_owned(),
        format!("--otlp=https://localhost:{collector}"),
        format!("--webhook=https://localhost:{receiver}/alerts"),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Secured::start(&pair, &flags).await;
    let pushed = tokio::time::timeout(PATIENCE, pushes.recv()).await;
    let head = pushed.expect("a push").unwrap();
    assert!(head.starts_with("POST /v1/"), "{head}");
    let raised = authority
        .client()
        .post(format!("{}/api/v2/alerts", server.ops()))
        .bearer_auth(crate::support::token_of(server.data.path()))
        .json(&serde_json::json!([{"labels": {"alertname": "ByHand"}}]));
    assert_eq!(raised.send().await.unwrap().status(), 200);
    let message = tokio::time::timeout(PATIENCE, messages.recv()).await;
    let head = message.expect("a message").unwrap();
    assert!(head.starts_with("POST /alerts"), "{head}");
}

/// The handshakes before the first requests take two seconds each. Neither latency nor service time includes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_handshake_is_in_no_latency() {
    const SLOW: Duration = Duration::from_secs(2);
    const SCENARIO: &str = "
title: Twenty users look once
dataset: none
users: 0
admission: { batch: 1, every: 1s }
generator: { workers: 1 }
limits: { duration: 30s }
traffic:
  arrivals:
    executor: open
    users: 20
    arrival: { shape: constant, rate: 10 }
    lasts: 2s
    journeys: [{ steps: [{ call: concerts }] }]
";
    let authority = Authority::new();
    let pair = authority.issue("server", &["localhost"]);
    let ca = Some(authority.ca.clone());
    client::configure(&ClientFiles {
        ca,
        certificate: None,
    })
    .unwrap();
    let (acceptor, socket) = (
        pair.acceptor(),
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((tcp, _)) = socket.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                tokio::time::sleep(SLOW).await;
                let Ok(mut stream) = acceptor.accept(tcp).await else {
                    return;
                };
                while let Ok(1..) = stream.read(&mut [0; 4_096]).await {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    let scenario = Scenario::parse("slow-handshake", SCENARIO, &[]).unwrap();
    let url = format!("https://localhost:{port}");
    let measured = measure_traffic(&url, &RunOptions::new(scenario))
        .await
        .unwrap();
    let frame = measured.frame;
    assert!(frame.opened > 0 && frame.handshakes.len() == frame.opened);
    assert!(
        frame.handshakes.min() >= 1_800_000,
        "{}",
        frame.handshakes.min()
    );
    let look = [concertctl::load::model::Operation::Concerts];
    let cell = frame
        .total(BUYERS + 1, &look, concertctl::load::model::Class::Ok)
        .unwrap();
    for (what, histogram) in [("latency", &cell.latency), ("service", &cell.service)] {
        assert!(
            histogram.max() < 1_500_000,
            "{what}: {} µs",
            histogram.max()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_resumes_its_own_session_until_the_server_reads_its_files_again() {
    let authority = Authority::new();
    let server = Secured::start(&authority.issue("server", &["localhost"]), &[]).await;
    let ca = Some(authority.ca.clone());
    client::configure(&ClientFiles {
        ca,
        certificate: None,
    })
    .unwrap();
    let connector = client::Connector::new("localhost").unwrap();
    let (one, other) = (connector.without_sessions(), connector.without_sessions());
    let resumes = async |connector: &client::Connector| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.api_port)).await;
        let mut stream = connector.handshake(stream.unwrap()).await.unwrap();
        let resumed = client::is_resumed(&stream);
        let request = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        // The server sends the session after its first answer.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        resumed
    };
    assert!(!resumes(&one).await, "there is no session yet");
    assert!(resumes(&one).await);
    assert!(!resumes(&other).await, "the session of another user");
    server.hang_up();
    eventually("the server has new keys for sessions", || async {
        (!resumes(&one).await).then_some(())
    })
    .await;
}
