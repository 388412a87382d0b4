//! PostgreSQL's errors, as [`Fault`]s.

use std::time::Duration;

use sqlx::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::target::Target;
use crate::store::StoreError;
use crate::store::fault::{Fault, io_reason};
use crate::tls;

/// The reason when the database does not accept writes.
pub(super) const READ_ONLY: &str = "it is read-only: is it a standby?";

/// Classifies a failure to connect.
pub(super) fn of_connecting(error: &Error, target: &Target) -> Fault {
    let name = &target.name;
    if let Some(why) = tls::explain(error) {
        let why = why
            .replace("--ca FILE", "sslrootcert in the database URL")
            .replace("--client-cert", "sslcert")
            .replace("--client-key", "sslkey");
        return Fault::unavailable(format!("{name}: {why}"));
    }
    let Some(db) = database_error(error) else {
        return match error {
            Error::Io(error) => {
                Fault::Unreached(format!("{name} cannot be reached: {}", io_reason(error)))
            }
            Error::Tls(why) => Fault::unavailable(format!(
                "{name}: {why}; check sslmode, sslrootcert, sslcert and sslkey in the database URL"
            )),
            // sqlx reads a zero byte when the server closes the connection instead of answering.
            Error::Protocol(why) if why.ends_with("SSLRequest: 0x00") => {
                Fault::Unreached(format!("{name} closed the connection"))
            }
            other => Fault::unavailable(format!("{name} cannot be used: {other}")),
        };
    };
    let (user, database) = (target.user(), target.database());
    match db.code() {
        "28P01" => Fault::unavailable(format!(
            "{name} refuses the password of {user}: check the database URL"
        )),
        "28000" => Fault::unavailable(format!(
            "{name} refuses {user}: {}; check the role in the database URL and the server's pg_hba.conf",
            db.message()
        )),
        "3D000" => Fault::unavailable(format!(
            "{name}: there is no database {database:?} on that server; create it: createdb {database}"
        )),
        "53300" => Fault::Unreached(format!(
            "{name} has no connection to spare: use fewer here, or raise its max_connections"
        )),
        code if is_going_or_coming(code) => {
            Fault::Unreached(format!("{name} is not ready: {}", db.message()))
        }
        _ => Fault::unavailable(format!("{name} refuses the connection: {}", db.message())),
    }
}

/// Classifies the failure of a statement.
pub(super) fn of_statement(error: &Error, timeout: Duration) -> Fault {
    let Some(db) = database_error(error) else {
        return match error {
            Error::Io(_) | Error::Protocol(_) | Error::Tls(_) => {
                Fault::Lost("the connection was lost".to_owned())
            }
            Error::ColumnDecode { .. } | Error::Decode(_) => {
                Fault::damaged(format!("a row cannot be read: {error}"))
            }
            other => Fault::unavailable(other.to_string()),
        };
    };
    let text = || db.message().to_owned();
    match (db.code(), db.constraint()) {
        // Serialization failure, deadlock, lock time-out.
        ("40001" | "40P01" | "55P03", _) => Fault::InTheWay(text()),
        ("25006", _) => Fault::Unreached(READ_ONLY.to_owned()),
        // The statement time-out cancels a statement with this code.
        ("57014", _) => Fault::Final(StoreError::Timeout(timeout)),
        // Unique violation, check violation.
        ("23505" | "23514", Some(constraint)) => Fault::Violates(constraint.to_owned()),
        (code, _) if is_going_or_coming(code) => Fault::Lost(text()),
        _ if matches!(db.severity(), PgSeverity::Fatal | PgSeverity::Panic) => Fault::Lost(text()),
        _ => Fault::Final(last_word(db)),
    }
}

/// The error for a failure that neither waiting nor a repeat can cure.
fn last_word(db: &PgDatabaseError) -> StoreError {
    let text = db.message();
    match db.code() {
        "53100" => StoreError::Unwritable("its disk is full: make room on it".to_owned()),
        // Undefined table, undefined schema.
        "42P01" | "3F000" => StoreError::Unavailable(format!("the dataset is gone ({text})")),
        "42501" => {
            StoreError::Unavailable(format!("{text}: grant it to the role in the database URL"))
        }
        // Corrupted data, corrupted index.
        "XX001" | "XX002" => StoreError::Damaged(text.to_owned()),
        _ => StoreError::Unavailable(text.to_owned()),
    }
}

fn database_error(error: &Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Returns whether the server shuts down, has crashed, or starts up.
fn is_going_or_coming(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03")
}
