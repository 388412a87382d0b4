//! A proxy: slow, silent, gone and well again.

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

/// Says something and awaits that it is said back; how long that took, or `None` where the
/// connection is closed.
async fn said_back(connection: &mut TcpStream, what: &[u8]) -> Option<Duration> {
    let begun = Instant::now();
    connection.write_all(what).await.ok()?;
    let mut heard = vec![0; what.len()];
    let reading = connection.read_exact(&mut heard);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .ok()?;
    assert_eq!(heard, what);
    Some(begun.elapsed())
}

const SOON: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_delay_holds_for_every_answer_and_does_not_add_up() {
    let proxy = Proxy::to(echo().await).await;
    let mut connection = TcpStream::connect(proxy.addr()).await.unwrap();
    let large = vec![7; 1_000_000];
    assert!(said_back(&mut connection, b"at once").await.unwrap() < SOON);
    proxy.delay(SOON);
    for what in [b"late", large.as_slice()] {
        let took = said_back(&mut connection, what).await.unwrap();
        assert!((SOON..SOON * 10).contains(&took), "{took:?}");
    }
    proxy.delay(Duration::ZERO);
    assert!(said_back(&mut connection, b"at once").await.unwrap() < SOON);
}

#[tokio::test]
async fn a_cut_closes_what_is_there_and_refuses_what_comes() {
    let mut proxy = Proxy::to(echo().await).await;
    let mut connection = TcpStream::connect(proxy.addr()).await.unwrap();
    said_back(&mut connection, b"a").await.unwrap();
    proxy.cut().await;
    assert!(said_back(&mut connection, b"b").await.is_none());
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.open().await;
    let mut connection = TcpStream::connect(proxy.addr()).await.unwrap();
    said_back(&mut connection, b"c").await.unwrap();
}

#[tokio::test]
async fn what_a_black_hole_swallows_comes_when_it_is_open_again() {
    let mut proxy = Proxy::to(echo().await).await;
    let mut before = TcpStream::connect(proxy.addr()).await.unwrap();
    said_back(&mut before, b"a").await.unwrap();
    proxy.blackhole().await;
    let mut within = TcpStream::connect(proxy.addr()).await.unwrap();
    for connection in [&mut before, &mut within] {
        connection.write_all(b"b").await.unwrap();
        let mut heard = [0];
        let early = tokio::time::timeout(SOON, connection.read(&mut heard)).await;
        assert!(early.is_err(), "{early:?}");
    }
    proxy.open().await;
    for connection in [&mut before, &mut within] {
        let heard = tokio::time::timeout(PATIENCE, connection.read_u8()).await;
        assert_eq!(heard.unwrap().unwrap(), b'b');
        said_back(connection, b"c").await.unwrap();
    }
}
