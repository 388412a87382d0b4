//! Sources over https behave like those over http: one connection for many requests, time-outs, the size limit of
//! answers, no redirects. Proxies of the environment are not used.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use concertctl::clients::prometheus::Prometheus;
use concertctl::clients::{Api, ClientError, Credentials, HttpSource, Secret, Trust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::access::{ok, once, source, texts};
use crate::alerting::tls::{CERTIFICATE, acceptor};
use crate::fake_sources::Fake;

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

fn prometheus(port: u16, timeout: Duration) -> Prometheus {
    let trust = Trust::with_file(Path::new(CERTIFICATE)).unwrap();
    let mut credentials = Credentials::trusting(trust);
    let access = credentials.entry(Api::Prometheus);
    access.bearer(&Secret::new("hunter2")).unwrap();
    let url = format!("https://localhost:{port}");
    let source = HttpSource::with_access(&url, access.clone()).unwrap();
    Prometheus::new(source.with_timeout(timeout))
}

const PATIENT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn consecutive_requests_share_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut stream = acceptor().accept(tcp).await.unwrap();
            tokio::spawn(async move {
                let mut chunk = [0; 4096];
                while let Ok(1..) = stream.read(&mut chunk).await {
                    stream.write_all(ok(EMPTY).as_bytes()).await.unwrap();
                }
            });
        }
    });
    let prometheus = prometheus(port, PATIENT);
    for _ in 0..5 {
        assert_eq!(prometheus.instant("up", 0).await.unwrap(), []);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up_at_the_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    let timeout = Duration::from_millis(200);
    let error = prometheus(port, timeout).instant("up", 0).await;
    assert_eq!(error.unwrap_err(), ClientError::TimedOut(timeout));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = acceptor().accept(tcp).await.unwrap();
        let read = stream.read(&mut [0; 4096]).await.unwrap();
        assert!(read > 0, "the request is empty");
        let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
    });
    let error = prometheus(port, PATIENT).instant("up", 0).await;
    assert_eq!(error.unwrap_err(), ClientError::TooLarge);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_credentials() {
    let (other, others) = source(ok(EMPTY), true).await;
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://localhost:{other}/x\r\ncontent-length: 0\r\n\r\n"
    );
    let (port, heads) = source(moved, true).await;
    let error = prometheus(port, PATIENT).instant("up", 0).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains(&format!("localhost:{other}/x")), "{error}");
    let heads = heads.lock();
    assert!(heads[0].contains("authorization: bearer hunter2"));
    assert_eq!(heads.len(), 1);
    assert!(others.lock().is_empty(), "the other host was asked");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (port, heads) = source(ok(EMPTY), true).await;
    let trust = Trust::with_file(Path::new(CERTIFICATE)).unwrap();
    let access = Credentials::trusting(trust).of(Api::Prometheus);
    // The certificate is for localhost and 127.0.0.1.
    let url = format!("https://0.0.0.0:{port}");
    let source = HttpSource::with_access(&url, access).unwrap();
    let error = Prometheus::new(source).instant("up", 0).await.unwrap_err();
    assert!(error.to_string().contains("not for 0.0.0.0"), "{error}");
    assert!(heads.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_environment_is_not_used() {
    let fake = Fake::start().await;
    let (port, heads) = source(ok(EMPTY), true).await;
    let (proxy, asked) = source(ok(EMPTY), false).await;
    let args = [
        "--ops-url",
        &fake.url(),
        "--source-ca",
        CERTIFICATE,
        "--prometheus-url",
        &format!("https://localhost:{port}"),
    ];
    let proxy = format!("http://127.0.0.1:{proxy}");
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
    let names = names.into_iter().chain(["ALL_PROXY", "all_proxy"]);
    let vars = names.map(|name| (name, proxy.clone())).collect();
    let output = once(texts(&args), vars).await;
    assert!(output.status.success(), "{output:?}");
    assert!(!heads.lock().is_empty(), "the source was not asked");
    assert!(asked.lock().is_empty(), "the proxy was asked");
}
