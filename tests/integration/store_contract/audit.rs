//! The audit: it finds each kind of damage, and reports none in a sound dataset.

use concertctl::domain::{Money, Place, ReservationId, SeatId, Timestamp, UserId};
use concertctl::store::{Audit, Fact, Keyed, Pay, PayOutcome};

use super::opened::{key, place};
use super::{Opened, contract};

contract![
    the_audit_finds_each_kind_of_damage,
    the_initial_balance_is_part_of_the_balance,
    facts_that_are_not_there_are_missing,
    only_a_key_whose_write_was_done_counts_as_done,
];

/// A change of the database, its reversal, and the count of the audit that must find it.
type Wrong = (&'static str, &'static str, fn(&Audit) -> u64);

const WRONGS: [Wrong; 7] = [
    (
        "UPDATE seats SET status = 1 WHERE id = 2",
        "UPDATE seats SET status = 0 WHERE id = 2",
        |counts| counts.seats_without_reservation,
    ),
    (
        "UPDATE seats SET status = 0 WHERE id = 1",
        "UPDATE seats SET status = 2 WHERE id = 1",
        |counts| counts.reservations_without_seat,
    ),
    (
        "UPDATE ledger SET amount = amount + 1 WHERE kind = 1",
        "UPDATE ledger SET amount = amount - 1 WHERE kind = 1",
        |counts| counts.paid_without_ledger,
    ),
    (
        "UPDATE reservations SET status = 3 WHERE seat_id = 1",
        "UPDATE reservations SET status = 1 WHERE seat_id = 1",
        |counts| counts.ledger_without_paid,
    ),
    (
        "UPDATE users SET balance = balance + 1 WHERE id = 3",
        "UPDATE users SET balance = balance - 1 WHERE id = 3",
        |counts| counts.wrong_balances,
    ),
    (
        "DROP INDEX one_live_reservation_per_seat;
         CREATE TABLE copied AS SELECT * FROM reservations WHERE seat_id = 1;
         UPDATE copied SET id = 99, status = 0, user_id = 9; INSERT INTO reservations SELECT * FROM copied;",
        "DELETE FROM reservations WHERE id = 99; DROP TABLE copied;
         CREATE UNIQUE INDEX one_live_reservation_per_seat ON reservations (seat_id) WHERE status IN (0, 1);",
        |counts| counts.oversold_seats,
    ),
    (
        "DROP INDEX one_live_place_per_user;
         INSERT INTO queue_places (place, user_id, issued_at) VALUES (98, 5, 0), (99, 5, 0);",
        "DELETE FROM queue_places WHERE place > 90;",
        |counts| counts.duplicate_places,
    ),
];

/// User 1 paid for seat 1 and holds seat 3; user 2 only charged.
async fn some_trade(db: &Opened) -> (ReservationId, ReservationId) {
    db.standing(2).await;
    db.charged(1, 5_000).await;
    db.charged(2, 7).await;
    let paid = db.reserved(1, 1).await;
    let held = db.reserved(1, 3).await;
    let pay = Pay {
        user: UserId(1),
        reservation: paid,
        place: place(1),
        now: Timestamp(20),
    };
    db.store.pay(pay, None).await.unwrap();
    (paid, held)
}

async fn the_audit_finds_each_kind_of_damage(db: &Opened) {
    some_trade(db).await;
    let counts = db.store.audit().await.unwrap();
    assert_eq!(counts.violations(), 0, "{counts:?}");
    assert_eq!(
        (counts.reservations, counts.reservations_paid, counts.places),
        (2, 1, 2)
    );
    assert_eq!(
        (
            counts.seats_available,
            counts.seats_pending,
            counts.seats_sold
        ),
        (18, 1, 1)
    );
    for (wrong, undo, count) in WRONGS {
        db.tamper(wrong).await;
        let counts = db.store.audit().await.unwrap();
        assert_eq!(count(&counts), 1, "{wrong}: {counts:?}");
        db.tamper(undo).await;
        db.assert_sound().await;
    }
}

async fn the_initial_balance_is_part_of_the_balance(db: &Opened) {
    some_trade(db).await;
    // As after seeding a profile with a balance. Datasets of older versions do not record one.
    db.tamper("UPDATE users SET balance = balance + 500").await;
    let counts = db.store.audit().await.unwrap();
    assert!(counts.wrong_balances > 2, "{counts:?}");
    db.tamper(
        "UPDATE meta SET value = replace(value, '\"initial_balance\":0', '\"initial_balance\":500')
         WHERE key = 'dataset'",
    )
    .await;
    db.assert_sound().await;
    db.tamper("UPDATE users SET balance = balance - 500").await;
    db.tamper(
        "UPDATE meta SET value = replace(value, ',\"initial_balance\":500', '') WHERE key = 'dataset'",
    )
    .await;
    db.assert_sound().await;
}

async fn facts_that_are_not_there_are_missing(db: &Opened) {
    let (paid, held) = some_trade(db).await;
    let (one, two) = (UserId(1), UserId(2));
    let there = [
        Fact::Place(Place(1), one),
        Fact::Reservation(paid, one, SeatId(1)),
        Fact::Payment(paid),
        Fact::Charges(one, Money(5_000)),
        Fact::Reservation(held, one, SeatId(3)),
        Fact::Place(Place(2), two),
        Fact::Charges(two, Money(6)),
    ];
    assert_eq!(db.store.missing(there.to_vec()).await.unwrap(), []);
    assert_eq!(db.store.missing(Vec::new()).await.unwrap(), []);
    let not_there = [
        Fact::Payment(held),
        Fact::Place(Place(1), two),
        Fact::Place(Place(77), one),
        Fact::Reservation(paid, two, SeatId(1)),
        Fact::Charges(two, Money(8)),
        Fact::Reservation(paid, one, SeatId(2)),
        Fact::Charges(UserId(3), Money(1)),
        Fact::Payment(ReservationId(999)),
        Fact::Reservation(ReservationId(999), one, SeatId(1)),
        Fact::Place(Place(u64::MAX), one),
    ];
    let mixed: Vec<Fact> = not_there
        .iter()
        .enumerate()
        .flat_map(|(at, fact)| [there[at % there.len()], *fact])
        .collect();
    let missing = db.store.missing(mixed).await.unwrap();
    assert_eq!(missing, not_there, "in the order of the request");
}

async fn only_a_key_whose_write_was_done_counts_as_done(db: &Opened) {
    let (paid, held) = some_trade(db).await;
    let (user, now) = (UserId(2), Timestamp(30));
    let pay = |user, reservation| Pay {
        user,
        reservation,
        place: place(1),
        now,
    };
    let charge = |name| db.store.charge(user, Money(1), now, Some(key(name)));
    charge("charged").await.unwrap();
    db.store
        .pay(pay(user, paid), Some(key("refused")))
        .await
        .unwrap();
    db.charged(1, 1_000_000).await;
    let paying = db.store.pay(pay(UserId(1), held), Some(key("paid")));
    assert_eq!(
        paying.await.unwrap().outcome,
        Keyed::Fresh(PayOutcome::Paid)
    );
    let of = |user: i64, name: &str| (UserId(user), key(name).key);
    let asked = vec![
        of(2, "refused"),
        of(2, "charged"),
        of(1, "charged"),
        of(1, "paid"),
        of(2, "never"),
    ];
    let done = db.store.done(asked).await.unwrap();
    assert_eq!(done, [false, true, false, true, false]);
    assert!(db.store.done(Vec::new()).await.unwrap().is_empty());
}
