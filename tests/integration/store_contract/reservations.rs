//! Reservations and cancellations.

use std::collections::HashSet;

use concertctl::domain::{ReservationId, SeatId, SeatStatus, Timestamp, UserId};
use concertctl::store::{CancelOutcome, Idempotency, Keyed, Reserve, ReserveOutcome, SeatPreview};
use futures_util::future::join_all;

use super::opened::{SEATS, place, wish};
use super::{Opened, contract, key};

contract![
    a_free_seat_is_held_for_its_user_until_it_expires,
    a_seat_that_is_held_or_not_there_is_taken,
    a_seat_that_changed_since_it_was_seen_is_in_conflict,
    the_unique_index_refuses_a_second_live_reservation_of_a_seat_marked_free,
    a_place_that_ended_or_never_was_opens_nothing,
    a_user_holds_as_many_seats_as_the_limit_and_not_one_more,
    a_limit_that_was_lowered_holds_at_once,
    the_limit_holds_however_many_requests_race,
    of_many_who_want_one_seat_exactly_one_gets_it,
    the_first_answer_to_a_key_is_given_again,
    a_refusal_is_kept_under_its_key_like_a_success,
    a_key_used_for_another_request_is_refused,
    of_many_requests_with_one_key_one_decides,
    a_refusal_decided_elsewhere_is_remembered_unless_there_is_an_answer,
    answers_are_forgotten_by_age,
    a_reservation_is_given_back_by_its_holder_alone,
    holds_that_ran_out_are_ended_and_their_seats_free,
    the_version_of_a_date_moves_with_its_seats_alone,
];

async fn a_free_seat_is_held_for_its_user_until_it_expires(db: &Opened) {
    db.standing(1).await;
    let before = db.seat(3).await;
    assert_eq!(
        (before.number, before.price.0, before.status),
        (3, 1_000, SeatStatus::Available)
    );
    let outcome = db.try_reserve(1, 3).await;
    let expires = Timestamp(100);
    assert!(
        matches!(outcome, ReserveOutcome::Reserved { expires_at, .. } if expires_at == expires),
        "{outcome:?}"
    );
    let after = db.seat(3).await;
    assert_eq!(after.status, SeatStatus::Pending);
    assert!(after.version > before.version);
    let counts = db.store.seat_counts().await.unwrap();
    assert_eq!(
        (counts.available, counts.pending, counts.unavailable),
        (SEATS - 1, 1, 0)
    );
    db.assert_sound().await;
}

async fn a_seat_that_is_held_or_not_there_is_taken(db: &Opened) {
    db.standing(2).await;
    db.reserved(1, 3).await;
    assert_eq!(db.try_reserve(2, 3).await, ReserveOutcome::Taken);
    assert_eq!(db.try_reserve(2, 99_999).await, ReserveOutcome::Taken);
    db.assert_sound().await;
}

async fn a_seat_that_changed_since_it_was_seen_is_in_conflict(db: &Opened) {
    db.standing(2).await;
    let seen = match db
        .store
        .preview(SeatId(1), UserId(1), None, Timestamp(10))
        .await
        .unwrap()
    {
        SeatPreview::Seen { seat, .. } => seat.unwrap().version,
        SeatPreview::Deferred => db.seat(1).await.version,
    };
    let seen_by = |user| Reserve {
        seen_version: Some(seen),
        ..wish(user, 1)
    };
    // Another user reserves the seat and cancels: it is free again, but its version has changed.
    let first = db.reserve(seen_by(1), None).await;
    let Keyed::Fresh(ReserveOutcome::Reserved { id, .. }) = first else {
        panic!("{first:?}")
    };
    let held = db.reserve(seen_by(2), None).await;
    assert_eq!(held, Keyed::Fresh(ReserveOutcome::Conflict));
    let cancelled = db.cancel(id, 1, 11).await;
    assert_eq!(cancelled, CancelOutcome::Cancelled);
    let late = db.reserve(seen_by(2), None).await;
    assert_eq!(late, Keyed::Fresh(ReserveOutcome::Conflict));
    assert_eq!(db.status(1).await, SeatStatus::Available);
    db.reserved(2, 1).await;
}

