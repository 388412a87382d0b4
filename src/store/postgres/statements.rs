//! The statements of the store in PostgreSQL.

use crate::store::server::Statements;

/// The statement that reserves a seat. The benchmark measures it without the service.
pub const RESERVE: &str = include_str!("sql/reserve.sql");

pub(super) const SQL: Statements = Statements {
    meta: "SELECT value FROM meta WHERE key = $1",
    set_meta: "INSERT INTO meta (key, value) VALUES ($1, $2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    snapshot: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",

    seats_of_date: "SELECT id, number::bigint, price, status::bigint, version FROM seats
        WHERE performance_date_id = $1 ORDER BY seats.number",
    seat_counts: "SELECT status::bigint, count(*) FROM seats WHERE id BETWEEN 1 AND $1 GROUP BY seats.status",

    balance: "SELECT balance FROM users WHERE id = $1",
    charge: include_str!("sql/charge.sql"),
    pay: include_str!("sql/pay.sql"),

    reserve: RESERVE,
    cancel: include_str!("sql/cancel.sql"),
    expire: include_str!("sql/expire.sql"),
    end_expired: include_str!("sql/end_expired.sql"),
    follow_reservation: "UPDATE seats SET status = r.status + 1
        FROM reservations r WHERE seats.id = $1 AND r.seat_id = seats.id AND r.status IN (0, 1)",
    reservations_of: "SELECT id, seat_id, price, status::bigint, expires_at FROM reservations
        WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3",

    admit: "INSERT INTO admissions (mark, at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    end_spent: include_str!("sql/end_spent.sql"),
    standing: "SELECT place FROM queue_places WHERE user_id = $1 AND ended_at IS NULL",
    lives: "SELECT issued_at FROM queue_places WHERE place = $1 AND ended_at IS NULL",
    register_many: include_str!("sql/register_many.sql"),
    register_one: include_str!("sql/register_one.sql"),
    // A statement that begins after this wait sees all places that other servers have given.
    hand_out_turn: Some("BEGIN; SELECT 1 FROM meta WHERE key = 'places' FOR UPDATE"),
    hand_out: include_str!("sql/hand_out.sql"),

    stored_answer: "SELECT fingerprint, answer, answer_first, answer_second FROM idempotency
        WHERE user_id = $1 AND key = $2 AND answer NOT IN (12, 13, 15, 36)",
    discard_transient: "DELETE FROM idempotency
        WHERE user_id = $1 AND key = $2 AND answer IN (12, 13, 15, 36)",
    remember: include_str!("sql/remember.sql"),
    forget: "DELETE FROM idempotency USING (
            SELECT user_id, key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS old
        WHERE idempotency.user_id = old.user_id AND idempotency.key = old.key",

    audit: include_str!("sql/audit.sql"),
    missing_places: "SELECT nth FROM
        unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS f (nth, place, user_id)
        WHERE NOT EXISTS (SELECT 1 FROM queue_places q WHERE q.place = f.place AND q.user_id = f.user_id)",
    missing_reservations: "SELECT nth FROM
        unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS f (nth, id, user_id, seat_id)
        WHERE NOT EXISTS (SELECT 1 FROM reservations r
            WHERE r.id = f.id AND r.user_id = f.user_id AND r.seat_id = f.seat_id)",
    missing_payments: "SELECT nth FROM
        unnest($1::bigint[], $2::bigint[]) AS f (nth, id)
        WHERE NOT EXISTS (SELECT 1 FROM reservations r WHERE r.id = f.id AND r.status = 1)",
    missing_charges: "SELECT nth FROM
        unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS f (nth, user_id, amount)
        WHERE NOT EXISTS (SELECT 1 FROM ledger l WHERE l.user_id = f.user_id AND l.kind = 0
            HAVING sum(l.amount) >= f.amount)",
    stored_answers: "SELECT f.nth, i.answer FROM
        unnest($1::bigint[], $2::bigint[], $3::text[]) AS f (nth, user_id, key)
        JOIN idempotency i ON i.user_id = f.user_id AND i.key = f.key",

    control_version: "SELECT version::bigint FROM concertctl.schema_version",
    offer_control_version: "INSERT INTO concertctl.schema_version (version) VALUES ($1)
        ON CONFLICT DO NOTHING",
    current: "SELECT epoch FROM concertctl.current",
    activate: "INSERT INTO concertctl.current (epoch) VALUES ($1)
        ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch",
    is_followed: include_str!("sql/is_followed.sql"),
    namespaces: "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'concertctl\\_%'",
    offer_secret: "INSERT INTO concertctl.secrets (name, value) VALUES ($1, $2)
        ON CONFLICT DO NOTHING",
    secret: "SELECT value FROM concertctl.secrets WHERE name = $1",
};
