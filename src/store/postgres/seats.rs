//! Concerts, dates and seats, as read.

use tokio_postgres::Row;

use super::attempts::Attempts;
use crate::domain::{ConcertId, Money, PerformanceDateId, SeatId, SeatStatus};
use crate::store::{Catalog, SeatCounts, SeatRow, StoreError};

const OF_DATE: &str = "SELECT id, number, price, status, version FROM seats
    WHERE performance_date_id = $1 ORDER BY number";

pub(super) const COUNTS: &str =
    "SELECT status, count(*) FROM seats WHERE id BETWEEN 1 AND $1 GROUP BY status";

pub(super) async fn catalog(attempts: &mut Attempts<'_>) -> Result<Catalog, StoreError> {
    let concerts = attempts
        .rows("SELECT id, performer FROM concerts ORDER BY id", &[])
        .await?
        .iter()
        .map(|row| (ConcertId(row.get(0)), row.get(1)))
        .collect();
    let dates = attempts
        .rows(
            "SELECT id, concert_id, date FROM performance_dates ORDER BY id",
            &[],
        )
        .await?
        .iter()
        .map(|row| {
            (
                PerformanceDateId(row.get(0)),
                ConcertId(row.get(1)),
                row.get(2),
            )
        })
        .collect();
    Ok(Catalog { concerts, dates })
}

pub(super) async fn of_date(
    attempts: &mut Attempts<'_>,
    date: PerformanceDateId,
) -> Result<Vec<SeatRow>, StoreError> {
    let rows = attempts.rows(OF_DATE, &[&date.0]).await?;
    rows.iter().map(seat).collect()
}

fn seat(row: &Row) -> Result<SeatRow, StoreError> {
    Ok(SeatRow {
        id: SeatId(row.get(0)),
        number: row.get::<_, i32>(1).into(),
        price: Money(row.get(2)),
        status: status(row.get(3))?,
        version: row.get(4),
    })
}

/// The seats of the concert on sale are ids 1 to `on_sale`.
pub(super) async fn counts(
    attempts: &mut Attempts<'_>,
    on_sale: u64,
) -> Result<SeatCounts, StoreError> {
    let on_sale = i64::try_from(on_sale).unwrap_or(i64::MAX);
    tally(&attempts.rows(COUNTS, &[&on_sale]).await?)
}

/// Columns: status, how many.
pub(super) fn tally(rows: &[Row]) -> Result<SeatCounts, StoreError> {
    let mut counts = SeatCounts::default();
    for row in rows {
        let count = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        match status(row.get(0))? {
            SeatStatus::Available => counts.available = count,
            SeatStatus::Pending => counts.pending = count,
            SeatStatus::Unavailable => counts.unavailable = count,
        }
    }
    Ok(counts)
}

fn status(code: i16) -> Result<SeatStatus, StoreError> {
    SeatStatus::from_code(code.into())
        .ok_or_else(|| StoreError::Damaged(format!("{code} is no status of a seat")))
}
