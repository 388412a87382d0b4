//! Sends messages: one POST with a time-out, and pauses between attempts.
//!
//! The address may contain a secret (Slack's does, in its path). So this module shows only its scheme, host and port.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use super::Timing;
use crate::backoff::Backoff;
use crate::http_client::{self, AGENT, cause, retry_after};
use crate::tls::Trust;

/// The address that messages are posted to.
#[derive(Clone)]
pub struct Address(Url);

/// An address that cannot be used. The message gives the reason without the address.
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
        let expected = "write http://HOST:PORT/PATH, or the same with https";
        let url = Url::parse(text.trim()).map_err(|_| bad(expected))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(expected));
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

/// The reason why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another attempt may succeed, after the pause that the receiver asked for, if it did.
    Passing {
        reason: String,
        after: Option<Duration>,
    },
    /// The receiver refuses the message itself.
    Refused { reason: String },
}

#[derive(Debug)]
pub(super) struct Poster {
    client: Client,
    address: Address,
}

impl Poster {
    /// # Errors
    /// The reason why messages cannot be sent: no HTTP client, or no trusted certificates.
    pub(super) fn new(address: Address, trust: &Trust, timing: Timing) -> Result<Poster, String> {
        let builder = match address.0.scheme() {
            "https" => http_client::builder_for(trust)?,
            _ => http_client::builder(),
        };
        let client = builder
            .timeout(timing.attempt)
            .connect_timeout(timing.attempt)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(AGENT)
            .build()
            .map_err(|error| cause(&error))?;
        Ok(Poster { client, address })
    }

    /// Makes one attempt. It reads only the head of the answer.
    pub(super) async fn post(&self, body: &Value) -> Result<(), Failure> {
        let request = self.client.post(self.address.0.clone()).json(body);
        let passing = |reason: String| Failure::Passing {
            reason: format!("{}: {reason}", self.address),
            after: None,
        };
        let answer = request.send().await.map_err(|error| {
            passing(match error.is_timeout() {
                true => "no answer in time".to_owned(),
                false => cause(&error.without_url()),
            })
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = format!("{}: answered {status}", self.address);
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
        if !(status.is_server_error() || busy.contains(&status)) {
            return Err(Failure::Refused { reason });
        }
        let after = retry_after(answer.headers(), Timestamp::now());
        Err(Failure::Passing { reason, after })
    }
}

/// The pauses between attempts. They double, with jitter, so that servers do not retry together.
#[derive(Debug)]
pub(super) struct Pause(Backoff);

impl Pause {
    pub(super) fn new(timing: Timing) -> Pause {
        Pause(Backoff::new(timing.least_pause, timing.most_pause))
    }

    pub(super) fn reset(&mut self) {
        self.0.reset();
    }

    /// Waits before the next attempt: at least `asked`, and at most the longest pause.
    pub(super) async fn wait(&mut self, asked: Option<Duration>) {
        let pause = self.next(asked, rand::random_range(0.5..1.0));
        tokio::time::sleep(pause).await;
    }

    fn next(&mut self, asked: Option<Duration>, share: f64) -> Duration {
        let pause = self.0.next(share).max(asked.unwrap_or_default());
        pause.min(self.0.longest())
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
            assert!(!error.to_string().contains("relative URL"), "{error}");
        }
        let below = Address::parse("http://a:9093/am/")
            .unwrap()
            .join("api/v2/alerts");
        assert_eq!(below.0.as_str(), "http://a:9093/am/api/v2/alerts");
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
