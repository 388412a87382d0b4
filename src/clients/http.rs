//! One way of asking an HTTP source: a base address, a time-out, a bound on the answer's size.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;

/// How long a source may take to answer in all.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// Largest answer that is read, in bytes.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Longest part of a refusal that is shown to people, in characters.
const MAX_MESSAGE: usize = 300;

/// A text that is never shown: its `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`, without the white space around it (a token file usually ends in a newline).
    #[must_use]
    pub fn new(text: &str) -> Secret {
        Secret(text.trim().to_owned())
    }

    /// The text itself, for the wire only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a call gave nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// Connected (or trying to), but no full answer within the time-out.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The source understood and said no.
    #[error("refused ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The source's own words.
        message: String,
    },
    /// The answer is not what this API answers.
    #[error("unusable answer: {0}")]
    Malformed(String),
    /// The answer is larger than this client reads.
    #[error("answer larger than {} MiB", MAX_ANSWER / 1024 / 1024)]
    TooLarge,
}

/// A base address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an address to ask: {reason} (expected http://HOST:PORT)")]
pub struct BadUrl {
    given: String,
    reason: String,
}

/// One HTTP API at one base address.
#[derive(Clone, Debug)]
pub struct HttpSource {
    client: Client,
    base: Url,
    timeout: Duration,
}

impl HttpSource {
    /// An API at `base`: `http://HOST:PORT`, with or without a path, or plain `HOST:PORT`.
    ///
    /// # Errors
    /// [`BadUrl`] if it cannot be parsed or is not plain HTTP.
    pub fn new(base: &str) -> Result<HttpSource, BadUrl> {
        let bad = |reason: String| BadUrl {
            given: base.to_owned(),
            reason,
        };
        let text = if base.contains("://") {
            base.to_owned()
        } else {
            format!("http://{base}")
        };
        let mut url = Url::parse(&text).map_err(|error| bad(error.to_string()))?;
        if url.scheme() != "http" {
            return Err(bad(format!("the scheme {} is not supported", url.scheme())));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("the host is missing".into()));
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        // A proxy set for the browser must not stand between the console and its server.
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("concertctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| bad(chain(&error)))?;
        Ok(HttpSource {
            client,
            base: url,
            timeout: TIMEOUT,
        })
    }

    /// The same with another time-out.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> HttpSource {
        self.timeout = timeout;
        self
    }

    /// `host:port`, for people.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        format!("{host}:{}", self.base.port_or_known_default().unwrap_or(80))
    }

    /// The base address, ending in a slash.
    #[must_use]
    pub fn base(&self) -> &str {
        self.base.as_str()
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(super) fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// Sends, and reads the whole answer within the time-out and the size bound.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let answer = async {
            let mut response = request.send().await.map_err(|error| failure(&error))?;
            let status = response.status();
            if response
                .content_length()
                .is_some_and(|length| length > MAX_ANSWER as u64)
            {
                return Err(ClientError::TooLarge);
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(ClientError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok((status, body))
        };
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Err(ClientError::TimedOut(_))) | Err(_) => Err(ClientError::TimedOut(self.timeout)),
            Ok(answer) => answer,
        }
    }

    /// Sends and reads JSON; a status other than 2xx is a refusal in the source's own words.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let (status, body) = self.send(request).await?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        decode(&body)
    }
}

/// JSON of a known shape.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Malformed(error.to_string()))
}

/// What a refusing source says: a problem's detail, Prometheus's `error`, or the first line.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = json.as_ref().and_then(|value| match value {
        serde_json::Value::String(text) => Some(text.clone()),
        _ => ["detail", "error", "message", "title"]
            .iter()
            .find_map(|key| value.get(key)?.as_str())
            .map(str::to_owned),
    });
    let message = said.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        let first = text.lines().next().unwrap_or_default().trim().to_owned();
        if first.is_empty() {
            status
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_owned()
        } else {
            first
        }
    });
    ClientError::Refused {
        status: status.as_u16(),
        message: clean(&message),
    }
}

/// Control characters of a foreign text would reach the terminal: they become spaces.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_MESSAGE)
        .collect()
}

fn failure(error: &reqwest::Error) -> ClientError {
    if error.is_timeout() {
        ClientError::TimedOut(TIMEOUT)
    } else {
        ClientError::Unreachable(clean(&chain(error)))
    }
}

/// The innermost cause says what happened ("connection refused"); the outer ones only where.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_addresses_take_host_port_and_paths_and_name_what_is_wrong() {
        let base = |text| HttpSource::new(text).map(|source| source.base().to_owned());
        assert_eq!(base("127.0.0.1:8081"), Ok("http://127.0.0.1:8081/".into()));
        assert_eq!(
            base("http://prom:9090/prefix?x=1"),
            Ok("http://prom:9090/prefix/".into())
        );
        for wrong in [
            "https://prom:9090",
            "http://",
            "http://:9090",
            "ftp://x",
            "http://a:99999",
        ] {
            let error = base(wrong).expect_err(wrong).to_string();
            assert!(
                error.contains(wrong) && error.contains("http://HOST:PORT"),
                "{error}"
            );
        }
    }

    #[test]
    fn paths_are_joined_under_the_base() {
        let source = HttpSource::new("http://prom:9090/prefix").unwrap();
        assert_eq!(
            source.url("api/v1/query").as_str(),
            "http://prom:9090/prefix/api/v1/query"
        );
        assert_eq!(source.authority(), "prom:9090");
    }

    #[test]
    fn a_refusal_is_told_in_the_sources_own_words_without_control_characters() {
        let told = |body: &str| refusal(StatusCode::CONFLICT, body.as_bytes()).to_string();
        assert_eq!(
            told(r#"{"detail":"a dataset is there"}"#),
            "refused (409): a dataset is there"
        );
        assert_eq!(
            told(r#"{"status":"error","error":"bad \u001b[31m query"}"#),
            "refused (409): bad  [31m query"
        );
        assert_eq!(told(r#""plain""#), "refused (409): plain");
        assert_eq!(told("first\nsecond"), "refused (409): first");
        assert_eq!(told(""), "refused (409): Conflict");
    }

    #[test]
    fn a_secret_is_not_in_its_debug_text() {
        let secret = Secret::new("hunter2\n");
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter"));
    }
}
