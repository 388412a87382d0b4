//! The first answer to a keyed request, which its repeats get again.
//!
//! A keyed write is one statement: it reads the stored answer, decides if there is none, and stores a final answer. If
//! two copies of a request race, the later one violates the primary key, is rolled back as a whole, and finds the
//! answer of the other copy at its next attempt. The first columns of such a statement are the fingerprint of a stored
//! answer or NULL, the code of the answer, and its two values. Code 0 means that the caller must ask again.

use super::fault::Fault;
use super::pooled::Driver;
use super::retry::Retry;
use super::server::Dialect;
use super::values::{Params, Value};
use super::{Answer, AnswerCode, Idempotency, Keyed, StoreError};
use crate::domain::{PerformanceDateId, Place, Timestamp, UserId};

/// Key and fingerprint as parameters. Both are NULL for a request without a key.
pub(super) fn parts(key: Option<&Idempotency>) -> (Value<'_>, Value<'_>) {
    (
        Value::Key(key.map(|key| key.key.as_str())),
        key.map(|key| key.fingerprint).into(),
    )
}

/// An outcome, with the dates of the seats that changed, and the places that ended.
pub(super) struct Changed<T> {
    pub(super) outcome: T,
    pub(super) dates: Vec<PerformanceDateId>,
    pub(super) ended: Vec<Place>,
}

/// The stored final answer under `key`, if there is one.
pub(super) async fn find<D: Dialect, T: Answer>(
    retry: &mut Retry<'_, D>,
    user: UserId,
    key: &Idempotency,
) -> Result<Option<Keyed<T>>, StoreError> {
    let (name, _) = parts(Some(key));
    let reply = retry
        .run(D::SQL.stored_answer, &[user.0.into(), name])
        .await?;
    match reply.rows.first() {
        Some(row) => Ok(read::<D, T>(row, Some(key))?),
        None => Ok(None),
    }
}

/// A statement that decides a request, once per key.
pub(super) struct Decision<'a> {
    /// Its first two parameters are the user and the key.
    pub(super) sql: &'static str,
    pub(super) params: Params<'a>,
    pub(super) key: Option<&'a Idempotency>,
    /// The index or constraint that this statement violates if it races with another request. The next attempt sees the
    /// other request's rows.
    pub(super) race: Option<&'static str>,
}

/// Runs the statement until it has an answer, within the repeats and the time that `retry` allows.
pub(super) async fn decide<D: Dialect, T: Answer>(
    retry: &mut Retry<'_, D>,
    decision: &Decision<'_>,
) -> Result<(Keyed<T>, D::Row), Fault> {
    loop {
        if let Some(decided) = ask(retry, decision).await? {
            return Ok(decided);
        }
        let why = "the rows changed meanwhile".to_owned();
        retry.repeated(why).await.map_err(Fault::Final)?;
    }
}

/// Runs the statement. Returns `None` (code 0) if the caller must ask again. Repeats the statement itself after a lost
/// race, and returns violations of other indexes as faults.
pub(super) async fn ask<D: Dialect, T: Answer>(
    retry: &mut Retry<'_, D>,
    decision: &Decision<'_>,
) -> Result<Option<(Keyed<T>, D::Row)>, Fault> {
    loop {
        let why = match retry.run(decision.sql, decision.params).await {
            Ok(mut reply) => {
                let row = reply.rows.pop();
                let row = row.ok_or_else(|| Fault::unavailable("it gave no answer"))?;
                let answer = read::<D, T>(&row, decision.key)?;
                return Ok(answer.map(|answer| (answer, row)));
            }
            Err(Fault::Violates(index)) if index == D::ONE_ANSWER => {
                let user_and_key = &decision.params[..2];
                retry.run(D::SQL.discard_transient, user_and_key).await?;
                index
            }
            Err(Fault::Violates(index)) if decision.race == Some(index.as_str()) => index,
            Err(fault) => return Err(fault),
        };
        retry.repeated(why).await.map_err(Fault::Final)?;
    }
}

/// Stores `answer` under `key` unless the key has one. Returns the first answer.
pub(super) async fn remember<D: Dialect, T: Answer>(
    retry: &mut Retry<'_, D>,
    user: UserId,
    key: &Idempotency,
    answer: &T,
    now: Timestamp,
) -> Result<Keyed<T>, StoreError> {
    let ((name, fingerprint), stored) = (parts(Some(key)), answer.to_code());
    let decision = Decision {
        sql: D::SQL.remember,
        params: &[
            user.0.into(),
            name,
            fingerprint,
            stored.code.into(),
            stored.first.into(),
            stored.second.into(),
            now.0.into(),
        ],
        key: Some(key),
        race: None,
    };
    let (answer, _) = decide(retry, &decision).await?;
    Ok(answer)
}

/// Deletes at most `most` answers that are older than `before`.
pub(super) async fn forget<D: Dialect>(
    retry: &mut Retry<'_, D>,
    before: Timestamp,
    most: u32,
) -> Result<u64, StoreError> {
    let params: Params<'_> = &[before.0.into(), i64::from(most).into()];
    Ok(retry.run(D::SQL.forget, params).await?.changed)
}

/// The answer of a row; `None` for code 0.
fn read<D: Driver, T: Answer>(
    row: &D::Row,
    key: Option<&Idempotency>,
) -> Result<Option<Keyed<T>>, Fault> {
    let stored = AnswerCode {
        code: D::opt(row, 1)?.unwrap_or(0),
        first: D::opt(row, 2)?,
        second: D::opt(row, 3)?,
    };
    if stored.code == 0 {
        return Ok(None);
    }
    let fingerprint = D::opt(row, 0)?;
    if fingerprint.is_some() && fingerprint != key.map(|key| key.fingerprint) {
        return Ok(Some(Keyed::Mismatch));
    }
    let answer = T::from_code(stored)
        .ok_or_else(|| Fault::damaged(format!("{stored:?} is no answer to this request")))?;
    Ok(Some(match fingerprint {
        Some(_) => Keyed::Replayed(answer),
        None => Keyed::Fresh(answer),
    }))
}
