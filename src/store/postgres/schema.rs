//! Schemas: where the tables of a dataset are, their migrations, and the description of the dataset.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::errors;
use crate::domain::Epoch;
use crate::store::fault::Fault;
use crate::store::{DatasetInfo, LONG_READ, StoreError};

/// The tables of a dataset.
const TABLES: &str = include_str!("../../../migrations/postgres/0001_dataset.sql");
/// In order. `meta` holds how many ran.
const MIGRATIONS: &[&str] = &[
    TABLES,
    include_str!("../../../migrations/postgres/0002_dataset_keys.sql"),
    include_str!("../../../migrations/postgres/0004_admission_of_reservation.sql"),
    include_str!("../../../migrations/postgres/0005_answer_codes.sql"),
];

/// The first half of the key of every advisory lock that is not about one dataset: "conc".
pub(super) const LOCKS: i32 = 0x636f_6e63;
/// One server at a time changes a schema.
pub(super) const MIGRATING: i32 = 1;
/// A server that coordinates by itself holds it alone; servers that coordinate together share it.
pub(super) const IN_USE: i32 = 2;

/// The schema of a dataset.
pub(super) fn name(epoch: Epoch) -> String {
    format!("concertctl_{:016x}", epoch.0)
}

/// The dataset whose schema is called so.
pub(super) fn epoch_of(schema: &str) -> Option<Epoch> {
    epoch(schema.strip_prefix("concertctl_")?)
}

/// Sixteen hexadecimal digits.
pub(super) fn epoch(text: &str) -> Option<Epoch> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == 16 && text.bytes().all(digit);
    let number = u64::from_str_radix(text, 16).ok()?;
    fits.then_some(Epoch(number))
}

/// An epoch as the key of an advisory lock.
pub(super) fn lock_key(epoch: Epoch) -> i64 {
    i64::from_ne_bytes(epoch.0.to_ne_bytes())
}

/// Makes the tables, without keys, inside a transaction whose search path is the new schema.
pub(super) async fn create_tables(connection: &mut PgConnection) -> Result<(), Fault> {
    run(connection, TABLES).await?;
    set_version(connection, 1).await
}

/// Runs the migrations that the schema lacks, inside a transaction whose search path is the schema.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), Fault> {
    let done = known(version(connection).await?, MIGRATIONS.len()).map_err(Fault::Final)?;
    for (at, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        run(connection, sql).await?;
        set_version(connection, at + 1).await?;
    }
    Ok(())
}

/// Brings the schema of an existing dataset up to date. After a failure, the caller drops the connection, which ends the
/// transaction.
pub(super) async fn bring_up_to_date(connection: &mut PgConnection) -> Result<(), Fault> {
    let done = version(connection).await?;
    if known(done, MIGRATIONS.len()).map_err(Fault::Final)? == MIGRATIONS.len() {
        return Ok(());
    }
    run(connection, "BEGIN").await?;
    lock(connection, MIGRATING).await?;
    migrate(connection).await?;
    run(connection, "COMMIT").await
}

/// Waits for the lock and holds it to the end of the transaction.
pub(super) async fn lock(connection: &mut PgConnection, which: i32) -> Result<(), Fault> {
    let sql = "SELECT pg_advisory_xact_lock($1, $2)";
    let locking = sqlx::query(sql).bind(LOCKS).bind(which);
    locking.execute(connection).await.map(drop).map_err(failed)
}

/// Runs statements without parameters. They consist of words and numbers of this program.
pub(super) async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), Fault> {
    let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    text.execute(connection).await.map(drop).map_err(failed)
}

async fn version(connection: &mut PgConnection) -> Result<i64, Fault> {
    let sql = "SELECT value::bigint FROM meta WHERE key = 'schema_version'";
    let row = sqlx::query(sql).fetch_optional(connection).await;
    let version = row.map_err(failed)?.map(|row| row.try_get(0));
    Ok(version.transpose().map_err(failed)?.unwrap_or(0))
}

async fn set_version(connection: &mut PgConnection, version: usize) -> Result<(), Fault> {
    let sql = "INSERT INTO meta (key, value) VALUES ('schema_version', $1)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let setting = sqlx::query(sql).bind(version.to_string());
    setting.execute(connection).await.map(drop).map_err(failed)
}

/// The number of migrations that ran, of the `newest` there are.
pub(super) fn known(version: i64, newest: usize) -> Result<usize, StoreError> {
    usize::try_from(version)
        .ok()
        .filter(|done| *done <= newest)
        .ok_or_else(|| {
            StoreError::Unavailable(format!(
                "the database has schema version {version}, this program knows up to {newest}: use a newer concertctl"
            ))
        })
}

/// Reads the description of the dataset.
pub(super) async fn read_info(connection: &mut PgConnection) -> Result<DatasetInfo, Fault> {
    let sql = "SELECT value FROM meta WHERE key = 'dataset'";
    let row = sqlx::query(sql).fetch_optional(connection).await;
    let row = row.map_err(failed)?;
    let row = row.ok_or_else(|| Fault::damaged("it holds no dataset"))?;
    serde_json::from_str(row.try_get(0).map_err(failed)?)
        .map_err(|error| Fault::damaged(format!("its description cannot be read: {error}")))
}

/// Writes the description of the dataset.
pub(super) async fn write_info(
    connection: &mut PgConnection,
    info: &DatasetInfo,
) -> Result<(), Fault> {
    let text = serde_json::to_string(info)
        .map_err(|error| Fault::unavailable(format!("description: {error}")))?;
    let sql = "INSERT INTO meta (key, value) VALUES ('dataset', $1)";
    let writing = sqlx::query(sql).bind(text).execute(connection);
    writing.await.map(drop).map_err(failed)
}

/// Classifies the failure of a statement outside the pool.
pub(super) fn failed(error: sqlx::Error) -> Fault {
    errors::of_statement(&error, LONG_READ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_and_the_name_of_its_schema_are_made_from_each_other() {
        for epoch in [Epoch(0), Epoch(7), Epoch(u64::MAX)] {
            assert_eq!(epoch_of(&name(epoch)), Some(epoch));
        }
        for other in [
            "concertctl",
            "concertctl_",
            "concertctl_00000000000000g0",
            "concertctl_+000000000000007",
            "concertctl_00000000000000071",
            "concertctl_000000000000000A",
            "public",
        ] {
            assert_eq!(epoch_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused() {
        assert_eq!(known(2, 2).unwrap(), 2);
        let error = known(99, 2).unwrap_err().to_string();
        assert!(error.contains("99") && error.contains("newer"), "{error}");
    }
}
