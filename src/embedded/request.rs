//! Code that the HTTP APIs of the embedded stores share: the parameters of a request, turns for queries, and plain
//! responses.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::handler::Handler;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use tokio::sync::Semaphore;

const FORM: &str = "application/x-www-form-urlencoded";

/// The reason why the parameters of a request are invalid.
#[derive(Debug, thiserror::Error)]
pub(in crate::embedded) enum BadParams {
    #[error("invalid URL escape in \"{0}\"")]
    Escape(String),
    #[error("the form is not valid UTF-8")]
    NotText,
    #[error("a POST must be a form ({FORM})")]
    NotForm,
    #[error("{}", .0.body_text())]
    Body(BytesRejection),
}

/// Parameters by name, in the order of the request.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Parses `a=b&c=d` with percent and plus encoding.
    pub(in crate::embedded) fn parse(query: &str) -> Result<Params, BadParams> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let decoded = decode(name).zip(decode(value));
                decoded.ok_or_else(|| BadParams::Escape(pair.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Params)
    }

    /// The first non-empty value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// The names of all parameters.
    pub(in crate::embedded) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let matching = self.0.iter().filter(move |(known, _)| known == name);
        matching.map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The parameters of a request: those of a POST's form, then those of the URL. Invalid parameters are answered with
/// `E`, in the format of the API.
#[derive(Debug)]
pub(crate) struct ApiParams<E>(Params, PhantomData<E>);

#[cfg(test)]
impl<E> ApiParams<E> {
    pub(in crate::embedded) fn of_query(query: &str) -> ApiParams<E> {
        ApiParams(Params::parse(query).unwrap(), PhantomData)
    }
}

impl<E> Deref for ApiParams<E> {
    type Target = Params;

    fn deref(&self) -> &Params {
        &self.0
    }
}

impl<S: Send + Sync, E: From<BadParams> + IntoResponse> FromRequest<S> for ApiParams<E> {
    type Rejection = E;

    async fn from_request(request: Request, state: &S) -> Result<ApiParams<E>, E> {
        let in_url = Params::parse(request.uri().query().unwrap_or_default());
        let mut params = Params::default();
        if request.method() == Method::POST {
            let content_type = request.headers().get(header::CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let is_form = content_type.is_some_and(|value| value.starts_with(FORM));
            let body = Bytes::from_request(request, state).await;
            let body = body.map_err(BadParams::Body)?;
            if !body.is_empty() && !is_form {
                return Err(BadParams::NotForm.into());
            }
            let form = std::str::from_utf8(&body).map_err(|_| BadParams::NotText)?;
            params = Params::parse(form)?;
        }
        params.0.extend(in_url?.0);
        Ok(ApiParams(params, PhantomData))
    }
}

/// A route that takes its parameters from the URL of a GET or from the form of a POST.
pub(in crate::embedded) fn get_or_post<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    get(handler.clone()).post(handler)
}

/// Limits the number of concurrent queries. Each runs on a blocking thread, and further ones wait.
#[derive(Debug, Clone)]
pub(in crate::embedded) struct Turns(Arc<Semaphore>);

/// The reason why a query was not computed.
#[derive(Debug, thiserror::Error)]
pub(in crate::embedded) enum NoTurn {
    #[error("no turn within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("the evaluation ended unexpectedly: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl Turns {
    pub(in crate::embedded) fn new(at_once: usize) -> Turns {
        Turns(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// Waits for a turn until `timeout` after `started`, and then computes.
    pub(in crate::embedded) async fn compute<
        T: Send + 'static,
        E: From<NoTurn> + Send + 'static,
    >(
        &self,
        started: Instant,
        timeout: Duration,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let deadline = tokio::time::Instant::from_std(started + timeout);
        let turn = Arc::clone(&self.0).acquire_owned();
        // The semaphore is never closed.
        let Ok(Ok(turn)) = tokio::time::timeout_at(deadline, turn).await else {
            return Err(NoTurn::TimedOut(timeout).into());
        };
        let computed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        computed.await.map_err(NoTurn::from)?
    }
}

/// The reason for a failed request in plain text, in the format of Loki and Tempo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PlainError {
    status: StatusCode,
    reason: String,
}

impl PlainError {
    /// The error for a parameter or a query that is wrong, not supported, or over a limit.
    pub(in crate::embedded) fn refused(reason: impl Into<String>) -> PlainError {
        PlainError::new(StatusCode::BAD_REQUEST, reason)
    }

