//! Builds the requests of the ticketing API with little work per request: constant parts are made once, and each
//! request writes the rest into one buffer.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::connection::Outgoing;
use super::model::{Operation, TraceIds};
use crate::api::{IDEMPOTENCY_KEY, WAIT_TOKEN};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const WAIT: HeaderName = HeaderName::from_static(WAIT_TOKEN);
const IDEMPOTENCY: HeaderName = HeaderName::from_static(IDEMPOTENCY_KEY);

/// Builds requests from the parts that all requests of a run share.
#[derive(Debug)]
pub(super) struct RequestBuilder {
    host: HeaderValue,
    json: HeaderValue,
    queue: Uri,
    concerts: Uri,
    dates: Uri,
    concert: i64,
}

impl RequestBuilder {
    /// A builder for the API at `authority` (host and port) and the concert on sale.
    ///
    /// # Errors
    /// The authority is not valid in a `Host` header.
    pub(super) fn new(
        authority: &str,
        concert: i64,
    ) -> Result<RequestBuilder, http::header::InvalidHeaderValue> {
        Ok(RequestBuilder {
            host: HeaderValue::from_str(authority)?,
            json: HeaderValue::from_static("application/json"),
            queue: Uri::from_static("/queue"),
            concerts: Uri::from_static("/concerts"),
            dates: uri(format_args!("/concerts/{concert}/performanceDates")),
            concert,
        })
    }

    fn request(&self, method: Method, uri: Uri, body: Bytes) -> Outgoing {
        let has_body = !body.is_empty();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if has_body {
            headers.insert(CONTENT_TYPE, self.json.clone());
        }
        request
    }

    /// The request of any call, with any token and any user's id.
    pub(super) fn build(&self, call: &Call<'_>) -> Outgoing {
        let nothing = Bytes::new;
        let user = call.user;
        let mut request = match call.operation {
            Operation::Register => {
                let body = text(format_args!("{{\"userId\":{user}}}"));
                self.request(Method::POST, self.queue.clone(), body)
            }
            Operation::Poll => self.request(Method::GET, self.queue.clone(), nothing()),
            Operation::Dates => self.request(Method::GET, self.dates.clone(), nothing()),
            Operation::Concerts => self.request(Method::GET, self.concerts.clone(), nothing()),
            Operation::Account => {
                let uri = uri(format_args!("/accounts/{user}"));
                self.request(Method::GET, uri, nothing())
            }
            Operation::Seats => {
                let (concert, date) = (self.concert, call.date);
                let uri = uri(format_args!(
                    "/concerts/{concert}/performanceDates/{date}/seats"
                ));
                self.request(Method::GET, uri, nothing())
            }
            Operation::Reserve => {
                let body = self.reservation(user, call.date, call.seat);
                let uri = Uri::from_static("/reservations");
                self.request(Method::POST, uri, body)
            }
            Operation::Charge => {
                let body = text(format_args!("{{\"amount\":{}}}", call.amount));
                let uri = uri(format_args!("/accounts/{user}/charge"));
                self.request(Method::POST, uri, body)
            }
            Operation::Pay => {
                let reservation = call.reservation;
                let uri = uri(format_args!("/users/{user}/reservations/{reservation}/pay"));
                self.request(Method::POST, uri, nothing())
            }
            Operation::Cancel => {
                let uri = uri(format_args!("/reservations/{}", call.reservation));
                self.request(Method::DELETE, uri, nothing())
            }
        };
        let headers = request.headers_mut();
        if let Some(token) = call.token {
            headers.insert(WAIT, token.clone());
        }
        if let Some(key) = call.key {
            headers.insert(IDEMPOTENCY, key.clone());
        }
        request
    }

    fn reservation(&self, user: i64, date: i64, seat: i64) -> Bytes {
        text(format_args!(
            "{{\"concertId\":{},\"performanceDateId\":{date},\"seatId\":{seat},\"userId\":{user}}}",
            self.concert
        ))
    }

    pub(super) fn register(&self, user: i64, key: &HeaderValue) -> Outgoing {
        let call = Call {
            user,
            key: Some(key),
            ..Call::of(Operation::Register)
        };
        self.build(&call)
    }

    pub(super) fn poll(&self, token: &HeaderValue) -> Outgoing {
        self.build(&Call::with(Operation::Poll, token))
    }

    pub(super) fn dates(&self, token: &HeaderValue) -> Outgoing {
        self.build(&Call::with(Operation::Dates, token))
    }

    pub(super) fn seats(&self, date: i64, token: &HeaderValue) -> Outgoing {
        let call = Call {
            date,
            ..Call::with(Operation::Seats, token)
        };
        self.build(&call)
    }

    pub(super) fn reserve(
        &self,
        user: i64,
        date: i64,
        seat: i64,
        headers: &WriteHeaders<'_>,
    ) -> Outgoing {
        let call = Call {
            user,
            date,
            seat,
            ..Call::signed(Operation::Reserve, headers)
        };
        self.build(&call)
    }

    pub(super) fn charge(&self, user: i64, amount: i64, headers: &WriteHeaders<'_>) -> Outgoing {
        let call = Call {
            user,
            amount,
            ..Call::signed(Operation::Charge, headers)
        };
        self.build(&call)
    }

