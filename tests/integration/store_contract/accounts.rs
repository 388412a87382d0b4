//! Charges and payments.

use concertctl::domain::{Money, ReservationId, SeatStatus, Timestamp, UserId};
use concertctl::store::{
    CancelOutcome, ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome, ReserveOutcome, StoreError,
};
use futures_util::future::join_all;

use super::opened::{PRICE, place, wish};
use super::{Opened, contract, key};

contract![
    a_charge_adds_to_the_balance_and_the_ledger,
    a_charge_beyond_what_an_account_holds_is_refused,
    a_charge_with_a_key_is_made_once,
    charges_from_many_sides_add_up,
    a_payment_sells_the_seat_and_the_last_one_ends_the_place,
    a_place_that_has_paid_ends_with_its_last_hold,
    a_payment_ends_no_place_while_its_user_holds_a_seat_by_an_earlier_place,
    payments_of_all_holds_at_once_end_the_place,
    a_place_that_has_ended_pays_nothing,
    a_replayed_payment_touches_no_newer_place,
    a_payment_is_refused_with_its_reason,
    a_payment_with_a_key_is_made_once,
    of_many_payments_of_one_reservation_one_is_made,
    a_balance_is_never_overdrawn_however_payments_race,
    payment_and_expiry_exclude_each_other,
    a_write_that_fails_halfway_changes_nothing,
];

async fn charge(
    db: &Opened,
    user: i64,
    amount: i64,
    key: Option<Idempotency>,
) -> Keyed<ChargeOutcome> {
    let charge = db
        .store
        .charge(UserId(user), Money(amount), Timestamp(5), key);
    charge.await.unwrap()
}

async fn pay(
    db: &Opened,
    user: i64,
    id: ReservationId,
    key: Option<Idempotency>,
) -> Keyed<PayOutcome> {
    pay_at(db, user, id, 20, key).await.unwrap()
}

async fn pay_at(
    db: &Opened,
    user: i64,
    reservation: ReservationId,
    now: i64,
    key: Option<Idempotency>,
) -> Result<Keyed<PayOutcome>, StoreError> {
    Ok(db
        .store
        .pay(paying(user, reservation, now), key)
        .await?
        .outcome)
}

fn paying(user: i64, reservation: ReservationId, now: i64) -> Pay {
    Pay {
        user: UserId(user),
        reservation,
        place: place(user),
        now: Timestamp(now),
    }
}

async fn a_charge_adds_to_the_balance_and_the_ledger(db: &Opened) {
    assert_eq!(db.store.balance(UserId(9_999)).await.unwrap(), None);
    assert_eq!(db.balance(1).await, 0);
    let charged = |balance| ChargeOutcome::Charged {
        balance: Money(balance),
        at: Timestamp(5),
    };
    assert_eq!(charge(db, 1, 300, None).await, Keyed::Fresh(charged(300)));
    assert_eq!(charge(db, 1, 200, None).await, Keyed::Fresh(charged(500)));
    assert_eq!(db.balance(1).await, 500);
    assert_eq!(
        charge(db, 9_999, 1, None).await,
        Keyed::Fresh(ChargeOutcome::UnknownUser)
    );
    db.assert_sound().await;
}

async fn a_charge_beyond_what_an_account_holds_is_refused(db: &Opened) {
    let top = Money::MAX_BALANCE.0;
    db.tamper(&format!(
        "UPDATE users SET balance = {top} - 5 WHERE id = 1;
         INSERT INTO ledger (user_id, kind, amount, at) VALUES (1, 0, {top} - 5, 1)"
    ))
    .await;
    let overflow = Keyed::Fresh(ChargeOutcome::Overflow);
    assert_eq!(charge(db, 1, 6, None).await, overflow);
    assert_eq!(db.balance(1).await, top - 5);
    assert!(matches!(
        charge(db, 1, 5, None).await,
        Keyed::Fresh(ChargeOutcome::Charged { balance, .. }) if balance == Money::MAX_BALANCE
    ));
    // The store refuses an invalid amount even if the caller has not checked it.
    for amount in [0, -1, i64::MIN, Money::MAX_CHARGE.0 + 1, i64::MAX] {
        assert_eq!(charge(db, 2, amount, None).await, overflow, "{amount}");
    }
    assert_eq!(db.balance(2).await, 0);
    db.assert_sound().await;
}

