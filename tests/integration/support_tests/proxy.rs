//! A proxy: slow, silent, closed and open again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, Proxy};

/// A server that echoes its input.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    addr
}

/// Sends bytes and waits for their echo; returns the duration, or `None` if the connection is closed.
async fn echoed(connection: &mut TcpStream, what: &[u8]) -> Option<Duration> {
    let begun = Instant::now();
    connection.write_all(what).await.ok()?;
    let mut received = vec![0; what.len()];
    let reading = connection.read_exact(&mut received);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .ok()?;
    assert_eq!(received, what);
    Some(begun.elapsed())
}

const SOON: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_delay_applies_to_every_answer_and_does_not_accumulate() {
    let proxy = Proxy::to(echo().await).await;
    let mut connection = TcpStream::connect(proxy.addr()).await.unwrap();
    let large = vec![7; 1_000_000];
    assert!(echoed(&mut connection, b"at once").await.unwrap() < SOON);
    proxy.delay(SOON);
    for what in [b"late", large.as_slice()] {
        let took = echoed(&mut connection, what).await.unwrap();
        assert!((SOON..SOON * 10).contains(&took), "{took:?}");
    }
    proxy.delay(Duration::ZERO);
    assert!(echoed(&mut connection, b"at once").await.unwrap() < SOON);
}

#[tokio::test]
async fn a_cut_closes_connections_and_refuses_new_ones() {
    let mut proxy = Proxy::to(echo().await).await;
    let mut connection = TcpStream::connect(proxy.addr()).await.unwrap();
    echoed(&mut connection, b"a").await.unwrap();
    proxy.cut().await;
    assert!(echoed(&mut connection, b"b").await.is_none());
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.open().await;
    let mut connection = TcpStream::connect(proxy.addr()).await.unwrap();
    echoed(&mut connection, b"c").await.unwrap();
}

#[tokio::test]
async fn bytes_sent_into_a_black_hole_arrive_when_the_proxy_is_open_again() {
    let mut proxy = Proxy::to(echo().await).await;
    let mut before = TcpStream::connect(proxy.addr()).await.unwrap();
    echoed(&mut before, b"a").await.unwrap();
    proxy.blackhole().await;
    let mut within = TcpStream::connect(proxy.addr()).await.unwrap();
    for connection in [&mut before, &mut within] {
        connection.write_all(b"b").await.unwrap();
        let mut received = [0];
        let early = tokio::time::timeout(SOON, connection.read(&mut received)).await;
        assert!(early.is_err(), "{early:?}");
    }
    proxy.open().await;
    for connection in [&mut before, &mut within] {
        let received = tokio::time::timeout(PATIENCE, connection.read_u8()).await;
        assert_eq!(received.unwrap().unwrap(), b'b');
        echoed(connection, b"c").await.unwrap();
    }
}
