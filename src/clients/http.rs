//! An HTTP source: a base address, a time-out, a bound on the size of answers.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::access::Access;
use super::response_meta::{ResponseMeta, now_ms};
pub use crate::http_client::without_password;
use crate::http_client::{self, AGENT};
use crate::tls;
use crate::yaml;

/// The default time-out of a request.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Bounds a connection attempt whose request has already been given up. No source has a longer time-out.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer that is read, in bytes.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The longest part of a refusal that is shown, in characters.
const MAX_MESSAGE: usize = 300;

/// The reason why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The connection failed or broke.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The certificate comes from an authority that this client does not trust.
    #[error("not reachable: {0}")]
    Untrusted(String),
    /// There was no complete answer within the time-out.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The source refused the request.
    #[error("refused ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The source's own message.
        message: String,
    },
    /// The answer does not have the format of this API.
    #[error("unusable answer: {0}")]
    Malformed(String),
    /// The answer is a web page: a proxy, a login page or another program uses that address.
    #[error("the address answers with a web page{}", titled(.0))]
    WebPage(String),
    /// The answer is larger than this client reads.
    #[error("answer larger than {} MiB", MAX_ANSWER / 1024 / 1024)]
    TooLarge,
}

/// An unusable base address. The message leaves out a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an address to ask: {reason} (expected http://HOST:PORT or https://HOST)")]
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
    access: Arc<Access>,
    response_meta: Arc<ResponseMeta>,
}

impl HttpSource {
    /// An API at `base`: `http://HOST:PORT` or `https://HOST`, with or without a path, or only `HOST:PORT`. A name
    /// and a password in it (`http://NAME:PASSWORD@HOST`) are sent as basic authentication and never shown.
    ///
    /// # Errors
    /// [`BadUrl`] if it cannot be parsed or is neither http nor https.
    pub fn new(base: &str) -> Result<HttpSource, BadUrl> {
        HttpSource::with_access(base, Access::default())
    }

    /// Like [`HttpSource::new`]. Each request carries the headers of `access`.
    ///
    /// # Errors
    /// [`BadUrl`], also for https without trusted certificates.
    pub fn with_access(base: &str, mut access: Access) -> Result<HttpSource, BadUrl> {
        let bad = |reason: String| BadUrl {
            given: without_password(base),
            reason,
        };
        let mut url = parse(base).map_err(bad)?;
        if !url.username().is_empty() || url.password().is_some() {
            let password = url.password().unwrap_or_default();
            access.basic(url.username(), password).map_err(bad)?;
            let cannot = |()| bad("it cannot carry a user name".into());
            url.set_username("").map_err(cannot)?;
            url.set_password(None).map_err(cannot)?;
        }
        let builder = match url.scheme() {
            "https" => http_client::builder_for(&access.trust).map_err(bad)?,
            _ => http_client::builder(),
        };
        // A redirect to another host must not carry the credentials to it.
        let client = builder
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(AGENT)
            .build()
            .map_err(|error| bad(reason(&error)))?;
        Ok(HttpSource {
            client,
            base: url,
            timeout: TIMEOUT,
            access: Arc::new(access),
            response_meta: Arc::default(),
        })
    }

    /// Changes the time-out.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> HttpSource {
        self.timeout = timeout;
        self
    }

    /// Returns whether a server answers there within the time-out, with any status.
    pub async fn answers(&self, path: &str) -> bool {
        self.send(self.get(path)).await.is_ok()
    }

    /// `host:port`, for people.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        format!("{host}:{}", self.base.port_or_known_default().unwrap_or(80))
    }

    /// The metadata of the latest answers.
    #[must_use]
    pub fn response_meta(&self) -> &Arc<ResponseMeta> {
        &self.response_meta
    }

    /// Returns whether both have the same scheme, host and port.
    #[must_use]
    pub fn same_place(&self, other: &HttpSource) -> bool {
        self.base.origin() == other.base.origin()
    }

    /// The base address, ending in a slash, without user name and password.
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

    /// Sends a request and reads the whole answer within the time-out and the size limit.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let (status, _, body) = self.send_encoded(request).await?;
        Ok((status, body))
    }

    /// Like `send`, and also returns the encoding of the body, such as `gzip`, if it has one.
    async fn send_encoded(
        &self,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Option<String>, Vec<u8>), ClientError> {
        let answer = async {
            let mut response = self.execute(request).await?;
            let status = response.status();
            if let Some(to) = response.headers().get(LOCATION)
                && status.is_redirection()
            {
                return Err(elsewhere(status, to));
            }
            if response
                .content_length()
                .is_some_and(|length| length > MAX_ANSWER as u64)
            {
                return Err(ClientError::TooLarge);
            }
            let encoding = response.headers().get(CONTENT_ENCODING);
            let encoding =
                encoding.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
            let encoding = encoding.filter(|name| !name.eq_ignore_ascii_case("identity"));
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(ClientError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok((status, encoding, body))
        };
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Err(ClientError::TimedOut(_))) | Err(_) => Err(ClientError::TimedOut(self.timeout)),
            Ok(answer) => answer,
        }
    }

    /// Sends a request with the source's headers and waits for the head of the answer.
    async fn execute(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let mut request = request.build().map_err(|error| failure(&error))?;
        self.access.apply(request.headers_mut());
        let asked = now_ms();
        let answer = self.client.execute(request).await;
        let response = answer.map_err(|error| failure(&error))?;
        self.response_meta
            .note(response.status(), response.headers(), asked, now_ms());
        Ok(response)
    }

    /// Sends a request and returns the body of the answer. A status other than 2xx is a refusal with the source's own
    /// message.
    pub(super) async fn accepted(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let (status, encoding, body) = self.send_encoded(request).await?;
        match (status.is_success(), encoding) {
            (true, None) => Ok(body),
            (false, None) => Err(refusal(status, &body)),
            (true, Some(encoding)) => Err(ClientError::Malformed(compressed(&encoding))),
            (false, Some(encoding)) => Err(ClientError::Refused {
                status: status.as_u16(),
                message: compressed(&encoding),
            }),
        }
    }

    /// Sends a request and parses the answer as JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        decode(&self.accepted(request).await?)
    }
}

