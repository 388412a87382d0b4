//! The first answer to a keyed request, which its repeats get again.
//!
//! A keyed write is one procedure: it reads the stored answer, decides if there is none, and stores a final answer. Of
//! two copies that race, the later violates the primary key, is rolled back as a whole, and finds the answer of the
//! other at its next attempt. The columns of such a procedure: the fingerprint of a stored answer or NULL, the code of
//! the answer, its two values, and two columns of the operation. Code 0: ask again.

use sqlx::mysql::MySqlRow;

use super::fault::Fault;
use super::retry::Retry;
use super::values::{Params, Value, int, opt};
use crate::domain::{Timestamp, UserId};
use crate::store::{Answer, AnswerCode, Idempotency, Keyed, StoreError};

/// The key that decides between two copies of a request.
const ONE_ANSWER: &str = "PRIMARY";

const FIND: &str = "SELECT fingerprint, answer, answer_first, answer_second FROM idempotency
    WHERE user_id = ? AND `key` = ? AND answer NOT IN (12, 13, 15, 36)";

/// A transient answer is never given again. Where one was stored nevertheless, it is in the way of the final one.
const DISCARD_TRANSIENT: &str =
    "DELETE FROM idempotency WHERE user_id = ? AND `key` = ? AND answer IN (12, 13, 15, 36)";

const REMEMBER: &str = "CALL remember(?, ?, ?, ?, ?, ?, ?)";

const FORGET: &str = "DELETE FROM idempotency WHERE at < ? ORDER BY at LIMIT ?";

/// Key and fingerprint as parameters.
pub(super) fn parts(key: Option<&Idempotency>) -> (Value<'_>, Value<'_>) {
    (
        Value::Bytes(key.map(|key| key.key.as_bytes())),
        Value::Int(key.map(|key| key.fingerprint)),
    )
}

/// The stored answer under `key`, if there is one.
pub(super) async fn find<T: Answer>(
    retry: &mut Retry<'_>,
    user: UserId,
    key: &Idempotency,
) -> Result<Option<Keyed<T>>, StoreError> {
    let (name, _) = parts(Some(key));
    let reply = retry.run(FIND, &[user.0.into(), name]).await?;
    match reply.rows.first() {
        Some(row) => Ok(read(row, Some(key))?),
        None => Ok(None),
    }
}

/// A procedure that decides a request, once per key.
#[derive(Clone, Copy)]
pub(super) struct Decision<'a> {
    /// Its first two parameters are the user and the key.
    pub(super) sql: &'static str,
    pub(super) params: Params<'a>,
    pub(super) key: Option<&'a Idempotency>,
    /// An index that another request may violate together with this one. The next attempt sees its rows.
    pub(super) race: Option<&'static str>,
}

/// Runs the procedure until it has an answer.
pub(super) async fn decide<T: Answer>(
    retry: &mut Retry<'_>,
    decision: Decision<'_>,
) -> Result<(Keyed<T>, MySqlRow), Fault> {
    loop {
        if let Some(decided) = ask(retry, decision).await? {
            return Ok(decided);
        }
        let why = "the rows changed meanwhile".to_owned();
        retry.repeated(why).await.map_err(Fault::Final)?;
    }
}

/// Runs the procedure. `None` when the caller must ask again. Violations of other indexes than those of the decision are
/// returned.
pub(super) async fn ask<T: Answer>(
    retry: &mut Retry<'_>,
    decision: Decision<'_>,
) -> Result<Option<(Keyed<T>, MySqlRow)>, Fault> {
    loop {
        let why = match retry.run(decision.sql, decision.params).await {
            Ok(mut reply) => {
                let row = reply.rows.pop();
                let row = row.ok_or_else(|| Fault::unavailable("it gave no answer"))?;
                let answer = read(&row, decision.key)?;
                return Ok(answer.map(|answer| (answer, row)));
            }
            Err(Fault::Violates(index)) if index == ONE_ANSWER => {
                retry.run(DISCARD_TRANSIENT, &decision.params[..2]).await?;
                index
            }
            Err(Fault::Violates(index)) if decision.race == Some(index.as_str()) => index,
            Err(fault) => return Err(fault),
        };
        retry.repeated(why).await.map_err(Fault::Final)?;
    }
}

/// Stores `answer` under `key` unless the key has one. Returns the first answer.
pub(super) async fn remember<T: Answer>(
    retry: &mut Retry<'_>,
    user: UserId,
    key: &Idempotency,
    answer: &T,
    now: Timestamp,
) -> Result<Keyed<T>, StoreError> {
    let ((name, fingerprint), stored) = (parts(Some(key)), answer.to_code());
    let params: Params<'_> = &[
        user.0.into(),
        name,
        fingerprint,
        stored.code.into(),
        stored.first.into(),
        stored.second.into(),
        now.0.into(),
    ];
    let decision = Decision {
        sql: REMEMBER,
        params,
        key: Some(key),
        race: None,
    };
    let (answer, _) = decide(retry, decision).await?;
    Ok(answer)
}

/// Deletes at most `most` answers that are older than `before`.
pub(super) async fn forget(
    retry: &mut Retry<'_>,
    before: Timestamp,
    most: u32,
) -> Result<u64, StoreError> {
    let params: [Value<'_>; 2] = [before.0.into(), i64::from(most).into()];
    Ok(retry.run(FORGET, &params).await?.changed)
}

/// The answer of a row; `None` for code 0.
fn read<T: Answer>(row: &MySqlRow, key: Option<&Idempotency>) -> Result<Option<Keyed<T>>, Fault> {
    let stored = AnswerCode {
        code: int(row, 1)?,
        first: opt(row, 2)?,
        second: opt(row, 3)?,
    };
    if stored.code == 0 {
        return Ok(None);
    }
    let fingerprint = opt(row, 0)?;
    if fingerprint.is_some() && fingerprint != key.map(|key| key.fingerprint) {
        return Ok(Some(Keyed::Mismatch));
    }
    let answer = T::from_code(stored).ok_or_else(|| {
        Fault::Final(StoreError::Damaged(format!(
            "{stored:?} is no answer to this request"
        )))
    })?;
    Ok(Some(match fingerprint {
        Some(_) => Keyed::Replayed(answer),
        None => Keyed::Fresh(answer),
    }))
}
