//! Access to the operations listener. On a loopback listener every request must use one of the listener's names; other
//! listeners accept any name. A request that changes something or reads about users needs the token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::api::ErrorCode;
use crate::http::ApiError;
use crate::http::strictness::authority;

/// The token of the operations API. Only its hash is kept in memory.
#[derive(Clone)]
pub struct BearerToken([u8; 32]);

impl BearerToken {
    /// Hashes the token's text.
    #[must_use]
    pub fn new(token: &str) -> BearerToken {
        BearerToken(Sha256::digest(token.as_bytes()).into())
    }

    /// Compares the whole hashes, so that the time of a wrong guess reveals neither its length nor its correct part.
    fn matches(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let difference = self
            .0
            .iter()
            .zip(presented)
            .fold(0_u8, |all, (ours, theirs)| all | (ours ^ theirs));
        difference == 0
    }

    /// Returns whether these headers carry the token.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let presented = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        presented.is_some_and(|presented| self.matches(presented))
    }
}

/// Passes on requests that carry the token. Refuses all others, and writes that come from a page of another site.
pub(super) async fn authorize(
    State(token): State<BearerToken>,
    request: Request,
    next: Next,
) -> Response {
    if !request.method().is_safe() && !is_same_origin(request.headers()) {
        let detail = "the Origin of this request is another site: a web page of another host may not \
                      operate this server";
        return ApiError::new(ErrorCode::OpsOrigin, detail).into_response();
    }
    if token.is_in(request.headers()) {
        return next.run(request).await;
    }
    let detail = "send the operations token as Authorization: Bearer …; it is in the \
                  file ops-token of the data directory";
    ApiError::new(ErrorCode::OpsUnauthorized, detail).into_response()
}

/// Returns whether the request comes from a page of this listener. Clients other than browsers send no Origin.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().unwrap_or_default();
    let from = origin.split_once("://").map(|(_, authority)| authority);
    let here = headers.get(HOST).and_then(|host| host.to_str().ok());
    from.is_some() && from == here
}

/// The host names that the listener answers to.
///
/// A listener on loopback answers only to loopback names and to the names of `--ops-host`. This stops a web page that
/// makes its own host name resolve to 127.0.0.1 (DNS rebinding), because the browser still sends that host name. Any
/// other listener answers to every name.
#[derive(Clone, Debug)]
pub struct Hosts {
    loopback: bool,
    more: Arc<[String]>,
}

impl Hosts {
    /// The names of a listener at `addr`, and the names in `more`.
    #[must_use]
    pub fn new(addr: SocketAddr, more: &[String]) -> Hosts {
        Hosts {
            loopback: addr.ip().is_loopback(),
            more: more.iter().map(|name| name.to_lowercase()).collect(),
        }
    }

    fn allow(&self, host: Option<&HeaderValue>) -> bool {
        // A browser always sends a Host, so a request without one does not come from a browser.
        let Some(host) = host.filter(|_| self.loopback) else {
            return true;
        };
        authority(host).is_some_and(|host| is_loopback(&host) || self.names(&host))
    }

    fn names(&self, host: &Authority) -> bool {
        let (name, all) = (host.host().to_lowercase(), host.as_str().to_lowercase());
        self.more.iter().any(|one| *one == name || *one == all)
    }
}

fn is_loopback(host: &Authority) -> bool {
    let name = host.host().trim_matches(['[', ']']);
    let address: Option<std::net::IpAddr> = name.parse().ok();
    match address {
        Some(address) => address.to_canonical().is_loopback(),
        None => name.eq_ignore_ascii_case("localhost"),
    }
}

/// Passes on requests whose Host is allowed ([`Hosts`]), and refuses all others.
pub(super) async fn check_host(
    State(hosts): State<Hosts>,
    request: Request,
    next: Next,
) -> Response {
    if hosts.allow(request.headers().get(HOST)) {
        return next.run(request).await;
    }
    let detail = "this listener is on loopback and answers to localhost, 127.0.0.1 and [::1] only; \
                  start it with --ops-host NAME to let it answer to another name";
    ApiError::new(ErrorCode::OpsHost, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_answers_to_loopback_names_and_those_it_was_given() {
        let hosts = Hosts::new(([127, 0, 0, 1], 8081).into(), &["Ops.Internal".to_owned()]);
        for (host, allowed) in [
            ("localhost:8081", true),
            ("LOCALHOST", true),
            ("127.0.0.1:1", true),
            ("127.8.9.1", true),
            ("[::1]:8081", true),
            ("[::ffff:127.0.0.1]", true),
            ("ops.internal:8081", true),
            ("attacker.example", false),
            ("127.0.0.1.attacker.example", false),
            ("localhost.attacker.example", false),
            ("10.0.0.1:8081", false),
            ("0.0.0.0", false),
        ] {
            let host = HeaderValue::from_static(host);
            assert_eq!(hosts.allow(Some(&host)), allowed, "{host:?}");
        }
        assert!(hosts.allow(None));
        let open = Hosts::new(([0, 0, 0, 0], 8081).into(), &[]);
        assert!(open.allow(Some(&HeaderValue::from_static("ops.example"))));
    }
}
