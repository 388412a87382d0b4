//! An unusable Redis is reported in one line, with advice and without its password.

use std::time::Duration;

use concertctl::clock::Clock;
use concertctl::coordination::{RedisConnectError, RedisCoordination, RedisOptions};
use concertctl::domain::Epoch;
use concertctl::faults::Faults;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::setup::{ACTIVE, LOCK_TTL, NEVER_AGAIN, open, with};
use crate::support::port::Port;
use crate::support::proxy::Proxy;
use crate::support::{Redis, RedisCluster};

async fn connect(urls: &str) -> Result<RedisCoordination, RedisConnectError> {
    let mut options = RedisOptions::new(ACTIVE, LOCK_TTL);
    options.connect_timeout = Duration::from_millis(500);
    let snapshot = with(open(1, NEVER_AGAIN));
    RedisCoordination::connect(
        urls,
        Epoch(rand::random()),
        &snapshot,
        (options, Clock::default()),
        Faults::default(),
    )
    .await
}

/// Returns the error, whose line must contain all of `named` and no password.
async fn refused(urls: &str, named: &[&str]) -> RedisConnectError {
    let Err(error) = connect(urls).await else {
        panic!("{urls} was accepted");
    };
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in named {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    let passwords = urls.split(',').filter_map(|url| {
        let (credentials, _) = url.rsplit_once('@')?;
        credentials.rsplit_once(':').map(|(_, password)| password)
    });
    for password in passwords {
        assert!(!format!("{text} {error:?}").contains(password), "{text}");
    }
    error
}

#[tokio::test]
async fn an_absent_a_silent_and_a_foreign_server_have_different_errors() {
    let closed = Port::claim();
    let at = closed.addr().to_string();
    let error = refused(&format!("redis://:hush@{at}"), &[&at, "cannot be reached"]).await;
    assert!(matches!(error, RedisConnectError::Unreachable { .. }));

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let error = refused(&format!("redis://:hush@{at}"), &[&at, "500 ms"]).await;
    assert!(matches!(error, RedisConnectError::TimedOut { .. }));

    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = stranger.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = stranger.accept().await {
            let mut asked = [0; 64];
            drop(connection.read(&mut asked).await);
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            drop(connection.write_all(answer).await);
        }
    });
    refused(&format!("redis://{at}"), &[&at]).await;
}

#[tokio::test]
async fn a_missing_or_wrong_password_is_reported() {
    let Some(redis) = Redis::with_password().await else {
        return;
    };
    let at = redis.addr().to_string();
    let error = refused(
        &format!("redis://{at}"),
        &[&at, "asks for a password", "redis://:password@"],
    )
    .await;
    assert!(matches!(error, RedisConnectError::PasswordNeeded { .. }));
    let error = refused(&format!("redis://:hush@{at}"), &[&at, "refuses"]).await;
    assert!(matches!(error, RedisConnectError::PasswordWrong { .. }));
    assert!(connect(&redis.url()).await.is_ok());
}

#[tokio::test]
async fn a_user_without_script_rights_and_a_missing_database_are_reported() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let at = redis.addr().to_string();
    let made = redis.cli(&[
        "ACL", "SETUSER", "weak", "on", ">hush", "~*", "+info", "+ping",
    ]);
    assert_eq!(made, "OK");
    refused(&format!("redis://weak:hush@{at}"), &[&at, "permissions"]).await;
    refused(&format!("redis://{at}/99"), &[&at, "out of range"]).await;
}

#[tokio::test]
async fn a_replica_and_servers_that_are_not_a_cluster_are_reported() {
    let (Some(master), Some(other)) = (Redis::start().await, Redis::start().await) else {
        return;
    };
    let both = format!("{},{}", master.url(), other.url());
    let error = refused(&both, &["not a node of a cluster", "give one URL"]).await;
    assert!(matches!(error, RedisConnectError::NotACluster { .. }));

    let (host, port) = ("127.0.0.1", master.port().to_string());
    assert_eq!(other.cli(&["REPLICAOF", host, &port]), "OK");
    let at = other.addr().to_string();
    let error = refused(&other.url(), &[&at, "replica", "master"]).await;
    assert!(matches!(error, RedisConnectError::Replica { .. }));
}

#[tokio::test]
async fn one_reachable_node_of_a_cluster_is_enough() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let (closed, mut silent) = (Port::claim(), Proxy::to(([127, 0, 0, 1], 1).into()).await);
    silent.cut().await;
    let known = cluster.urls()[0].clone();
    let urls = format!(
        "redis://{},redis://{},{known}",
        closed.addr(),
        silent.addr()
    );
    let queue = connect(&urls).await.unwrap();
    assert!(queue.is_available());
}