async fn a_charge_with_a_key_is_made_once(db: &Opened) {
    let Keyed::Fresh(first) = charge(db, 1, 300, Some(key("a"))).await else {
        panic!("the first charge must be fresh")
    };
    assert_eq!(
        charge(db, 1, 300, Some(key("a"))).await,
        Keyed::Replayed(first)
    );
    let other = Idempotency {
        fingerprint: 1,
        ..key("a")
    };
    assert_eq!(charge(db, 1, 300, Some(other)).await, Keyed::Mismatch);
    let racing = join_all((0..20).map(|_| charge(db, 1, 100, Some(key("b"))))).await;
    let fresh = racing
        .iter()
        .filter(|answer| matches!(answer, Keyed::Fresh(_)));
    assert_eq!(fresh.count(), 1, "{racing:?}");
    assert_eq!(db.balance(1).await, 400);
    // The same key of another user is another key.
    assert!(matches!(
        charge(db, 2, 300, Some(key("a"))).await,
        Keyed::Fresh(_)
    ));
    let refused = charge(db, 9_999, 300, Some(key("a"))).await;
    assert_eq!(refused, Keyed::Fresh(ChargeOutcome::UnknownUser));
    let refused = charge(db, 9_999, 300, Some(key("a"))).await;
    assert_eq!(refused, Keyed::Replayed(ChargeOutcome::UnknownUser));
    db.assert_sound().await;
}

async fn charges_from_many_sides_add_up(db: &Opened) {
    let charges = (0..40).map(|n| charge(db, 1, 10, (n % 2 == 0).then(|| key(&n.to_string()))));
    let charged = join_all(charges).await;
    assert!(
        charged
            .iter()
            .all(|answer| matches!(answer, Keyed::Fresh(ChargeOutcome::Charged { .. })))
    );
    assert_eq!(db.balance(1).await, 400);
    db.assert_sound().await;
}

async fn a_payment_sells_the_seat_and_the_last_one_ends_the_place(db: &Opened) {
    db.standing(1).await;
    db.charged(1, 5_000).await;
    let id = db.reserved(1, 1).await;
    let other = db.reserved(1, 2).await;
    assert_eq!(pay(db, 1, id, None).await, Keyed::Fresh(PayOutcome::Paid));
    assert_eq!(db.status(1).await, SeatStatus::Unavailable);
    assert_eq!(db.balance(1).await, 5_000 - PRICE);
    assert_eq!(
        pay(db, 1, id, None).await,
        Keyed::Fresh(PayOutcome::AlreadyPaid)
    );
    assert_eq!(db.cancel(id, 1, 21).await, CancelOutcome::AlreadyPaid);
    assert!(!has_ended(db).await, "a hold is left");
    let paid = db.store.pay(paying(1, other, 20), None).await.unwrap();
    assert_eq!(paid.outcome, Keyed::Fresh(PayOutcome::Paid));
    assert_eq!(paid.ended, [place(1)]);
    assert!(has_ended(db).await);
    assert_eq!(db.try_reserve(1, 3).await, ReserveOutcome::PlaceEnded);
    let counts = db.store.audit().await.unwrap();
    assert_eq!((counts.reservations, counts.reservations_paid), (2, 2));
    assert_eq!((counts.seats_sold, counts.seats_pending), (2, 0));
    db.assert_sound().await;
}

async fn has_ended(db: &Opened) -> bool {
    db.store.has_ended(place(1)).await.unwrap()
}

