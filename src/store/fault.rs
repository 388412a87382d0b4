//! The failures of statements and connections, classified by what to do next: repeat, decide again, or give up.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use super::StoreError;

/// The reason why one attempt failed.
#[derive(Debug)]
pub enum Fault {
    /// Another transaction conflicted (deadlock, lock wait, serialization). Nothing was done; a repeat can succeed.
    InTheWay(String),
    /// The statement did not reach the database. Nothing was done.
    Unreached(String),
    /// The connection was lost while the statement ran. It may have been done.
    Lost(String),
    /// The statement time-out ended the statement. It may have committed before.
    TimedOut(Duration),
    /// An index or constraint, named here, refused the statement. Nothing was done.
    Violates(String),
    /// A repeat cannot succeed.
    Final(StoreError),
}

impl Fault {
    /// The problem of the database. `None` if only the rows refused the request.
    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Fault::InTheWay(why) | Fault::Unreached(why) | Fault::Lost(why) => Some(why.clone()),
            Fault::TimedOut(time) => Some(format!("it was not done within {time:?}")),
            Fault::Violates(_) => None,
            Fault::Final(error) => Some(error.to_string()),
        }
    }

    pub(super) fn unavailable(why: impl Into<String>) -> Fault {
        Fault::Final(StoreError::Unavailable(why.into()))
    }

    /// The answer of the database cannot be understood.
    pub(super) fn damaged(why: impl Into<String>) -> Fault {
        Fault::Final(StoreError::Damaged(why.into()))
    }

    /// A column does not have the expected type.
    pub(super) fn unreadable(why: impl Display) -> Fault {
        Fault::damaged(format!("a row cannot be read: {why}"))
    }
}

/// The error of work that is not repeated.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        match fault {
            Fault::InTheWay(why) | Fault::Unreached(why) | Fault::Lost(why) => {
                StoreError::Unavailable(why)
            }
            Fault::Violates(constraint) => {
                StoreError::Unavailable(format!("its rows contradict {constraint}"))
            }
            Fault::TimedOut(time) => StoreError::Timeout(time),
            Fault::Final(error) => error,
        }
    }
}

/// The reason why a server cannot be reached, with advice.
pub(super) fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused; is it running, and are host and port right?".to_owned()
        }
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => error.to_string(),
    }
}