async fn the_unique_index_refuses_a_second_live_reservation_of_a_seat_marked_free(db: &Opened) {
    db.standing(2).await;
    db.reserved(1, 1).await;
    // A defect or a manual change frees the seat but not its reservation.
    for key in [None, Some(key("a"))] {
        db.tamper("UPDATE seats SET status = 0 WHERE id = 1").await;
        let refused = db.reserve(wish(2, 1), key).await;
        assert_eq!(refused, Keyed::Fresh(ReserveOutcome::Conflict));
        assert_eq!(
            db.status(1).await,
            SeatStatus::Pending,
            "the seat is corrected"
        );
    }
    // A conflict is transient, so the repeat is decided again.
    let again = db.reserve(wish(2, 1), Some(key("a"))).await;
    assert_eq!(again, Keyed::Fresh(ReserveOutcome::Taken));
    db.assert_sound().await;
}

async fn a_place_that_ended_or_never_was_opens_nothing(db: &Opened) {
    db.standing(1).await;
    let stranger = Reserve {
        place: place(40),
        ..wish(1, 1)
    };
    let refused = db.reserve(stranger, None).await;
    assert_eq!(refused, Keyed::Fresh(ReserveOutcome::PlaceEnded));
    db.tamper("UPDATE queue_places SET ended_at = 5 WHERE place = 1")
        .await;
    assert_eq!(db.try_reserve(1, 1).await, ReserveOutcome::PlaceEnded);
    assert_eq!(db.status(1).await, SeatStatus::Available);
}

async fn a_user_holds_as_many_seats_as_the_limit_and_not_one_more(db: &Opened) {
    db.standing(1).await;
    let first = db.reserved(1, 1).await;
    db.reserved(1, 2).await;
    db.reserved(1, 3).await;
    assert_eq!(db.try_reserve(1, 4).await, ReserveOutcome::LimitReached);
    assert_eq!(db.status(4).await, SeatStatus::Available);
    db.cancel(first, 1, 11).await;
    db.reserved(1, 4).await;
    assert_eq!(db.try_reserve(1, 5).await, ReserveOutcome::LimitReached);
    db.assert_sound().await;
}

async fn a_limit_that_was_lowered_holds_at_once(db: &Opened) {
    db.standing(1).await;
    let first = db.reserved(1, 1).await;
    db.reserved(1, 2).await;
    db.reserved(1, 3).await;
    db.cancel(first, 1, 11).await;
    // Two reservations are live, and the lowest slot is free again.
    let lower = Reserve {
        limit: 2,
        ..wish(1, 4)
    };
    let refused = db.reserve(lower, None).await;
    assert_eq!(refused, Keyed::Fresh(ReserveOutcome::LimitReached));
}

async fn the_limit_holds_however_many_requests_race(db: &Opened) {
    db.standing(1).await;
    let racing = (1..=12).map(|seat| db.try_reserve(1, seat));
    let outcomes = join_all(racing).await;
    let got = |outcome: &&ReserveOutcome| matches!(outcome, ReserveOutcome::Reserved { .. });
    assert_eq!(outcomes.iter().filter(got).count(), 3, "{outcomes:?}");
    let refused = |outcome: &&ReserveOutcome| **outcome == ReserveOutcome::LimitReached;
    assert_eq!(outcomes.iter().filter(refused).count(), 9, "{outcomes:?}");
    let counts = db.store.seat_counts().await.unwrap();
    assert_eq!(counts.pending, 3);
    db.assert_sound().await;
}

async fn of_many_who_want_one_seat_exactly_one_gets_it(db: &Opened) {
    db.standing(40).await;
    let outcomes = join_all((1..=40).map(|user| db.try_reserve(user, 7))).await;
    let got = |outcome: &&ReserveOutcome| matches!(outcome, ReserveOutcome::Reserved { .. });
    assert_eq!(outcomes.iter().filter(got).count(), 1, "{outcomes:?}");
    for lost in outcomes.iter().filter(|outcome| !got(outcome)) {
        // The others found the seat taken, or lost the race for it.
        assert!(
            matches!(lost, ReserveOutcome::Taken | ReserveOutcome::Conflict),
            "{lost:?}"
        );
    }
    db.assert_sound().await;
}

