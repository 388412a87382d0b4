//! Checks that HTTP leaves to the server. A request that two servers could read differently is refused, and its
//! connection is closed (RFC 9112, sections 3.2, 6.3 and 11.2).

use axum::extract::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::ApiError;
use super::listener::BadFraming;
use crate::api::{ErrorCode, IDEMPOTENCY_KEY, WAIT_TOKEN};

/// Headers that decide who asks, for what, and whether a write is a repeat. Of two of them, a proxy could read the
/// other one.
static ONCE: [HeaderName; 4] = [
    HeaderName::from_static(WAIT_TOKEN),
    HeaderName::from_static(IDEMPOTENCY_KEY),
    AUTHORIZATION,
    CONTENT_TYPE,
];

/// The reason to refuse `request` before a route handles it.
pub(super) fn refusal(request: &Request) -> Option<ApiError> {
    let malformed = |detail: &str| Some(ApiError::new(ErrorCode::RequestMalformed, detail));
    if let Some(BadFraming(why)) = request.extensions().get() {
        return malformed(why);
    }
    let host = match host(request.headers(), request.version()) {
        Ok(host) => host,
        Err(why) => return malformed(why),
    };
    if let Some(target) = request.uri().authority()
        && host.as_ref() != Some(target)
    {
        return malformed("the target names another host than the Host header: send the same");
    }
    if let Some(name) = ONCE
        .iter()
        .find(|name| is_repeated(request.headers(), name))
    {
        return malformed(&format!("{name} is given more than once: send it once"));
    }
    let mut expected = request.headers().get_all(EXPECT).iter();
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !expected.all(known) {
        let detail = "send no Expect other than 100-continue: the server supports no other";
        return Some(ApiError::new(ErrorCode::RequestExpectation, detail));
    }
    None
}

fn is_repeated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// The host that a request names. `None` for HTTP/1.0 without a `Host`.
fn host(headers: &HeaderMap, version: Version) -> Result<Option<Authority>, &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, _) if version < Version::HTTP_11 => return Ok(None),
        (None, _) => return Err("the Host header is missing"),
        (Some(_), Some(_)) => return Err("the Host header is given more than once"),
    };
    authority(host)
        .map(Some)
        .ok_or("the Host header is not HOST or HOST:PORT")
}

/// Parses `HOST` or `HOST:PORT`. A user part is not allowed.
pub(super) fn authority(value: &HeaderValue) -> Option<Authority> {
    let authority: Authority = value.to_str().ok()?.parse().ok()?;
    let rest = authority.as_str().strip_prefix(authority.host())?;
    let port_fits = match rest.strip_prefix(':') {
        None => rest.is_empty(),
        Some("") => true,
        Some(port) => port.parse::<u16>().is_ok() && !port.starts_with('+'),
    };
    // This is narrower than RFC 3986: two servers could read a comma or a percent sign as different hosts.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let name = authority.host();
    let name_fits = name.starts_with('[') || (!name.is_empty() && name.bytes().all(plain));
    (port_fits && name_fits).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (text, fits) in [
            ("localhost", true),
            ("a.example:8080", true),
            ("[::1]:8080", true),
            ("127.0.0.1:", true),
            ("", false),
            (":80", false),
            ("a b", false),
            ("user@a", false),
            ("a:99999", false),
            ("a:+1", false),
            ("a:b", false),
            ("a/b", false),
            ("a,b", false),
            ("a%20b", false),
            ("[::1", false),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(authority(&value).is_some(), fits, "{text:?}");
        }
    }
}
