//! Labels with a few fixed values, mainly the outcomes of operations. Dashboards and alert rules use these values, so
//! a new name would break them.

use super::instruments::Label;

/// Declares an enum with the values of the label.
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
    /// The outcome of a request to hold a seat (`concert_reservations_total{outcome}`).
    ReservationOutcome("outcome") {
        /// The seat is now held for the user.
        Reserved => "reserved",
        /// Another user holds or owns the seat.
        Taken => "taken",
        /// Another request was reserving the seat at the same moment.
        Locked => "locked",
        /// The database refused the change, because the seat has changed since it was read.
        Conflict => "conflict",
        /// The user already has as many seats as allowed.
        LimitReached => "limit_reached",
        /// The request was refused before any seat was read (token, input).
        Rejected => "rejected",
        /// The answer is that of an earlier request with the same idempotency key.
        Replayed => "replayed",
        /// The service failed.
        Failed => "failed",
        /// A hold expired, and the seat is free again.
        Expired => "expired",
        /// The user cancelled the hold.
        Cancelled => "cancelled",
    }
}

labels! {
    /// The outcome of a payment (`concert_payments_total{outcome}`).
    PaymentOutcome("outcome") {
        /// The seat is sold.
        Paid => "paid",
        /// The account does not cover the price.
        InsufficientBalance => "insufficient_balance",
        /// The reservation was paid before.
        AlreadyPaid => "already_paid",
        /// The hold had expired.
        Expired => "expired",
        /// The request was refused before any balance was read (token, input, not the owner).
        Rejected => "rejected",
        /// The answer is that of an earlier request with the same idempotency key.
        Replayed => "replayed",
        /// The service failed.
        Failed => "failed",
    }
}

labels! {
    /// The outcome of an attempt to lock a seat (`concert_seat_lock_wait_seconds{outcome}`).
    LockOutcome("outcome") {
        /// The lock was taken.
        Acquired => "acquired",
        /// Another request holds the lock.
        Busy => "busy",
        /// There was no answer within the time-out.
        TimedOut => "timed_out",
        /// The lock service failed.
        Failed => "failed",
    }
}

labels! {
    /// The outcome of a notification (`concert_notifications_total{outcome}`).
    NotificationOutcome("outcome") {
        /// The receiver accepted it.
        Delivered => "delivered",
        /// An attempt failed, and another one follows.
        Retried => "retried",
        /// It was given up because it was refused, or because it could not be delivered for too long.
        Failed => "failed",
        /// The queue was full.
        Dropped => "dropped",
    }
}

labels! {
    /// The direction in which the system's clock was set (`concert_clock_steps_total{direction}`).
    ClockStep("direction") {
        /// It was set to an earlier time.
        Back => "back",
        /// It was set to a later time.
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
