//! The gate is a named lock (`GET_LOCK`). A session holds it while it changes state that all servers see: presences,
//! the control tables, migrations. MySQL's named locks belong to the whole server, so their names contain the database.

use super::Session;
use crate::store::fault::Fault;

/// The longest wait for the gate, in seconds. A session holds it for milliseconds, except during migrations.
const ENTER_WITHIN_S: i64 = 30;

/// The name of the gate of the database that the URL names.
pub(super) fn name(base: &str) -> String {
    format!("concertctl:{base}")
}

/// Waits for the gate and enters it. The session holds it until [`leave`], or until its connection ends.
pub(super) async fn enter(session: &mut Session, gate: &str) -> Result<(), Fault> {
    let params = [gate.into(), ENTER_WITHIN_S.into()];
    match session.number("SELECT GET_LOCK(?, ?)", &params).await? {
        1 => Ok(()),
        _ => Err(Fault::unavailable(format!(
            "another server holds the lock {gate:?} for more than {ENTER_WITHIN_S} s"
        ))),
    }
}

/// Leaves the gate, or releases another lock of the session.
pub(super) async fn leave(session: &mut Session, lock: &str) -> Result<(), Fault> {
    let params = [lock.into()];
    session
        .rows("SELECT RELEASE_LOCK(?)", &params)
        .await
        .map(drop)
}
