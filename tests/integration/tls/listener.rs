//! The listeners of a server with TLS: their protocol, the clients that they accept, the bounds on handshakes.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concertctl::clients::Trust;
use concertctl::settings::ServeSettings;
use concertctl::tls::{ClientFiles, ServerTlsFiles, client};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Authority, Pair, Secured, run};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_listeners_speak_https_and_nothing_else() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["localhost"]);
    let server = Secured::start(&pair, &[]).await;
    let client = authority.client();
    let live = client.get(format!("{}/health/live", server.api())).send();
    let live = live.await.unwrap();
    assert_eq!(
        (live.status().as_u16(), live.version()),
        (200, http::Version::HTTP_11)
    );
    let metrics = client.get(format!("{}/metrics", server.ops())).send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    let name = "concert_tls_certificate_expiry_timestamp_seconds ";
    let expiry = metrics.lines().find_map(|line| line.strip_prefix(name));
    let expiry: f64 = expiry.expect("the metric").parse().unwrap();
    // The certificate expires at the end of the year 4000.
    assert!((6.4e10..6.5e10).contains(&expiry), "{expiry}");
    for port in [server.api_port, server.ops_port] {
        let plain = crate::support::client();
        let answer = plain.get(format!("http://localhost:{port}/")).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 400);
        let text = answer.text().await.unwrap();
        assert!(text.contains("https://"), "{text}");
    }
    // The server scrapes itself, although nothing in the process trusts the authority.
    eventually("the server scrapes itself", || async {
        (server.query(&client, "up").await == [1.0]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_authority_for_clients_only_its_clients_get_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let servers = Authority::new();
    let pair = servers.issue("server", &["localhost"]);
    let clients = ["--tls-client-ca", authority.ca()];
    let server = Secured::start(&pair, &clients).await;
    let url = server.api();
    let health = |pair: Option<&super::Pair>| {
        let mut args = vec!["health".to_owned(), "--live".to_owned(), url.clone()];
        args.extend(["--ca".to_owned(), servers.ca().to_owned()]);
        if let Some(pair) = pair {
            let text = |path: &std::path::Path| path.display().to_string();
            args.extend(["--client-cert".to_owned(), text(&pair.certificate)]);
            args.extend(["--client-key".to_owned(), text(&pair.key)]);
        }
        args
    };
    let asked = async |pair| {
        let args = health(pair);
        run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    asked(None)
        .await
        .failed_with(1, &["client certificate", "--client-cert"]);
    let stranger = other.issue("stranger", &["stranger"]);
    let refused = asked(Some(&stranger)).await;
    refused.failed_with(1, &["client certificate", "--client-cert"]);
    let known = authority.issue("client", &["client"]);
    let served = asked(Some(&known)).await;
    assert_eq!(served.code, Some(0), "{served:?}");
    // The server scrapes itself and shows its own certificate, which the authority for clients did not issue.
    client::configure(&ClientFiles {
        ca: Some(servers.ca.clone()),
        certificate: Some((known.certificate, known.key)),
    })
    .unwrap();
    let builder = concertctl::http_client::builder_for(&Trust::default()).unwrap();
    let client = builder.build().unwrap();
    eventually("the server scrapes itself", || async {
        (server.query(&client, "up").await == [1.0]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_never_ends_delays_no_other_and_is_cut() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["localhost"]);
    let server = Secured::start(&pair, &[]).await;
    let client = authority.client();
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.api_port))
            .await
            .unwrap();
        // The head of a record of 512 bytes, without its content.
        stream.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
        slow.push(stream);
    }
    let live = client.get(format!("{}/health/live", server.api())).send();
    let live = tokio::time::timeout(Duration::from_secs(5), live).await;
    assert_eq!(live.expect("no delay").unwrap().status(), 200);
    // Each connection is closed after the time-out for headers.
    let mut first = slow.swap_remove(0);
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(20), first.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "it stays open");
    assert!(
        begun.elapsed() >= Duration::from_secs(9),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_handshakes_count_for_their_address() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["localhost"]);
    let server = Secured::start(&pair, &[]).await;
    // The operations listener allows 64 connections from one address. One more evicts the oldest.
    let mut open = Vec::new();
    for _ in 0..65 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.ops_port))
            .await
            .unwrap();
        stream.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
        open.push(stream);
    }
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(5), open[0].read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "the oldest handshake was not evicted");
}

