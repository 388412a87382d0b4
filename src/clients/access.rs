//! The headers, the credentials and the trusted certificates for each source. The credentials of one source are never
//! sent to another.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::secret::Secret;
use crate::tls::Trust;

/// A source. [`Api::name`] is its name in flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// The operations listener.
    Ops,
    /// Metrics.
    Prometheus,
    /// Logs.
    Loki,
    /// Traces.
    Tempo,
    /// Alerts.
    Alertmanager,
}

impl Api {
    /// All sources.
    pub const ALL: [Api; 5] = [
        Api::Ops,
        Api::Prometheus,
        Api::Loki,
        Api::Tempo,
        Api::Alertmanager,
    ];

    /// The name in flags: `prometheus`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Api::Ops => "ops",
            Api::Prometheus => "prometheus",
            Api::Loki => "loki",
            Api::Tempo => "tempo",
            Api::Alertmanager => "alertmanager",
        }
    }

    /// The source with that name.
    #[must_use]
    pub fn named(text: &str) -> Option<Api> {
        Api::ALL.into_iter().find(|api| api.name() == text)
    }
}

/// Headers that frame a message. Only the client sets them.
const FRAMING_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
];

/// The headers and certificates for one source.
#[derive(Clone, Default)]
pub struct Access {
    headers: HeaderMap,
    pub(super) trust: Trust,
}

impl Access {
    /// Adds this header to all requests.
    ///
    /// # Errors
    /// The mistake in the header. It never contains the value, which may be a secret.
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let known = HeaderName::from_bytes(name.as_bytes());
        let name = known
            .map_err(|_| format!("{name:?} is not a header's name: use letters, digits and -"))?;
        if FRAMING_HEADERS.contains(&name.as_str()) {
            return Err(format!(
                "the header {name} cannot be set: the client sets it"
            ));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            format!("the value of the header {name} holds characters that a header cannot carry")
        })?;
        value.set_sensitive(true);
        if self.headers.contains_key(&name) {
            return Err(format!("the header {name} is given twice"));
        }
        self.headers.insert(name, value);
        Ok(())
    }

    /// Sends `token` as bearer token.
    ///
    /// # Errors
    /// The token cannot be sent, or there are already other credentials.
    pub fn bearer(&mut self, token: &Secret) -> Result<(), String> {
        self.header("authorization", &format!("Bearer {}", token.expose()))
    }

    /// Sends the name and the password of an address, which are percent-encoded there, as basic authentication.
    pub(super) fn basic(&mut self, name: &str, password: &str) -> Result<(), String> {
        let mut pair = decoded(name);
        pair.push(b':');
        pair.extend(decoded(password));
        let value = format!("Basic {}", STANDARD.encode(pair));
        if self.headers.contains_key(AUTHORIZATION) {
            return Err("it carries a user name, and a token is given as well".into());
        }
        self.header("authorization", &value)
    }

    /// Adds the headers that a request does not have yet.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Access").field("headers", &names).finish()
    }
}

/// The access to each source.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    by_api: BTreeMap<Api, Access>,
    trust: Trust,
}

impl Credentials {
    /// No credentials; `trust` checks certificates.
    #[must_use]
    pub fn trusting(trust: Trust) -> Credentials {
        Credentials {
            by_api: BTreeMap::new(),
            trust,
        }
    }

    /// The access to `api` for changes.
    pub fn entry(&mut self, api: Api) -> &mut Access {
        let trust = self.trust.clone();
        self.by_api.entry(api).or_insert_with(|| Access {
            headers: HeaderMap::new(),
            trust,
        })
    }

    /// The access to `api`.
    #[must_use]
    pub fn of(&self, api: Api) -> Access {
        let none = || Access {
            headers: HeaderMap::new(),
            trust: self.trust.clone(),
        };
        self.by_api.get(&api).cloned().unwrap_or_else(none)
    }
}

/// Decodes percent-encoded bytes.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten();
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_one_source_are_not_sent_to_another() {
        let mut all = Credentials::default();
        all.entry(Api::Loki)
            .header("X-Scope-OrgID", "team")
            .unwrap();
        let sent = |api| {
            let mut headers = HeaderMap::new();
            all.of(api).apply(&mut headers);
            headers.len()
        };
        assert_eq!(Api::ALL.map(sent), [0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_requests_own_header_stays() {
        let mut access = Access::default();
        access.bearer(&Secret::new("of the proxy")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer own"));
        access.apply(&mut headers);
        let all: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        assert_eq!(all, ["Bearer own"]);
    }

    #[test]
    fn wrong_headers_are_named_without_their_values() {
        let mut access = Access::default();
        for (name, value) in [("a b", "secret"), ("x", "sec\nret"), ("Host", "secret")] {
            let error = access.header(name, value).unwrap_err();
            assert!(!error.contains("sec"), "{error}");
        }
        access.header("X-A", "secret").unwrap();
        assert!(access.header("x-a", "other").unwrap_err().contains("twice"));
        assert!(!format!("{access:?}").contains("secret"));
    }

    #[test]
    fn a_password_may_hold_anything_percent_encoded() {
        assert_eq!(decoded("p%40ss%3a%zz%4"), b"p@ss:%zz%4");
        let mut access = Access::default();
        access.basic("me", "p%40ss").unwrap();
        let mut headers = HeaderMap::new();
        access.apply(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "Basic bWU6cEBzcw==");
        assert!(access.bearer(&Secret::new("x")).is_err(), "one of the two");
    }

    #[test]
    fn a_token_and_a_user_name_are_not_sent_together() {
        let mut access = Access::default();
        access.bearer(&Secret::new("hunter2")).unwrap();
        let error = access.basic("mona", "hunter3").unwrap_err();
        assert_eq!(
            error,
            "it carries a user name, and a token is given as well"
        );
    }

    #[test]
    fn a_secret_is_not_shown_by_a_request_that_carries_it() {
        let mut access = Access::default();
        access.header("X-Key", "hunter2").unwrap();
        let mut headers = HeaderMap::new();
        access.apply(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(!format!("{headers:?}").contains("hunter2"), "{headers:?}");
    }
}
