//! Holds that expire, are cancelled and listed; refusals that are not stored.

use concertctl::domain::{ReservationId, SeatStatus, Timestamp, UserId};
use concertctl::store::{CancelOutcome, Keyed, Reserve, ReserveOutcome};
use futures_util::future::join_all;

use super::opened::{place, wish};
use super::{Opened, contract, key};

contract![
    a_transient_refusal_is_not_kept_under_its_key,
    a_hold_that_has_run_out_does_not_block_its_seat,
    a_reservation_is_listed_for_its_user_alone,
    a_hold_given_back_with_a_key_is_given_back_once,
];

/// A refusal that another request or the token caused is decided again.
async fn a_transient_refusal_is_not_kept_under_its_key(db: &Opened) {
    db.standing(1).await;
    let elsewhere = Reserve {
        place: place(49),
        ..wish(1, 1)
    };
    let ended = db.reserve(elsewhere, Some(key("a"))).await;
    assert_eq!(ended, Keyed::Fresh(ReserveOutcome::PlaceEnded));
    // Such answers that an older version stored are ignored.
    for (at, old) in ["Locked", "Conflict", "PlaceEnded"].iter().enumerate() {
        let seat = i64::try_from(at).unwrap() + 1;
        db.tamper(&format!(
            "INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
             VALUES (1, '{old}', 42, '\"{old}\"', 1)"
        ))
        .await;
        let none: Option<Keyed<ReserveOutcome>> =
            db.store.replay(UserId(1), key(old)).await.unwrap();
        assert_eq!(none, None, "{old}");
        let fresh = db.reserve(wish(1, seat), Some(key(old))).await;
        let Keyed::Fresh(outcome @ ReserveOutcome::Reserved { .. }) = fresh else {
            panic!("{old}: {fresh:?}")
        };
        let again = db.reserve(wish(1, seat), Some(key(old))).await;
        assert_eq!(again, Keyed::Replayed(outcome), "{old}");
    }
    db.assert_sound().await;
}

/// An expired hold frees its seat at once, not only when it is swept.
async fn a_hold_that_has_run_out_does_not_block_its_seat(db: &Opened) {
    db.standing(2).await;
    for seat in 1..=3 {
        db.reserved(1, seat).await;
    }
    let at = |now: i64, user: i64, seat: i64| Reserve {
        now: Timestamp(now),
        expires_at: Timestamp(now + 90),
        ..wish(user, seat)
    };
    let early = db.reserve(at(99, 2, 1), None).await;
    assert_eq!(early, Keyed::Fresh(ReserveOutcome::Taken));
    let limited = db.reserve(at(99, 1, 4), None).await;
    assert_eq!(limited, Keyed::Fresh(ReserveOutcome::LimitReached));
    for (user, seat, name) in [(2, 1, None), (2, 2, Some(key("a"))), (1, 4, Some(key("b")))] {
        let held = db.reserve(at(100, user, seat), name).await;
        assert!(
            matches!(held, Keyed::Fresh(ReserveOutcome::Reserved { .. })),
            "seat {seat}: {held:?}"
        );
        assert_eq!(db.status(seat).await, SeatStatus::Pending);
    }
    db.assert_sound().await;
}

async fn a_reservation_is_listed_for_its_user_alone(db: &Opened) {
    db.standing(2).await;
    let mut ids = Vec::new();
    for seat in 1..=3 {
        ids.push(db.reserved(1, seat).await);
    }
    db.reserved(2, 4).await;
    db.cancel(ids[1], 1, 11).await;
    let list = |after: i64, most: u32| async move {
        let rows = db
            .store
            .reservations_of(UserId(1), ReservationId(after), most);
        let rows = rows.await.unwrap();
        rows.iter()
            .map(|row| (row.id, row.status))
            .collect::<Vec<_>>()
    };
    use concertctl::domain::ReservationStatus::{Cancelled, Pending};
    let all = [(ids[0], Pending), (ids[1], Cancelled), (ids[2], Pending)];
    assert_eq!(list(0, 10).await, all);
    assert_eq!(list(0, 2).await, all[..2]);
    assert_eq!(list(ids[1].0, 10).await, all[2..]);
}

async fn a_hold_given_back_with_a_key_is_given_back_once(db: &Opened) {
    db.standing(1).await;
    let id = db.reserved(1, 1).await;
    let cancel = |id, name: &str| {
        let cancelling = db
            .store
            .cancel(id, UserId(1), Timestamp(20), Some(key(name)));
        async move { cancelling.await.unwrap().outcome }
    };
    let racing = join_all((0..10).map(|_| cancel(id, "a"))).await;
    let fresh = racing
        .iter()
        .filter(|answer| **answer == Keyed::Fresh(CancelOutcome::Cancelled));
    assert_eq!(fresh.count(), 1, "{racing:?}");
    let again = racing
        .iter()
        .filter(|answer| **answer == Keyed::Replayed(CancelOutcome::Cancelled));
    assert_eq!(again.count(), 9, "{racing:?}");
    let unkeyed = db.cancel(id, 1, 20).await;
    assert_eq!(unkeyed, CancelOutcome::Unknown);
    db.assert_sound().await;
}
