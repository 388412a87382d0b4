//! A webhook over https, like those of Slack.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::process::{ServerProcess, concertctl};
use crate::support::{PATIENCE, User, eventually, token_of};

/// A self-signed test certificate for `localhost`, valid for a hundred years.
pub(crate) const CERTIFICATE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/integration/alerting/localhost.pem"
);
const KEY: &[u8] = include_bytes!("localhost.key.pem");

pub(crate) fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        );
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// Accepts requests over TLS and sends the head and body of each to the test.
async fn serve(socket: TcpListener, requests: mpsc::Sender<(String, Value)>) {
    let acceptor = acceptor();
    loop {
        let (tcp, _) = socket.accept().await.unwrap();
        // A client that does not trust the certificate disconnects here.
        let Ok(mut stream) = acceptor.accept(tcp).await else {
            continue;
        };
        let mut text = String::new();
        let body = loop {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await.unwrap();
            text.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            if let Some(Ok(body)) = body.map(serde_json::from_str::<Value>) {
                break body;
            }
            assert!(count > 0, "{text}");
        };
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
        let head = text.split_once("\r\n\r\n").unwrap().0.to_owned();
        requests.send((head, body)).await.unwrap();
    }
}

/// A server without rules that trusts the certificate.
struct Server {
    process: ServerProcess,
    data: TempDir,
}

async fn serve_notifying(url: &str) -> Server {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("none.yml");
    std::fs::write(&rules, "groups: []\n").unwrap();
    let mut command = concertctl();
    command.env("SSL_CERT_FILE", CERTIFICATE);
    // Proxies must not be used: nothing answers at this address.
    command.env("HTTPS_PROXY", "http://127.0.0.1:9");
    // The environment is the recommended way to pass an address with a secret.
    command.env("CONCERTCTL_SLACK_WEBHOOK", url);
    let flags = ["--rules", rules.to_str().unwrap()];
    let process = ServerProcess::with(command, data.path(), &flags).await;
    Server { process, data }
}

impl Server {
    async fn raise(&self) {
        let raised = crate::support::client()
            .post(format!("{}/api/v2/alerts", self.process.ops_url))
            .bearer_auth(token_of(self.data.path()))
            .json(&json!([{"labels": {"alertname": "ByHand"}}]));
        assert_eq!(raised.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_webhook_over_https_is_notified_by_a_server_that_trusts_its_certificate() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let (sender, mut requests) = mpsc::channel(16);
    let listener = tokio::spawn(serve(socket, sender));
    let url = format!("https://localhost:{port}/services/T0/B0/X?a=b");
    let server = serve_notifying(&url).await;
    server.raise().await;
    let request = tokio::time::timeout(PATIENCE, requests.recv()).await;
    let (head, body) = request.unwrap().unwrap();
    assert!(
        head.starts_with("POST /services/T0/B0/X?a=b HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains(&format!("host: localhost:{port}")), "{head}");
    assert_eq!(body["text"], "[FIRING:1] ByHand");
    listener.abort();
}

#[tokio::test]
async fn a_receiver_that_never_speaks_tls_is_given_up_in_time() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/x", socket.local_addr().unwrap());
    let swallowing = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = socket.accept().await {
            held.push(stream);
        }
    });
    let server = serve_notifying(&url).await;
    server.raise().await;
    eventually("the attempt is cut", || async {
        let text = User::new(&server.process.ops_url, 0)
            .get("/metrics")
            .await
            .text;
        let name = r#"concert_notifications_total{outcome="retried",receiver="slack"} "#;
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        (value != "0").then_some(())
    })
    .await;
    swallowing.abort();
}
