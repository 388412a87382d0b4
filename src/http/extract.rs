//! Extractors: the parts of a request that handlers take. Each extractor refuses what it cannot read, and says where
//! and why.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::rate_limit::{TokenLimit, UnderWay, Wait};
use super::{ApiError, AppState, BODY_LIMIT};
use crate::api::{ErrorCode, IDEMPOTENCY_KEY, WAIT_TOKEN, integer};
use crate::booking::{Caller, Idempotency, Refusal};
use crate::telemetry::RequestSpan;
use crate::yaml;

/// The facts about a request that the access record needs. The extractors fill them in.
#[derive(Debug, Default)]
pub(super) struct RequestInfo {
    user: AtomicI64,
    /// Counts the request against its token until the answer is sent.
    under_way: OnceLock<UnderWay>,
    writing: AtomicBool,
    /// The request has no access record.
    unlogged: AtomicBool,
}

impl RequestInfo {
    pub(super) fn user(&self) -> Option<i64> {
        Some(self.user.load(Ordering::Relaxed)).filter(|user| *user != 0)
    }

    /// Returns whether a write has begun. From then on the request cannot be cancelled.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Acquire)
    }

    /// Returns whether the access record is left out.
    pub(super) fn is_unlogged(&self) -> bool {
        self.unlogged.load(Ordering::Relaxed)
    }

    /// Leaves out the access record. Call it only for a request that has proved that it may be hidden.
    pub(super) fn leave_unlogged(&self) {
        self.unlogged.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_user(&self, user: i64) {
        self.user.store(user, Ordering::Relaxed);
    }
}

fn info(parts: &Parts) -> Option<&RequestInfo> {
    parts
        .extensions
        .get::<Arc<RequestInfo>>()
        .map(|info| &**info)
}

/// Runs the write of a request.
pub(super) struct Write(Option<Arc<RequestInfo>>);

impl<S: Send + Sync> FromRequestParts<S> for Write {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Write(parts.extensions.get().cloned()))
    }
}

impl Write {
    /// Runs `work` to its end, even if the client disconnects or the request times out, because the effects of a commit
    /// must follow in any case (an admission that ends, a counter).
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        if let Some(info) = &self.0 {
            info.writing.store(true, Ordering::Release);
        }
        let work = match RequestSpan::current() {
            Some(span) => tokio::spawn(span.within(work)),
            None => tokio::spawn(work),
        };
        match work.await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The task is cancelled only when the whole process ends.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

fn set_user(parts: &Parts, user: i64) {
    if let Some(info) = info(parts) {
        info.set_user(user);
    }
}

/// The answer to a token that has reached a limit.
fn rate_limited(wait: Wait, limit: TokenLimit) -> ApiError {
    let (detail, after) = match wait {
        Wait::Rate(after) => (
            format!("a token may send {} requests a second", limit.per_second),
            after,
        ),
        Wait::AtOnce => (
            format!("a token may have {} requests in flight", limit.at_once),
            Duration::ZERO,
        ),
    };
    ApiError::new(ErrorCode::RateLimited, detail).with_retry_after(after)
}

/// The text of the `Wait-Token` header.
fn token(parts: &Parts) -> Result<&str, ApiError> {
    let value = parts.headers.get(WAIT_TOKEN).ok_or_else(|| {
        ApiError::new(
            ErrorCode::TokenMissing,
            "the Wait-Token header is missing: send the token that POST /queue gave",
        )
    })?;
    // A non-UTF-8 header cannot be a Wait-Token.
    Ok(value.to_str().unwrap_or_default())
}

/// The caller with a verified token. An unknown token is refused with 403.
pub(super) struct Holder(pub(super) Caller);

impl FromRequestParts<AppState> for Holder {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller = state.booking.caller(token(parts)?).await?;
        set_user(parts, caller.user().0);
        if let Some(limit) = &state.rate_limit {
            let under_way = limit.request(caller.rate_limit_key());
            let under_way = under_way.map_err(|wait| rate_limited(wait, limit.limit()))?;
            if let (Some(under_way), Some(info)) = (under_way, info(parts)) {
                // It is set once, because a request has one token.
                let _ = info.under_way.set(under_way);
            }
        }
        Ok(Holder(caller))
    }
}

/// The caller with a verified token on `GET /queue`. An unknown token is refused with 404.
pub(super) struct Poller(pub(super) Caller);

impl FromRequestParts<AppState> for Poller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller =
            state
                .booking
                .caller(token(parts)?)
                .await
                .map_err(|refusal| match refusal {
                    Refusal::UnknownToken => {
                        ApiError::new(ErrorCode::TokenUnknown, refusal.to_string())
                    }
                    other => other.into(),
                })?;
        set_user(parts, caller.user().0);
        if let Some(limit) = &state.rate_limit {
            let polled = limit.poll(caller.rate_limit_key());
            polled.map_err(|wait| rate_limited(wait, limit.limit()))?;
        }
        Ok(Poller(caller))
    }
}

/// Path parameters, in the order of the path.
pub(super) struct Path<T>(pub(super) T);