/// The end of the last hold after a payment ends the place. Without a payment the place does not end.
async fn a_place_that_has_paid_ends_with_its_last_hold(db: &Opened) {
    for (user, ending) in [(1, "cancel"), (2, "expire"), (3, "reserve")] {
        let at = db
            .store
            .register(super::opened::new_place(place(user).0, user));
        at.await.unwrap();
        db.charged(user, PRICE).await;
        let seat = user * 3;
        let given_back = db.reserved(user, seat).await;
        db.cancel(given_back, user, 11).await;
        assert!(!db.store.has_ended(place(user)).await.unwrap(), "{ending}");
        let (paid, held) = (
            db.reserved(user, seat).await,
            db.reserved(user, seat + 1).await,
        );
        assert_eq!(
            pay(db, user, paid, None).await,
            Keyed::Fresh(PayOutcome::Paid)
        );
        assert!(!db.store.has_ended(place(user)).await.unwrap(), "{ending}");
        let ended = match ending {
            "cancel" => {
                let cancel = db.store.cancel(held, UserId(user), Timestamp(21), None);
                cancel.await.unwrap().ended
            }
            "expire" => {
                let expire = db.store.expire_holds(Timestamp(100), 10);
                expire.await.unwrap().ended
            }
            _ => {
                let late = concertctl::store::Reserve {
                    now: Timestamp(100),
                    expires_at: Timestamp(200),
                    ..wish(1, seat + 1)
                };
                let (again, standing) = (place(40), UserId(40));
                db.store
                    .register(super::opened::new_place(again.0, standing.0))
                    .await
                    .unwrap();
                let late = concertctl::store::Reserve {
                    user: standing,
                    place: again,
                    ..late
                };
                db.store.reserve(late, None).await.unwrap().ended
            }
        };
        assert_eq!(ended, [place(user)], "{ending}");
        assert!(db.store.has_ended(place(user)).await.unwrap(), "{ending}");
    }
    db.assert_sound().await;
}

async fn a_payment_ends_no_place_while_its_user_holds_a_seat_by_an_earlier_place(db: &Opened) {
    let endings = ["pay", "cancel", "expire"];
    for (user, ending) in (1..).zip(endings) {
        let (earlier, later) = (place(user), place(user + 40));
        let first = super::opened::new_place(earlier.0, user);
        db.store.register(first).await.unwrap();
        db.charged(user, 2 * PRICE).await;
        let seat = user * 3;
        let paid = db.reserved(user, seat).await;
        let held = db.reserved(user, seat + 1).await;
        let again = concertctl::store::NewPlace {
            replaces: Some(earlier),
            ..super::opened::new_place(later.0, user)
        };
        db.store.register(again).await.unwrap();

        let paying = |id| Pay {
            place: later,
            ..paying(user, id, 20)
        };
        let payment = db.store.pay(paying(paid), None).await.unwrap();
        assert_eq!(payment.outcome, Keyed::Fresh(PayOutcome::Paid), "{ending}");
        assert_eq!(payment.ended, [], "{ending}: the other seat can be paid");
        assert!(!db.store.has_ended(later).await.unwrap(), "{ending}");

        let ended = match ending {
            "pay" => db.store.pay(paying(held), None).await.unwrap().ended,
            "cancel" => {
                let cancel = db.store.cancel(held, UserId(user), Timestamp(21), None);
                cancel.await.unwrap().ended
            }
            _ => {
                let expire = db.store.expire_holds(Timestamp(100), 10);
                expire.await.unwrap().ended
            }
        };
        assert_eq!(ended, [later], "{ending}");
        assert!(db.store.has_ended(later).await.unwrap(), "{ending}");
    }
    db.assert_sound().await;
}

/// Each payment sees the holds of the others; the last commit still ends the place.
async fn payments_of_all_holds_at_once_end_the_place(db: &Opened) {
    for round in 0..5_i64 {
        let (user, first) = (round + 1, round * 3 + 1);
        db.store
            .register(super::opened::new_place(place(user).0, user))
            .await
            .unwrap();
        db.charged(user, 3 * PRICE).await;
        let mut held = Vec::new();
        for seat in first..first + 3 {
            held.push(db.reserved(user, seat).await);
        }
        let answers = join_all(held.iter().map(|id| pay(db, user, *id, None))).await;
        assert_eq!(answers, vec![Keyed::Fresh(PayOutcome::Paid); 3]);
        assert!(db.store.has_ended(place(user)).await.unwrap());
    }
    db.assert_sound().await;
}

