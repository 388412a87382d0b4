//! Receives the whole body of a request on every route before anything else is done. A body that exceeds its limit of
//! size or time is refused, and the answer names the limit. Until the body is complete, the connection may be evicted
//! (`connections`), because the request has had no effect.
//!
//! A connection that is closed with unread bytes is reset, and the reset may overtake the answer (RFC 9112, section
//! 9.6). So a body that is too large is drained: the server reads it to its end, within bounds, and discards it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use super::ApiError;
use super::connections::Receiving;
use crate::api::ErrorCode;

/// The largest number of bytes beyond the limit that are drained to keep the connection.
const DRAIN_BYTES: u64 = 256 * 1024;

/// The reason why a body is refused, and whether its connection must end with the answer.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: ApiError,
    pub(super) close: bool,
}

/// Receives the body of `request`: at most `limit` bytes in at most `within`.
pub(super) async fn receive(
    mut request: Request,
    limit: usize,
    within: Duration,
) -> Result<Request, Refused> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let announced = request.body().size_hint().lower();
    let most = limit as u64 + DRAIN_BYTES;
    // A client that sent Expect: 100-continue gets the refusal before it sends the body. A body larger than the drain
    // is not read at all.
    let asks = request.headers().contains_key(EXPECT) && announced > limit as u64;
    if asks || announced > most {
        return Err(too_large(limit, true));
    }
    let receiving = request.extensions_mut().remove::<Receiving>();
    let (parts, body) = request.into_parts();
    let read = read(body, limit, most, receiving.as_ref());
    let received = tokio::time::timeout(within, read).await;
    if receiving.is_some_and(|receiving| !receiving.complete()) {
        // The task of the evicted connection ends, and this future with it.
        return std::future::pending().await;
    }
    match received {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(refused)) => Err(refused),
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", within.as_secs_f64());
            Err(Refused {
                error: ApiError::new(ErrorCode::RequestTimeout, detail),
                close: true,
            })
        }
    }
}

async fn read(
    mut body: Body,
    limit: usize,
    most: u64,
    receiving: Option<&Receiving>,
) -> Result<Bytes, Refused> {
    let (mut bytes, mut length) = (BytesMut::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refused {
            error: ApiError::new(ErrorCode::RequestMalformed, "the body could not be read"),
            close: true,
        })?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len() as u64;
        if length > most {
            return Err(too_large(limit, true));
        }
        if length <= limit as u64 {
            bytes.extend_from_slice(data);
            if let Some(receiving) = receiving {
                receiving.arrived(bytes.len());
            }
        }
    }
    match length > limit as u64 {
        true => Err(too_large(limit, false)),
        false => Ok(bytes.freeze()),
    }
}

fn too_large(limit: usize, close: bool) -> Refused {
    let detail = format!("a body has at most {limit} bytes");
    Refused {
        error: ApiError::new(ErrorCode::RequestTooLarge, detail),
        close,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 10;

    async fn outcome(body: Body, within: Duration) -> Result<Bytes, (ErrorCode, bool)> {
        match receive(Request::new(body), LIMIT, within).await {
            Ok(request) => Ok(axum::body::to_bytes(request.into_body(), LIMIT)
                .await
                .unwrap()),
            Err(refused) => Err((refused.error.code, refused.close)),
        }
    }

    #[tokio::test]
    async fn a_body_within_its_bounds_arrives_whole() {
        let long = Duration::from_secs(60);
        assert_eq!(
            outcome(Body::from("0123456789"), long).await.unwrap(),
            "0123456789"
        );
        let parts = ["01", "23"].map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        let parts = Body::from_stream(futures_util::stream::iter(parts));
        assert_eq!(outcome(parts, long).await.unwrap(), "0123");
        assert_eq!(outcome(Body::empty(), long).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_beyond_a_bound_says_which_and_ends_the_connection_when_it_must() {
        let long = Duration::from_secs(60);
        let large = outcome(Body::from("0123456789x"), long).await;
        assert_eq!(large.unwrap_err(), (ErrorCode::RequestTooLarge, false));
        let vast = Body::from(vec![0; LIMIT + DRAIN_BYTES as usize + 1]);
        let vast = outcome(vast, long).await;
        assert_eq!(vast.unwrap_err(), (ErrorCode::RequestTooLarge, true));
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let late = outcome(Body::from_stream(never), Duration::from_millis(10)).await;
        assert_eq!(late.unwrap_err(), (ErrorCode::RequestTimeout, true));
    }
}
