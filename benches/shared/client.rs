//! Keep-alive connections that send one request after another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The socket address in the URL of a server.
pub fn addr(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

/// A request to be sent.
pub type Outgoing = Request<Full<Bytes>>;

/// Sends the requests that `next` returns for 0, 1, 2… over `connections`, until it returns `None` or the time is over.
/// Returns the answers per second. Every answer must have the status `expected`.
pub async fn drive(
    to: SocketAddr,
    connections: usize,
    most: Duration,
    expected: u16,
    next: impl Fn(usize) -> Option<Outgoing> + Send + Sync + 'static,
) -> f64 {
    let (next, turn, answered) = (
        Arc::new(next),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let begun = Instant::now();
    let tasks = (0..connections).map(|_| {
        let (next, turn, answered) = (Arc::clone(&next), Arc::clone(&turn), Arc::clone(&answered));
        tokio::spawn(async move {
            let stream = TcpStream::connect(to).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            let connection = tokio::spawn(connection);
            while begun.elapsed() < most {
                let Some(request) = next(turn.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                let answer = sender.send_request(request).await.unwrap();
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(status, expected, "{}", String::from_utf8_lossy(&body));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            connection.abort();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    answered.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}