    pub(in crate::embedded) fn timed_out(after: Duration) -> PlainError {
        let reason = format!(
            "query timed out after {} ms; narrow the time range or the query",
            after.as_millis()
        );
        PlainError::new(StatusCode::GATEWAY_TIMEOUT, reason)
    }

    pub(in crate::embedded) fn new(status: StatusCode, reason: impl Into<String>) -> PlainError {
        let reason = reason.into();
        PlainError { status, reason }
    }
}

impl From<BadParams> for PlainError {
    fn from(bad: BadParams) -> PlainError {
        PlainError::refused(bad.to_string())
    }
}

impl From<NoTurn> for PlainError {
    fn from(reason: NoTurn) -> PlainError {
        match reason {
            NoTurn::TimedOut(after) => PlainError::timed_out(after),
            NoTurn::Ended(_) => {
                PlainError::new(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string())
            }
        }
    }
}

impl IntoResponse for PlainError {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (self.status, headers, format!("{}\n", self.reason)).into_response()
    }
}

/// A response in JSON.
pub(in crate::embedded) fn json<T: Serialize>(content_type: &'static str, data: &T) -> Response {
    match serde_json::to_vec(data) {
        Ok(body) => ([(header::CONTENT_TYPE, content_type)], body).into_response(),
        Err(error) => {
            PlainError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

/// The version of the product. Grafana chooses its requests by it.
pub(in crate::embedded) fn build_info(version: &str) -> serde_json::Value {
    serde_json::json!({
        "version": version,
        "revision": concat!("concertctl-", env!("CARGO_PKG_VERSION")),
        "branch": "embedded",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let params =
            Params::parse("query=%7Ba%3D%22b+c%22%7D&x&=y&match[]=1&match%5B%5D=2").unwrap();
        assert_eq!(params.get("query"), Some("{a=\"b c\"}"));
        assert_eq!(params.get("x"), None);
        assert_eq!(params.names().collect::<Vec<_>>()[1..3], ["x", ""]);
        assert_eq!(params.all("").collect::<Vec<_>>(), ["y"]);
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["1", "2"]);
        for bad in ["a=%", "a=%4", "a=%f", "a=%zz", "a=%ff"] {
            assert!(Params::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_query_waits_for_its_turn_and_no_longer_than_it_may_take() {
        let turns = Turns::new(1);
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let timeout = Duration::from_millis(20);
        let busy = turns.clone();
        let first = tokio::spawn(async move {
            let work = move || {
                begun.send(()).unwrap();
                // This waits until the other side is dropped.
                let _ = waits.recv();
                Ok::<_, NoTurn>(1)
            };
            busy.compute(Instant::now(), timeout, work).await
        });
        has_begun.recv().await.unwrap();
        let second = turns.compute(Instant::now(), timeout, || Ok::<_, NoTurn>(2));
        let second = tokio::time::timeout(Duration::from_secs(20), second).await;
        let refused = second.expect("it waits for ever").unwrap_err();
        assert!(matches!(refused, NoTurn::TimedOut(after) if after == timeout));
        drop(go_on);
        assert_eq!(first.await.unwrap().unwrap(), 1);
        let third = turns.compute(Instant::now(), Duration::from_secs(20), || {
            Ok::<_, NoTurn>(3)
        });
        assert_eq!(third.await.unwrap(), 3);
    }
}
