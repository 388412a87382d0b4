//! Real TCP connections with one request at a time, with or without TLS, and the errors on them.
//!
//! A user resumes the TLS session of an earlier connection of their own, and never that of another user, because real
//! users are on different machines. Waiting users share connections, and an admitted user keeps the one of the last
//! poll. The time of a handshake is reported beside the exchange and not as part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::model::ErrorKind;
use super::prepare::Place;
use super::scenario::Http;
use crate::tls;

/// The largest answer in bytes. The API has no larger ones.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// The type of requests that connections send.
pub(super) type Outgoing = Request<Full<Bytes>>;

/// Whether the caller reads the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The caller always reads the body.
    Body,
    /// The caller reads the body only if the request failed, because it contains the reason.
    Reason,
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    /// The `Wait-Token` header.
    pub token: Option<HeaderValue>,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<Duration>,
    /// Empty if the caller did not want it.
    pub body: Bytes,
    /// The time at which the answer was complete.
    pub done: Instant,
}

/// The addresses and the settings of connections.
#[derive(Debug)]
pub(super) struct Connector {
    /// The server, or all servers of a service.
    places: Box<[Place]>,
    /// Counts connections, so that they are spread evenly over the servers.
    next: AtomicUsize,
    connect_timeout: Duration,
    request_timeout: Duration,
}

/// The handshake of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handshake {
    pub took: Duration,
    /// It resumed an earlier session.
    pub resumed: bool,
}

/// The connection of a user, and what the user needs to open another one.
#[derive(Debug, Default)]
pub(super) struct Slot {
    connection: Option<Connection>,
    /// The TLS sessions of this user with one of the servers.
    sessions: Option<(usize, tls::client::Connector)>,
    /// The connections opened since the last exchange, with their handshakes.
    opened: Vec<Option<Handshake>>,
}

/// One connection. Its driver task ends with it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connector {
    pub(super) fn new(places: Box<[Place]>, http: &Http) -> Connector {
        Connector {
            places,
            next: AtomicUsize::new(0),
            connect_timeout: http.connect_timeout.0,
            request_timeout: http.request_timeout.0,
        }
    }

    /// The longest time that an exchange over a new connection can take.
    pub(super) fn longest_exchange(&self) -> Duration {
        self.connect_timeout + self.request_timeout
    }

    /// Connects to the next server in turn, or to the first after it that accepts. One of several servers may be
    /// down.
    async fn dial(&self) -> Option<(usize, TcpStream)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        for step in 0..self.places.len() {
            let at = turn.wrapping_add(step) % self.places.len();
            if let Ok(stream) = TcpStream::connect(self.places[at].addr).await {
                return Some((at, stream));
            }
        }
        None
    }

    async fn connect(&self, slot: &mut Slot) -> Result<Connection, ErrorKind> {
        let connecting = async {
            let (at, stream) = self.dial().await.ok_or(ErrorKind::Connect)?;
            // Requests are small and answered one by one, so waiting for a full segment would only add delay.
            stream.set_nodelay(true).map_err(|_| ErrorKind::Connect)?;
            let Some(tls) = &self.places[at].tls else {
                slot.opened.push(None);
                return speak_http(stream).await;
            };
            if slot.sessions.as_ref().is_none_or(|(of, _)| *of != at) {
                slot.sessions = Some((at, tls.without_sessions()));
            }
            let own = slot.sessions.as_ref().map_or(tls, |(_, own)| own);
            let begun = Instant::now();
            let stream = own.handshake(stream).await;
            let stream = stream.map_err(|_| ErrorKind::Connect)?;
            slot.opened.push(Some(Handshake {
                took: begun.elapsed(),
                resumed: tls::client::is_resumed(&stream),
            }));
            speak_http(stream).await
        };
        timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or(Err(ErrorKind::Connect))
    }

    /// Sends `request` over the connection in `slot` and reads the whole answer. Connects or reconnects if needed. A
    /// connection that cannot be used any more is removed from the slot.
    async fn exchange(
        &self,
        slot: &mut Slot,
        request: Outgoing,
        want: Want,
    ) -> Result<Answer, ErrorKind> {
        let was_idle = slot.connection.is_some();
        // The connection is taken out, so that a cancelled or failed exchange leaves no half-used connection behind.
        let mut connection = match slot.connection.take() {
            Some(connection) if !connection.sender.is_closed() => connection,
            _ => self.connect(slot).await?,
        };
        let exchanging = async {
            let response = match send(&mut connection, request).await {
                Ok(response) => response,
                // The server may close an idle connection at any time. The request was not sent, so it is sent again
                // once over a new connection.
                Err(Unsent(Some(request))) if was_idle => {
                    connection = self.connect(slot).await?;
                    send(&mut connection, *request)
                        .await
                        .map_err(|_| ErrorKind::Broken)?
                }
                Err(_) => return Err(ErrorKind::Broken),
            };
            read(response, want).await
        };
        let answer = timeout(self.request_timeout, exchanging)
            .await
            .unwrap_or(Err(ErrorKind::Timeout))?;
        if !connection.sender.is_closed() {
            slot.connection = Some(connection);
        }
        Ok(answer)
    }
}

async fn speak_http<S>(stream: S) -> Result<Connection, ErrorKind>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ErrorKind::Connect)?;
    let driver = tokio::spawn(async move {
        // The exchange that the error interrupts returns the error.
        let _ = driver.await;
    });
    Ok(Connection {
        sender,
        driver: driver.abort_handle(),
    })
}

/// A request without an answer. It is included if no byte of it was sent.
struct Unsent(Option<Box<Outgoing>>);