/// The parameters of a path: one integer or two.
pub(super) trait Integers: Sized {
    /// Reads the integers in the order of the path.
    fn take(next: impl FnMut() -> Result<i64, ApiError>) -> Result<Self, ApiError>;
}

impl Integers for i64 {
    fn take(mut next: impl FnMut() -> Result<i64, ApiError>) -> Result<Self, ApiError> {
        next()
    }
}

impl Integers for (i64, i64) {
    fn take(mut next: impl FnMut() -> Result<i64, ApiError>) -> Result<Self, ApiError> {
        Ok((next()?, next()?))
    }
}

impl<T: Integers, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let malformed = |detail: String| ApiError::new(ErrorCode::RequestMalformed, detail);
        let given = RawPathParams::from_request_parts(parts, state).await;
        let given = given.map_err(|error| malformed(error.body_text()))?;
        let mut given = given.iter();
        T::take(|| {
            let (name, text) = given.next().unwrap_or_default();
            integer::from_text(text).ok_or_else(|| {
                let shown: String = text.chars().take(PARAMETER_SHOWN).collect();
                malformed(format!("{name} is {shown:?}: it must be an integer"))
            })
        })
        .map(Path)
    }
}

/// The longest part of a wrong path parameter that a message quotes, in characters.
const PARAMETER_SHOWN: usize = 100;

/// Query parameters.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(error) => {
                // The message leaves out the library's introduction. It names the field and the mistake.
                let problem = std::error::Error::source(&error).map(ToString::to_string);
                let problem = problem.unwrap_or_else(|| error.body_text());
                let detail = format!("query: {}", yaml::in_words(&problem));
                Err(ApiError::new(ErrorCode::RequestMalformed, detail))
            }
        }
    }
}

/// A JSON body within [`BODY_LIMIT`] that arrived in time, with its `Idempotency-Key`. The fingerprint of the key
/// covers path and body.
pub(super) struct Keyed<T> {
    pub(super) body: T,
    pub(super) key: Option<Idempotency>,
}

impl<T: DeserializeOwned> FromRequest<AppState> for Keyed<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, ApiError> {
        let (parts, bytes) = read_json(request).await?;
        let key = idempotency(&parts, &bytes)?;
        Ok(Keyed {
            body: parsed(&bytes)?,
            key,
        })
    }
}

async fn read_json(request: Request) -> Result<(Parts, Bytes), ApiError> {
    let json = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_json);
    if !json {
        let detail = "send the body with Content-Type: application/json";
        return Err(ApiError::new(ErrorCode::RequestMediaType, detail));
    }
    let mut codings = request.headers().get_all(CONTENT_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "send the body without Content-Encoding: it is not decompressed";
        return Err(ApiError::new(ErrorCode::RequestMediaType, detail));
    }
    read(request, BODY_LIMIT).await
}

/// The body if it has at most `limit` bytes. It has already arrived.
pub(super) async fn read(request: Request, limit: usize) -> Result<(Parts, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => Ok((parts, bytes)),
        Err(_) => {
            let detail = format!("a body has at most {limit} bytes");
            Err(ApiError::new(ErrorCode::RequestTooLarge, detail))
        }
    }
}

/// Parses a JSON body, which is an object in UTF-8. The error names the position, the field, and the expected value.
pub(super) fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let malformed = |detail: String| ApiError::new(ErrorCode::RequestMalformed, detail);
    // serde accepts a list in place of an object, with the values in the order of the fields, and does not look into
    // the fields that it skips.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let detail = "body: is a list: write an object such as { \"field\": value }";
        return Err(malformed(detail.to_owned()));
    }
    if std::str::from_utf8(bytes).is_err() {
        return Err(malformed("body: is not UTF-8 text".to_owned()));
    }
    yaml::from_json(bytes).map_err(|error| malformed(format!("body, {error}")))
}

/// Returns whether the type is `application/json`, with or without parameters.
fn is_json(value: &str) -> bool {
    value
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The key of a request without a body.
pub(super) struct Key(pub(super) Option<Idempotency>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        idempotency(parts, &Bytes::new()).map(Key)
    }
}

/// The longest idempotency key, in bytes.
pub(super) const KEY_MAX: usize = 128;

/// Returns whether `key` is valid in an `Idempotency-Key` header of this API.
pub(super) fn is_idempotency_key(key: &str) -> bool {
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    (1..=KEY_MAX).contains(&key.len()) && plain
}

fn idempotency(parts: &Parts, body: &Bytes) -> Result<Option<Idempotency>, ApiError> {
    let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if !is_idempotency_key(key) {
        let detail = format!("Idempotency-Key has 1 to {KEY_MAX} visible ASCII characters");
        return Err(ApiError::new(ErrorCode::IdempotencyMalformed, detail));
    }
    let mut hash = Sha256::new();
    hash.update(parts.method.as_str());
    hash.update([0]);
    hash.update(parts.uri.path());
    hash.update([0]);
    hash.update(body);
    let digest = hash.finalize();
    let mut word = [0_u8; 8];
    word.copy_from_slice(&digest[..8]);
    Ok(Some(Idempotency {
        key: key.to_owned(),
        fingerprint: i64::from_be_bytes(word),
    }))
}
