//! A client's connection as the HTTP parser sees it, with the bounds that the parser does not keep:
//! how long a header may take, how long a write may stand still, how a connection is closed while the
//! client is still sending.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connections::{Connection, Place};
use super::framing::Framing;

/// The answer to a header that did not arrive in time.
const HEADER_LATE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How long, and for how many bytes, a client that is still sending is listened to after its last
/// answer. Closed at once, the connection would be reset, and the reset may overtake the answer
/// (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// Times that a stream keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a header to its end.
    pub(super) header: Duration,
    /// A write of which the client takes nothing; every byte that goes starts the time again.
    pub(super) write: Duration,
}

/// A connection with its bounds.
pub(super) struct ClientStream<S> {
    stream: S,
    connection: Arc<Connection>,
    /// Among the open connections, until the stream is closed.
    _place: Place,
    framing: Framing,
    patience: Patience,
    writing: Option<Pin<Box<Sleep>>>,
    /// The header that is unfinished, by its number, and when its time is up.
    header: Option<(u64, Pin<Box<Sleep>>)>,
    lingering: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> ClientStream<S> {
    pub(super) fn new(stream: S, place: Place, patience: Patience) -> Self {
        ClientStream {
            stream,
            connection: Arc::clone(&place.connection),
            _place: place,
            framing: Framing::new(),
            patience,
            writing: None,
            header: None,
            lingering: None,
        }
    }

    /// Fails a write that stood still for too long.
    fn watch<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.writing = None;
            return polled;
        }
        let within = self.patience.write;
        let writing = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        writing
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn follow(&mut self, bytes: &[u8]) {
        // What follows an upgrade are no requests.
        if self.connection.is_upgraded() {
            return;
        }
        let before = self.framing.unfinished();
        self.framing.feed(bytes);
        let unfinished = self.framing.unfinished();
        if unfinished != before {
            self.connection.holds(unfinished);
        }
        if let Some(refused) = self.framing.refused() {
            self.connection.refuse(refused);
        }
        if unfinished == 0 {
            self.header = None;
            return;
        }
        let number = self.framing.heads();
        if self.header.as_ref().is_none_or(|(at, _)| *at != number) {
            let end = tokio::time::sleep(self.patience.header);
            self.header = Some((number, Box::pin(end)));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    /// Whether the time of an unfinished header is up. The answer to the request before it is not cut.
    fn header_is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((_, end)) = &mut self.header else {
            return false;
        };
        if self.connection.is_busy() || end.as_mut().poll(cx).is_pending() {
            return false;
        }
        // What the client does not take of it is lost: the connection ends anyway.
        let _ = Pin::new(&mut self.stream).poll_write(cx, HEADER_LATE);
        true
    }

    /// Throws away what a client still sends, within bounds.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (left, end) = self
            .lingering
            .get_or_insert_with(|| (LINGER_BYTES, Box::pin(tokio::time::sleep(LINGER))));
        let mut room = [0; 4_096];
        loop {
            if end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut room);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            let bytes = buffer.filled().len();
            if read.is_err() || bytes == 0 || bytes >= *left {
                return Poll::Ready(());
            }
            *left -= bytes;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled {
            self.follow(&buffer.filled()[before..]);
        } else if polled.is_pending() && self.header_is_late(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if polled.is_ready() {
            self.connection.flushed();
        }
        self.watch(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.watch(polled, cx))?;
        }
        if !self.framing.is_between_requests() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
