//! The server's end of a connection, between the HTTP parser and TLS (or the socket). It ends a connection whose header
//! takes too long, reports the bytes of unfinished headers to `connections`, which bounds them, and reads what a client
//! still sends before the connection closes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connections::{Connection, Slot};
use super::framing::Framing;
use super::wire::HoldsBack;

/// The answer to a header that did not arrive in time.
const HEADER_TIMEOUT_ANSWER: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The longest drain after the last answer, in time and bytes, while the client still sends. A connection that is
/// closed at once would be reset, and the reset may overtake the answer (RFC 9112, section 9.6).
const DRAIN_TIME: Duration = Duration::from_secs(2);
const DRAIN_BYTES: usize = 256 * 1024;

/// A connection with its bounds.
pub(super) struct ServedStream<S> {
    stream: S,
    connection: Arc<Connection>,
    /// Held until the stream is closed.
    _slot: Slot,
    framing: Framing,
    /// The longest time from the first byte of a header to its end.
    header_timeout: Duration,
    /// The number of bytes of an unfinished header that was last reported to the connection.
    reported: usize,
    /// The number of the unfinished header, and its time-out.
    header: Option<(u64, Pin<Box<Sleep>>)>,
    /// The number of bytes that the drain may still read, and its time-out.
    draining: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S: HoldsBack> ServedStream<S> {
    pub(super) fn new(stream: S, slot: Slot, header_timeout: Duration) -> Self {
        ServedStream {
            stream,
            connection: Arc::clone(&slot.connection),
            _slot: slot,
            framing: Framing::new(),
            header_timeout,
            reported: 0,
            header: None,
            draining: None,
        }
    }

    /// Tracks the bytes of requests that were read.
    fn track(&mut self, bytes: &[u8]) {
        // After an upgrade the bytes are not HTTP.
        if self.connection.is_upgraded() {
            return;
        }
        self.framing.feed(bytes);
        let unfinished = self.framing.unfinished();
        if let Some(refused) = self.framing.refused() {
            self.connection.refuse(refused);
        }
        if unfinished == 0 {
            self.header = None;
            return;
        }
        let number = self.framing.heads();
        if self.header.as_ref().is_none_or(|(at, _)| *at != number) {
            let end = tokio::time::sleep(self.header_timeout);
            self.header = Some((number, Box::pin(end)));
        }
    }

    /// Reports the bytes of an unfinished header. Bytes that TLS holds back belong to a header unless a body is being
    /// received.
    fn report_unfinished(&mut self) {
        let mut unfinished = self.framing.unfinished();
        if unfinished > 0 || self.framing.is_between_requests() {
            unfinished += self.stream.held_back();
        }
        if self.connection.is_upgraded() {
            unfinished = 0;
        }
        if unfinished != self.reported {
            self.reported = unfinished;
            self.connection.set_unfinished(unfinished);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ServedStream<S> {
    /// Answers 408 and returns `true` if the time-out of an unfinished header has passed. Returns `false` while an
    /// earlier request is still being answered.
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

impl<S: AsyncRead + AsyncWrite + HoldsBack + Unpin> AsyncRead for ServedStream<S> {
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
        self.report_unfinished();
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ServedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if polled.is_ready() {
            self.connection.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.draining.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if !self.framing.is_between_requests() {
            ready!(self.poll_drain(cx));
        }
        Poll::Ready(Ok(()))
    }
}
