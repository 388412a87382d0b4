//! What went wrong, sorted by what to do about it: wait and repeat, look again, or give up.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::target::Target;
use crate::store::StoreError;

/// What is said of a database that takes no writes.
pub(super) const READ_ONLY: &str = "it is read-only: is it a standby?";

/// Why one attempt failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Others were in the way (deadlock, lock, serialization): nothing was done, and it will do soon.
    InTheWay(String),
    /// The database was not reached: nothing was done.
    Unreached(String),
    /// The connection was lost while the statement was under way: it may have been done.
    Lost(String),
    /// The rows as they are do not allow it: the constraint that said so.
    Violates(String),
    /// Nothing that another attempt could change.
    Final(StoreError),
}

impl Fault {
    /// What was wrong with the database; nothing, where rows only decided against a request.
    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Fault::InTheWay(why) | Fault::Unreached(why) | Fault::Lost(why) => Some(why.clone()),
            Fault::Violates(_) => None,
            Fault::Final(error) => Some(error.to_string()),
        }
    }

    pub(super) fn unavailable(why: impl Into<String>) -> Fault {
        Fault::Final(StoreError::Unavailable(why.into()))
    }
}

/// For work that is not repeated.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        match fault {
            Fault::InTheWay(why) | Fault::Unreached(why) | Fault::Lost(why) => {
                StoreError::Unavailable(why)
            }
            Fault::Violates(constraint) => {
                StoreError::Unavailable(format!("its rows contradict {constraint}"))
            }
            Fault::Final(error) => error,
        }
    }
}

/// Nobody answered in time.
pub(super) fn no_connection_within(target: &Target, timeout: Duration) -> Fault {
    Fault::Unreached(format!(
        "{} accepted no connection within {timeout:?}",
        target.name()
    ))
}

/// Why a connection could not be made.
pub(super) fn of_connecting(error: &Error, target: &Target) -> Fault {
    let name = target.name();
    let Some(db) = error.as_db_error() else {
        return match io_error(error) {
            Some(io) => Fault::Unreached(format!("{name} cannot be reached: {}", io_reason(io))),
            // A password that is missing, an answer that is none: not cured by waiting.
            None if !error.is_closed() => {
                Fault::unavailable(format!("{name} cannot be used: {}", cause(error)))
            }
            None => Fault::Unreached(format!("{name} closed the connection")),
        };
    };
    let code = db.code();
    let (user, database) = (target.user(), target.database());
    if *code == SqlState::INVALID_PASSWORD {
        Fault::unavailable(format!(
            "{name} refuses the password of {user}: check the database URL"
        ))
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        Fault::unavailable(format!(
            "{name} refuses {user}: {}; check the role in the database URL and the server's pg_hba.conf",
            db.message()
        ))
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        Fault::unavailable(format!(
            "{name}: there is no database {database:?} on that server; create it: createdb {database}"
        ))
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        Fault::Unreached(format!(
            "{name} has no connection to spare: use fewer here, or raise its max_connections"
        ))
    } else if is_going_or_coming(code) {
        Fault::Unreached(format!("{name} is not ready: {}", db.message()))
    } else {
        Fault::unavailable(format!("{name} refuses the connection: {}", db.message()))
    }
}

/// Why a statement failed.
pub(super) fn of_statement(error: &Error, timeout: Duration) -> Fault {
    let Some(db) = error.as_db_error() else {
        return if error.is_closed() || io_error(error).is_some() {
            Fault::Lost("the connection was lost".to_owned())
        } else {
            Fault::unavailable(format!("{error}: {}", cause(error)))
        };
    };
    let code = db.code();
    let text = || db.message().to_owned();
    if *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED
        || *code == SqlState::LOCK_NOT_AVAILABLE
    {
        Fault::InTheWay(text())
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        Fault::Unreached(READ_ONLY.to_owned())
    } else if *code == SqlState::QUERY_CANCELED {
        Fault::Final(StoreError::Timeout(timeout))
    } else if let Some(constraint) = constraint(db) {
        Fault::Violates(constraint.to_owned())
    } else if is_going_or_coming(code) || db.parsed_severity() == Some(Severity::Fatal) {
        Fault::Lost(text())
    } else {
        Fault::Final(last_word(db))
    }
}

/// Errors that neither waiting nor repeating cures.
fn last_word(db: &DbError) -> StoreError {
    let code = db.code();
    let why = if *code == SqlState::DISK_FULL {
        return StoreError::Unwritable("its disk is full: make room on it".to_owned());
    } else if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME {
        format!("the dataset is gone ({})", db.message())
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        format!("{}: grant it to the role in the database URL", db.message())
    } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        return StoreError::Damaged(db.message().to_owned());
    } else {
        db.message().to_owned()
    };
    StoreError::Unavailable(why)
}

fn constraint(db: &DbError) -> Option<&str> {
    let code = db.code();
    let is_one = *code == SqlState::UNIQUE_VIOLATION || *code == SqlState::CHECK_VIOLATION;
    db.constraint().filter(|_| is_one)
}

/// Shutting down, crashed, or starting.
fn is_going_or_coming(code: &SqlState) -> bool {
    *code == SqlState::ADMIN_SHUTDOWN
        || *code == SqlState::CRASH_SHUTDOWN
        || *code == SqlState::CANNOT_CONNECT_NOW
}

fn io_error(error: &Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused; is it running, and are host and port right?".to_owned()
        }
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

fn cause(error: &Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
