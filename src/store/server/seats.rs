//! Reads of concerts, dates and seats.

use super::{Dialect, ServerStore};
use crate::domain::{ConcertId, Money, PerformanceDateId, SeatId, SeatStatus, statement};
use crate::store::fault::Fault;
use crate::store::values::Value;
use crate::store::{Catalog, SeatCounts, SeatRow, StoreError};

const CONCERTS: &str = "SELECT id, performer FROM concerts ORDER BY id";

const DATES: &str = "SELECT id, concert_id, date FROM performance_dates ORDER BY id";

impl<D: Dialect> ServerStore<D> {
    pub(in crate::store) async fn catalog(&self) -> Result<Catalog, StoreError> {
        let mut retry = self.read(statement::CATALOG_READ);
        let concerts = retry.run(CONCERTS, &[]).await?;
        let concert = |row: &D::Row| Ok((ConcertId(D::int(row, 0)?), D::text(row, 1)?.to_owned()));
        let concerts: Result<Vec<_>, Fault> = concerts.rows.iter().map(concert).collect();
        let dates = retry.run(DATES, &[]).await?;
        let date = |row: &D::Row| {
            let id = PerformanceDateId(D::int(row, 0)?);
            let concert = ConcertId(D::int(row, 1)?);
            Ok((id, concert, D::text(row, 2)?.to_owned()))
        };
        let dates: Result<Vec<_>, Fault> = dates.rows.iter().map(date).collect();
        Ok(Catalog {
            concerts: concerts?,
            dates: dates?,
        })
    }

    pub(in crate::store) async fn seats_of(
        &self,
        date: PerformanceDateId,
    ) -> Result<Vec<SeatRow>, StoreError> {
        let mut retry = self.read(statement::SEATS_READ);
        let reply = retry.run(D::SQL.seats_of_date, &[date.0.into()]).await?;
        let seat = |row: &D::Row| {
            Ok(SeatRow {
                id: SeatId(D::int(row, 0)?),
                number: D::int(row, 1)?,
                price: Money(D::int(row, 2)?),
                status: status(D::int(row, 3)?)?,
                version: D::int(row, 4)?,
            })
        };
        let seats: Result<Vec<_>, Fault> = reply.rows.iter().map(seat).collect();
        Ok(seats?)
    }

    pub(in crate::store) async fn seat_counts(&self) -> Result<SeatCounts, StoreError> {
        let mut retry = self.read(statement::SEATS_COUNT);
        let on_sale = up_to(self.info.on_sale_seats);
        let reply = retry.run(D::SQL.seat_counts, &[on_sale]).await?;
        Ok(tally::<D>(&reply.rows)?)
    }
}

/// The seats of the concert on sale have the ids 1 to `on_sale`.
pub(super) fn up_to(on_sale: u64) -> Value<'static> {
    i64::try_from(on_sale).unwrap_or(i64::MAX).into()
}

/// Counts rows of two columns: status, number of seats.
pub(super) fn tally<D: Dialect>(rows: &[D::Row]) -> Result<SeatCounts, Fault> {
    let mut counts = SeatCounts::default();
    for row in rows {
        let count = u64::try_from(D::int(row, 1)?).unwrap_or(0);
        match status(D::int(row, 0)?)? {
            SeatStatus::Available => counts.available = count,
            SeatStatus::Pending => counts.pending = count,
            SeatStatus::Unavailable => counts.unavailable = count,
        }
    }
    Ok(counts)
}

fn status(code: i64) -> Result<SeatStatus, Fault> {
    SeatStatus::from_code(code)
        .ok_or_else(|| Fault::damaged(format!("{code} is no status of a seat")))
}
