//! Coordination over a real Redis whose servers connect only over TLS.

use super::{Authority, Secured, run};
use crate::support::Redis;
use crate::support::eventually;
use crate::support::port::Port;

/// A Redis with a plain port for the tests, and a TLS port that requires a certificate of clients if `asks`.
async fn secured(authority: &Authority, asks: bool) -> Option<(Redis, Port)> {
    let pair = authority.issue("redis", &["localhost"]);
    let port = Port::claim();
    let number = port.number().to_string();
    let asks = if asks { "yes" } else { "no" };
    let flags = [
        ("--tls-port", number.as_str()),
        ("--tls-cert-file", pair.certificate.to_str().unwrap()),
        ("--tls-key-file", pair.key.to_str().unwrap()),
        ("--tls-ca-cert-file", authority.ca()),
        ("--tls-auth-clients", asks),
    ];
    let flags: Vec<&str> = flags
        .iter()
        .flat_map(|(name, value)| [*name, *value])
        .collect();
    let redis = Redis::with(&flags).await?;
    Some((redis, port))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_shares_its_queue_over_tls() {
    let authority = Authority::new();
    let Some((redis, port)) = secured(&authority, true).await else {
        return;
    };
    let pair = authority.issue("server", &["localhost"]);
    let url = format!("--redis-url=rediss://localhost:{}", port.number());
    let (certificate, key) = (
        pair.certificate.to_str().unwrap(),
        pair.key.to_str().unwrap(),
    );
    let flags = [
        "--ca",
        authority.ca(),
        "--client-cert",
        certificate,
        "--client-key",
        key,
        &url,
    ];
    let server = Secured::start(&pair, &flags).await;
    let seeded = run(&["seed", "demo", "--quiet", "--data-dir", server.dir()]).await;
    assert_eq!(seeded.code, Some(0), "{seeded:?}");
    let client = authority.client();
    eventually("the shared queue answers", || async {
        let up = r#"concert_coordination_up{backend="redis"}"#;
        (server.query(&client, up).await == [1.0]).then_some(())
    })
    .await;
    // All of the server's connections came over the TLS port.
    let clients = redis.cli(&["CLIENT", "LIST"]);
    let is_own = |line: &&str| !line.contains("cmd=client");
    let own: Vec<&str> = clients.lines().filter(is_own).collect();
    let laddr = format!("laddr=127.0.0.1:{}", port.number());
    assert!(!own.is_empty(), "{clients}");
    assert!(own.iter().all(|line| line.contains(&laddr)), "{clients}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_is_one_line() {
    let (authority, other) = (Authority::new(), Authority::new());
    let Some((redis, port)) = secured(&authority, true).await else {
        return;
    };
    let (tls, plain) = (port.number(), redis.port());
    for (url, ca, parts) in [
        (
            format!("rediss://localhost:{tls}"),
            &other,
            ["does not trust", "--ca FILE"],
        ),
        (
            format!("rediss://127.0.0.1:{tls}"),
            &authority,
            ["for localhost", "not for 127.0.0.1"],
        ),
        (
            format!("rediss://localhost:{tls}"),
            &authority,
            ["client certificate", "--client-cert"],
        ),
        (
            format!("rediss://localhost:{plain}"),
            &authority,
            ["no answer over TLS", "check that this port speaks TLS"],
        ),
    ] {
        let data = tempfile::tempdir().unwrap();
        let args = [
            "serve",
            "--api-addr",
            "127.0.0.1:0",
            "--ops-addr",
            "127.0.0.1:0",
            "--data-dir",
            data.path().to_str().unwrap(),
            "--ca",
            ca.ca(),
            "--redis-url",
            &url,
        ];
        run(&args).await.failed_with(1, &parts);
    }
}
