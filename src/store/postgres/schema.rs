//! Schemas: where a dataset's tables stand, their migrations, and the dataset's description.

use tokio_postgres::{Client, GenericClient};

use super::fault::{self, Fault};
use crate::domain::Epoch;
use crate::store::{DatasetInfo, StoreError};

/// The tables of a dataset.
const TABLES: &str = include_str!("../../../migrations/postgres/0001_dataset.sql");
/// In order; `meta` says how many ran.
const MIGRATIONS: &[&str] = &[
    TABLES,
    include_str!("../../../migrations/postgres/0002_dataset_keys.sql"),
    include_str!("../../../migrations/postgres/0004_admission_of_reservation.sql"),
];

/// First half of every advisory lock of ours that is not about one dataset: "conc".
pub(super) const LOCKS: i32 = 0x636f_6e63;
/// One server at a time changes a schema.
pub(super) const MIGRATING: i32 = 1;
/// Held by a server that coordinates by itself, shared by those that do so together.
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

/// Makes the tables, without keys. Inside a transaction whose search path is the new schema.
pub(super) async fn create_tables(client: &impl GenericClient) -> Result<(), Fault> {
    run(client, TABLES).await?;
    set_version(client, 1).await
}

/// Runs the migrations that the schema has not seen. Inside a transaction whose search path it is.
pub(super) async fn migrate(client: &impl GenericClient) -> Result<(), Fault> {
    let done = known(version(client).await?, MIGRATIONS.len()).map_err(Fault::Final)?;
    for (at, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        run(client, sql).await?;
        set_version(client, at + 1).await?;
    }
    Ok(())
}

/// Brings the schema of an existing dataset up to date.
pub(super) async fn bring_up_to_date(client: &mut Client) -> Result<(), Fault> {
    let done = version(&*client).await?;
    if known(done, MIGRATIONS.len()).map_err(Fault::Final)? == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = client.transaction().await.map_err(failed)?;
    lock(&tx, MIGRATING).await?;
    migrate(&tx).await?;
    tx.commit().await.map_err(failed)
}

/// Waits for the lock and holds it to the end of the transaction.
pub(super) async fn lock(client: &impl GenericClient, which: i32) -> Result<(), Fault> {
    let sql = "SELECT pg_advisory_xact_lock($1, $2)";
    client.query(sql, &[&LOCKS, &which]).await.map_err(failed)?;
    Ok(())
}

async fn run(client: &impl GenericClient, sql: &str) -> Result<(), Fault> {
    client.batch_execute(sql).await.map_err(failed)
}

async fn version(client: &impl GenericClient) -> Result<i64, Fault> {
    let sql = "SELECT value::bigint FROM meta WHERE key = 'schema_version'";
    let row = client.query_opt(sql, &[]).await.map_err(failed)?;
    Ok(row.map_or(0, |row| row.get(0)))
}

async fn set_version(client: &impl GenericClient, version: usize) -> Result<(), Fault> {
    let sql = "INSERT INTO meta (key, value) VALUES ('schema_version', $1)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    client
        .execute(sql, &[&version.to_string()])
        .await
        .map_err(failed)?;
    Ok(())
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

/// What the dataset consists of.
pub(super) async fn read_info(client: &impl GenericClient) -> Result<DatasetInfo, Fault> {
    let sql = "SELECT value FROM meta WHERE key = 'dataset'";
    let row = client.query_opt(sql, &[]).await.map_err(failed)?;
    let damaged = |why: String| Fault::Final(StoreError::Damaged(why));
    let row = row.ok_or_else(|| damaged("it holds no dataset".to_owned()))?;
    serde_json::from_str(row.get(0))
        .map_err(|error| damaged(format!("its description cannot be read: {error}")))
}

/// Writes what the dataset consists of.
pub(super) async fn write_info(
    client: &impl GenericClient,
    info: &DatasetInfo,
) -> Result<(), Fault> {
    let text = serde_json::to_string(info)
        .map_err(|error| Fault::unavailable(format!("description: {error}")))?;
    let sql = "INSERT INTO meta (key, value) VALUES ('dataset', $1)";
    client.execute(sql, &[&text]).await.map_err(failed)?;
    Ok(())
}

/// Why a statement of these, which may take long, failed.
pub(super) fn failed(error: tokio_postgres::Error) -> Fault {
    fault::of_statement(&error, super::snapshot::LONG)
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
