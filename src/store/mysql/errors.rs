//! The errors of MySQL and MariaDB, as [`Fault`]s.

use std::time::Duration;

use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use super::target::Target;
use crate::store::StoreError;
use crate::store::fault::{Fault, io_reason};

/// The reason when the database does not accept writes.
pub(super) const READ_ONLY: &str = "it is read-only: is it a replica?";

/// Classifies a failure to connect.
pub(super) fn of_connecting(error: &Error, target: &Target) -> Fault {
    let name = &target.name;
    let Some(db) = database_error(error) else {
        return match error {
            Error::Io(error) => {
                Fault::Unreached(format!("{name} cannot be reached: {}", io_reason(error)))
            }
            Error::Tls(error) => Fault::unavailable(format!(
                "{name}: TLS failed: {error}; check ssl-mode and ssl-ca in the database URL"
            )),
            other => Fault::unavailable(format!("{name} cannot be used: {other}")),
        };
    };
    let (user, database) = (target.user(), target.database());
    match db.number() {
        1045 | 1698 => Fault::unavailable(format!(
            "{name} refuses the password of {user}: check the database URL"
        )),
        1044 => Fault::unavailable(format!(
            "{name}: {}; grant it: {}",
            db.message(),
            grants(user, database)
        )),
        1049 => Fault::unavailable(format!(
            "{name}: there is no database {database:?} on that server; create it: CREATE DATABASE {database}"
        )),
        1040 | 1203 => Fault::Unreached(format!(
            "{name} has no connection to spare: use fewer here, or raise its max_connections"
        )),
        1053 | 1927 => Fault::Unreached(format!("{name} is not ready: {}", db.message())),
        _ => Fault::unavailable(format!("{name} refuses the connection: {}", db.message())),
    }
}

/// The statement that grants the needed rights to the user in the database URL. The rights are those of the shipped
/// file.
pub(super) fn grants(user: &str, database: &str) -> String {
    let shipped = include_str!("../../../docker/mysql-grants.sql");
    let rights = shipped.split_once("GRANT ").map_or("", |(_, rest)| rest);
    let rights = rights
        .split_once(" ON ")
        .map_or("ALL", |(rights, _)| rights);
    format!(
        "GRANT {} ON `{}%`.* TO '{user}'",
        rights.trim(),
        database.replace('_', "\\_")
    )
}

/// Classifies the failure of a statement.
pub(super) fn of_statement(error: &Error, timeout: Duration) -> Fault {
    let Some(db) = database_error(error) else {
        return match error {
            Error::Io(_) | Error::Protocol(_) | Error::Tls(_) => {
                Fault::Lost("the connection was lost".to_owned())
            }
            Error::ColumnDecode { .. }
            | Error::Decode(_)
            | Error::ColumnIndexOutOfBounds { .. } => Fault::Final(StoreError::Damaged(format!(
                "a row cannot be read: {error}"
            ))),
            other => Fault::unavailable(other.to_string()),
        };
    };
    let text = || db.message().to_owned();
    match db.number() {
        // Lock wait, deadlock, and a changed table definition (seeding, migrations).
        1205 | 1213 | 1412 | 1615 => Fault::InTheWay(text()),
        1290 | 1792 | 1836 => Fault::Unreached(READ_ONLY.to_owned()),
        1969 | 3024 => Fault::TimedOut(timeout),
        1053 | 1077..=1080 | 1152..=1161 | 1184 | 1317 | 1927 => Fault::Lost(text()),
        1022 | 1062 | 1169 | 1586 => Fault::Violates(last_quoted(db.message())),
        3819 | 4025 => Fault::Violates(first_quoted(db.message())),
        _ => Fault::Final(last_word(db)),
    }
}

/// The error for a failure that neither waiting nor a repeat can cure.
fn last_word(db: &MySqlDatabaseError) -> StoreError {
    let text = db.message();
    match db.number() {
        1021 | 1114 => StoreError::Unwritable("its disk is full: make room on it".to_owned()),
        3 | 1026 | 1030 if text.contains("space") || text.contains(" 28 ") => {
            StoreError::Unwritable("its disk is full: make room on it".to_owned())
        }
        126 | 127 | 1034 | 1194 | 1195 | 1712 | 1877 => StoreError::Damaged(text.to_owned()),
        1049 | 1146 | 1305 => StoreError::Unavailable(format!("the dataset is gone ({text})")),
        1044 | 1142 | 1143 | 1227 | 1370 => {
            StoreError::Unavailable(format!("{text}: grant it to the user in the database URL"))
        }
        _ => StoreError::Unavailable(text.to_owned()),
    }
}

fn database_error(error: &Error) -> Option<&MySqlDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Extracts the index from a message such as `Duplicate entry '1' for key 'seats.one_live'`. MariaDB omits the table.
/// The entry may contain quotation marks, so the last quoted text counts.
fn last_quoted(message: &str) -> String {
    let name = message.trim_end_matches('\'').rsplit('\'').next();
    let name = name.unwrap_or_default();
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// Extracts the constraint from a message such as ``CONSTRAINT `name` failed for `d`.`t` `` or `Check constraint 'name'
/// is violated.`
fn first_quoted(message: &str) -> String {
    let name = message.split(['`', '\'']).nth(1).unwrap_or_default();
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_violated_index_or_constraint_is_in_the_message() {
        for (message, name) in [
            ("Duplicate entry '1' for key 'one_live'", "one_live"),
            (
                "Duplicate entry '1-a' for key 'idempotency.PRIMARY'",
                "PRIMARY",
            ),
            ("Duplicate entry 'it's '' for key 'one_live'", "one_live"),
        ] {
            assert_eq!(last_quoted(message), name);
        }
        for message in [
            "CONSTRAINT `not_overdrawn` failed for `d`.`users`",
            "Check constraint 'not_overdrawn' is violated.",
        ] {
            assert_eq!(first_quoted(message), "not_overdrawn");
        }
    }

    #[test]
    fn a_grant_names_the_database_and_its_datasets() {
        let grant = grants("u", "my_db");
        let rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE TEMPORARY TABLES, CREATE ROUTINE, EXECUTE";
        assert_eq!(grant, format!(r"GRANT {rights} ON `my\_db%`.* TO 'u'"));
    }
}
