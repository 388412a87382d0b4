//! Credentials, headers and certificates are sent to the source that they were given for, and to no other.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use concertctl::clients::prometheus::Prometheus;
use concertctl::clients::{Access, ClientError, HttpSource, Secret};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::alerting::tls::{CERTIFICATE, acceptor};
use crate::fake_sources::Fake;

/// The heads of all requests that a source got.
pub(super) type Heads = Arc<Mutex<Vec<String>>>;

/// Answers every request on a connection with `answer`.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str, heads: &Heads) {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
        while let Some((head, rest)) = text.split_once("\r\n\r\n") {
            heads.lock().push(head.to_lowercase());
            text = rest.to_owned();
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

pub(super) fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
}

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

/// A source over http, or over https as `localhost`.
pub(super) async fn source(answer: String, tls: bool) -> (u16, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Heads::default();
    let all = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (answer, heads) = (answer.clone(), Arc::clone(&all));
            tokio::spawn(async move {
                if !tls {
                    serve(tcp, &answer, &heads).await;
                } else if let Ok(stream) = acceptor().accept(tcp).await {
                    serve(stream, &answer, &heads).await;
                }
            });
        }
    });
    (port, heads)
}

pub(super) async fn once(args: Vec<String>, vars: Vec<(&'static str, String)>) -> Output {
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_concertctl"));
        command.args(["tui", "--once"]).args(args).envs(vars);
        command.env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::null()).output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

pub(super) fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_source_gets_credentials_and_headers_over_https() {
    let fake = Fake::start().await;
    let (port, heads) = source(ok(EMPTY), true).await;
    let (loki, loki_heads) = source(
        ok(r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#),
        false,
    )
    .await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "of-loki\n").unwrap();
    let args = [
        "--ops-url",
        &fake.url(),
        "--loki-url",
        &format!("http://127.0.0.1:{loki}/prefix"),
        "--source-ca",
        CERTIFICATE,
        "--source-header",
        "loki:X-Scope-OrgID: team",
        "--source-header",
        "prometheus:X-Team: blue",
        "--source-token-file",
        &format!("loki:{}", token.display()),
    ];
    let url = format!("https://me:p%40ss@localhost:{port}/prom");
    let output = once(texts(&args), vec![("CONCERTCTL_PROMETHEUS_URL", url)]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("● server  ● metrics  ● logs  ● alerts"),
        "{text}"
    );

    let heads = heads.lock();
    assert!(heads.len() > 5, "every panel was asked for");
    for head in heads.iter() {
        assert!(head.starts_with("get /prom/api/v1/"), "{head}");
        assert!(head.contains("authorization: basic bwu6cebzcw=="), "{head}");
        assert!(head.contains(&format!("host: localhost:{port}")), "{head}");
        assert!(head.contains("x-team: blue"), "{head}");
        assert!(head.contains("user-agent: concertctl/"), "{head}");
        assert!(
            !head.contains("x-scope-orgid") && !head.contains("of-loki"),
            "{head}"
        );
    }
    let heads = loki_heads.lock();
    let head = heads.first().expect("the log source was asked");
    assert!(
        head.starts_with("get /prefix/loki/api/v1/query_range"),
        "{head}"
    );
    assert!(head.contains("x-scope-orgid: team"), "{head}");
    assert!(head.contains("authorization: bearer of-loki"), "{head}");
    assert!(!head.contains("x-team"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_is_refused_with_advice() {
    let fake = Fake::start().await;
    let (port, heads) = source(ok(EMPTY), true).await;
    let args = [
        "--ops-url",
        &fake.url(),
        "--prometheus-url",
        &format!("https://me:hunter2@localhost:{port}"),
    ];
    // The system trusts another certificate than that of the source.
    let other = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/integration/console_sources/other.pem"
    );
    let vars = vec![
        ("SSL_CERT_FILE", other.to_owned()),
        ("COLUMNS", "200".into()),
    ];
    let output = once(texts(&args), vars).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("its certificate is not trusted: --source-ca FILE"),
        "{text}"
    );
    assert!(text.contains("✖ metrics"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(heads.lock().is_empty(), "credentials were sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_arguments_are_reported_before_the_terminal_is_taken_over() {
    for (args, mistake) in [
        (
            ["--source-header", "lokki:a: b"],
            "there is no source \"lokki\"",
        ),
        (
            ["--source-token-file", "loki:/no/file"],
            "/no/file cannot be read",
        ),
        (
            ["--source-ca", "/no/file"],
            "--source-ca: /no/file cannot be read",
        ),
        (["--ops-url", "ftp://me:hunter2@x"], "ftp is not supported"),
    ] {
        let output = once(texts(&args), Vec::new()).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}");
        assert!(
            stderr.contains(mistake) && !stderr.contains("hunter2"),
            "{stderr}"
        );
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

fn with_token(port: u16) -> Prometheus {
    let mut access = Access::default();
    access.bearer(&Secret::new("hunter2")).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    Prometheus::new(HttpSource::with_access(&url, access).unwrap())
}

#[tokio::test]
async fn a_redirect_of_a_source_is_not_followed() {
    let (other, others) = source(ok(EMPTY), false).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://me:hunter3@127.0.0.1:{other}/x\r\ncontent-length: 0\r\n\r\n"
    );
    let (port, heads) = source(moved, false).await;
    let error = with_token(port).instant("up", 0).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("it sends on to"), "{text}");
    assert!(
        text.contains(&format!("@127.0.0.1:{other}/x; give that address")),
        "{text}"
    );
    assert!(!text.contains("hunter"), "{text}");
    assert_eq!(heads.lock().len(), 1);
    assert!(others.lock().is_empty(), "the other host was asked");
}

#[tokio::test]
async fn retry_after_and_the_clock_of_a_busy_source_are_read() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n\
                date: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
    let (port, _) = source(busy.to_owned(), false).await;
    let prometheus = with_token(port);
    let error = prometheus.instant("up", 0).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Refused { status: 429, .. }),
        "{error}"
    );
    let meta = prometheus.source().response_meta();
    assert_eq!(meta.retry_after(), Some(Duration::from_secs(7)));
    let years = meta.ahead_ms().unwrap() / 1000 / 3600 / 24 / 365;
    assert!(years < -20, "{years}");
}
