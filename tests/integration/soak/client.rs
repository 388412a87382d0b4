//! A small HTTP client of the ticketing API. It shares no code with the load generator, so the two cannot have the same
//! error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use reqwest::Method;
use serde_json::Value;

/// The client's time-out. It is shorter than the server's, so that some requests are decided after their client has
/// given up.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A request to be sent, perhaps several times.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub token: Option<String>,
    pub key: Option<String>,
    pub body: Option<Value>,
}

impl Request {
    pub fn new(method: Method, path: impl Into<String>) -> Request {
        Request {
            method,
            path: path.into(),
            token: None,
            key: None,
            body: None,
        }
    }

    pub fn token(mut self, token: &str) -> Request {
        self.token = Some(token.to_owned());
        self
    }

    pub fn key(mut self, key: Option<String>) -> Request {
        self.key = key;
        self
    }

    pub fn body(mut self, body: Value) -> Request {
        self.body = Some(body);
        self
    }
}

/// A response, or the lack of one.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status, or 0 if the client got no response.
    pub status: u16,
    /// The header `Wait-Token`.
    pub token: Option<String>,
    /// The body, or null if it is not JSON.
    pub body: Value,
}

/// The reason why the outcome of a write is unknown to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Every attempt was answered, at least one with `outcome.unknown`.
    ServerError,
    /// At least one attempt got no response.
    NoAnswer,
}

/// The result of a write by its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Refused,
    Unknown(Doubt),
}

impl Reply {
    pub fn verdict(&self) -> Verdict {
        match self.status {
            200..=299 => Verdict::Done,
            0 => Verdict::Unknown(Doubt::NoAnswer),
            // Any other 5xx promises that the write was not done.
            500.. if self.code() == "outcome.unknown" => Verdict::Unknown(Doubt::ServerError),
            _ => Verdict::Refused,
        }
    }

    /// The stable code of a problem document.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// Counts over the whole run.
#[derive(Default)]
pub struct Counts {
    pub requests: AtomicU64,
    pub no_answer: AtomicU64,
    pub server_errors: AtomicU64,
    /// Acknowledged writes of each server.
    pub acknowledged: Vec<AtomicU64>,
}

/// Sends requests to the servers of one service.
pub struct Client {
    http: reqwest::Client,
    /// Base URL of each server; changes when a server restarts.
    pub addresses: RwLock<Vec<String>>,
    pub counts: Counts,
}

impl Client {
    pub fn new(addresses: Vec<String>) -> Client {
        let http = concertctl::http_client::builder()
            .timeout(TIMEOUT)
            // An automatic retry would send a write twice although it is recorded once.
            .retry(reqwest::retry::never())
            .build()
            .expect("the settings are constant");
        let acknowledged = addresses.iter().map(|_| AtomicU64::new(0)).collect();
        Client {
            http,
            addresses: RwLock::new(addresses),
            counts: Counts {
                acknowledged,
                ..Counts::default()
            },
        }
    }

    pub fn servers(&self) -> usize {
        self.counts.acknowledged.len()
    }

    /// Sends the request once.
    pub async fn send(&self, server: usize, request: &Request) -> Reply {
        let url = format!("{}{}", self.addresses.read()[server], request.path);
        let mut call = self.http.request(request.method.clone(), url);
        if let Some(token) = &request.token {
            call = call.header("wait-token", token);
        }
        if let Some(key) = &request.key {
            call = call.header("idempotency-key", key);
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let answered = async {
            let response = call.send().await?;
            let status = response.status().as_u16();
            let token = response.headers().get("wait-token").cloned();
            let bytes = response.bytes().await?;
            Ok::<_, reqwest::Error>((status, token, bytes))
        };
        let reply = answered.await.map_or_else(
            |_| Reply::default(),
            |(status, token, bytes)| Reply {
                status,
                token: token.and_then(|token| token.to_str().ok().map(str::to_owned)),
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
            },
        );
        self.count(server, request, &reply);
        reply
    }

    fn count(&self, server: usize, request: &Request, reply: &Reply) {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        add(&self.counts.requests);
        match reply.verdict() {
            Verdict::Unknown(Doubt::NoAnswer) => add(&self.counts.no_answer),
            _ if reply.status >= 500 => add(&self.counts.server_errors),
            Verdict::Done if request.method != Method::GET => {
                add(&self.counts.acknowledged[server])
            }
            _ => 0,
        };
    }
}
