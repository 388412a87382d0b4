//! Reads of concerts, dates and seats.

use sqlx::mysql::MySqlRow;

use super::Retry;
use super::columns::{int, text};
use crate::domain::{ConcertId, Money, PerformanceDateId, SeatId, SeatStatus};
use crate::store::fault::Fault;
use crate::store::values::Value;
use crate::store::{Catalog, SeatCounts, SeatRow, StoreError};

const CONCERTS: &str = "SELECT id, performer FROM concerts ORDER BY id";

const DATES: &str = "SELECT id, concert_id, date FROM performance_dates ORDER BY id";

const OF_DATE: &str = "SELECT id, number, price, status, version FROM seats
    WHERE performance_date_id = ? ORDER BY number";

pub(super) const COUNTS: &str =
    "SELECT status, COUNT(*) FROM seats WHERE id BETWEEN 1 AND ? GROUP BY status";

pub(super) async fn catalog(retry: &mut Retry<'_>) -> Result<Catalog, StoreError> {
    let concerts = retry.run(CONCERTS, &[]).await?;
    let concert = |row: &MySqlRow| Ok((ConcertId(int(row, 0)?), text(row, 1)?.to_owned()));
    let concerts: Result<Vec<_>, Fault> = concerts.rows.iter().map(concert).collect();
    let dates = retry.run(DATES, &[]).await?;
    let date = |row: &MySqlRow| {
        Ok((
            PerformanceDateId(int(row, 0)?),
            ConcertId(int(row, 1)?),
            text(row, 2)?.to_owned(),
        ))
    };
    let dates: Result<Vec<_>, Fault> = dates.rows.iter().map(date).collect();
    Ok(Catalog {
        concerts: concerts?,
        dates: dates?,
    })
}

pub(super) async fn of_date(
    retry: &mut Retry<'_>,
    date: PerformanceDateId,
) -> Result<Vec<SeatRow>, StoreError> {
    let reply = retry.run(OF_DATE, &[date.0.into()]).await?;
    reply.rows.iter().map(seat).collect()
}

fn seat(row: &MySqlRow) -> Result<SeatRow, StoreError> {
    Ok(SeatRow {
        id: SeatId(int(row, 0)?),
        number: int(row, 1)?,
        price: Money(int(row, 2)?),
        status: status(int(row, 3)?)?,
        version: int(row, 4)?,
    })
}

/// The seats of the concert on sale have the ids 1 to `on_sale`.
pub(super) async fn counts(retry: &mut Retry<'_>, on_sale: u64) -> Result<SeatCounts, StoreError> {
    tally(&retry.run(COUNTS, &[up_to(on_sale)]).await?.rows)
}

pub(super) fn up_to(on_sale: u64) -> Value<'static> {
    i64::try_from(on_sale).unwrap_or(i64::MAX).into()
}

/// Counts rows of two columns: status, number.
pub(super) fn tally(rows: &[MySqlRow]) -> Result<SeatCounts, StoreError> {
    let mut counts = SeatCounts::default();
    for row in rows {
        let count = u64::try_from(int(row, 1)?).unwrap_or(0);
        match status(int(row, 0)?)? {
            SeatStatus::Available => counts.available = count,
            SeatStatus::Pending => counts.pending = count,
            SeatStatus::Unavailable => counts.unavailable = count,
        }
    }
    Ok(counts)
}

fn status(code: i64) -> Result<SeatStatus, StoreError> {
    SeatStatus::from_code(code)
        .ok_or_else(|| StoreError::Damaged(format!("{code} is no status of a seat")))
}
