//! The names of the store's statements, in metrics, logs, traces and faults (`db_operation_name`). `COMMIT` is the
//! commit of a batch of writes in the embedded database.

macro_rules! statements {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(pub const $constant: &str = $name;)*

        /// All of them, sorted.
        pub const ALL: &[&str] = &[$($constant),*];
    };
}

/// Returns whether the statement called `name` changes data. A ping does: it writes a row.
#[must_use]
pub fn writes(name: &str) -> bool {
    matches!(
        name,
        ACCOUNT_CHARGE
            | IDEMPOTENCY_FORGET
            | PING
            | QUEUE_ADMIT
            | QUEUE_REGISTER
            | QUEUE_REGISTER_NEXT
            | QUEUE_SAVE_ADMISSION
            | RESERVATION_CANCEL
            | RESERVATION_CREATE
            | RESERVATION_EXPIRE
            | RESERVATION_PAY
            | RESERVATION_REFUSE
    )
}

statements! {
    ACCOUNT_CHARGE = "account.charge",
    ACCOUNT_READ = "account.read",
    AUDIT_COUNT = "audit.count",
    AUDIT_LOOKUP = "audit.lookup",
    CATALOG_READ = "catalog.read",
    COMMIT = "commit",
    IDEMPOTENCY_FORGET = "idempotency.forget",
    IDEMPOTENCY_READ = "idempotency.read",
    PING = "ping",
    QUEUE_ADMIT = "queue.admit",
    QUEUE_READ = "queue.read",
    QUEUE_REGISTER = "queue.register",
    QUEUE_REGISTER_NEXT = "queue.register_next",
    QUEUE_RESTORE = "queue.restore",
    QUEUE_SAVE_ADMISSION = "queue.save_admission",
    RESERVATION_CANCEL = "reservation.cancel",
    RESERVATION_CREATE = "reservation.create",
    RESERVATION_EXPIRE = "reservation.expire",
    RESERVATION_PAY = "reservation.pay",
    RESERVATION_REFUSE = "reservation.refuse",
    RESERVATIONS_READ = "reservations.read",
    SEAT_READ = "seat.read",
    SEATS_COUNT = "seats.count",
    SEATS_READ = "seats.read",
}