async fn a_place_that_has_ended_pays_nothing(db: &Opened) {
    db.standing(1).await;
    db.charged(1, 5_000).await;
    let (paid, held) = (db.reserved(1, 1).await, db.reserved(1, 2).await);
    pay(db, 1, paid, None).await;
    db.tamper("UPDATE queue_places SET ended_at = 15 WHERE place = 1")
        .await;
    let ended = Keyed::Fresh(PayOutcome::PlaceEnded);
    assert_eq!(pay(db, 1, held, Some(key("a"))).await, ended);
    assert_eq!(pay(db, 1, held, Some(key("a"))).await, ended, "not stored");
    assert_eq!(pay(db, 1, ReservationId(9_999), None).await, ended);
    let again = pay(db, 1, paid, None).await;
    assert_eq!(again, Keyed::Fresh(PayOutcome::AlreadyPaid));
    assert_eq!(db.balance(1).await, 5_000 - PRICE);
    db.assert_sound().await;
}

/// A replayed payment does not end a newer place, whichever token it has.
async fn a_replayed_payment_touches_no_newer_place(db: &Opened) {
    db.standing(1).await;
    db.charged(1, 5_000).await;
    let id = db.reserved(1, 1).await;
    let newer = Pay {
        place: place(30),
        ..paying(1, id, 20)
    };
    assert_eq!(
        pay(db, 1, id, Some(key("a"))).await,
        Keyed::Fresh(PayOutcome::Paid)
    );
    db.store
        .register(super::opened::new_place(30, 1))
        .await
        .unwrap();
    let replayed = db.store.pay(newer, Some(key("a"))).await.unwrap();
    assert_eq!(replayed.outcome, Keyed::Replayed(PayOutcome::Paid));
    assert!(replayed.ended.is_empty());
    assert!(!db.store.has_ended(place(30)).await.unwrap());
}

async fn a_payment_is_refused_with_its_reason(db: &Opened) {
    db.standing(2).await;
    let id = db.reserved(1, 1).await;
    let refused = |outcome| Keyed::Fresh(outcome);
    assert_eq!(
        pay(db, 1, ReservationId(9_999), None).await,
        refused(PayOutcome::Unknown)
    );
    assert_eq!(pay(db, 2, id, None).await, refused(PayOutcome::Foreign));
    assert_eq!(
        pay(db, 1, id, None).await,
        refused(PayOutcome::BalanceTooLow)
    );
    db.charged(1, PRICE - 1).await;
    assert_eq!(
        pay(db, 1, id, None).await,
        refused(PayOutcome::BalanceTooLow)
    );
    db.charged(1, 1).await;
    let late = pay_at(db, 1, id, 100, None).await.unwrap();
    assert_eq!(late, refused(PayOutcome::Expired), "the hold ends at 100");
    let given_back = db.reserved(1, 2).await;
    db.cancel(given_back, 1, 11).await;
    assert_eq!(
        pay(db, 1, given_back, None).await,
        refused(PayOutcome::Expired)
    );
    assert_eq!(db.status(1).await, SeatStatus::Pending);
    assert_eq!(db.balance(1).await, PRICE);
    let in_time = pay_at(db, 1, id, 99, None).await.unwrap();
    assert_eq!(in_time, refused(PayOutcome::Paid));
    db.assert_sound().await;
}

async fn a_payment_with_a_key_is_made_once(db: &Opened) {
    db.standing(1).await;
    let id = db.reserved(1, 1).await;
    let low = pay(db, 1, id, Some(key("low"))).await;
    assert_eq!(low, Keyed::Fresh(PayOutcome::BalanceTooLow));
    db.charged(1, 5_000).await;
    let low = pay(db, 1, id, Some(key("low"))).await;
    assert_eq!(low, Keyed::Replayed(PayOutcome::BalanceTooLow));
    let racing = join_all((0..20).map(|_| pay(db, 1, id, Some(key("a"))))).await;
    let fresh = racing
        .iter()
        .filter(|answer| **answer == Keyed::Fresh(PayOutcome::Paid));
    assert_eq!(fresh.count(), 1, "{racing:?}");
    let again = racing
        .iter()
        .filter(|answer| **answer == Keyed::Replayed(PayOutcome::Paid));
    assert_eq!(again.count(), 19, "{racing:?}");
    let other = Idempotency {
        fingerprint: 1,
        ..key("a")
    };
    assert_eq!(pay(db, 1, id, Some(other)).await, Keyed::Mismatch);
    assert_eq!(db.balance(1).await, 5_000 - PRICE);
    db.assert_sound().await;
}

