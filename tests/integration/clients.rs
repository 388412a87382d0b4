//! The clients of the sources over real sockets: their requests, the answers that they parse, and their errors.

use std::time::Duration;

use concertctl::api::ops::{AdmissionChange, SeedRequest};
use concertctl::clients::alertmanager::{Alertmanager, PostableAlert};
use concertctl::clients::loki::Loki;
use concertctl::clients::ops::Ops;
use concertctl::clients::prometheus::{Labels, Prometheus};
use concertctl::clients::{ClientError, HttpSource, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fake_sources::{Fake, TOKEN, demo};

const TPS: &str = "sum(rate(http_server_request_duration_seconds_count[10s]))";

fn source(url: &str) -> HttpSource {
    HttpSource::new(url).unwrap()
}

#[tokio::test]
async fn prometheus_answers_instants_and_ranges() {
    let fake = Fake::start().await;
    let prometheus = Prometheus::new(source(&fake.url()));
    let now = prometheus.instant(TPS, 1_700_000_000_500).await.unwrap();
    assert_eq!(now[0].points, [(1_700_000_000_500, 42.0)]);
    let past = prometheus.range(TPS, 10_000, 14_000, 2_000).await.unwrap();
    assert_eq!(
        past[0].points,
        [(10_000, 42.0), (12_000, 42.0), (14_000, 42.0)]
    );
    assert_eq!(
        prometheus.instant("absent_metric", 1_000).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn a_query_too_long_for_a_url_is_sent_as_a_form() {
    // The source answers only requests with a form.
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let answer = axum::routing::post(move || async move { body });
    let app = axum::Router::new().route("/api/v1/query", answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let prometheus = Prometheus::new(source(&url));
    let long = format!("up{{job=~\"{}\"}}", "a|".repeat(2_000));
    assert_eq!(prometheus.instant(&long, 1_000).await.unwrap(), []);
    assert!(
        prometheus.instant("up", 1_000).await.is_err(),
        "the query was sent in the URL"
    );
    server.abort();
}

#[tokio::test]
async fn a_refused_query_has_prometheus_own_message() {
    let fake = Fake::start().await;
    let error = Prometheus::new(source(&fake.url()))
        .instant("broken(1)", 0)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused (400): parse error: unknown function"
    );
}

#[tokio::test]
async fn loki_returns_only_lines_of_the_range() {
    let fake = Fake::start().await;
    fake.facts.lock().lines = vec![
        (10, "early".into()),
        (20, "inside".into()),
        (30, "late".into()),
    ];
    let lines = Loki::new(source(&fake.url()))
        .newest("{a=\"b\"}", 20, 30, 100)
        .await
        .unwrap();
    assert_eq!(
        lines
            .iter()
            .map(|line| line.line.as_str())
            .collect::<Vec<_>>(),
        ["inside"]
    );
}

#[tokio::test]
async fn an_alert_is_raised_and_resolved() {
    let fake = Fake::start().await;
    let alertmanager = Alertmanager::new(source(&fake.url()), Some(Secret::new(TOKEN)));
    let mut alert = PostableAlert {
        labels: Labels::from([("alertname".into(), "X".into())]),
        annotations: Labels::new(),
        starts_at: None,
        ends_at: Some("2999-01-01T00:00:00Z".into()),
    };
    alertmanager
        .post(std::slice::from_ref(&alert))
        .await
        .unwrap();
    assert_eq!(
        alertmanager.alerts().await.unwrap()[0].labels["alertname"],
        "X"
    );
    alert.ends_at = Some("2020-01-01T00:00:00Z".into());
    alertmanager.post(&[alert]).await.unwrap();
    assert_eq!(alertmanager.alerts().await.unwrap(), []);
}

#[tokio::test]
async fn writes_carry_the_token_and_reads_need_none() {
    let fake = Fake::start().await;
    fake.facts.lock().dataset = Some(demo());
    let stranger = Ops::new(source(&fake.url()), None);
    assert_eq!(stranger.status().await.unwrap().dataset, Some(demo()));
    let pause = AdmissionChange {
        paused: Some(true),
        ..AdmissionChange::default()
    };
    let refused = stranger.set_admission(&pause).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "refused (401): the operations token is missing or wrong"
    );

    let known = Ops::new(
        source(&fake.url()),
        Some(Secret::new(&format!("{TOKEN}\n"))),
    );
    assert!(known.set_admission(&pause).await.unwrap().paused);
    let request = SeedRequest {
        profile: Some("demo".into()),
        profile_yaml: None,
        replace: false,
    };
    let refused = known.seed(&request).await.unwrap_err();
    assert!(
        matches!(refused, ClientError::Refused { status: 409, ref message } if message.contains("is there"))
    );
}

#[tokio::test]
async fn a_source_without_tls_is_reported_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let read = stream.read(&mut [0; 4096]).await.unwrap();
        assert!(read > 0);
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    });
    let error = Ops::new(source(&url), None).status().await.unwrap_err();
    let expected = "not reachable: it does not speak TLS: use http:// in its address";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_source_that_does_not_listen_is_unreachable_at_once() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = Ops::new(source(&format!("127.0.0.1:{port}")), None)
        .status()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable(reason) if reason.contains("connection refused")),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_to_a_source_that_never_answers_ends_at_the_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    let slow = source(&addr.to_string()).with_timeout(Duration::from_millis(200));
    let error = Ops::new(slow, None).status().await.unwrap_err();
    assert_eq!(error, ClientError::TimedOut(Duration::from_millis(200)));
}

/// Answers every connection with `head` and then repeats `body` until the client closes the connection.
async fn endless(head: &'static str, body: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(head.as_bytes()).await;
            while !body.is_empty() && socket.write_all(body).await.is_ok() {}
        }
    });
    addr.to_string()
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_and_one_with_a_too_large_length_is_not_read() {
    static CHUNK: [u8; 65_536] = [b' '; 65_536];
    let patient = |url: &str| Ops::new(source(url).with_timeout(Duration::from_secs(20)), None);
    let url = endless("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &CHUNK).await;
    assert_eq!(
        patient(&url).status().await.unwrap_err(),
        ClientError::TooLarge
    );
    let url = endless(
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        &[],
    )
    .await;
    assert_eq!(
        patient(&url).status().await.unwrap_err(),
        ClientError::TooLarge
    );
}

#[tokio::test]
async fn a_web_page_is_reported_as_a_web_page() {
    let url = endless(
        "HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<html>\n</html>\n",
        &[],
    )
    .await;
    let error = Ops::new(source(&url), None).status().await.unwrap_err();
    assert!(matches!(error, ClientError::WebPage(_)), "{error}");
}
