//! Classifies an answer: success, intended refusal, or error. No I/O.

use std::time::Duration;

use http::StatusCode;

use super::Outcome;
use crate::api::{ErrorCode, Problem};
use crate::load::connection::Answer;
use crate::load::model::{Class, ErrorKind, Operation};
use crate::load::worker::RunContext;

/// Classifies an answer. `expected` has the statuses that a step of a traffic group's journey names. It is `None` for
/// buyers, who expect a success or a refusal that the scenario lists.
pub(super) fn classify<T>(
    run: &RunContext,
    operation: Operation,
    expected: Option<&[u16]>,
    answer: &Answer,
    read: impl FnOnce(&Answer) -> Option<T>,
) -> (Outcome<T>, Class, Option<ErrorKind>) {
    let failed = |error_kind| {
        (
            Outcome::Failed(error_kind, answer.retry_after),
            Class::Error,
            Some(error_kind),
        )
    };
    let named = expected.filter(|statuses| !statuses.is_empty());
    let is_named = named.map(|statuses| statuses.contains(&answer.status.as_u16()));
    if answer.status.is_success() {
        if is_named == Some(false) {
            return failed(ErrorKind::Success);
        }
        return match read(answer) {
            Some(value) => (Outcome::Ok(value), Class::Ok, None),
            None => failed(ErrorKind::Protocol),
        };
    }
    let refused = |wish| (Outcome::Refused(wish), Class::Refused, None);
    match answer.status {
        _ if is_named == Some(true) => refused(None),
        StatusCode::TOO_MANY_REQUESTS => {
            refused(Some(answer.retry_after.unwrap_or(Duration::from_secs(1))))
        }
        status if status.is_server_error() => failed(ErrorKind::Server),
        status if status.is_client_error() => {
            let foreseen = expected.is_none() && run.expects(operation, status);
            match foreseen && !is_misuse(answer) {
                true => refused(None),
                false => failed(ErrorKind::Client),
            }
        }
        _ => failed(ErrorKind::Protocol),
    }
}

/// A conflict that the client caused, not another user. It counts as an error and not as contention.
fn is_misuse(answer: &Answer) -> bool {
    let code = serde_json::from_slice::<Problem>(&answer.body).map(|problem| problem.code);
    matches!(
        code,
        Ok(ErrorCode::ReservationLimit | ErrorCode::IdempotencyMismatch)
    )
}
