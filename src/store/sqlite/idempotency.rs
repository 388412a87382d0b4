//! Stores the first answer to a keyed request and returns it to repeats.

use super::writer::Tx;
use crate::domain::{Timestamp, UserId};
use crate::store::{Answer, Idempotency, Keyed, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The final answer that is stored under `key`, if there is one.
pub(super) fn find<T: Answer>(
    conn: &Connection,
    user: UserId,
    key: &Idempotency,
) -> Result<Option<Keyed<T>>, StoreError> {
    let row: Option<(i64, String)> = conn
        .prepare_cached(
            "SELECT fingerprint, answer FROM idempotency WHERE user_id = ?1 AND key = ?2",
        )?
        .query_row(params![user.0, key.key], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((fingerprint, answer)) = row else {
        return Ok(None);
    };
    if fingerprint != key.fingerprint {
        return Ok(Some(Keyed::Mismatch));
    }
    let answer: T = serde_json::from_str(&answer)
        .map_err(|error| StoreError::Damaged(format!("a stored answer cannot be read: {error}")))?;
    Ok(answer.is_final().then_some(Keyed::Replayed(answer)))
}

/// Decides once per key. Returns the stored answer, or decides and stores a final answer in the same transaction.
pub(super) fn once<T: Answer>(
    tx: &mut Tx<'_>,
    user: UserId,
    key: Option<Idempotency>,
    now: Timestamp,
    decide: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
) -> Result<Keyed<T>, StoreError> {
    let Some(key) = key else {
        return decide(tx).map(Keyed::Fresh);
    };
    if let Some(found) = find(tx.conn, user, &key)? {
        return Ok(found);
    }
    let answer = decide(tx)?;
    if answer.is_final() {
        store(tx, user, &key, &answer, now)?;
    }
    Ok(Keyed::Fresh(answer))
}

/// Stores `answer` under `key`. It replaces an answer that [`find`] ignored or that its caller discarded.
pub(super) fn store<T: Answer>(
    tx: &Tx<'_>,
    user: UserId,
    key: &Idempotency,
    answer: &T,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(answer)
        .map_err(|error| StoreError::Unavailable(format!("answer: {error}")))?;
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO idempotency (user_id, key, fingerprint, answer, at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![user.0, key.key, key.fingerprint, text, now.0])?;
    Ok(())
}

/// Deletes at most `most` answers older than `before`.
pub(super) fn forget(tx: &mut Tx<'_>, before: Timestamp, most: u32) -> Result<u64, StoreError> {
    let forgotten = tx
        .conn
        .prepare_cached(
            "DELETE FROM idempotency WHERE (user_id, key) IN
                 (SELECT user_id, key FROM idempotency WHERE at < ?1 LIMIT ?2)",
        )?
        .execute(params![before.0, most])?;
    Ok(forgotten as u64)
}
