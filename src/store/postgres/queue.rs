//! Admissions, the admission settings, and the queue as it is durable.

use futures_util::TryStreamExt as _;

use super::attempts::Attempts;
use super::fault::{self, Fault};
use super::pool::{Lease, Pool};
use super::snapshot;
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp, UserId};
use crate::store::{QueueSnapshot, StoreError};

const ADMIT: &str = "INSERT INTO admissions (mark, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const SAVE_ADMISSION: &str = "INSERT INTO meta (key, value) VALUES ('admission', $1)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

const PLACES: &str = "SELECT place, user_id, ended_at IS NOT NULL FROM queue_places ORDER BY place";

/// PostgreSQL's integers are signed; places count from 1 and never get there.
pub(super) fn signed(place: Place) -> i64 {
    i64::try_from(place.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> Place {
    Place(u64::try_from(value).unwrap_or(0))
}

pub(super) async fn admit(
    attempts: &mut Attempts<'_>,
    mark: Place,
    at: Timestamp,
) -> Result<(), StoreError> {
    attempts.rows(ADMIT, &[&signed(mark), &at.0]).await?;
    Ok(())
}

pub(super) async fn save_admission(
    attempts: &mut Attempts<'_>,
    admission: &Admission,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(admission)
        .map_err(|error| StoreError::Unavailable(format!("admission settings: {error}")))?;
    attempts.rows(SAVE_ADMISSION, &[&text]).await?;
    Ok(())
}

/// Everything about the queue as of one moment.
pub(super) async fn snapshot(pool: &Pool) -> Result<QueueSnapshot, Fault> {
    let mut lease = pool.lend().await?;
    snapshot::begin(&mut lease).await?;
    let places = places(&lease).await?;
    let admissions = lease
        .rows("SELECT mark, at FROM admissions ORDER BY mark", &[])
        .await?
        .iter()
        .map(|row| (unsigned(row.get(0)), Timestamp(row.get(1))))
        .collect();
    let settings = lease
        .rows("SELECT value FROM meta WHERE key = 'admission'", &[])
        .await?;
    snapshot::end(&mut lease).await?;
    let admission = match settings.first() {
        Some(row) => Some(serde_json::from_str(row.get(0)).map_err(|error| {
            Fault::Final(StoreError::Damaged(format!(
                "the admission settings cannot be read: {error}"
            )))
        })?),
        None => None,
    };
    Ok(QueueSnapshot {
        places,
        admissions,
        admission,
    })
}

/// Row by row: a million places do not stand in memory twice.
async fn places(lease: &Lease<'_>) -> Result<Vec<(Place, UserId, bool)>, Fault> {
    let failed = |error| fault::of_statement(&error, snapshot::LONG);
    let none: [i64; 0] = [];
    let rows = lease
        .client()
        .query_raw(PLACES, none)
        .await
        .map_err(failed)?;
    rows.map_ok(|row| (unsigned(row.get(0)), UserId(row.get(1)), row.get(2)))
        .try_collect()
        .await
        .map_err(failed)
}
