//! PostgreSQL as the server store uses it: schemas, migrations and locks.
//!
//! The schema `concertctl` holds the control tables. Each dataset has a schema of its own, `concertctl_<epoch>`.

use super::bulk::PgBulk;
use super::statements::SQL;
use super::target::Target;
use super::{Loaded, PgOptions, Session, presence_lock};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::pooled::Driver as _;
use crate::store::server::{Dialect, Purpose, Statements, Use};

/// The control tables, and their schema.
const CONTROL: &str = include_str!("../../../migrations/postgres/0001_control.sql");
const CONTROL_SCHEMA: &str = "concertctl";
/// The oldest PostgreSQL that is supported, as `server_version_num`.
const OLDEST: i64 = 130_000;

const SETTINGS: &str =
    "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),
    pg_is_in_recovery()::integer::bigint, current_setting('fsync')";

const HAS_CONTROL: &str =
    "SELECT (to_regclass('concertctl.schema_version') IS NOT NULL)::integer::bigint";

/// The transaction that makes the control tables also writes this row.
const HAS_VERSION: &str = "SELECT EXISTS (SELECT FROM concertctl.schema_version)::integer::bigint";

impl Target {
    /// Refuses control tables that a restore has made and not filled, because a row of this server would be in its way.
    async fn check_control(&self, session: &mut Session) -> Result<(), Fault> {
        match session.number(HAS_VERSION, &[]).await? {
            1 => Ok(()),
            _ => Err(Fault::unavailable(format!(
                "the control tables of {} are empty: finish the restore of its dump",
                self.name()
            ))),
        }
    }
}

impl Dialect for Target {
    const SQL: Statements = SQL;
    const ONE_ANSWER: &'static str = "idempotency_pkey";
    const NAMESPACE: &'static str = "schema";
    const LOADS_WHOLE: bool = true;
    /// The first migration makes the tables without keys. Seeding adds the keys after it has written the rows.
    const MIGRATIONS: &'static [&'static [&'static str]] = &[
        &[include_str!(
            "../../../migrations/postgres/0001_dataset.sql"
        )],
        &[include_str!(
            "../../../migrations/postgres/0002_dataset_keys.sql"
        )],
        &[include_str!(
            "../../../migrations/postgres/0004_admission_of_reservation.sql"
        )],
        &[include_str!(
            "../../../migrations/postgres/0005_answer_codes.sql"
        )],
    ];

    type Lock = ();
    type Bulk = PgBulk;

    fn parse(url: &str, options: &PgOptions) -> Result<Target, StoreError> {
        Target::of_url(url, options)
    }

    fn control(&self) -> &str {
        CONTROL_SCHEMA
    }

    fn in_namespace(&self, schema: &str, purpose: Purpose, options: &PgOptions) -> Target {
        self.in_schema(schema, purpose, options)
    }

    async fn check_server(&self, session: &mut Session) -> Result<(), Fault> {
        let row = session.only_row(SETTINGS, &[]).await?;
        let (number, version) = (Target::int(&row, 0)?, Target::text(&row, 1)?);
        new_enough(number, version, self.name()).map_err(Fault::Final)?;
        if Target::int(&row, 2)? == 1 {
            return Err(Fault::unavailable(format!(
                "{} is a standby and takes no writes: name its primary",
                self.name()
            )));
        }
        if Target::text(&row, 3)? == "off" {
            tracing::warn!(
                database = self.name(),
                "the database runs with fsync=off: a crash of its machine may lose what was acknowledged"
            );
        }
        Ok(())
    }

    async fn make_control(&self, session: &mut Session) -> Result<(), Fault> {
        match session.number(HAS_CONTROL, &[]).await? {
            1 => self.check_control(session).await,
            _ => session.run(CONTROL).await,
        }
    }

    async fn lock_schema(&self, session: &mut Session) -> Result<(), Fault> {
        session.run("BEGIN").await?;
        presence_lock::lock_migrating(session).await
    }

    async fn unlock_schema(&self, session: &mut Session) -> Result<(), Fault> {
        session.run("COMMIT").await
    }

    async fn take(&self, session: &mut Session, using: Use) -> Result<Option<()>, Fault> {
        presence_lock::take(session, using).await
    }

    async fn release(&self, session: &mut Session, (): ()) -> Result<(), Fault> {
        session.run("SELECT pg_advisory_unlock_all()").await
    }

    async fn begin_bulk(present: Loaded, schema: String) -> Result<PgBulk, StoreError> {
        PgBulk::begin(present, &schema).await
    }

    /// The time-out is long, because unlinking the files of a large dataset takes long.
    fn drop_namespace(schema: &str) -> String {
        format!(
            "SET statement_timeout = '60s'; SET lock_timeout = '2s'; DROP SCHEMA {schema} CASCADE"
        )
    }
}

fn new_enough(number: i64, version: &str, name: &str) -> Result<(), StoreError> {
    if number >= OLDEST {
        return Ok(());
    }
    let oldest = OLDEST / 10_000;
    Err(StoreError::Unavailable(format!(
        "{name} is PostgreSQL {version}: {oldest} or newer is needed"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named_with_what_is_needed() {
        assert!(new_enough(130_000, "13.0", "db:5432/x").is_ok());
        let error = new_enough(120_022, "12.22", "db:5432/x").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("db:5432/x is PostgreSQL 12.22: 13 or newer is needed"),
            "{text}"
        );
    }
}
