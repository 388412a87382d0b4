//! The first answer to a keyed request, given again to its repeats.
//!
//! A keyed write is one statement: it looks for the stored answer, decides when there is none, and stores
//! a final answer. Of two that race under one key the later violates the primary key, is rolled back as a
//! whole, and finds the answer of the other at its next attempt. The first two columns of such a
//! statement are the stored answer's fingerprint and the answer; both null: others changed the rows in
//! the middle, and it is to be asked again. Transient answers, which only older versions stored, are not
//! looked at, and deleted where they are in the way.

use tokio_postgres::Row;

use super::attempts::Attempts;
use super::fault::Fault;
use super::pool::Params;
use crate::domain::{Timestamp, UserId};
use crate::store::{Answer, Idempotency, Keyed, StoreError};

/// The constraint that decides between two requests of the same key.
const ONE_ANSWER: &str = "idempotency_pkey";

const FIND: &str = "SELECT fingerprint, answer FROM idempotency
    WHERE user_id = $1 AND key = $2 AND answer NOT IN ('\"Locked\"', '\"Conflict\"', '\"PlaceEnded\"')";

const DISCARD_TRANSIENT: &str = "DELETE FROM idempotency
    WHERE user_id = $1 AND key = $2 AND answer IN ('\"Locked\"', '\"Conflict\"', '\"PlaceEnded\"')";

const REMEMBER: &str = "WITH kept AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency
    WHERE user_id = $1 AND key = $2 AND answer NOT IN ('\"Locked\"', '\"Conflict\"', '\"PlaceEnded\"')
), fresh AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $3::bigint, $4::text, $5::bigint WHERE NOT EXISTS (SELECT 1 FROM kept)
    RETURNING answer
)
SELECT fingerprint, answer FROM kept UNION ALL SELECT NULL, answer FROM fresh";

const FORGET: &str = "WITH old AS MATERIALIZED (
    SELECT user_id, key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM idempotency i USING old WHERE i.user_id = old.user_id AND i.key = old.key RETURNING 1
)
SELECT count(*) FROM gone";

/// The final answer under `key`, if there is one.
pub(super) async fn find<T: Answer>(
    attempts: &mut Attempts<'_>,
    user: UserId,
    key: &Idempotency,
) -> Result<Option<Keyed<T>>, StoreError> {
    let rows = attempts.rows(FIND, &[&user.0, &key.key]).await?;
    match rows.first() {
        Some(row) => read(row, Some(key)),
        None => Ok(None),
    }
}

/// A statement that decides a request of `user`, once per key.
#[derive(Clone, Copy)]
pub(super) struct Decision<'a> {
    /// Its first two parameters are the user and the name of the key.
    pub(super) sql: &'static str,
    pub(super) params: Params<'a>,
    pub(super) user: UserId,
    pub(super) key: Option<&'a Idempotency>,
    /// Constraints that another request may violate with this one; the next attempt sees its rows.
    pub(super) races: &'a [&'a str],
}

/// Runs the statement until it has an answer.
pub(super) async fn decide<T: Answer>(
    attempts: &mut Attempts<'_>,
    decision: Decision<'_>,
) -> Result<(Keyed<T>, Row), Fault> {
    loop {
        if let Some(decided) = ask(attempts, decision).await? {
            return Ok(decided);
        }
        let why = "the rows changed meanwhile".to_owned();
        attempts.repeated(why).await.map_err(Fault::Final)?;
    }
}

/// Runs the statement; `None` when it is to be asked again. Violations other than of its races are
/// given back.
pub(super) async fn ask<T: Answer>(
    attempts: &mut Attempts<'_>,
    decision: Decision<'_>,
) -> Result<Option<(Keyed<T>, Row)>, Fault> {
    loop {
        let again = match attempts.rows(decision.sql, decision.params).await {
            Ok(mut rows) => {
                let row = rows
                    .pop()
                    .ok_or_else(|| Fault::unavailable("it gave no answer"))?;
                let answer = read(&row, decision.key).map_err(Fault::Final)?;
                return Ok(answer.map(|answer| (answer, row)));
            }
            Err(Fault::Violates(constraint)) if constraint == ONE_ANSWER => {
                let key = decision.key.map(|key| key.key.as_str());
                let transient: Params<'_> = &[&decision.user.0, &key];
                attempts.rows(DISCARD_TRANSIENT, transient).await?;
                constraint
            }
            Err(Fault::Violates(constraint)) if decision.races.contains(&constraint.as_str()) => {
                constraint
            }
            Err(fault) => return Err(fault),
        };
        attempts.repeated(again).await.map_err(Fault::Final)?;
    }
}

/// Keeps `answer` under `key` unless there is one; gives back what was answered first.
pub(super) async fn remember<T: Answer>(
    attempts: &mut Attempts<'_>,
    user: UserId,
    key: &Idempotency,
    answer: &T,
    now: Timestamp,
) -> Result<Keyed<T>, StoreError> {
    let text = serde_json::to_string(answer)
        .map_err(|error| StoreError::Unavailable(format!("answer: {error}")))?;
    let params: Params<'_> = &[&user.0, &key.key, &key.fingerprint, &text, &now.0];
    let decision = Decision {
        sql: REMEMBER,
        params,
        user,
        key: Some(key),
        races: &[],
    };
    let (answer, _) = decide(attempts, decision).await?;
    Ok(answer)
}

/// Forgets at most `most` answers older than `before`.
pub(super) async fn forget(
    attempts: &mut Attempts<'_>,
    before: Timestamp,
    most: u32,
) -> Result<u64, StoreError> {
    let rows = attempts
        .rows(FORGET, &[&before.0, &i64::from(most)])
        .await?;
    let count: i64 = rows.first().map_or(0, |row| row.get(0));
    Ok(u64::try_from(count).unwrap_or(0))
}

fn read<T: Answer>(row: &Row, key: Option<&Idempotency>) -> Result<Option<Keyed<T>>, StoreError> {
    let fingerprint: Option<i64> = row.get(0);
    let Some(answer) = row.get::<_, Option<&str>>(1) else {
        return Ok(None);
    };
    if fingerprint.is_some() && fingerprint != key.map(|key| key.fingerprint) {
        return Ok(Some(Keyed::Mismatch));
    }
    let answer = serde_json::from_str(answer)
        .map_err(|error| StoreError::Damaged(format!("a stored answer cannot be read: {error}")))?;
    Ok(Some(match fingerprint {
        Some(_) => Keyed::Replayed(answer),
        None => Keyed::Fresh(answer),
    }))
}
