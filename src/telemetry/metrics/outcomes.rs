//! Labels with few values, above all the outcomes of operations. Dashboards and alert rules name these
//! values: renaming one breaks them.

use super::instruments::Label;

/// Declares an enum as the label of that name.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident($label_name:literal) { $($(#[$vdoc:meta])* $variant:ident => $label:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every outcome, in declaration order: `ALL[o as usize] == o`.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The value of the label.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label),+ }
            }
        }

        impl Label for $name {
            const NAME: &'static str = $label_name;
            const VALUES: &'static [$name] = $name::ALL;

            fn index(self) -> usize {
                self as usize
            }

            fn value(self) -> &'static str {
                self.label()
            }
        }
    };
}

labels! {
    /// What became of a request to hold a seat (`concert_reservations_total{outcome}`).
    ReservationOutcome("outcome") {
        /// The seat is now held for the user.
        Reserved => "reserved",
        /// Another user holds or owns the seat.
        Taken => "taken",
        /// Another request was reserving the seat at the same moment.
        Locked => "locked",
        /// The database refused the change: the seat moved on since it was read.
        Conflict => "conflict",
        /// The user already has as many seats as allowed.
        LimitReached => "limit_reached",
        /// Refused before any seat was looked at (token, input).
        Rejected => "rejected",
        /// Answered from the record of an earlier request with the same idempotency key.
        Replayed => "replayed",
        /// The service failed.
        Failed => "failed",
        /// A hold ran out and the seat is free again.
        Expired => "expired",
        /// The user gave the hold back.
        Cancelled => "cancelled",
    }
}

labels! {
    /// What became of a payment (`concert_payments_total{outcome}`).
    PaymentOutcome("outcome") {
        /// The seat is sold.
        Paid => "paid",
        /// The account does not cover the price.
        InsufficientBalance => "insufficient_balance",
        /// The reservation was paid before.
        AlreadyPaid => "already_paid",
        /// The hold had run out.
        Expired => "expired",
        /// Refused before any money was looked at (token, input, not the owner).
        Rejected => "rejected",
        /// Answered from the record of an earlier request with the same idempotency key.
        Replayed => "replayed",
        /// The service failed.
        Failed => "failed",
    }
}

labels! {
    /// What became of an attempt to lock a seat (`concert_seat_lock_wait_seconds{outcome}`).
    LockOutcome("outcome") {
        /// The lock was given.
        Acquired => "acquired",
        /// Another request has it.
        Busy => "busy",
        /// No answer within the time allowed.
        TimedOut => "timed_out",
        /// The lock service failed.
        Failed => "failed",
    }
}

labels! {
    /// What became of a notification (`concert_notifications_total{outcome}`).
    NotificationOutcome("outcome") {
        /// The receiver has it.
        Delivered => "delivered",
        /// An attempt failed, another follows.
        Retried => "retried",
        /// Given up: refused, or undeliverable for too long.
        Failed => "failed",
        /// There was no room for it.
        Dropped => "dropped",
    }
}

labels! {
    /// Which way the system's clock was set (`concert_clock_steps_total{direction}`).
    ClockStep("direction") {
        /// To an earlier time.
        Back => "back",
        /// To a later time.
        Forward => "forward",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcomes_index_finds_its_counter() {
        for (index, outcome) in ReservationOutcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
        for (index, outcome) in PaymentOutcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }
}
