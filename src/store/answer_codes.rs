//! Answers as a database stores them: a code, and up to two values. The codes also appear in SQL, so they must stay.

use super::{CancelOutcome, ChargeOutcome, PayOutcome, ReserveOutcome, Ticket};
use crate::domain::{Money, Place, ReservationId, Timestamp};

/// A stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerCode {
    /// The code of the answer. The codes of different kinds of requests differ.
    pub code: i64,
    /// The first value of the answer, if it has one.
    pub first: Option<i64>,
    /// The second value of the answer, if it has one.
    pub second: Option<i64>,
}

impl AnswerCode {
    fn alone(code: i64) -> AnswerCode {
        let (first, second) = (None, None);
        AnswerCode {
            code,
            first,
            second,
        }
    }

    fn with(code: i64, first: i64, second: i64) -> AnswerCode {
        let (first, second) = (Some(first), Some(second));
        AnswerCode {
            code,
            first,
            second,
        }
    }

    /// Returns whether the answer says that the request was done.
    pub(super) fn is_done(code: i64) -> bool {
        matches!(code, RESERVED | CHARGED | PAID | CANCELLED | REGISTERED)
    }
}

/// An answer that has a code.
pub trait Coded: Sized {
    /// The code and the values of this answer.
    fn to_code(&self) -> AnswerCode;

    /// The answer with this code and these values. `None` if this kind of request has no such answer.
    fn from_code(stored: AnswerCode) -> Option<Self>;
}

const RESERVED: i64 = 10;
const CHARGED: i64 = 20;
const PAID: i64 = 30;
const CANCELLED: i64 = 40;
const REGISTERED: i64 = 50;

/// Finds the answer with `code` among `answers`, which have no values.
fn find<T: Copy>(answers: &[(i64, T)], code: i64) -> Option<T> {
    let found = answers.iter().find(|(known, _)| *known == code);
    found.map(|(_, answer)| *answer)
}

fn code_of<T: Copy + PartialEq>(answers: &[(i64, T)], answer: T) -> AnswerCode {
    let found = answers.iter().find(|(_, known)| *known == answer);
    AnswerCode::alone(found.map_or(0, |(code, _)| *code))
}

const RESERVE: &[(i64, ReserveOutcome)] = &[
    (11, ReserveOutcome::Taken),
    (12, ReserveOutcome::Locked),
    (13, ReserveOutcome::Conflict),
    (14, ReserveOutcome::LimitReached),
    (15, ReserveOutcome::PlaceEnded),
];

impl Coded for ReserveOutcome {
    fn to_code(&self) -> AnswerCode {
        match self {
            ReserveOutcome::Reserved { id, expires_at } => {
                AnswerCode::with(RESERVED, id.0, expires_at.0)
            }
            other => code_of(RESERVE, *other),
        }
    }

    fn from_code(stored: AnswerCode) -> Option<Self> {
        if stored.code != RESERVED {
            return find(RESERVE, stored.code);
        }
        Some(ReserveOutcome::Reserved {
            id: ReservationId(stored.first?),
            expires_at: Timestamp(stored.second?),
        })
    }
}

const CHARGE: &[(i64, ChargeOutcome)] = &[
    (21, ChargeOutcome::Overflow),
    (22, ChargeOutcome::UnknownUser),
];

impl Coded for ChargeOutcome {
    fn to_code(&self) -> AnswerCode {
        match self {
            ChargeOutcome::Charged { balance, at } => AnswerCode::with(CHARGED, balance.0, at.0),
            other => code_of(CHARGE, *other),
        }
    }

    fn from_code(stored: AnswerCode) -> Option<Self> {
        if stored.code != CHARGED {
            return find(CHARGE, stored.code);
        }
        Some(ChargeOutcome::Charged {
            balance: Money(stored.first?),
            at: Timestamp(stored.second?),
        })
    }
}

const PAY: &[(i64, PayOutcome)] = &[
    (PAID, PayOutcome::Paid),
    (31, PayOutcome::Unknown),
    (32, PayOutcome::Foreign),
    (33, PayOutcome::Expired),
    (34, PayOutcome::AlreadyPaid),
    (35, PayOutcome::BalanceTooLow),
    (36, PayOutcome::PlaceEnded),
];

impl Coded for PayOutcome {
    fn to_code(&self) -> AnswerCode {
        code_of(PAY, *self)
    }

    fn from_code(stored: AnswerCode) -> Option<Self> {
        find(PAY, stored.code)
    }
}

const CANCEL: &[(i64, CancelOutcome)] = &[
    (CANCELLED, CancelOutcome::Cancelled),
    (41, CancelOutcome::Unknown),
    (42, CancelOutcome::Foreign),
    (43, CancelOutcome::AlreadyPaid),
];

impl Coded for CancelOutcome {
    fn to_code(&self) -> AnswerCode {
        code_of(CANCEL, *self)
    }

    fn from_code(stored: AnswerCode) -> Option<Self> {
        find(CANCEL, stored.code)
    }
}

impl Coded for Ticket {
    fn to_code(&self) -> AnswerCode {
        let place = i64::try_from(self.place().0).unwrap_or(i64::MAX);
        AnswerCode::with(REGISTERED, place, self.issued_at().0)
    }

    fn from_code(stored: AnswerCode) -> Option<Self> {
        if stored.code != REGISTERED {
            return None;
        }
        Some(Ticket::Registered {
            place: Place(u64::try_from(stored.first?).ok()?),
            issued_at: Timestamp(stored.second?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn same<T: Coded + Debug + PartialEq>(answer: T) {
        let stored = answer.to_code();
        assert_ne!(stored.code, 0, "{answer:?} has no code");
        assert_eq!(T::from_code(stored), Some(answer));
    }

    #[test]
    fn every_answer_is_read_from_the_code_that_is_written() {
        let (id, at) = (ReservationId(7), Timestamp(8));
        same(ReserveOutcome::Reserved { id, expires_at: at });
        RESERVE.iter().for_each(|(_, answer)| same(*answer));
        let balance = Money(7);
        same(ChargeOutcome::Charged { balance, at });
        CHARGE.iter().for_each(|(_, answer)| same(*answer));
        PAY.iter().for_each(|(_, answer)| same(*answer));
        CANCEL.iter().for_each(|(_, answer)| same(*answer));
        let place = Place(7);
        same(Ticket::Registered {
            place,
            issued_at: at,
        });
    }

    #[test]
    fn a_code_of_another_kind_of_request_is_no_answer() {
        let paid = PayOutcome::Paid.to_code();
        assert_eq!(CancelOutcome::from_code(paid), None);
        assert_eq!(Ticket::from_code(paid), None);
        let incomplete = AnswerCode::alone(RESERVED);
        assert_eq!(ReserveOutcome::from_code(incomplete), None);
    }

    #[test]
    fn only_successes_are_done() {
        let done: Vec<i64> = (0..60).filter(|code| AnswerCode::is_done(*code)).collect();
        assert_eq!(done, [10, 20, 30, 40, 50]);
    }
}