    pub(super) fn pay(&self, user: i64, reservation: i64, headers: &WriteHeaders<'_>) -> Outgoing {
        let call = Call {
            user,
            reservation,
            ..Call::signed(Operation::Pay, headers)
        };
        self.build(&call)
    }

    pub(super) fn cancel(&self, reservation: i64, token: &HeaderValue) -> Outgoing {
        let call = Call {
            reservation,
            ..Call::with(Operation::Cancel, token)
        };
        self.build(&call)
    }
}

/// A call of the API. An operation ignores the fields that it does not need.
pub(super) struct Call<'a> {
    pub operation: Operation,
    /// The user's id in path or body.
    pub user: i64,
    pub token: Option<&'a HeaderValue>,
    pub key: Option<&'a HeaderValue>,
    pub date: i64,
    pub seat: i64,
    pub reservation: i64,
    pub amount: i64,
}

impl<'a> Call<'a> {
    fn of(operation: Operation) -> Call<'a> {
        Call {
            operation,
            user: 0,
            token: None,
            key: None,
            date: 0,
            seat: 0,
            reservation: 0,
            amount: 0,
        }
    }

    fn with(operation: Operation, token: &'a HeaderValue) -> Call<'a> {
        Call {
            token: Some(token),
            ..Call::of(operation)
        }
    }

    fn signed(operation: Operation, headers: &WriteHeaders<'a>) -> Call<'a> {
        Call {
            key: Some(headers.key),
            ..Call::with(operation, headers.token)
        }
    }
}

/// The idempotency key of a request, if it has one.
pub(super) fn key_of(request: &Outgoing) -> Option<String> {
    let key = request.headers().get(IDEMPOTENCY)?.to_str().ok()?;
    Some(key.to_owned())
}

/// The headers of a write: the Wait-Token, and the idempotency key that allows a retry.
pub(super) struct WriteHeaders<'a> {
    pub token: &'a HeaderValue,
    pub key: &'a HeaderValue,
}

fn text(what: std::fmt::Arguments<'_>) -> Bytes {
    use std::fmt::Write as _;
    let mut buffer = BytesMut::with_capacity(96);
    buffer
        .write_fmt(what)
        .expect("a buffer that grows takes all text");
    buffer.freeze()
}

fn uri(what: std::fmt::Arguments<'_>) -> Uri {
    let path = PathAndQuery::from_maybe_shared(text(what))
        .expect("paths here are letters, digits and slashes");
    Uri::from(path)
}

/// Gives `request` a new sampled trace, <https://www.w3.org/TR/trace-context/#traceparent-header>.
pub(super) fn trace(request: &mut Outgoing, rng: &mut SmallRng) -> TraceIds {
    let ids = TraceIds {
        trace_id: rng.random::<u128>() | 1,
        span_id: rng.random::<u64>() | 1,
    };
    request.headers_mut().insert(TRACEPARENT, traceparent(ids));
    ids
}

fn traceparent(ids: TraceIds) -> HeaderValue {
    let mut buffer = BytesMut::with_capacity(55);
    buffer.put_slice(b"00-");
    hex(ids.trace_id, 32, &mut buffer);
    buffer.put_u8(b'-');
    hex(u128::from(ids.span_id), 16, &mut buffer);
    buffer.put_slice(b"-01");
    header(buffer)
}

/// A key that no other request of any run has.
pub(super) fn idempotency_key(rng: &mut SmallRng) -> HeaderValue {
    let mut buffer = BytesMut::with_capacity(32);
    hex(rng.random::<u128>(), 32, &mut buffer);
    header(buffer)
}

fn hex(value: u128, digits: u32, into: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for at in (0..digits).rev() {
        into.put_u8(DIGITS[(value >> (4 * at)) as usize & 0xf]);
    }
}

fn header(buffer: BytesMut) -> HeaderValue {
    HeaderValue::from_maybe_shared(buffer.freeze())
        .expect("hexadecimal digits and dashes are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn a_traceparent_has_the_form_the_standard_asks_for() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut request = Request::new(Full::new(Bytes::new()));
        let ids = trace(&mut request, &mut rng);
        let text = request.headers()[TRACEPARENT].clone();
        let parts: Vec<&str> = text.to_str().unwrap().split('-').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [2, 32, 16, 2]
        );
        assert!(
            parts
                .iter()
                .all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
        );
        assert_eq!(parts[1], format!("{:032x}", ids.trace_id));
        assert_eq!(parts[2], format!("{:016x}", ids.span_id));
        assert_ne!(trace(&mut request, &mut rng), ids);
    }

    #[test]
    fn a_reservation_is_the_request_that_the_api_describes() {
        let requests = RequestBuilder::new("127.0.0.1:80", 1).unwrap();
        let (token, key) = (HeaderValue::from_static("t"), HeaderValue::from_static("k"));
        let headers = WriteHeaders {
            token: &token,
            key: &key,
        };
        let request = requests.reserve(7, 2, 501, &headers);
        assert_eq!(
            (request.method(), request.uri().path()),
            (&Method::POST, "/reservations")
        );
        assert_eq!(request.headers()["wait-token"], "t");
        assert_eq!(request.headers()["idempotency-key"], "k");
        assert_eq!(request.headers()["content-type"], "application/json");
        let pay = requests.pay(7, 9, &headers);
        assert_eq!(pay.uri().path(), "/users/7/reservations/9/pay");
    }
}
