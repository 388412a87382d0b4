//! The databases of datasets: their names, their migrations, and the description of a dataset.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::errors;
use super::gate;
use crate::domain::Epoch;
use crate::store::fault::Fault;
use crate::store::{DatasetInfo, LONG_READ, StoreError};

/// A migration: statements in one text, then procedures, one in each text. MySQL commits each statement by itself, so an
/// interrupted migration is repeated, and each of its statements must allow that. The first is an exception: a dataset
/// that is not complete is never opened.
type Migration = &'static [&'static str];

/// In order. `meta` holds how many ran. A procedure that changes gets a new name, because servers of the version before
/// may still call the old one.
const MIGRATIONS: &[Migration] = &[&[
    include_str!("../../../migrations/mysql/0001_dataset.sql"),
    include_str!("../../../migrations/mysql/procedures/reserve.sql"),
    include_str!("../../../migrations/mysql/procedures/cancel.sql"),
    include_str!("../../../migrations/mysql/procedures/pay.sql"),
    include_str!("../../../migrations/mysql/procedures/charge.sql"),
    include_str!("../../../migrations/mysql/procedures/remember.sql"),
    include_str!("../../../migrations/mysql/procedures/expire.sql"),
    include_str!("../../../migrations/mysql/procedures/end_expired.sql"),
    include_str!("../../../migrations/mysql/procedures/end_spent.sql"),
    include_str!("../../../migrations/mysql/procedures/register_many.sql"),
    include_str!("../../../migrations/mysql/procedures/register_one.sql"),
    include_str!("../../../migrations/mysql/procedures/hand_out.sql"),
]];

/// The name of the database of a dataset, beside the database that the URL names.
pub(super) fn name(base: &str, epoch: Epoch) -> String {
    format!("{base}_{:016x}", epoch.0)
}

/// The dataset whose database has this name.
pub(super) fn epoch_of(base: &str, database: &str) -> Option<Epoch> {
    epoch(database.strip_prefix(base)?.strip_prefix('_')?)
}

/// Sixteen hexadecimal digits.
pub(super) fn epoch(text: &str) -> Option<Epoch> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == 16 && text.bytes().all(digit);
    let number = u64::from_str_radix(text, 16).ok()?;
    fits.then_some(Epoch(number))
}

/// Runs the migrations that the dataset of the connection lacks.
pub(super) async fn migrate(connection: &mut MySqlConnection, done: usize) -> Result<(), Fault> {
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        for text in *migration {
            text_of(connection, text).await?;
        }
        set_version(connection, at + 1).await?;
    }
    Ok(())
}

/// Brings an existing dataset up to date, one server at a time.
pub(super) async fn bring_up_to_date(
    connection: &mut MySqlConnection,
    gate: &str,
) -> Result<(), Fault> {
    if version(connection).await? == MIGRATIONS.len() {
        return Ok(());
    }
    gate::enter(connection, gate).await?;
    let done = version(connection).await?;
    migrate(connection, done).await?;
    gate::leave(connection, gate).await
}

/// Runs a text of this program: statements without parameters.
pub(super) async fn text_of(
    connection: &mut MySqlConnection,
    text: &'static str,
) -> Result<(), Fault> {
    let done = sqlx::raw_sql(text).execute(connection).await;
    done.map(drop).map_err(failed)
}

/// Runs a text that names a database. The name was checked or made by this program.
pub(super) async fn named(connection: &mut MySqlConnection, text: String) -> Result<(), Fault> {
    let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await;
    done.map(drop).map_err(failed)
}

async fn version(connection: &mut MySqlConnection) -> Result<usize, Fault> {
    let sql = "SELECT value FROM meta WHERE `key` = 'schema_version'";
    let row = sqlx::query(sql).fetch_optional(connection).await;
    let Some(row) = row.map_err(failed)? else {
        return Ok(0);
    };
    let text: String = row.try_get(0).map_err(failed)?;
    known(text.parse().unwrap_or(i64::MAX), MIGRATIONS.len()).map_err(Fault::Final)
}

async fn set_version(connection: &mut MySqlConnection, version: usize) -> Result<(), Fault> {
    let sql = "INSERT INTO meta (`key`, value) VALUES ('schema_version', ?)
        ON DUPLICATE KEY UPDATE value = VALUES(value)";
    let done = sqlx::query(sql).bind(version.to_string());
    done.execute(connection).await.map(drop).map_err(failed)
}

/// The number of migrations that ran, of the `newest` that this program knows.
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

/// Reads the description of a dataset.
pub(super) async fn read_info(connection: &mut MySqlConnection) -> Result<DatasetInfo, Fault> {
    let sql = "SELECT value FROM meta WHERE `key` = 'dataset'";
    let row = sqlx::query(sql).fetch_optional(connection).await;
    let damaged = |why: String| Fault::Final(StoreError::Damaged(why));
    let row = row
        .map_err(failed)?
        .ok_or_else(|| damaged("it holds no dataset".to_owned()))?;
    let text: String = row.try_get(0).map_err(failed)?;
    serde_json::from_str(&text)
        .map_err(|error| damaged(format!("its description cannot be read: {error}")))
}

/// Writes the description of a dataset.
pub(super) async fn write_info(
    connection: &mut MySqlConnection,
    info: &DatasetInfo,
) -> Result<(), Fault> {
    let text = serde_json::to_string(info)
        .map_err(|error| Fault::unavailable(format!("description: {error}")))?;
    let sql = "INSERT INTO meta (`key`, value) VALUES ('dataset', ?)";
    let done = sqlx::query(sql).bind(text).execute(connection).await;
    done.map(drop).map_err(failed)
}

/// Classifies the failure of a statement that may take long.
pub(super) fn failed(error: sqlx::Error) -> Fault {
    errors::of_statement(&error, LONG_READ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_and_the_name_of_its_database_are_made_from_each_other() {
        for epoch in [Epoch(0), Epoch(7), Epoch(u64::MAX)] {
            assert_eq!(epoch_of("base", &name("base", epoch)), Some(epoch));
        }
        for other in [
            "base",
            "base_",
            "base_00000000000000g0",
            "base_+000000000000007",
            "base_00000000000000071",
            "base_000000000000000A",
            "other_0000000000000007",
        ] {
            assert_eq!(epoch_of("base", other), None, "{other}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused() {
        assert_eq!(known(1, 1).unwrap(), 1);
        let error = known(99, 1).unwrap_err().to_string();
        assert!(error.contains("99") && error.contains("newer"), "{error}");
    }
}
