//! A listener: connections in, each bounded in number, header size and time, drained at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::patience::WriteTimeout;

/// Connections that the system keeps until they are accepted, unless it allows fewer
/// (`net.core.somaxconn`). A client that finds no room tries again after a whole second, and a crowd
/// at the door comes at once.
const BACKLOG: u32 = 4096;

/// Listens at `addr`.
///
/// # Errors
/// When the address is taken, or none of this machine's.
pub fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // What the last process left behind at the address is no reason to wait.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open connections; further ones wait in the system's backlog.
    pub connections: usize,
    /// From a connection's last answer to the end of its next request's header. Longer than any
    /// `pollAfterMs` of the reference rehearsal, so that waiting users keep their connection.
    pub header_timeout: Duration,
    /// An answer of which the client takes nothing for this long is given up, with its connection.
    pub write_timeout: Duration,
    /// What is under way at the end is given this long.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connections: 19_000,
            header_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves `router` on `listener` until `stop`, then finishes what is under way. Gives whether all
/// connections ended in time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) -> bool {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_buf_size(64 * 1024);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: connections that end make room.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Small answers must not wait for the client's acknowledgement.
        drop(stream.set_nodelay(true));
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            router.clone().oneshot(request.map(Body::new))
        });
        let stream = TokioIo::new(WriteTimeout::new(stream, bounds.write_timeout));
        let connection = graceful.watch(builder.serve_connection(stream, service));
        tokio::spawn(async move {
            // How a client's connection ended is the client's business.
            drop(connection.await);
            drop(place);
        });
    }
    drop(listener);
    tokio::time::timeout(bounds.drain, graceful.shutdown())
        .await
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn a_crowd_that_comes_at_once_finds_room_before_anybody_is_accepted() {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let allowed = allowed.ok().and_then(|text| text.trim().parse().ok());
        let crowd = allowed.unwrap_or(1_000).min(1_000_usize);
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut inside = Vec::new();
        for nth in 0..crowd {
            let connecting = TcpStream::connect(addr);
            let connected = tokio::time::timeout(Duration::from_secs(10), connecting).await;
            inside.push(connected.unwrap_or_else(|_| panic!("no room for {nth}")));
        }
    }
}
