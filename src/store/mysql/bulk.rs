//! Loads a dataset into a database of its own, which no server reads yet. The rows are made on the server from a table
//! of numbers, so only the bounds of each piece are sent.
//!
//! `LOAD DATA LOCAL` is not used, because most servers forbid it. Only MariaDB has the sequence engine; a table of
//! numbers is as fast and works on both.

use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySql, MySqlArguments};
use sqlx::query::Query;
use tokio::runtime::Handle;

use super::target::Target;
use super::{Loaded, errors};
use crate::domain::{Money, Timestamp};
use crate::store::dataset_storage::PriceTiers;
use crate::store::fault::Fault;
use crate::store::server::{Dialect as _, failed, migrate, write_info};
use crate::store::{DatasetInfo, StoreError};

/// The number of rows of one statement: the numbers in `numbers`.
const PIECE: u64 = 100_000;

const NUMBERS: &str = include_str!("sql/numbers.sql");

const DROP_NUMBERS: &str = "DROP TABLE numbers";

/// The session does not check keys, because every key is made unique.
const SESSION: &str = "SET SESSION unique_checks = 0, foreign_key_checks = 0";

const CONCERTS: &str = "INSERT INTO concerts (id, performer)
    SELECT ? + n, CONCAT('performer', ? + n) FROM numbers WHERE n < ? ORDER BY n";

const DATES: &str = "INSERT INTO performance_dates (id, concert_id, date)
    SELECT ? + n, (? + n - 1) DIV ? + 1,
           DATE_FORMAT(DATE_ADD(CAST(? AS DATE), INTERVAL ((? + n - 1) % ?) DAY), '%Y-%m-%d')
    FROM numbers WHERE n < ? ORDER BY n";

const USERS: &str = "INSERT INTO users (id, balance, modified_at)
    SELECT ? + n, ?, ? FROM numbers WHERE n < ? ORDER BY n";

const FINISH: &str = "ANALYZE TABLE concerts, performance_dates, users, seats";

/// A dataset that is being loaded. Its functions block, so only a blocking thread may call them. Dropped before
/// [`MySqlBulk::finish`], it leaves a database that the next sweep drops.
pub struct MySqlBulk {
    present: Loaded,
    runtime: Handle,
}

impl MySqlBulk {
    pub(super) async fn begin(
        mut present: Loaded,
        database: &str,
    ) -> Result<MySqlBulk, StoreError> {
        let create = format!("CREATE DATABASE {database} CHARACTER SET utf8mb4");
        let created = present.session.run(&create).await;
        created.map_err(|fault| may_not_create(fault, &present.target))?;
        let session = &mut present.session;
        session.run(&format!("USE {database}")).await?;
        migrate(session, 0..Target::MIGRATIONS.len()).await?;
        session.run(NUMBERS).await?;
        session.run(SESSION).await?;
        Ok(MySqlBulk {
            present,
            runtime: Handle::current(),
        })
    }

    /// Concerts `from..=to`.
    pub fn concerts(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        self.pieces(from, to, |first, count| {
            let query = sqlx::query(CONCERTS).bind(first).bind(first);
            query.bind(count)
        })
    }

    /// Performance dates `from..=to`, `per_concert` of them on each concert, on the days after `first_day`
    /// (`YYYY-MM-DD`).
    pub fn dates(
        &mut self,
        from: u64,
        to: u64,
        per_concert: u64,
        first_day: &str,
    ) -> Result<(), StoreError> {
        let per_concert = signed(per_concert.max(1));
        self.pieces(from, to, |first, count| {
            let query = sqlx::query(DATES).bind(first).bind(first);
            let query = query.bind(per_concert).bind(first_day.to_owned());
            query.bind(first).bind(per_concert).bind(count)
        })
    }

    /// Users `from..=to`, each with `balance` in its account.
    pub fn users(
        &mut self,
        from: u64,
        to: u64,
        balance: Money,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.pieces(from, to, |first, count| {
            let query = sqlx::query(USERS).bind(first);
            query.bind(balance.0).bind(now.0).bind(count)
        })
    }

    /// Seats `from..=to`, `per_date` of them on each date.
    pub fn seats(
        &mut self,
        from: u64,
        to: u64,
        per_date: u64,
        prices: PriceTiers<'_>,
    ) -> Result<(), StoreError> {
        let text = seats_text(prices);
        let per_date = signed(per_date.max(1));
        self.pieces(from, to, |first, count| {
            // The text contains only numbers of the profile.
            let query = sqlx::query(AssertSqlSafe(text.clone())).bind(first);
            let query = query.bind(first - 1).bind(per_date);
            query.bind(first - 1).bind(per_date).bind(count)
        })
    }

    /// Writes the description of the dataset. It is complete after this, but not active.
    ///
    /// # Errors
    /// [`StoreError`]. The dataset is useless then.
    pub fn finish(mut self, info: &DatasetInfo) -> Result<Loaded, StoreError> {
        let session = &mut self.present.session;
        self.runtime.block_on(async {
            session.run(DROP_NUMBERS).await?;
            session.run(FINISH).await?;
            write_info(session, info).await
        })?;
        Ok(self.present)
    }

    /// Runs one statement for each piece of `from..=to`, with the first id and the number of rows.
    fn pieces(
        &mut self,
        from: u64,
        to: u64,
        statement: impl Fn(i64, i64) -> Query<'static, MySql, MySqlArguments>,
    ) -> Result<(), StoreError> {
        let mut first = from;
        while first <= to {
            let count = PIECE.min(to - first + 1);
            let query = statement(signed(first), signed(count));
            let inserting = query.execute(&mut self.present.session.connection);
            self.runtime.block_on(inserting).map_err(failed::<Target>)?;
            first += count;
        }
        Ok(())
    }
}

/// The statement for seats with these prices.
fn seats_text(prices: PriceTiers<'_>) -> String {
    let tiers: String = prices
        .iter()
        .map(|(up_to, price)| format!(" WHEN at < {up_to} THEN {price}"))
        .collect();
    let last = prices.last().map_or(0, |(_, price)| *price);
    let price = format!("CASE WHEN FALSE THEN 0{tiers} ELSE {last} END");
    include_str!("sql/seats.sql").replace("/* price */", &price)
}

fn may_not_create(fault: Fault, target: &Target) -> Fault {
    match fault {
        Fault::Final(StoreError::Unavailable(why)) => Fault::unavailable(format!(
            "{}: a dataset needs a database of its own: {why}: {}",
            target.name,
            errors::grants(target.user(), target.database())
        )),
        other => other,
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
