//! The stream of a client's connection below the HTTP parser. It adds bounds that the parser lacks: a time-out for
//! headers, a time-out for writes, and a body drain when the connection closes while the client still sends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connections::{Connection, Slot};
use super::framing::Framing;

/// The answer to a header that did not arrive in time.
const HEADER_TIMEOUT_ANSWER: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The longest drain after the last answer, in time and bytes, while the client still sends. A connection that is
/// closed at once would be reset, and the reset may overtake the answer (RFC 9112, section 9.6).
const DRAIN_TIME: Duration = Duration::from_secs(2);
const DRAIN_BYTES: usize = 256 * 1024;

/// The time-outs of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTimeouts {
    /// From the first byte of a header to its end.
    pub(super) header: Duration,
    /// The longest time for which a write makes no progress. Each byte that is sent restarts the time.
    pub(super) write: Duration,
}

/// A connection with its bounds.
pub(super) struct ClientStream<S> {
    stream: S,
    connection: Arc<Connection>,
    /// Held until the stream is closed.
    _slot: Slot,
    framing: Framing,
    timeouts: StreamTimeouts,
    /// The time-out of a write that is pending.
    writing: Option<Pin<Box<Sleep>>>,
    /// The number of the unfinished header, and its time-out.
    header: Option<(u64, Pin<Box<Sleep>>)>,
    /// The number of bytes that the drain may still read, and its time-out.
    draining: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> ClientStream<S> {
    pub(super) fn new(stream: S, slot: Slot, timeouts: StreamTimeouts) -> Self {
        ClientStream {
            stream,
            connection: Arc::clone(&slot.connection),
            _slot: slot,
            framing: Framing::new(),
            timeouts,
            writing: None,
            header: None,
            draining: None,
        }
    }

    /// Fails a write that has been pending for too long.
    fn within_write_timeout<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.writing = None;
            return polled;
        }
        let within = self.timeouts.write;
        let writing = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        writing
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Tracks the bytes of requests that were read.
    fn track(&mut self, bytes: &[u8]) {
        // After an upgrade the bytes are not HTTP.
        if self.connection.is_upgraded() {
            return;
        }
        let before = self.framing.unfinished();
        self.framing.feed(bytes);
        let unfinished = self.framing.unfinished();
        if unfinished != before {
            self.connection.set_unfinished(unfinished);
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
            let end = tokio::time::sleep(self.timeouts.header);
            self.header = Some((number, Box::pin(end)));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    /// Returns whether the time-out of an unfinished header has passed. It first waits until the answer to the previous
    /// request is sent.
    fn header_timed_out(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((_, end)) = &mut self.header else {
            return false;
        };
        if self.connection.is_busy() || end.as_mut().poll(cx).is_pending() {
            return false;
        }
        // A part that the client does not read is lost, because the connection ends anyway.
        let _ = Pin::new(&mut self.stream).poll_write(cx, HEADER_TIMEOUT_ANSWER);
        true
    }

    /// Reads and discards the bytes that a client still sends, within bounds.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (left, end) = self
            .draining
            .get_or_insert_with(|| (DRAIN_BYTES, Box::pin(tokio::time::sleep(DRAIN_TIME))));
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
            self.track(&buffer.filled()[before..]);
        } else if polled.is_pending() && self.header_timed_out(cx) {
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
        self.within_write_timeout(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.within_write_timeout(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if polled.is_ready() {
            self.connection.flushed();
        }
        self.within_write_timeout(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.draining.is_none() {
            let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.within_write_timeout(polled, cx))?;
        }
        if !self.framing.is_between_requests() {
            ready!(self.poll_drain(cx));
        }
        Poll::Ready(Ok(()))
    }
}