/// A server in this process whose ticketing API holds at most a megabyte of unfinished headers.
async fn bounded(pair: &Pair) -> (concertctl::serve::Running, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let mut settings = ServeSettings::embedded(data.path().to_owned());
    settings.bounds.unfinished_headers = 1_000_000;
    settings.tls = Some(ServerTlsFiles {
        certificate: pair.certificate.clone(),
        key: pair.key.clone(),
        client_ca: None,
    });
    let logs = crate::support::quiet_logs();
    (
        concertctl::serve::start(settings, &logs).await.unwrap(),
        data,
    )
}

/// Waits until the server has closed some of the connections but not all, which the time-out of a handshake would close.
async fn some_are_closed(open: &[TcpStream]) {
    let closed = eventually("the largest are evicted", || async {
        let is_closed = |stream: &&TcpStream| {
            let read = stream.try_read(&mut [0; 4_096]);
            !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
        };
        // The first read may return the answer of the handshake, so each connection is read twice.
        let closed = open.iter().filter(is_closed).filter(is_closed).count();
        (closed > 0).then_some(closed)
    })
    .await;
    assert!(closed < open.len(), "{closed}");
}

/// More connections of 16 KB each than the bound allows.
const TOO_MANY: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_of_unfinished_handshakes_are_bounded() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["localhost"]);
    let (server, _data) = bounded(&pair).await;
    let mut open = Vec::new();
    for _ in 0..TOO_MANY {
        let mut stream = TcpStream::connect(server.api_addr).await.unwrap();
        // A record of 16 KiB without its last bytes. Its message is longer than the record.
        let mut record = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        record.resize(16_000, 0);
        let _ = stream.write_all(&record).await;
        open.push(stream);
    }
    some_are_closed(&open).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_of_unfinished_records_after_the_handshake_are_bounded() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["localhost"]);
    let (server, _data) = bounded(&pair).await;
    let trust = Trust::with_file(&authority.ca).unwrap();
    let connector = TlsConnector::from(Arc::new(trust.config().unwrap()));
    let mut open = Vec::new();
    for _ in 0..TOO_MANY {
        let stream = TcpStream::connect(server.api_addr).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let secured = connector.connect(name, stream).await.unwrap();
        let (mut stream, _) = secured.into_inner();
        // A record of data without its last bytes. The server returns no byte of it to HTTP.
        let mut record = vec![23, 3, 3, 0x40, 0];
        record.resize(16_000, 0);
        let _ = stream.write_all(&record).await;
        open.push(stream);
    }
    some_are_closed(&open).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_pair_ends_the_start_with_one_line() {
    let authority = Authority::new();
    let good = authority.issue("good", &["localhost"]);
    let other = authority.issue("other", &["localhost"]);
    let expired = authority.issue_expired("expired", &["localhost"]);
    let empty = good.certificate.with_file_name("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = good.certificate.with_file_name("missing.pem");
    let text = |path: &std::path::Path| path.display().to_string();
    for (certificate, key, parts) in [
        (
            &good.certificate,
            &other.key,
            ["does not belong", "other.key.pem"],
        ),
        (
            &expired.certificate,
            &expired.key,
            ["expired at 2020-12-31", "renew it"],
        ),
        (&empty, &good.key, ["holds no certificate", "empty.pem"]),
        (
            &good.certificate,
            &empty,
            ["holds no private key", "empty.pem"],
        ),
        (&missing, &good.key, ["cannot be read", "missing.pem"]),
        (
            &good.key,
            &good.key,
            ["holds no certificate", "good.key.pem"],
        ),
    ] {
        let data = tempfile::tempdir().unwrap();
        let (certificate, key) = (text(certificate), text(key));
        let args = [
            "serve",
            "--data-dir",
            data.path().to_str().unwrap(),
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
        ];
        let ended = run(&args).await;
        ended.failed_with(1, &parts);
        ended.failed_with(1, &["--tls-cert"]);
    }
    let half = run(&["serve", "--tls-cert", &text(&good.certificate)]).await;
    half.failed_with(1, &["--tls-key"]);
}
