//! The first answer to a keyed request, given again to its repeats.
//!
//! A keyed write is one statement: it looks for the kept answer, decides when there is none, and keeps
//! its answer. Of two that race under one key the later violates the primary key, is rolled back as a
//! whole, and finds the answer of the other at its next attempt. The first two columns of such a
//! statement are the kept answer's fingerprint and the answer; both null: others changed the rows in
//! the middle, and it is to be asked again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use super::attempts::Attempts;
use super::fault::Fault;
use super::pool::Params;
use crate::domain::{Timestamp, UserId};
use crate::store::{Idempotency, Keyed, StoreError};

/// The constraint that decides between two requests of the same key.
const ONE_ANSWER: &str = "idempotency_pkey";

const FIND: &str = "SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2";

const REMEMBER: &str = "WITH kept AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
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

/// What was answered under `key`, if anything was.
pub(super) async fn find<T: DeserializeOwned>(
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

/// Runs a keyed statement until it has an answer. A violation of one of `races` is somebody else's
/// doing that the next attempt sees; any other is given back.
pub(super) async fn decide<T: DeserializeOwned>(
    attempts: &mut Attempts<'_>,
    sql: &'static str,
    params: Params<'_>,
    key: Option<&Idempotency>,
    races: &[&str],
) -> Result<(Keyed<T>, Row), Fault> {
    loop {
        let again = match attempts.rows(sql, params).await {
            Ok(mut rows) => {
                let row = rows
                    .pop()
                    .ok_or_else(|| Fault::unavailable("it gave no answer"))?;
                if let Some(answer) = read(&row, key).map_err(Fault::Final)? {
                    return Ok((answer, row));
                }
                "the rows changed meanwhile".to_owned()
            }
            Err(Fault::Violates(constraint))
                if constraint == ONE_ANSWER || races.contains(&constraint.as_str()) =>
            {
                constraint
            }
            Err(fault) => return Err(fault),
        };
        attempts.repeated(again).await.map_err(Fault::Final)?;
    }
}

/// Keeps `answer` under `key` unless there is one; gives back what was answered first.
pub(super) async fn remember<T: Serialize + DeserializeOwned>(
    attempts: &mut Attempts<'_>,
    user: UserId,
    key: &Idempotency,
    answer: &T,
    now: Timestamp,
) -> Result<Keyed<T>, StoreError> {
    let text = serde_json::to_string(answer)
        .map_err(|error| StoreError::Unavailable(format!("answer: {error}")))?;
    let params: Params<'_> = &[&user.0, &key.key, &key.fingerprint, &text, &now.0];
    let (answer, _) = decide(attempts, REMEMBER, params, Some(key), &[]).await?;
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

fn read<T: DeserializeOwned>(
    row: &Row,
    key: Option<&Idempotency>,
) -> Result<Option<Keyed<T>>, StoreError> {
    let fingerprint: Option<i64> = row.get(0);
    let Some(answer) = row.get::<_, Option<&str>>(1) else {
        return Ok(None);
    };
    if fingerprint.is_some() && fingerprint != key.map(|key| key.fingerprint) {
        return Ok(Some(Keyed::Mismatch));
    }
    let answer = serde_json::from_str(answer)
        .map_err(|error| StoreError::Damaged(format!("a kept answer cannot be read: {error}")))?;
    Ok(Some(match fingerprint {
        Some(_) => Keyed::Replayed(answer),
        None => Keyed::Fresh(answer),
    }))
}
