//! Reads concerts, dates and seats.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::domain::{ConcertId, Money, PerformanceDateId, SeatId, SeatStatus, Timestamp};
use crate::store::{Catalog, SeatCounts, SeatRow, StoreError};

pub(super) fn catalog(conn: &Connection) -> Result<Catalog, StoreError> {
    let concerts = conn
        .prepare("SELECT id, performer FROM concerts ORDER BY id")?
        .query_map([], |row| Ok((ConcertId(row.get(0)?), row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let dates = conn
        .prepare("SELECT id, concert_id, date FROM performance_dates ORDER BY id")?
        .query_map([], |row| {
            Ok((
                PerformanceDateId(row.get(0)?),
                ConcertId(row.get(1)?),
                row.get(2)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    Ok(Catalog { concerts, dates })
}

/// Columns: id, number, price, status, version.
fn row(row: &Row<'_>) -> rusqlite::Result<SeatRow> {
    let code = row.get(3)?;
    Ok(SeatRow {
        id: SeatId(row.get(0)?),
        number: row.get(1)?,
        price: Money(row.get(2)?),
        status: SeatStatus::from_code(code)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(3, code))?,
        version: row.get(4)?,
    })
}

/// A seat whose hold has expired counts as free.
const SEAT: &str = "SELECT id, number, price, CASE WHEN status = 1 AND EXISTS (
         SELECT 1 FROM reservations WHERE seat_id = ?1 AND status = 0 AND expires_at <= ?2
     ) THEN 0 ELSE status END, version FROM seats WHERE id = ?1";

pub(super) fn seat(
    conn: &Connection,
    seat: SeatId,
    now: Timestamp,
) -> Result<Option<SeatRow>, StoreError> {
    Ok(conn
        .prepare_cached(SEAT)?
        .query_row([seat.0, now.0], row)
        .optional()?)
}

pub(super) fn of_date(
    conn: &Connection,
    date: PerformanceDateId,
) -> Result<Vec<SeatRow>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT id, number, price, status, version FROM seats
             WHERE performance_date_id = ?1 ORDER BY number",
        )?
        .query_map([date.0], row)?
        .collect::<Result<_, _>>()?)
}

/// The concert on sale has the seats with ids 1 to `on_sale`.
pub(super) fn counts(conn: &Connection, on_sale: u64) -> Result<SeatCounts, StoreError> {
    let mut counts = SeatCounts::default();
    let mut statement = conn.prepare_cached(
        "SELECT status, count(*) FROM seats WHERE id BETWEEN 1 AND ?1 GROUP BY status",
    )?;
    let mut rows = statement.query([i64::try_from(on_sale).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let count: i64 = row.get(1)?;
        let count = u64::try_from(count).unwrap_or(0);
        match SeatStatus::from_code(row.get(0)?) {
            Some(SeatStatus::Available) => counts.available = count,
            Some(SeatStatus::Pending) => counts.pending = count,
            Some(SeatStatus::Unavailable) => counts.unavailable = count,
            None => {}
        }
    }
    Ok(counts)
}
