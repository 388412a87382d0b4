//! The terms of a rehearsal: operations, phases, and the outcomes of requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        pub enum $name {
            $($(#[$item_doc])* #[serde(rename = $text)] $item,)*
        }

        impl $name {
            /// All values in the order in which they are shown.
            pub const ALL: &[$name] = &[$($name::$item),*];

            /// The name in scenario files and reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$item => $text),* }
            }

            /// The index in [`Self::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The value with that name.
            #[must_use]
            pub fn named(name: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|item| item.as_str() == name)
            }

            /// All names, for messages: `a, b, c`.
            #[must_use]
            pub fn names() -> String {
                Self::ALL.iter().map(|item| item.as_str()).collect::<Vec<_>>().join(", ")
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(in crate::load) use named;

named! {
    /// A call of the ticketing API, as scenarios and reports name it.
    Operation {
        /// `POST /queue`
        Register = "register",
        /// `GET /queue`
        Poll = "poll",
        /// `GET /concerts/{concertId}/performanceDates`
        Dates = "dates",
        /// `GET /concerts/{concertId}/performanceDates/{performanceDateId}/seats`
        Seats = "seats",
        /// `POST /reservations`
        Reserve = "reserve",
        /// `POST /accounts/{userId}/charge`
        Charge = "charge",
        /// `POST /users/{userId}/reservations/{reservationId}/pay`
        Pay = "pay",
        /// `DELETE /reservations/{reservationId}`
        Cancel = "cancel",
        /// `GET /concerts`
        Concerts = "concerts",
        /// `GET /accounts/{userId}`
        Account = "account",
    }
}

impl Operation {
    /// The phase to which it belongs.
    #[must_use]
    pub const fn phase(self) -> PhaseName {
        match self {
            Operation::Register => PhaseName::Register,
            Operation::Poll
            | Operation::Dates
            | Operation::Seats
            | Operation::Reserve
            | Operation::Concerts => PhaseName::Open,
            Operation::Account | Operation::Charge | Operation::Pay | Operation::Cancel => {
                PhaseName::Pay
            }
        }
    }

    /// Returns whether it is a request to the queue. All users make these, admitted or not.
    #[must_use]
    pub const fn is_queue(self) -> bool {
        matches!(self, Operation::Register | Operation::Poll)
    }
}

named! {
    /// A part of the rehearsal.
    PhaseName {
        /// Before the sale opens: users take a place in the queue.
        Register = "register",
        /// The sale is open: users poll, look at seats and reserve.
        Open = "open",
        /// Users with a reservation charge their account and pay.
        Pay = "pay",
    }
}

named! {
    /// The outcome of a request. Each outcome has its own latencies.
    Class {
        /// The request succeeded.
        Ok = "ok",
        /// An intended refusal: the scenario expects this 4xx, such as a taken seat.
        Refused = "refused",
        /// All other outcomes: a 5xx, an unexpected 4xx, no answer.
        Error = "error",
    }
}

named! {
    /// The kind of error.
    ErrorKind {
        /// The connection could not be made.
        Connect = "connect",
        /// The connection broke before the answer was complete.
        Broken = "broken",
        /// No answer within the request time-out.
        Timeout = "timeout",
        /// A 5xx.
        Server = "5xx",
        /// A 4xx that the scenario does not expect.
        Client = "unexpected 4xx",
        /// A 2xx where the scenario expects a refusal.
        Success = "unexpected 2xx",
        /// An answer that does not have the API's format.
        Protocol = "protocol",
    }
}

impl ErrorKind {
    /// Returns whether the server gave no answer.
    #[must_use]
    pub const fn is_silence(self) -> bool {
        matches!(
            self,
            ErrorKind::Connect | ErrorKind::Broken | ErrorKind::Timeout
        )
    }
}

named! {
    /// The state of a virtual user.
    UserState {
        /// Not registered yet.
        Arriving = "arriving",
        /// In the queue.
        Waiting = "waiting",
        /// Admitted, choosing a seat.
        Admitted = "admitted",
        /// Holds a seat and is about to pay.
        Reserved = "reserved",
        /// Done: paid.
        Paid = "paid",
        /// Done: the attempts that the scenario grants gave no seat.
        WithoutSeat = "without seat",
        /// Done: left the seat unpaid, as the scenario wants.
        Left = "left",
        /// Done: the last phase of this run has ended, or an operator ended it.
        PhaseDone = "phase done",
        /// Gave up after errors, or lost the place in the queue.
        GaveUp = "gave up",
    }
}

impl UserState {
    /// Returns whether the user reached an end that the scenario intends.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(
            self,
            UserState::Paid | UserState::WithoutSeat | UserState::Left | UserState::PhaseDone
        )
    }
}

/// The trace ids that are sent with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceIds {
    /// The id of the trace that the request begins.
    pub trace_id: u128,
    /// The id of the client's own span.
    pub span_id: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_leads_back_to_its_item() {
        for (at, operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(operation.index(), at);
            assert_eq!(Operation::named(operation.as_str()), Some(*operation));
        }
        assert_eq!(Operation::named("paint"), None);
    }
}
