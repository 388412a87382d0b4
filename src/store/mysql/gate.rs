//! The gate: a named lock (`GET_LOCK`) that one session holds while it changes what all servers see: presences, the
//! control tables, migrations. MySQL's named locks belong to the whole server, so their names contain the database.

use sqlx::Row as _;
use sqlx::mysql::MySqlConnection;

use super::schema::failed;
use crate::store::fault::Fault;

/// The longest wait for the gate, in seconds. What is done inside takes milliseconds, migrations aside.
const ENTER_WITHIN_S: i64 = 30;

/// The gate of the database that the URL names.
pub(super) fn name(base: &str) -> String {
    format!("concertctl:{base}")
}

/// Waits for the gate and enters it. The session holds it until [`leave`], or until its connection ends.
pub(super) async fn enter(connection: &mut MySqlConnection, gate: &str) -> Result<(), Fault> {
    let sql = "SELECT GET_LOCK(?, ?)";
    let row = sqlx::query(sql)
        .bind(gate.to_owned())
        .bind(ENTER_WITHIN_S)
        .fetch_one(connection)
        .await;
    let entered: Option<i64> = row.map_err(failed)?.try_get(0).map_err(failed)?;
    match entered {
        Some(1) => Ok(()),
        _ => Err(Fault::unavailable(format!(
            "another server holds the lock {gate:?} for more than {ENTER_WITHIN_S} s"
        ))),
    }
}

/// Leaves the gate.
pub(super) async fn leave(connection: &mut MySqlConnection, gate: &str) -> Result<(), Fault> {
    let left = sqlx::query("SELECT RELEASE_LOCK(?)").bind(gate.to_owned());
    left.fetch_one(connection).await.map(drop).map_err(failed)
}
