//! A listener, with or without TLS. It bounds the number, the headers and the times of its connections, and drains them
//! at the end.
//!
//! A handshake runs in the task of its connection, so a slow one delays no other. Until the handshake ends, the
//! connection is idle: it counts like every other connection of its address, and at the limit the oldest one is
//! evicted.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::connections::{Connection, ConnectionLimits, Connections, InFlight, Slot};
use super::error::RETRY_AFTER;
use super::served_stream::ServedStream;
use super::wire::{HoldsBack, Wire};
use crate::tls::ServerTls;

/// The number of connections that the system queues before they are accepted. `net.core.somaxconn` may lower it. A
/// client that finds the queue full retries after a whole second, and at an opening all clients connect at once.
const BACKLOG: u32 = 4096;

/// Listens at `addr`.
///
/// # Errors
/// The address is taken, or it does not belong to this machine.
pub fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of the last process may still be in TIME_WAIT. They must not delay a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// The bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The largest number of open connections. One more evicts the connection that has been idle, or has been
    /// receiving a body, for longest.
    pub connections: usize,
    /// The largest number of open connections from one address. One more evicts one of them in the same way.
    pub per_address: usize,
    /// From the last answer on a connection to the end of its next request's header. It is longer than any
    /// `pollAfterMs` of the reference rehearsal, so that waiting users keep their connection.
    pub idle_timeout: Duration,
    /// From the first byte of a header to its end. A TLS handshake may take as long.
    pub header_timeout: Duration,
    /// The largest number of bytes of unfinished headers and bodies over all connections. Beyond it, the connections
    /// with the longest of them are closed.
    pub unfinished_headers: usize,
    /// A connection is closed when its client reads nothing of an answer for this long.
    pub write_timeout: Duration,
    /// The longest time for which a stop waits for the requests in flight.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connections: 50_000,
            per_address: usize::MAX,
            idle_timeout: Duration::from_secs(75),
            header_timeout: Duration::from_secs(10),
            unfinished_headers: 64 * 1024 * 1024,
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Attached to a request whose headers disagree about the length of its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadFraming(pub(super) &'static str);

/// The answer to a connection from an address whose connections are all busy.
fn address_full() -> String {
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: {RETRY_AFTER}\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    )
}

/// The answer to a request without TLS on a listener with TLS.
const TLS_NEEDED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    content-length: 51\r\nconnection: close\r\n\r\nThis port speaks TLS: use https:// in its address.\n";

/// The longest time for which a connection whose handshake failed stays open, and the most bytes read meanwhile.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// Serves `router` on `listener` until `stop`, over TLS if `tls` is given, then drains the connections. Returns `true`
/// if all of them ended in time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
) -> bool {
    let open = TaskTracker::new();
    let connections = Connections::new(ConnectionLimits {
        connections: bounds.connections,
        per_address: bounds.per_address,
        unfinished: bounds.unfinished_headers,
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle_timeout)
        .max_buf_size(64 * 1024);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections, tls.is_some()) => accepted,
        };
        let Some((socket, slot)) = accepted else {
            continue;
        };
        let serving = Serving {
            builder: builder.clone(),
            router: router.clone(),
            header_timeout: bounds.header_timeout,
            stop: stop.clone(),
        };
        match &tls {
            None => {
                let connection = Arc::clone(&slot.connection);
                let wire = Wire::plain(socket, bounds.write_timeout, connection);
                open.spawn(serving.connection(wire, slot));
            }
            Some(tls) => {
                let tls = Arc::clone(tls);
                open.spawn(async move {
                    let within = bounds.header_timeout;
                    let handshake = handshake(&tls, socket, &slot.connection, bounds.write_timeout);
                    let stream = tokio::select! {
                        stream = tokio::time::timeout(within, handshake) => stream,
                        () = slot.connection.evicted() => return,
                        () = serving.stop.cancelled() => return,
                    };
                    if let Ok(Some(stream)) = stream {
                        serving.connection(stream, slot).await;
                    }
                });
            }
        }
    }
    drop(listener);
    open.close();
    tokio::time::timeout(bounds.drain, open.wait())
        .await
        .is_ok()
}

/// The parts that serve one connection.
struct Serving {
    builder: http1::Builder,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
}

