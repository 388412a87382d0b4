//! Reads of concerts, dates and seats.

use sqlx::postgres::PgRow;

use super::Retry;
use super::columns::{get, int};
use crate::domain::{ConcertId, Money, PerformanceDateId, SeatId, SeatStatus};
use crate::store::fault::Fault;
use crate::store::{Catalog, SeatCounts, SeatRow, StoreError};

const CONCERTS: &str = "SELECT id, performer FROM concerts ORDER BY id";

const DATES: &str = "SELECT id, concert_id, date FROM performance_dates ORDER BY id";

const OF_DATE: &str = "SELECT id, number::bigint, price, status, version FROM seats
    WHERE performance_date_id = $1 ORDER BY seats.number";

/// The seats of the concert on sale are ids 1 to the parameter.
pub(super) const COUNTS: &str =
    "SELECT status, count(*) FROM seats WHERE id BETWEEN 1 AND $1 GROUP BY status";

pub(super) async fn catalog(retry: &mut Retry<'_>) -> Result<Catalog, StoreError> {
    let concerts = retry.run(CONCERTS, &[]).await?;
    let concert = |row: &PgRow| Ok((ConcertId(int(row, 0)?), get(row, 1)?));
    let concerts: Result<Vec<_>, Fault> = concerts.rows.iter().map(concert).collect();
    let dates = retry.run(DATES, &[]).await?;
    let date = |row: &PgRow| {
        let (id, concert) = (PerformanceDateId(int(row, 0)?), ConcertId(int(row, 1)?));
        Ok((id, concert, get(row, 2)?))
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

fn seat(row: &PgRow) -> Result<SeatRow, StoreError> {
    Ok(SeatRow {
        id: SeatId(int(row, 0)?),
        number: int(row, 1)?,
        price: Money(int(row, 2)?),
        status: status(get(row, 3)?)?,
        version: int(row, 4)?,
    })
}

pub(super) async fn counts(retry: &mut Retry<'_>, on_sale: u64) -> Result<SeatCounts, StoreError> {
    let on_sale = i64::try_from(on_sale).unwrap_or(i64::MAX);
    tally(&retry.run(COUNTS, &[on_sale.into()]).await?.rows)
}

/// Columns: status, number of seats.
pub(super) fn tally(rows: &[PgRow]) -> Result<SeatCounts, StoreError> {
    let mut counts = SeatCounts::default();
    for row in rows {
        let count = u64::try_from(int(row, 1)?).unwrap_or(0);
        match status(get(row, 0)?)? {
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