fn parse(base: &str) -> Result<Url, String> {
    let text = if base.contains("://") {
        base.to_owned()
    } else {
        format!("http://{base}")
    };
    let mut url = Url::parse(&text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {} is not supported", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the host is missing".into());
    }
    url.set_query(None);
    url.set_fragment(None);
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// A redirect is not followed, because the credentials belong to the given address.
fn elsewhere(status: StatusCode, to: &HeaderValue) -> ClientError {
    let to = without_password(&String::from_utf8_lossy(to.as_bytes()));
    ClientError::Refused {
        status: status.as_u16(),
        message: clean(&format!("it sends on to {to}; give that address")),
    }
}

/// The explanation of a compressed answer. This client asks for none, so a proxy compresses without being asked.
fn compressed(encoding: &str) -> String {
    clean(&format!(
        "it is compressed ({encoding}), which was not asked for: turn that off in the proxy at this address"
    ))
}

/// JSON of a known shape, also after a byte order mark.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(text).map_err(|error| match web_page(body) {
        Some(title) => ClientError::WebPage(title),
        None if body.starts_with(b"\x1f\x8b") => ClientError::Malformed(compressed("gzip")),
        None => ClientError::Malformed(clean(&mistake::<T>(text, &error))),
    })
}

/// The mistake in an answer that is empty, is not JSON, or is JSON of another shape.
fn mistake<T: DeserializeOwned>(text: &[u8], error: &serde_json::Error) -> String {
    /// The number of bytes of an answer that show what it is.
    const BEGINNING: usize = 40;
    if text.trim_ascii().is_empty() {
        return "it is empty".to_owned();
    }
    let beginning = String::from_utf8_lossy(&text[..text.len().min(BEGINNING)]);
    match error.classify() {
        Category::Eof => "it ends too early".to_owned(),
        Category::Syntax | Category::Io => format!("it is not JSON, it begins with {beginning:?}"),
        // Only this parser notes the field, which costs time.
        Category::Data => match yaml::from_json::<T>(text) {
            Err(error) => error.to_string(),
            Ok(_) => yaml::of_json(error),
        },
    }
}

fn titled(title: &str) -> String {
    match title {
        "" => String::new(),
        title => format!(" ({title})"),
    }
}

/// The number of bytes of a page that are searched for its title.
const HEAD: usize = 4_096;

/// The title of an HTML body, empty if it has none. `None` if the body is not HTML.
fn web_page(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD)]);
    // Only ASCII letters are changed, so positions are the same in both texts.
    let lower = head.to_ascii_lowercase();
    let begin = lower.trim_start_matches('\u{feff}').trim_start();
    if !begin.starts_with("<!doctype html") && !begin.starts_with("<html") {
        return None;
    }
    let title = lower.find("<title>").and_then(|at| {
        let from = at + "<title>".len();
        let length = lower.get(from..)?.find('<')?;
        head.get(from..from + length)
    });
    Some(clean(title.unwrap_or_default().trim()))
}

/// The source's own message: the detail of a problem document, Prometheus's `error`, or the first line.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let json: Option<serde_json::Value> = decode(body).ok();
    let own = json.as_ref().and_then(|value| match value {
        serde_json::Value::String(text) => Some(text.clone()),
        _ => ["detail", "error", "message", "title"]
            .iter()
            .find_map(|key| value.get(key)?.as_str())
            .map(str::to_owned),
    });
    let message = own.unwrap_or_else(|| {
        if let Some(title) = web_page(body) {
            return format!("a web page{}", titled(&title));
        }
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

/// Replaces the control characters of a text from elsewhere, which could change the terminal, and limits the length. A
/// text that is cut ends in `…`.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String = chars.by_ref().take(MAX_MESSAGE).collect();
    if chars.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

fn failure(error: &reqwest::Error) -> ClientError {
    if error.is_timeout() {
        ClientError::TimedOut(TIMEOUT)
    } else if tls::client::is_distrust(error) {
        ClientError::Untrusted(clean(&reason(error)))
    } else {
        ClientError::Unreachable(clean(&reason(error)))
    }
}

/// The cause of a failure without the error number of the operating system.
fn reason(error: &reqwest::Error) -> String {
    let text = http_client::cause(error);
    if let Some(why) = text.strip_prefix("failed to lookup address information: ") {
        return format!("no address is known for this host: {}", why.to_lowercase());
    }
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
pub(in crate::clients) mod tests;
