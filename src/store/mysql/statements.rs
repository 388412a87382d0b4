//! The statements of the store in MySQL and MariaDB.

use crate::store::server::Statements;

pub(super) const SQL: Statements = Statements {
    meta: "SELECT value FROM meta WHERE `key` = ?",
    set_meta: "INSERT INTO meta (`key`, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)",
    snapshot: "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",

    seats_of_date: "SELECT id, number, price, status, version FROM seats
        WHERE performance_date_id = ? ORDER BY number",
    seat_counts: "SELECT status, COUNT(*) FROM seats WHERE id BETWEEN 1 AND ? GROUP BY status",

    balance: "SELECT balance FROM users WHERE id = ?",
    charge: "CALL charge(?, ?, ?, ?, ?, ?)",
    pay: "CALL pay_reservation(?, ?, ?, ?, ?, ?)",

    reserve: "CALL reserve(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    cancel: "CALL cancel(?, ?, ?, ?, ?)",
    expire: "CALL expire(?, ?)",
    end_expired: "CALL end_expired(?, ?, ?)",
    follow_reservation: "UPDATE seats s JOIN reservations r ON r.live_seat = s.id
        SET s.status = r.status + 1 WHERE s.id = ?",
    reservations_of: "SELECT id, seat_id, price, status, expires_at FROM reservations
        WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?",

    admit: "INSERT INTO admissions (mark, at) VALUES (?, ?) ON DUPLICATE KEY UPDATE at = admissions.at",
    end_spent: "CALL end_spent_places(?, ?)",
    standing: "SELECT place FROM queue_places WHERE live_user = ?",
    lives: "SELECT issued_at FROM queue_places WHERE place = ? AND ended_at IS NULL",
    register_many: "CALL register_many(?)",
    register_one: "CALL register_one(?, ?, ?, ?, ?, ?)",
    hand_out_turn: None,
    hand_out: "CALL hand_out_places(?, ?)",

    stored_answer: "SELECT fingerprint, answer, answer_first, answer_second FROM idempotency
        WHERE user_id = ? AND `key` = ? AND answer NOT IN (12, 13, 15, 36)",
    discard_transient: "DELETE FROM idempotency
        WHERE user_id = ? AND `key` = ? AND answer IN (12, 13, 15, 36)",
    remember: "CALL remember(?, ?, ?, ?, ?, ?, ?)",
    forget: "DELETE FROM idempotency WHERE at < ? ORDER BY at LIMIT ?",

    audit: include_str!("sql/audit.sql"),
    missing_places: include_str!("sql/missing_places.sql"),
    missing_reservations: include_str!("sql/missing_reservations.sql"),
    missing_payments: include_str!("sql/missing_payments.sql"),
    missing_charges: include_str!("sql/missing_charges.sql"),
    stored_answers: include_str!("sql/stored_answers.sql"),

    control_version: "SELECT CAST(version AS SIGNED) FROM concertctl_schema_version",
    offer_control_version: "INSERT INTO concertctl_schema_version (version) VALUES (?)
        ON DUPLICATE KEY UPDATE version = concertctl_schema_version.version",
    current: "SELECT epoch FROM concertctl_current",
    activate: "INSERT INTO concertctl_current (epoch) VALUES (?)
        ON DUPLICATE KEY UPDATE epoch = VALUES(epoch)",
    // A row counts while its session holds the lock of the row: see `presence`.
    is_followed:
        "SELECT COALESCE(SUM(scope = ?), 0) >= COALESCE(SUM(scope = ''), 0)
        FROM concertctl_presence WHERE IS_FREE_LOCK(CONCAT('concertctl:', DATABASE(), ':', id)) = 0",
    namespaces: "SELECT CONVERT(schema_name USING utf8mb4) FROM information_schema.schemata",
    offer_secret: "INSERT INTO concertctl_secrets (name, value) VALUES (?, ?)
        ON DUPLICATE KEY UPDATE value = concertctl_secrets.value",
    secret: "SELECT value FROM concertctl_secrets WHERE name = ?",
};
