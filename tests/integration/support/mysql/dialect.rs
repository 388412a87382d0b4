//! The statements of tests for all stores, as MySQL writes them.

/// Statements in the words of the tests, and in the words that MySQL needs.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "DROP INDEX one_live_reservation_per_seat",
        "DROP INDEX one_live_reservation_per_seat ON reservations",
    ),
    (
        "DROP INDEX one_live_place_per_user",
        "DROP INDEX one_live_place_per_user ON queue_places",
    ),
    (
        "CREATE UNIQUE INDEX one_live_reservation_per_seat ON reservations (seat_id) WHERE status IN (0, 1)",
        "CREATE UNIQUE INDEX one_live_reservation_per_seat ON reservations (live_seat)",
    ),
    (
        "DROP TRIGGER slow_payment ON ledger; DROP FUNCTION slow_payment()",
        "DROP TRIGGER slow_payment",
    ),
    ("WHERE key =", "WHERE `key` ="),
    ("(user_id, key,", "(user_id, `key`,"),
    // Stored answers are codes.
    ("42, '\"Locked\"'", "42, 12"),
    ("42, '\"Conflict\"'", "42, 13"),
    ("42, '\"PlaceEnded\"'", "42, 15"),
];

pub(super) fn of_mysql(statements: &str) -> String {
    let mut text = statements.to_owned();
    for (from, to) in DIFFERENT {
        text = text.replace(from, to);
    }
    text
}