async fn of_many_payments_of_one_reservation_one_is_made(db: &Opened) {
    db.standing(1).await;
    db.charged(1, 50_000).await;
    let id = db.reserved(1, 1).await;
    let answers = join_all((0..20).map(|_| pay(db, 1, id, None))).await;
    let paid = answers
        .iter()
        .filter(|answer| **answer == Keyed::Fresh(PayOutcome::Paid));
    assert_eq!(paid.count(), 1, "{answers:?}");
    let late = answers
        .iter()
        .filter(|answer| **answer == Keyed::Fresh(PayOutcome::AlreadyPaid));
    assert_eq!(late.count(), 19, "{answers:?}");
    assert_eq!(db.balance(1).await, 50_000 - PRICE);
    db.assert_sound().await;
}

async fn a_balance_is_never_overdrawn_however_payments_race(db: &Opened) {
    db.standing(1).await;
    let mut held = Vec::new();
    for seat in 1..=3 {
        held.push(db.reserved(1, seat).await);
    }
    db.charged(1, 2 * PRICE).await;
    let paying = held.iter().map(|id| pay(db, 1, *id, None));
    let answers = join_all(paying).await;
    let paid = answers
        .iter()
        .filter(|answer| **answer == Keyed::Fresh(PayOutcome::Paid));
    assert_eq!(paid.count(), 2, "{answers:?}");
    let low = answers
        .iter()
        .filter(|answer| **answer == Keyed::Fresh(PayOutcome::BalanceTooLow));
    assert_eq!(low.count(), 1, "{answers:?}");
    assert_eq!(db.balance(1).await, 0);
    db.assert_sound().await;
}

async fn payment_and_expiry_exclude_each_other(db: &Opened) {
    db.standing(10).await;
    let mut held = Vec::new();
    for user in 1..=10 {
        db.charged(user, PRICE).await;
        held.push((user, db.reserved(user, user).await));
    }
    // By the payer's clock the hold is still valid; by the sweeper's clock it has expired.
    let paying = join_all(held.iter().map(|(user, id)| pay(db, *user, *id, None)));
    let sweeping = join_all((0..4).map(|_| db.expire(100, 3)));
    let (paid, swept) = tokio::join!(paying, sweeping);
    let paid = paid
        .iter()
        .filter(|answer| **answer == Keyed::Fresh(PayOutcome::Paid))
        .count();
    let swept: u64 = swept.into_iter().sum();
    let rest = db.expire(100, 100).await;
    assert_eq!(paid as u64 + swept + rest, 10);
    let counts = db.store.seat_counts().await.unwrap();
    assert_eq!((counts.unavailable, counts.pending), (paid as u64, 0));
    db.assert_sound().await;
}

async fn a_write_that_fails_halfway_changes_nothing(db: &Opened) {
    db.standing(1).await;
    // The balance is written first. Then the ledger entry fails, because its table is missing.
    db.tamper("ALTER TABLE ledger RENAME TO away").await;
    let failed = db
        .store
        .charge(UserId(1), Money(5), Timestamp(5), Some(key("a")));
    assert!(matches!(failed.await, Err(StoreError::Unavailable(_))));
    db.tamper("ALTER TABLE away RENAME TO ledger").await;
    assert_eq!(db.balance(1).await, 0);
    assert!(
        matches!(charge(db, 1, 5, Some(key("a"))).await, Keyed::Fresh(_)),
        "the store continues"
    );
    assert!(matches!(
        db.reserve(wish(1, 1), None).await,
        Keyed::Fresh(ReserveOutcome::Reserved { .. })
    ));
    db.assert_sound().await;
}
