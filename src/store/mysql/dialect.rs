//! MySQL and MariaDB as the server store uses them: databases, migrations and locks.
//!
//! The control tables (`concertctl_…`) are in the database that the URL names. Each dataset has a database of its own,
//! `NAME_<epoch>`.

use super::bulk::MySqlBulk;
use super::statements::SQL;
use super::target::Target;
use super::{Loaded, MySqlOptions, Session, errors, gate, presence, version};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::server::{Dialect, Purpose, Statements, Use};

/// The control tables.
const CONTROL: &str = include_str!("../../../migrations/mysql/0001_control.sql");

impl Dialect for Target {
    const SQL: Statements = SQL;
    const ONE_ANSWER: &'static str = "PRIMARY";
    const NAMESPACE: &'static str = "database";
    const LOADS_WHOLE: bool = false;
    /// MySQL commits each statement by itself. An interrupted migration is repeated, so each of its statements must
    /// allow a repeat. The first migration is an exception, because a dataset that is not complete is never opened. A
    /// changed procedure gets a new name, because servers of the previous version may still call the old one.
    const MIGRATIONS: &'static [&'static [&'static str]] = &[
        &[
            include_str!("../../../migrations/mysql/0001_dataset.sql"),
            include_str!("../../../migrations/mysql/procedures/reserve.sql"),
            include_str!("../../../migrations/mysql/procedures/cancel.sql"),
            include_str!("../../../migrations/mysql/procedures/charge.sql"),
            include_str!("../../../migrations/mysql/procedures/remember.sql"),
            include_str!("../../../migrations/mysql/procedures/expire.sql"),
            include_str!("../../../migrations/mysql/procedures/end_expired.sql"),
            include_str!("../../../migrations/mysql/procedures/register_many.sql"),
            include_str!("../../../migrations/mysql/procedures/register_one.sql"),
        ],
        // They replace `pay` and `end_spent`, which counted only the holds of one place. Each is created unless it
        // exists, so that a repeat is possible without the right to drop it; MySQL can do this from 8.0.29 on.
        &[
            include_str!("../../../migrations/mysql/procedures/pay_reservation.sql"),
            include_str!("../../../migrations/mysql/procedures/end_spent_places.sql"),
        ],
        // It replaces `hand_out`, which took a place of another server for one of its own.
        &[include_str!(
            "../../../migrations/mysql/procedures/hand_out_places.sql"
        )],
    ];

    /// The id of the row in `concertctl_presence`.
    type Lock = i64;
    type Bulk = MySqlBulk;

    fn parse(url: &str, options: &MySqlOptions) -> Result<Target, StoreError> {
        Target::of_url(url, options)
    }

    fn control(&self) -> &str {
        self.database()
    }

    fn in_namespace(&self, database: &str, purpose: Purpose, options: &MySqlOptions) -> Target {
        self.in_database(database, purpose, options)
    }

    async fn check_server(&self, session: &mut Session) -> Result<(), Fault> {
        version::check_server(session, &self.name).await
    }

    async fn make_control(&self, session: &mut Session) -> Result<(), Fault> {
        let made = session.run(CONTROL).await;
        made.map_err(|fault| match fault {
            Fault::Final(StoreError::Unavailable(why)) => Fault::unavailable(format!(
                "{}: {why}; the user needs these rights: {}",
                self.name,
                errors::grants(self.user(), self.database())
            )),
            other => other,
        })
    }

    async fn lock_schema(&self, session: &mut Session) -> Result<(), Fault> {
        gate::enter(session, &gate::name(self.database())).await
    }

    async fn unlock_schema(&self, session: &mut Session) -> Result<(), Fault> {
        gate::leave(session, &gate::name(self.database())).await
    }

    async fn take(&self, session: &mut Session, using: Use) -> Result<Option<i64>, Fault> {
        presence::take(session, using, &gate::name(self.database())).await
    }

    async fn release(&self, session: &mut Session, id: i64) -> Result<(), Fault> {
        presence::release(session, id, &gate::name(self.database())).await
    }

    async fn begin_bulk(present: Loaded, database: String) -> Result<MySqlBulk, StoreError> {
        MySqlBulk::begin(present, &database).await
    }

    fn drop_namespace(database: &str) -> String {
        format!("DROP DATABASE IF EXISTS {database}")
    }
}
