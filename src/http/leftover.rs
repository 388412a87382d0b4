//! What is left of a body when a request is refused before it was read.
//!
//! A connection that is closed with bytes unread is reset, and the reset may overtake the answer; one
//! that is closed without a word fails the client's next request on it (RFC 9112, section 9.6). So a
//! remainder within bounds is read and thrown away, and otherwise the answer says that the connection
//! ends with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

/// Bytes of a remainder that are worth keeping the connection for.
const MOST: usize = 256 * 1024;
/// How long a remainder is waited for.
const LONGEST: Duration = Duration::from_secs(1);

/// A body on loan to a handler: unfinished, it comes back when the handler drops it.
struct Lent {
    body: Body,
    back: Arc<Mutex<Option<Body>>>,
}

impl HttpBody for Lent {
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

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            *self.back.lock() = Some(std::mem::take(&mut self.body));
        }
    }
}

/// What may be left of a lent body.
pub(super) struct Leftover {
    back: Arc<Mutex<Option<Body>>>,
    /// The client sends its body only when it is read: then it is not to be asked for.
    unasked: bool,
}

/// Lends the body of `request` to whoever handles it. Without a body there is nothing to lend.
pub(super) fn lend(request: Request) -> (Request, Option<Leftover>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let back = Arc::new(Mutex::new(None));
    let leftover = Leftover {
        back: Arc::clone(&back),
        unasked: request.headers().contains_key(EXPECT),
    };
    let lent = |body| Body::new(Lent { body, back });
    (request.map(lent), Some(leftover))
}

impl Leftover {
    /// Reads what is left, within bounds. Gives whether the connection can be used again.
    pub(super) async fn discard(self) -> bool {
        let Some(mut rest) = self.back.lock().take() else {
            return true;
        };
        if self.unasked {
            return false;
        }
        let read = async {
            let mut bytes = 0;
            while let Some(frame) = rest.frame().await {
                let Ok(frame) = frame else { return false };
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > MOST {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(LONGEST, read).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Body) -> Request {
        Request::new(body)
    }

    #[tokio::test]
    async fn what_was_not_read_is_read_and_a_full_read_leaves_nothing() {
        let (lent, leftover) = lend(request(Body::from("unread")));
        drop(lent);
        assert!(leftover.unwrap().discard().await);
        let (lent, leftover) = lend(request(Body::from("read")));
        let bytes = axum::body::to_bytes(lent.into_body(), 10).await.unwrap();
        assert_eq!(&bytes[..], b"read");
        assert!(leftover.unwrap().discard().await);
        assert!(lend(request(Body::empty())).1.is_none());
    }

    #[tokio::test]
    async fn a_remainder_that_is_too_long_or_never_comes_ends_the_connection() {
        let (lent, leftover) = lend(request(Body::from(vec![0; MOST + 1])));
        drop(lent);
        assert!(!leftover.unwrap().discard().await);
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let (lent, leftover) = lend(request(Body::from_stream(never)));
        drop(lent);
        assert!(!leftover.unwrap().discard().await);
    }
}