async fn the_first_answer_to_a_key_is_given_again(db: &Opened) {
    db.standing(1).await;
    let first = db.reserve(wish(1, 1), Some(key("a"))).await;
    let Keyed::Fresh(outcome @ ReserveOutcome::Reserved { id, .. }) = first else {
        panic!("{first:?}")
    };
    let later = Reserve {
        now: Timestamp(50),
        expires_at: Timestamp(150),
        ..wish(1, 1)
    };
    let again = db.reserve(later.clone(), Some(key("a"))).await;
    assert_eq!(again, Keyed::Replayed(outcome));
    // The stored answer is repeated even after a change of the reservation.
    db.cancel(id, 1, 51).await;
    let again = db.reserve(later, Some(key("a"))).await;
    assert_eq!(again, Keyed::Replayed(outcome));
    assert_eq!(db.status(1).await, SeatStatus::Available);
    let found = db.store.replay(UserId(1), key("a")).await.unwrap();
    assert_eq!(found, Some(Keyed::Replayed(outcome)));
    let none: Option<Keyed<ReserveOutcome>> = db.store.replay(UserId(1), key("b")).await.unwrap();
    assert_eq!(none, None);
    // The same key of another user is another key.
    db.standing(0).await;
    let none: Option<Keyed<ReserveOutcome>> = db.store.replay(UserId(2), key("a")).await.unwrap();
    assert_eq!(none, None);
}

async fn a_refusal_is_kept_under_its_key_like_a_success(db: &Opened) {
    db.standing(2).await;
    let held = db.reserved(1, 1).await;
    let first = db.reserve(wish(2, 1), Some(key("a"))).await;
    assert_eq!(first, Keyed::Fresh(ReserveOutcome::Taken));
    db.cancel(held, 1, 11).await;
    let again = db.reserve(wish(2, 1), Some(key("a"))).await;
    assert_eq!(again, Keyed::Replayed(ReserveOutcome::Taken));
    let wish = Reserve {
        limit: 0,
        ..wish(2, 2)
    };
    let first = db.reserve(wish.clone(), Some(key("limit"))).await;
    assert_eq!(first, Keyed::Fresh(ReserveOutcome::LimitReached));
    let again = db.reserve(wish, Some(key("limit"))).await;
    assert_eq!(again, Keyed::Replayed(ReserveOutcome::LimitReached));
}

async fn a_key_used_for_another_request_is_refused(db: &Opened) {
    db.standing(1).await;
    db.reserve(wish(1, 1), Some(key("a"))).await;
    let other = Idempotency {
        fingerprint: 43,
        ..key("a")
    };
    let refused = db.reserve(wish(1, 2), Some(other.clone())).await;
    assert_eq!(refused, Keyed::Mismatch);
    assert_eq!(db.status(2).await, SeatStatus::Available);
    let found: Option<Keyed<ReserveOutcome>> = db.store.replay(UserId(1), other).await.unwrap();
    assert_eq!(found, Some(Keyed::Mismatch));
}

async fn of_many_requests_with_one_key_one_decides(db: &Opened) {
    db.standing(1).await;
    let asking = (0..20).map(|_| db.reserve(wish(1, 1), Some(key("a"))));
    let answers = join_all(asking).await;
    let fresh = answers
        .iter()
        .filter(|answer| matches!(answer, Keyed::Fresh(_)));
    assert_eq!(fresh.count(), 1, "{answers:?}");
    let outcomes: HashSet<String> = answers
        .iter()
        .map(|answer| match answer {
            Keyed::Fresh(outcome) | Keyed::Replayed(outcome) => format!("{outcome:?}"),
            Keyed::Mismatch => "mismatch".to_owned(),
        })
        .collect();
    assert_eq!(outcomes.len(), 1, "all get the same outcome: {outcomes:?}");
    assert_eq!(db.store.audit().await.unwrap().reservations, 1);
}

async fn a_refusal_decided_elsewhere_is_remembered_unless_there_is_an_answer(db: &Opened) {
    db.standing(1).await;
    let refuse = |name: &str| {
        let locked = ReserveOutcome::Taken;
        db.store
            .remember_refusal(UserId(1), key(name), locked, Timestamp(10))
    };
    let first = refuse("a").await.unwrap();
    assert_eq!(first, Keyed::Fresh(ReserveOutcome::Taken));
    let again = db.reserve(wish(1, 1), Some(key("a"))).await;
    assert_eq!(again, Keyed::Replayed(ReserveOutcome::Taken));
    let reserved = db.reserve(wish(1, 1), Some(key("b"))).await;
    let Keyed::Fresh(outcome) = reserved else {
        panic!("{reserved:?}")
    };
    assert_eq!(refuse("b").await.unwrap(), Keyed::Replayed(outcome));
    let answers = join_all((0..10).map(|_| refuse("c"))).await;
    let fresh = |answer: &&_| matches!(answer, Ok(Keyed::Fresh(_)));
    assert_eq!(answers.iter().filter(fresh).count(), 1, "{answers:?}");
}

