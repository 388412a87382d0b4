//! A listener: connections in, each bounded in number, header size and time, drained at the end.

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
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::client_stream::{ClientStream, Patience};
use super::connections::{Connection, Connections, Place, Room, UnderWay};

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
    /// Open connections. When one more comes, the one that has been idle longest is closed.
    pub connections: usize,
    /// Open connections from one address, likewise.
    pub per_address: usize,
    /// From a connection's last answer to the end of its next request's header. Longer than any
    /// `pollAfterMs` of the reference rehearsal, so that waiting users keep their connection.
    pub idle_timeout: Duration,
    /// From the first byte of a header to its end.
    pub header_timeout: Duration,
    /// Bytes of unfinished headers over all connections. Beyond it, those that hold the most are
    /// closed.
    pub unfinished_headers: usize,
    /// An answer of which the client takes nothing for this long is given up, with its connection.
    pub write_timeout: Duration,
    /// What is under way at the end is given this long.
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

/// The headers of a request disagree about the length of its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadFraming(pub(super) &'static str);

/// The answer to a connection from an address that has as many busy ones as it may.
const ADDRESS_FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// Serves `router` on `listener` until `stop`, then finishes what is under way. Gives whether all
/// connections ended in time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) -> bool {
    let open = TaskTracker::new();
    let connections = Connections::new(Room {
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
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, place)) = accepted else {
            continue;
        };
        let client = Arc::clone(&place.connection);
        let patience = Patience {
            header: bounds.header_timeout,
            write: bounds.write_timeout,
        };
        // The stream keeps the place: one that is upgraded outlives its HTTP connection.
        let stream = ClientStream::new(stream, place, patience);
        let service = answering(router.clone(), Arc::clone(&client));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = connection.with_upgrades();
        let stop = stop.clone();
        open.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let finished = async {
                tokio::select! {
                    // How a client's connection ended is the client's business.
                    _ = connection.as_mut() => return,
                    () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
                }
                let _ended = connection.await;
            };
            tokio::select! {
                () = finished => {}
                () = client.evicted() => {}
            }
        });
    }
    drop(listener);
    open.close();
    tokio::time::timeout(bounds.drain, open.wait())
        .await
        .is_ok()
}

/// The next connection that there is a place for; `None` when this one could not be taken.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> Option<(TcpStream, Place)> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            // Out of file descriptors, most likely: an idle connection makes room.
            tracing::warn!(%error, "a connection could not be accepted");
            connections.evict_oldest();
            tokio::time::sleep(Duration::from_millis(50)).await;
            return None;
        }
    };
    let Some(place) = connections.admit(peer.ip()).await else {
        // Not taken, the answer is lost with the connection.
        let _ = stream.try_write(ADDRESS_FULL);
        return None;
    };
    // Small answers must not wait for the client's acknowledgement.
    drop(stream.set_nodelay(true));
    Some((stream, place))
}

/// The service of one connection: the router, with each request counted until its answer is written.
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
        let begun = connection.begin();
        let router = router.clone();
        async move {
            let Some((under_way, refused)) = begun else {
                // The connection is closed before anything is done for this request.
                return std::future::pending().await;
            };
            let mut request = request.map(Body::new);
            if let Some(why) = refused {
                request.extensions_mut().insert(BadFraming(why));
            }
            let response = router.oneshot(request).await?;
            if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                under_way.upgrade();
            }
            Ok(response.map(|body| CountedBody {
                body,
                _under_way: under_way,
            }))
        }
    })
}

/// The body of an answer: the request is under way until it is written.
struct CountedBody {
    body: Body,
    _under_way: UnderWay,
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
