//! Loads a dataset into a schema of its own that no server reads yet. One transaction does the whole load, so an
//! interruption leaves nothing behind.
//!
//! Users and seats are copied in PostgreSQL's binary format from a buffer of bounded size. The rows are written frozen
//! and without keys. Keys, indexes and references are made after all rows are written.

use bytes::{BufMut as _, BytesMut};
use tokio::runtime::Handle;

use super::Loaded;
use super::target::Target;
use crate::domain::{Money, Timestamp};
use crate::store::dataset_storage::PriceTiers;
use crate::store::server::{Dialect as _, failed, migrate, write_info};
use crate::store::values::Params;
use crate::store::{DatasetInfo, StoreError};

/// The number of bytes that are sent together.
const PIECE: usize = 64 * 1024;
/// The beginning of a copy in binary format: signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// `ANALYZE` runs before the commit, so that the first statement already has statistics.
const FINISH: &str = "ANALYZE concerts, performance_dates, users, seats; COMMIT";

const CONCERTS: &str = "INSERT INTO concerts (id, performer)
    SELECT i, 'performer' || i FROM generate_series($1::bigint, $2::bigint) AS i";

const DATES: &str = "INSERT INTO performance_dates (id, concert_id, date)
    SELECT i, (i - 1) / $3::bigint + 1,
           to_char($4::text::date + ((i - 1) % $3::bigint)::integer, 'YYYY-MM-DD')
    FROM generate_series($1::bigint, $2::bigint) AS i";

const COPY_USERS: &str =
    "COPY users (id, balance, modified_at) FROM STDIN WITH (FORMAT binary, FREEZE)";

const COPY_SEATS: &str =
    "COPY seats (id, performance_date_id, price, number) FROM STDIN WITH (FORMAT binary, FREEZE)";

/// A dataset that is being loaded. Its functions block, so only a blocking thread may call them. If it is dropped
/// before [`PgBulk::finish`], it leaves nothing behind.
pub struct PgBulk {
    present: Loaded,
    runtime: Handle,
}

impl PgBulk {
    pub(super) async fn begin(mut present: Loaded, schema: &str) -> Result<PgBulk, StoreError> {
        let begin = format!("SET search_path TO {schema}; BEGIN; CREATE SCHEMA {schema}");
        present.session.run(&begin).await?;
        migrate(&mut present.session, 0..1).await?;
        Ok(PgBulk {
            present,
            runtime: Handle::current(),
        })
    }

    /// Concerts `from..=to`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn concerts(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        self.execute(CONCERTS, &[signed(from).into(), signed(to).into()])
    }

    /// Performance dates `from..=to`, `per_concert` of them on each concert, on the days after
    /// `first_day` (`YYYY-MM-DD`).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn dates(
        &mut self,
        from: u64,
        to: u64,
        per_concert: u64,
        first_day: &str,
    ) -> Result<(), StoreError> {
        let per_concert = signed(per_concert.max(1));
        self.execute(
            DATES,
            &[
                signed(from).into(),
                signed(to).into(),
                per_concert.into(),
                first_day.into(),
            ],
        )
    }

    /// Users `from..=to`, each with `balance` in the account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn users(
        &mut self,
        from: u64,
        to: u64,
        balance: Money,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.copy(COPY_USERS, from, to, |row, id| {
            row.put_i16(3);
            put_bigint(row, signed(id));
            put_bigint(row, balance.0);
            put_bigint(row, now.0);
        })
    }

    /// Seats `from..=to`, `per_date` of them on each date.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seats(
        &mut self,
        from: u64,
        to: u64,
        per_date: u64,
        prices: PriceTiers<'_>,
    ) -> Result<(), StoreError> {
        let per_date = per_date.max(1);
        self.copy(COPY_SEATS, from, to, |row, id| {
            let (date, at) = ((id - 1) / per_date, (id - 1) % per_date);
            row.put_i16(4);
            put_bigint(row, signed(id));
            put_bigint(row, signed(date + 1));
            put_bigint(row, price_at(at, prices));
            row.put_i32(4);
            row.put_i32(i32::try_from(at + 1).unwrap_or(i32::MAX));
        })
    }

    /// Makes keys and indexes, writes the description of the dataset, and commits. The dataset is complete after this,
    /// but not active.
    ///
    /// # Errors
    /// [`StoreError`]. The whole load is rolled back then.
    pub fn finish(mut self, info: &DatasetInfo) -> Result<Loaded, StoreError> {
        let session = &mut self.present.session;
        self.runtime.block_on(async {
            migrate(session, 1..Target::MIGRATIONS.len()).await?;
            write_info(session, info).await?;
            session.run(FINISH).await
        })?;
        Ok(self.present)
    }

    fn execute(&mut self, sql: &'static str, params: Params<'_>) -> Result<(), StoreError> {
        let executing = self.present.session.rows(sql, params);
        Ok(self.runtime.block_on(executing).map(drop)?)
    }

    fn copy(
        &mut self,
        sql: &str,
        from: u64,
        to: u64,
        put: impl Fn(&mut BytesMut, u64),
    ) -> Result<(), StoreError> {
        let connection = &mut self.present.session.connection;
        let copying = async {
            let mut copy = connection.copy_in_raw(sql).await?;
            let mut rows = BytesMut::with_capacity(PIECE + 128);
            rows.put_slice(HEADER);
            for id in from..=to {
                put(&mut rows, id);
                if rows.len() >= PIECE {
                    copy.send(&rows[..]).await?;
                    rows.clear();
                }
            }
            rows.put_i16(-1);
            copy.send(&rows[..]).await?;
            copy.finish().await
        };
        let done = self.runtime.block_on(copying).map_err(failed::<Target>);
        Ok(done.map(drop)?)
    }
}

fn put_bigint(row: &mut BytesMut, value: i64) {
    row.put_i32(8);
    row.put_i64(value);
}

fn price_at(at: u64, prices: PriceTiers<'_>) -> i64 {
    let tier = prices.iter().find(|(up_to, _)| at < u64::from(*up_to));
    tier.or(prices.last()).map_or(0, |(_, price)| *price)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