async fn send(
    connection: &mut Connection,
    request: Outgoing,
) -> Result<Response<Incoming>, Unsent> {
    if connection.sender.ready().await.is_err() {
        return Err(Unsent(Some(Box::new(request))));
    }
    let sending = connection.sender.try_send_request(request);
    sending
        .await
        .map_err(|mut error| Unsent(error.take_message().map(Box::new)))
}

async fn read(response: Response<Incoming>, want: Want) -> Result<Answer, ErrorKind> {
    let (head, mut body) = response.into_parts();
    let keep = want == Want::Body || !head.status.is_success();
    let (mut first, mut rest, mut length) = (Bytes::new(), BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ErrorKind::Broken)?.into_data() else {
            continue;
        };
        length += data.len();
        if length > MAX_BODY {
            return Err(ErrorKind::Protocol);
        }
        // Almost all answers come in one piece, which is used without a copy.
        match keep {
            false => {}
            true if first.is_empty() => first = data,
            true => rest.extend_from_slice(&data),
        }
    }
    let done = Instant::now();
    if !rest.is_empty() {
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        first = whole.freeze();
    }
    let seconds = |value: &HeaderValue| value.to_str().ok()?.parse::<u64>().ok();
    let retry_after = head.headers.get(RETRY_AFTER).and_then(seconds);
    // A copy: the header is a part of the connection's buffer, and would keep all of it in memory.
    let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    Ok(Answer {
        status: head.status,
        token: head.headers.get(crate::api::WAIT_TOKEN).and_then(copied),
        retry_after: retry_after.map(|seconds| Duration::from_secs(seconds.min(60))),
        body: first,
        done,
    })
}

/// Connections that users share when there are fewer connections than users.
#[derive(Debug)]
pub(super) struct Pool {
    permits: Semaphore,
    /// The connection that was used last is used next, so that the server may close the others.
    idle: Mutex<Vec<Slot>>,
}

impl Pool {
    fn new(connections: usize) -> Pool {
        Pool {
            permits: Semaphore::new(connections),
            idle: Mutex::default(),
        }
    }
}

/// The HTTP client of one user.
#[derive(Debug)]
pub(super) enum HttpClient {
    /// The user's own connection, kept alive between requests.
    Own(Slot),
    /// A pool, from which each request takes a connection.
    Shared {
        pool: Arc<Pool>,
        /// The time since which the next request has waited for a connection. `None`: the wait begins with the request.
        asked: Option<Instant>,
    },
}

/// Gives each user a client.
#[derive(Clone, Debug)]
pub(super) struct ClientSource(Option<Arc<Pool>>);

impl ClientSource {
    /// Gives each user a new connection.
    pub(super) fn own() -> ClientSource {
        ClientSource(None)
    }

    /// Gives all users a pool with at most this many connections.
    pub(super) fn pool(connections: usize) -> ClientSource {
        ClientSource(Some(Arc::new(Pool::new(connections.max(1)))))
    }

    pub(super) fn client(&self) -> HttpClient {
        match &self.0 {
            None => HttpClient::Own(Slot::default()),
            Some(pool) => HttpClient::Shared {
                pool: Arc::clone(pool),
                asked: None,
            },
        }
    }
}

/// The result of an exchange, with its times.
#[derive(Debug)]
pub(super) struct Exchange {
    pub result: Result<Answer, ErrorKind>,
    /// The time at which the request was sent, if the handshakes had taken no time.
    pub sent: Instant,
    /// The connections that were opened for it, with their handshakes.
    pub opened: Vec<Option<Handshake>>,
    /// The wait for a shared connection.
    pub waited: Option<Duration>,
}

impl Exchange {
    fn of(
        result: Result<Answer, ErrorKind>,
        sent: Instant,
        waited: Option<Duration>,
        slot: &mut Slot,
    ) -> Exchange {
        let opened = std::mem::take(&mut slot.opened);
        let mut exchange = Exchange {
            result,
            sent,
            opened,
            waited,
        };
        exchange.sent += exchange.handshakes();
        exchange
    }

    /// The time of the handshakes, which counts neither as latency nor as service.
    pub(super) fn handshakes(&self) -> Duration {
        let handshakes = self.opened.iter().flatten();
        handshakes.map(|handshake| handshake.took).sum()
    }
}

impl HttpClient {
    /// Sets the time since which the next request has waited for a shared connection.
    pub(super) fn asked_at(&mut self, at: Instant) {
        if let HttpClient::Shared { asked, .. } = self {
            *asked = Some(at);
        }
    }

    /// Sends `request` and reads the answer. If connections are shared, it waits for one first.
    pub(super) async fn exchange(
        &mut self,
        connector: &Connector,
        request: Outgoing,
        want: Want,
    ) -> Exchange {
        match self {
            HttpClient::Own(slot) => {
                let sent = Instant::now();
                let result = connector.exchange(slot, request, want).await;
                Exchange::of(result, sent, None, slot)
            }
            HttpClient::Shared { pool, asked } => {
                let asked = asked.take().unwrap_or_else(Instant::now);
                let _permit = pool.permits.acquire().await;
                let sent = Instant::now();
                let mut slot = pool.idle.lock().pop().unwrap_or_default();
                let result = connector.exchange(&mut slot, request, want).await;
                let waited = Some(sent.duration_since(asked));
                let exchange = Exchange::of(result, sent, waited, &mut slot);
                let mut idle = pool.idle.lock();
                match slot.connection {
                    Some(_) => idle.push(slot),
                    // A slot without a connection is used last, and keeps its TLS sessions for resumption.
                    None => idle.insert(0, slot),
                }
                exchange
            }
        }
    }
}
