//! A message sent: one POST within a time-out, and the pauses between attempts.
//!
//! The address may hold a secret (Slack's does, in its path), so nothing here shows more of it than
//! scheme, host and port.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use super::Timing;
use super::tls::Tls;

/// Where messages are posted.
#[derive(Clone)]
pub struct Address(Url);

/// An address that cannot be used. It says why, and nothing of the address itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address that can be posted to: {0}")]
pub struct BadAddress(String);

impl Address {
    /// Reads `http://HOST:PORT/PATH`, or the same with `https`.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn parse(text: &str) -> Result<Address, BadAddress> {
        let bad = |reason: &str| BadAddress(reason.to_owned());
        let url = Url::parse(text.trim()).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("http:// or https:// is expected"));
        }
        match url.host_str() {
            Some(host) if !host.is_empty() => Ok(Address(url)),
            _ => Err(bad("the host is missing")),
        }
    }

    /// The address of `path` below this one.
    #[must_use]
    pub fn join(mut self, path: &str) -> Address {
        let base = self.0.path().trim_end_matches('/').to_owned();
        self.0.set_path(&format!("{base}/{path}"));
        self
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.0.scheme())?;
        match self.0.port() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/…")
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another attempt may succeed, after the pause that the receiver asked for.
    Passing {
        reason: String,
        after: Option<Duration>,
    },
    /// The message itself is refused.
    Refused { reason: String },
}

#[derive(Debug)]
pub(super) struct Poster {
    client: Client,
    /// For an address that wants it.
    tls: Option<Tls>,
    address: Address,
    timeout: Duration,
}

impl Poster {
    /// # Errors
    /// If no HTTP client can be made on this system, or none that the other side's certificate can be
    /// checked with.
    pub(super) fn new(address: Address, timing: Timing) -> Result<Poster, String> {
        let client = Client::builder()
            .timeout(timing.attempt)
            .connect_timeout(timing.attempt)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("concertctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        let tls = match address.0.scheme() {
            "https" => Some(Tls::of_the_system()?),
            _ => None,
        };
        Ok(Poster {
            client,
            tls,
            address,
            timeout: timing.attempt,
        })
    }

    /// One attempt. Of the answer only its head is read.
    pub(super) async fn post(&self, body: &Value) -> Result<(), Failure> {
        let request = self.client.post(self.address.0.clone()).json(body);
        let passing = |reason: String| Failure::Passing {
            reason: format!("{}: {reason}", self.address),
            after: None,
        };
        let answer = tokio::time::timeout(self.timeout, self.send(request));
        let (status, headers) = match answer.await {
            Err(_) => return Err(passing("no answer in time".to_owned())),
            Ok(Err(reason)) => return Err(passing(reason)),
            Ok(Ok(answer)) => answer,
        };
        if status.is_success() {
            return Ok(());
        }
        let reason = format!("{}: answered {status}", self.address);
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
        if !(status.is_server_error() || busy.contains(&status)) {
            return Err(Failure::Refused { reason });
        }
        let after = headers.get(reqwest::header::RETRY_AFTER);
        let after = after.and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
        Err(Failure::Passing { reason, after })
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, HeaderMap), String> {
        let of = |error: reqwest::Error| innermost(&error.without_url());
        let Some(tls) = &self.tls else {
            let answer = request.send().await.map_err(of)?;
            return Ok((answer.status(), answer.headers().clone()));
        };
        let request = request.build().map_err(of)?;
        let answer = tls.execute(request).await;
        answer.map_err(|error| innermost(error.as_ref()))
    }
}

/// The innermost cause says what happened ("connection refused"); the outer ones only where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    // A date that is over asks for no pause.
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// The pauses between attempts: they double, and no two servers keep the same ones.
#[derive(Debug)]
pub(super) struct Pause {
    timing: Timing,
    failures: u32,
}

impl Pause {
    pub(super) fn new(timing: Timing) -> Pause {
        Pause {
            timing,
            failures: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, not less than `asked`, and never longer than the longest pause.
    pub(super) async fn wait(&mut self, asked: Option<Duration>) {
        let pause = self.next(asked, rand::random_range(0.5..1.0));
        tokio::time::sleep(pause).await;
    }

    fn next(&mut self, asked: Option<Duration>, share: f64) -> Duration {
        let doubled = 2u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let longest = self.timing.most_pause;
        let pause = self.timing.least_pause.saturating_mul(doubled).min(longest);
        pause
            .mul_f64(share)
            .max(asked.unwrap_or_default())
            .min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_never_shows_its_secret() {
        let address = Address::parse("https://u:pw@hooks.example:8443/services/T0/B0/XXXX?k=v");
        let address = address.unwrap();
        assert_eq!(address.to_string(), "https://hooks.example:8443");
        assert_eq!(format!("{address:?}"), "https://hooks.example:8443/…");
        for bad in [
            "",
            "hunter2",
            "ftp://hunter2/x",
            "http://",
            "mailto:hunter2",
        ] {
            let error = Address::parse(bad).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let below = Address::parse("http://a:9093/am/")
            .unwrap()
            .join("api/v2/alerts");
        assert_eq!(below.0.as_str(), "http://a:9093/am/api/v2/alerts");
    }

    #[test]
    fn a_receiver_may_say_when_to_come_again() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |text| retry_after(text, now);
        assert_eq!(at(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            at("Thu, 01 Jan 2026 00:01:00 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(at("Wed, 31 Dec 2025 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(at("soon"), None);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_shorter_than_asked() {
        let mut pause = Pause::new(Timing::default());
        let ms = |pause: Duration| pause.as_millis();
        assert_eq!(ms(pause.next(None, 1.0)), 500);
        assert_eq!(ms(pause.next(None, 1.0)), 1000);
        assert_eq!(ms(pause.next(None, 0.5)), 1000);
        assert_eq!(ms(pause.next(Some(Duration::from_secs(30)), 0.5)), 30_000);
        for _ in 0..100 {
            pause.next(None, 1.0);
        }
        assert_eq!(ms(pause.next(None, 1.0)), 60_000);
        assert_eq!(
            ms(pause.next(Some(Duration::from_secs(1 << 40)), 1.0)),
            60_000
        );
        pause.reset();
        assert_eq!(ms(pause.next(None, 1.0)), 500);
    }
}
