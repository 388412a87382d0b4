//! Cross-origin requests (CORS): pages of the origins that the operator named may call the ticketing API. The
//! operations listener never uses it.

use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// The time for which a browser may cache the answer to a preflight.
const MAX_AGE: Duration = Duration::from_secs(600);

/// An origin whose pages may call the API: `https://shop.example`, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Origin, String> {
        let wrong = || {
            "write an origin such as https://shop.example or http://localhost:3000, without a path, or * for all"
                .to_owned()
        };
        if text == "*" {
            return Ok(Origin(HeaderValue::from_static("*")));
        }
        if text.contains('*') {
            return Err(
                "browsers send a whole origin, so a wildcard matches none: name each origin, or write * for all"
                    .to_owned(),
            );
        }
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let default_port = match uri.scheme_str() {
            Some("http") => ":80",
            Some("https") => ":443",
            _ => return Err(wrong()),
        };
        let host = uri.authority().map_or("", |authority| authority.as_str());
        // Browsers send only scheme and host, in lower case.
        let bare = uri.scheme_str().map(|scheme| format!("{scheme}://{host}"));
        let plain = !host.is_empty() && !host.contains('@') && text == text.to_lowercase();
        if !plain || bare.as_deref() != Some(text) {
            return Err(wrong());
        }
        // Browsers leave out the default port of the scheme.
        let sent = text.strip_suffix(default_port).unwrap_or(text);
        sent.parse().map(Origin).map_err(|_| wrong())
    }
}

/// Allows pages of these origins to call `router`.
///
/// The layer is outermost. So pages can read every refusal, and a browser's preflight, which carries no token, is
/// answered before a token is required.
pub fn allow(router: Router, origins: &[Origin]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let allowed = match origins.iter().any(|origin| origin.0 == "*") {
        true => AllowOrigin::from(Any),
        false => AllowOrigin::list(origins.iter().map(|origin| origin.0.clone())),
    };
    let sent = ["wait-token", "idempotency-key", "traceparent"];
    let sent = sent.map(HeaderName::from_static);
    let read = ["wait-token", "x-trace-id"].map(HeaderName::from_static);
    router.layer(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers(
                sent.into_iter()
                    .chain([header::CONTENT_TYPE])
                    .collect::<Vec<_>>(),
            )
            .expose_headers(
                read.into_iter()
                    .chain([header::RETRY_AFTER])
                    .collect::<Vec<_>>(),
            )
            .max_age(MAX_AGE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in [
            "*",
            "https://shop.example",
            "http://localhost:3000",
            "http://[::1]:8000",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "shop.example",
            "https://shop.example/",
            "https://Shop.example",
            "ftp://a",
            "https://u@a",
            "null",
        ] {
            let error = bad.parse::<Origin>().unwrap_err();
            assert!(error.contains("https://shop.example"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_or_corrected() {
        for wildcard in ["https://*.example", "https://*", "http://shop.*:80", "**"] {
            let error = wildcard.parse::<Origin>().unwrap_err();
            assert!(
                error.contains("a wildcard matches none: name each origin"),
                "{wildcard}: {error}"
            );
        }
        for (given, sent) in [
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:80", "http://shop.example"),
            ("http://[::1]:80", "http://[::1]"),
            ("https://shop.example:80", "https://shop.example:80"),
            ("http://shop.example:8080", "http://shop.example:8080"),
        ] {
            assert_eq!(given.parse::<Origin>().unwrap().0, sent, "{given}");
        }
    }
}