async fn answers_are_forgotten_by_age(db: &Opened) {
    db.standing(1).await;
    for at in 1..=4 {
        let locked = ReserveOutcome::Taken;
        let key = key(&at.to_string());
        let kept = db
            .store
            .remember_refusal(UserId(1), key, locked, Timestamp(at));
        kept.await.unwrap();
    }
    assert_eq!(db.store.forget_answers(Timestamp(4), 2).await.unwrap(), 2);
    assert_eq!(db.store.forget_answers(Timestamp(4), 2).await.unwrap(), 1);
    assert_eq!(db.store.forget_answers(Timestamp(4), 2).await.unwrap(), 0);
    let left: Option<Keyed<ReserveOutcome>> = db.store.replay(UserId(1), key("4")).await.unwrap();
    assert_eq!(left, Some(Keyed::Replayed(ReserveOutcome::Taken)));
}

async fn a_reservation_is_given_back_by_its_holder_alone(db: &Opened) {
    db.standing(2).await;
    let id = db.reserved(1, 1).await;
    let cancel = |id, user, now| db.cancel(id, user, now);
    assert_eq!(cancel(id, 2, 11).await, CancelOutcome::Foreign);
    let unknown = ReservationId(9_999);
    assert_eq!(cancel(unknown, 1, 11).await, CancelOutcome::Unknown);
    assert_eq!(cancel(id, 1, 100).await, CancelOutcome::Unknown, "ran out");
    assert_eq!(db.status(1).await, SeatStatus::Pending);
    assert_eq!(cancel(id, 1, 99).await, CancelOutcome::Cancelled);
    assert_eq!(db.status(1).await, SeatStatus::Available);
    assert_eq!(cancel(id, 1, 99).await, CancelOutcome::Unknown);
    // One of many concurrent cancellations of a reservation succeeds.
    let id = db.reserved(1, 1).await;
    let outcomes = join_all((0..10).map(|_| cancel(id, 1, 20))).await;
    let done = |outcome: &&_| matches!(outcome, CancelOutcome::Cancelled);
    assert_eq!(outcomes.iter().filter(done).count(), 1, "{outcomes:?}");
    db.assert_sound().await;
}

async fn holds_that_ran_out_are_ended_and_their_seats_free(db: &Opened) {
    db.standing(3).await;
    for (user, seat) in [(1, 1), (1, 2), (2, 3), (2, 4)] {
        db.reserved(user, seat).await;
    }
    let longer = Reserve {
        expires_at: Timestamp(500),
        ..wish(3, 5)
    };
    db.reserve(longer, None).await;
    assert_eq!(db.expire(99, 10).await, 0);
    assert_eq!(db.expire(100, 3).await, 3);
    // Of two concurrent sweeps, each hold is ended by one.
    let both = join_all((0..2).map(|_| db.expire(100, 3))).await;
    let ended: u64 = both.into_iter().sum();
    assert_eq!(ended, 1);
    for seat in 1..=4 {
        assert_eq!(db.status(seat).await, SeatStatus::Available);
    }
    assert_eq!(db.status(5).await, SeatStatus::Pending);
    db.reserved(3, 1).await;
    db.assert_sound().await;
}

async fn the_version_of_a_date_moves_with_its_seats_alone(db: &Opened) {
    use concertctl::domain::PerformanceDateId as Date;
    db.standing(1).await;
    let versions = || {
        (
            db.store.date_version(Date(1)).unwrap(),
            db.store.date_version(Date(2)).unwrap(),
        )
    };
    assert_eq!(db.store.date_version(Date(0)), None);
    assert_eq!(db.store.date_version(Date(3)), None);
    let (first, second) = versions();
    let id = db.reserved(1, 1).await;
    assert_eq!(versions(), (first + 1, second));
    assert_eq!(db.try_reserve(1, 1).await, ReserveOutcome::Taken);
    assert_eq!(versions(), (first + 1, second), "nothing changed");
    db.cancel(id, 1, 11).await;
    assert_eq!(versions(), (first + 2, second));
    db.reserved(1, 21).await;
    db.reserved(1, 22).await;
    assert_eq!(versions(), (first + 2, second + 2));
    db.expire(100, 10).await;
    assert_eq!(versions(), (first + 2, second + 4), "one for each seat");
    assert_eq!(db.store.shared_for().is_none(), db.is_sqlite());
}
