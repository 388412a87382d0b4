//! The socket of a client's connection, below TLS and HTTP. It bounds the time of writes, and counts the bytes that TLS
//! holds back: those of an unfinished handshake, and those of an unfinished record.
//!
//! The bounds belong here and not above TLS. TLS takes a write into its own buffer, so above it a client that reads
//! nothing looks like one that reads. And it returns no byte of a record before the record is complete, so above it a
//! client that sends records without their ends looks silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::connections::Connection;

/// The length of a record's header: type, version, length of the content.
const RECORD_HEADER: usize = 5;

/// The socket with its bounds.
pub(super) struct Wire {
    socket: TcpStream,
    connection: Arc<Connection>,
    /// The longest time for which a write makes no progress. Each byte that is sent restarts the time.
    write_timeout: Duration,
    /// The time-out of a write that is pending.
    writing: Option<Pin<Box<Sleep>>>,
    /// `Some` if the connection speaks TLS.
    tls: Option<Received>,
}

/// The bytes that TLS has received.
struct Received {
    /// The bytes of the handshake; `None` when it has ended.
    handshake: Option<usize>,
    record: Record,
}

impl Wire {
    /// A socket without TLS.
    pub(super) fn plain(
        socket: TcpStream,
        write_timeout: Duration,
        connection: Arc<Connection>,
    ) -> Wire {
        Wire {
            socket,
            connection,
            write_timeout,
            writing: None,
            tls: None,
        }
    }

    /// A socket whose handshake begins. Its bytes count as those of an unfinished header of `connection`.
    pub(super) fn before_handshake(
        socket: TcpStream,
        write_timeout: Duration,
        connection: Arc<Connection>,
    ) -> Wire {
        Wire {
            tls: Some(Received {
                handshake: Some(0),
                record: Record::default(),
            }),
            ..Wire::plain(socket, write_timeout, connection)
        }
    }

    /// Ends the count of the handshake's bytes.
    pub(super) fn handshake_ended(&mut self) {
        let handshake = self.tls.as_mut().and_then(|tls| tls.handshake.take());
        if handshake.is_some() {
            self.connection.set_unfinished(0);
        }
    }

    fn within_write_timeout<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.writing.take().is_some() {
                self.connection.write_continues();
            }
            return polled;
        }
        let (within, connection) = (self.write_timeout, &self.connection);
        let writing = self.writing.get_or_insert_with(|| {
            connection.write_waits();
            Box::pin(tokio::time::sleep(within))
        });
        writing
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let wire = &mut *self;
        let polled = Pin::new(&mut wire.socket).poll_read(cx, buffer);
        if let Some(tls) = &mut wire.tls {
            let bytes = &buffer.filled()[before..];
            tls.record.feed(bytes);
            if let Some(count) = &mut tls.handshake
                && !bytes.is_empty()
            {
                *count += bytes.len();
                wire.connection.set_unfinished(*count);
            }
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.within_write_timeout(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.within_write_timeout(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.within_write_timeout(polled, cx)
    }
}

/// A stream that may hold bytes back.
pub(super) trait HoldsBack {
    /// The number of bytes that were received and that no read has returned, because something is missing.
    fn held_back(&self) -> usize;
}

impl HoldsBack for Wire {
    fn held_back(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.record.unfinished)
    }
}

impl HoldsBack for TlsStream<Wire> {
    fn held_back(&self) -> usize {
        self.get_ref().0.held_back()
    }
}

/// The record that is arriving.
#[derive(Debug, Default)]
struct Record {
    /// The bytes that have arrived, including the header.
    unfinished: usize,
    /// The length of the content. It is complete when the header is.
    content: usize,
}

impl Record {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.unfinished < RECORD_HEADER {
                if self.unfinished >= RECORD_HEADER - 2 {
                    self.content = (self.content << 8 | usize::from(*first)) & 0xffff;
                }
                self.unfinished += 1;
                bytes = rest;
            } else {
                let missing = RECORD_HEADER + self.content - self.unfinished;
                let taken = missing.min(bytes.len());
                self.unfinished += taken;
                bytes = &bytes[taken..];
            }
            if self.unfinished >= RECORD_HEADER && self.unfinished == RECORD_HEADER + self.content {
                *self = Record::default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_an_unfinished_record_are_counted_in_pieces_of_every_size() {
        let mut text = vec![22, 3, 3, 1, 2];
        text.extend([7; 258]);
        text.extend([23, 3, 3, 0, 0]);
        text.extend([23, 3, 3, 0, 9, 1, 2, 3]);
        for size in 1..text.len() {
            let mut record = Record::default();
            for piece in text.chunks(size) {
                record.feed(piece);
            }
            assert_eq!(record.unfinished, 8, "in pieces of {size}");
        }
        let mut record = Record::default();
        record.feed(&text[..text.len() - 8]);
        assert_eq!(record.unfinished, 0);
    }
}
