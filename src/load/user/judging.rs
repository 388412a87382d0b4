//! What an answer means: success, an intended no, or an error. No I/O.

use std::time::Duration;

use http::StatusCode;

use super::Outcome;
use crate::api::{ErrorCode, Problem};
use crate::load::connection::Answer;
use crate::load::model::{Class, Fault, Operation};
use crate::load::worker::Run;

/// `expected`: the statuses that a step of a crowd's journey names; `None` for buyers, who want a
/// success or a no that the scenario lists.
pub(super) fn judge<T>(
    run: &Run,
    operation: Operation,
    expected: Option<&[u16]>,
    answer: &Answer,
    read: impl FnOnce(&Answer) -> Option<T>,
) -> (Outcome<T>, Class, Option<Fault>) {
    let failed = |fault| {
        (
            Outcome::Failed(fault, answer.retry_after),
            Class::Error,
            Some(fault),
        )
    };
    let named = expected.filter(|statuses| !statuses.is_empty());
    let is_named = named.map(|statuses| statuses.contains(&answer.status.as_u16()));
    if answer.status.is_success() {
        if is_named == Some(false) {
            return failed(Fault::Success);
        }
        return match read(answer) {
            Some(value) => (Outcome::Ok(value), Class::Ok, None),
            None => failed(Fault::Protocol),
        };
    }
    let refused = |wish| (Outcome::Refused(wish), Class::Refused, None);
    match answer.status {
        _ if is_named == Some(true) => refused(None),
        StatusCode::TOO_MANY_REQUESTS => {
            refused(Some(answer.retry_after.unwrap_or(Duration::from_secs(1))))
        }
        status if status.is_server_error() => failed(Fault::Server),
        status if status.is_client_error() => {
            let foreseen = expected.is_none() && run.expects(operation, status);
            match foreseen && !is_misuse(answer) {
                true => refused(None),
                false => failed(Fault::Client),
            }
        }
        _ => failed(Fault::Protocol),
    }
}

/// Conflicts that say that the client, not the seat, is the reason: no contention, an error.
fn is_misuse(answer: &Answer) -> bool {
    let code = serde_json::from_slice::<Problem>(&answer.body).map(|problem| problem.code);
    matches!(
        code,
        Ok(ErrorCode::ReservationLimit | ErrorCode::IdempotencyMismatch)
    )
}