impl Serving {
    /// Serves the requests on `stream` until the client closes it, the connection is evicted, or the server stops.
    async fn connection<S>(self, stream: S, slot: Slot)
    where
        S: AsyncRead + AsyncWrite + HoldsBack + Send + Unpin + 'static,
    {
        let client = Arc::clone(&slot.connection);
        // The stream holds the slot, because an upgraded stream outlives its HTTP connection.
        let stream = ServedStream::new(stream, slot, self.header_timeout);
        let service = answering(self.router, Arc::clone(&client));
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection.with_upgrades());
        let finished = async {
            tokio::select! {
                // A client may close its connection at any time. This is not an error of the server.
                _ = connection.as_mut() => return,
                () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ended = connection.await;
        };
        tokio::select! {
            () = finished => {}
            () = client.evicted() => {}
        }
    }
}

/// Makes the handshake with a client. `None` when it failed, or when the client does not speak TLS.
async fn handshake(
    tls: &ServerTls,
    mut socket: TcpStream,
    connection: &Arc<Connection>,
    write_timeout: Duration,
) -> Option<TlsStream<Wire>> {
    let mut first = [0];
    if socket.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    // A request without TLS begins with its method. A handshake begins with 22.
    if first[0].is_ascii_uppercase() {
        // The request is read first, because a connection that is closed with unread bytes is reset, and the reset may
        // overtake the answer.
        let _ = socket.read(&mut [0; 8_192]).await;
        let _ = socket.write_all(TLS_NEEDED).await;
        return None;
    }
    let wire = Wire::before_handshake(socket, write_timeout, Arc::clone(connection));
    match tls.acceptor().accept(wire).into_fallible().await {
        Ok(mut stream) => {
            stream.get_mut().0.handshake_ended();
            Some(stream)
        }
        Err((error, wire)) => {
            // Any client can cause it, so it is not a warning.
            tracing::debug!(%error, "a TLS handshake failed");
            linger(wire).await;
            None
        }
    }
}

/// Lets a client read why its handshake failed. A connection that is closed with unread bytes is reset, and the reset
/// may overtake the alert.
async fn linger(mut wire: Wire) {
    let draining = async {
        wire.shutdown().await?;
        tokio::io::copy(&mut (&mut wire).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // A client that keeps sending is disconnected.
    let _ = tokio::time::timeout(LINGER_TIME, draining).await;
}

/// Accepts the next connection when a slot is free. `None` when the connection could not be accepted.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
    is_tls: bool,
) -> Option<(TcpStream, Slot)> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            // The process has probably no file descriptors left. Evicting an idle connection frees one.
            tracing::warn!(%error, "a connection could not be accepted");
            connections.evict_oldest();
            tokio::time::sleep(Duration::from_millis(50)).await;
            return None;
        }
    };
    let Some(slot) = connections.admit(peer.ip()).await else {
        // A client that does not read the answer loses it with the connection. Over TLS no answer is sent, because an
        // answer needs a handshake, and the limit saves that work.
        if !is_tls {
            let _ = stream.try_write(address_full().as_bytes());
        }
        return None;
    };
    // This turns off Nagle's algorithm, so that a small answer does not wait for the client's acknowledgement.
    drop(stream.set_nodelay(true));
    Some((stream, slot))
}

/// The service of one connection: the router, with each request counted as in flight until its answer is written.
fn answering(
    router: Router,
    connection: Arc<Connection>,
) -> impl hyper::service::Service<
    http::Request<Incoming>,
    Response = http::Response<CountedBody>,
    Error = Infallible,
    Future: Send,
> {
    hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let has_body = !hyper::body::Body::is_end_stream(request.body());
        let begun = connection.begin(has_body);
        let router = router.clone();
        async move {
            let Some((in_flight, refused)) = begun else {
                // The connection was evicted before this request began, so the request is never served.
                return std::future::pending().await;
            };
            let mut request = request.map(Body::new);
            if has_body {
                request.extensions_mut().insert(in_flight.receiving());
            }
            if let Some(why) = refused {
                request.extensions_mut().insert(BadFraming(why));
            }
            let response = router.oneshot(request).await?;
            if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                in_flight.upgrade();
            }
            Ok(response.map(|body| CountedBody {
                body,
                _in_flight: in_flight,
            }))
        }
    })
}

/// The body of an answer. Its request counts as in flight until the body is written.
struct CountedBody {
    body: Body,
    _in_flight: InFlight,
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
