//! The tables of a dataset: their migrations, and the description of the dataset.

use std::ops::Range;

use super::dialect::Dialect;
use super::session::Session;
use crate::store::fault::Fault;
use crate::store::{DatasetInfo, StoreError};

/// The version of the control tables.
const CONTROL_VERSION: usize = 1;

/// The keys of the settings in `meta`.
const DATASET: &str = "dataset";
const VERSION: &str = "schema_version";

/// Checks the server, and makes the control tables unless a newer version of the program made them. After a failure,
/// the caller must drop the session.
pub(super) async fn prepare<D: Dialect>(target: &D, session: &mut Session<D>) -> Result<(), Fault> {
    target.check_server(session).await?;
    target.lock_schema(session).await?;
    target.make_control(session).await?;
    let newest = i64::try_from(CONTROL_VERSION).unwrap_or(i64::MAX);
    let offer = D::SQL.offer_control_version;
    session.rows(offer, &[newest.into()]).await?;
    let version = session.number(D::SQL.control_version, &[]).await?;
    known(version, CONTROL_VERSION).map_err(Fault::Final)?;
    target.unlock_schema(session).await
}

/// Runs the migrations in the range `which` in the namespace of the session.
pub(in crate::store) async fn migrate<D: Dialect>(
    session: &mut Session<D>,
    which: Range<usize>,
) -> Result<(), Fault> {
    for (at, texts) in D::MIGRATIONS.iter().enumerate() {
        if which.contains(&at) {
            for text in *texts {
                session.run(text).await?;
            }
            set(session, VERSION, &(at + 1).to_string()).await?;
        }
    }
    Ok(())
}

/// Runs the missing migrations on an existing dataset. Only one server does this at a time. After a failure, the caller
/// must drop the session.
pub(super) async fn bring_up_to_date<D: Dialect>(
    target: &D,
    session: &mut Session<D>,
) -> Result<(), Fault> {
    let newest = D::MIGRATIONS.len();
    if version(session).await? == newest {
        return Ok(());
    }
    target.lock_schema(session).await?;
    let done = version(session).await?;
    migrate(session, done..newest).await?;
    target.unlock_schema(session).await
}

async fn version<D: Dialect>(session: &mut Session<D>) -> Result<usize, Fault> {
    let row = session.row(D::SQL.meta, &[VERSION.into()]).await?;
    let version = match &row {
        Some(row) => D::text(row, 0)?.parse().unwrap_or(i64::MAX),
        None => 0,
    };
    known(version, D::MIGRATIONS.len()).map_err(Fault::Final)
}

/// Checks the number of migrations that ran against `newest`, the number that this program knows.
fn known(version: i64, newest: usize) -> Result<usize, StoreError> {
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
pub(super) async fn read_info<D: Dialect>(session: &mut Session<D>) -> Result<DatasetInfo, Fault> {
    let row = session.row(D::SQL.meta, &[DATASET.into()]).await?;
    let row = row.ok_or_else(|| Fault::damaged("it holds no dataset"))?;
    serde_json::from_str(D::text(&row, 0)?)
        .map_err(|error| Fault::damaged(format!("its description cannot be read: {error}")))
}

/// Writes the description of the dataset.
pub(in crate::store) async fn write_info<D: Dialect>(
    session: &mut Session<D>,
    info: &DatasetInfo,
) -> Result<(), Fault> {
    let text = serde_json::to_string(info)
        .map_err(|error| Fault::unavailable(format!("description: {error}")))?;
    set(session, DATASET, &text).await
}

async fn set<D: Dialect>(session: &mut Session<D>, key: &str, value: &str) -> Result<(), Fault> {
    let params = [key.into(), value.into()];
    session.rows(D::SQL.set_meta, &params).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused() {
        assert_eq!(known(2, 2).unwrap(), 2);
        let error = known(99, 2).unwrap_err().to_string();
        assert!(error.contains("99") && error.contains("newer"), "{error}");
    }
}
