//! Places, admissions, and the durable state of the queue.

use std::collections::BTreeSet;

use concertctl::domain::queue::Admission;
use concertctl::domain::{Money, Place, Timestamp, UserId};
use concertctl::store::{Idempotency, Keyed, NewPlace, NextPlace, RegisterOutcome, Ticket};
use futures_util::future::join_all;

use super::opened::{USERS, new_place, place};
use super::{Opened, contract, key};

contract![
    places_are_kept_as_they_were_given,
    a_number_that_is_given_is_not_given_again,
    a_number_is_not_given_to_its_own_user_again,
    an_earlier_place_ends_when_it_is_replaced,
    a_registration_without_an_answer_does_not_lock_its_user_out,
    the_database_itself_refuses_a_second_live_place,
    a_key_gives_the_same_place_while_it_lives,
    copies_of_a_registration_get_one_ticket,
    the_store_hands_out_one_place_for_a_key,
    many_register_at_once,
    the_store_hands_out_places_by_itself,
    a_place_that_the_store_handed_out_is_not_lost_to_a_queue_that_forgot_it,
    places_handed_out_at_once_are_different_and_without_gaps,
    admissions_and_settings_are_kept,
    the_catalog_lists_concerts_and_dates,
    a_store_that_works_answers_a_ping,
];

async fn register(db: &Opened, at: u64, user: i64, replaces: Option<u64>) -> RegisterOutcome {
    let new = NewPlace {
        replaces: replaces.map(Place),
        ..new_place(at, user)
    };
    db.store.register(new).await.unwrap()
}

async fn places(db: &Opened) -> Vec<(u64, i64, bool)> {
    let places = db.store.queue_snapshot().await.unwrap().places;
    places
        .into_iter()
        .map(|(place, user, ended)| (place.0, user.0, ended))
        .collect()
}

async fn places_are_kept_as_they_were_given(db: &Opened) {
    assert_eq!(places(db).await, []);
    for (at, user) in [(2, 7), (1, 3), (9, 5)] {
        assert_eq!(register(db, at, user, None).await, RegisterOutcome::Kept);
    }
    assert_eq!(
        places(db).await,
        [(1, 3, false), (2, 7, false), (9, 5, false)]
    );
    assert_eq!(db.store.audit().await.unwrap().places, 3);
}

async fn a_number_that_is_given_is_not_given_again(db: &Opened) {
    register(db, 1, 1, None).await;
    register(db, 5, 2, None).await;
    let taken = RegisterOutcome::NumberTaken(Place(5));
    assert_eq!(register(db, 1, 3, None).await, taken);
    // A user with another place keeps that place too.
    assert_eq!(register(db, 1, 2, None).await, taken);
    assert_eq!(places(db).await, [(1, 1, false), (5, 2, false)]);
}

async fn an_earlier_place_ends_when_it_is_replaced(db: &Opened) {
    register(db, 1, 1, None).await;
    assert_eq!(register(db, 2, 1, Some(1)).await, RegisterOutcome::Kept);
    assert_eq!(places(db).await, [(1, 1, true), (2, 1, false)]);
    // A place that ended long ago is unchanged.
    assert_eq!(register(db, 3, 1, Some(1)).await, RegisterOutcome::Kept);
    assert_eq!(
        places(db).await,
        [(1, 1, true), (2, 1, true), (3, 1, false)]
    );
    db.assert_sound().await;
}

async fn a_number_is_not_given_to_its_own_user_again(db: &Opened) {
    // A queue that lost its last place gives the same number again, by chance to the same user.
    assert_eq!(register(db, 1, 1, None).await, RegisterOutcome::Kept);
    let later = Timestamp(new_place(1, 1).now.0 + 2);
    for key in [None, Some(key("a"))] {
        let now = later;
        let again = NewPlace {
            now,
            key,
            ..new_place(1, 1)
        };
        let outcome = db.store.register(again).await.unwrap();
        let known = [
            RegisterOutcome::Standing(Place(1)),
            RegisterOutcome::NumberTaken(Place(1)),
        ];
        assert!(known.contains(&outcome), "{outcome:?}");
    }
    assert_eq!(places(db).await, [(1, 1, false)]);
    db.assert_sound().await;
}

async fn a_registration_without_an_answer_does_not_lock_its_user_out(db: &Opened) {
    // The first registration was committed, but its answer came too late, so the user registers again.
    register(db, 1, 1, None).await;
    assert_eq!(register(db, 2, 1, None).await, RegisterOutcome::Kept);
    assert_eq!(places(db).await, [(1, 1, true), (2, 1, false)]);
    // The same concurrently, together with other users.
    let racing = (3..=12_u64).map(|at| register(db, at, if at % 2 == 0 { 1 } else { 50 }, None));
    let outcomes = join_all(racing).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == RegisterOutcome::Kept)
    );
    let live = |user: i64| {
        let all = places(db);
        async move { all.await.iter().filter(|at| at.1 == user && !at.2).count() }
    };
    let live = (Box::pin(live(1)).await, Box::pin(live(50)).await);
    assert_eq!(live, (1, 1));
    db.assert_sound().await;
}

fn registered(at: u64) -> Ticket {
    Ticket::Registered {
        place: Place(at),
        issued_at: Timestamp(1),
    }
}

async fn register_keyed(db: &Opened, at: u64, user: i64, name: Idempotency) -> RegisterOutcome {
    let new = NewPlace {
        key: Some(name),
        ..new_place(at, user)
    };
    db.store.register(new).await.unwrap()
}

async fn a_key_gives_the_same_place_while_it_lives(db: &Opened) {
    use RegisterOutcome::{Kept, Mismatch, Replayed};
    assert_eq!(register_keyed(db, 1, 1, key("a")).await, Kept);
    let ticket = db.store.ticket(UserId(1), key("a")).await.unwrap();
    assert_eq!(ticket, Some(Keyed::Replayed(registered(1))));
    // The same if the queue has lost the user and gave another number.
    assert_eq!(
        register_keyed(db, 2, 1, key("a")).await,
        Replayed(registered(1))
    );
    let other_body = Idempotency {
        fingerprint: 43,
        ..key("a")
    };
    assert_eq!(register_keyed(db, 2, 1, other_body).await, Mismatch);
    // The key of another user is another key.
    assert_eq!(register_keyed(db, 2, 2, key("a")).await, Kept);
    assert_eq!(places(db).await, [(1, 1, false), (2, 2, false)]);
    assert_eq!(db.store.standing(UserId(2)).await.unwrap(), Some(Place(2)));
    assert_eq!(db.store.standing(UserId(3)).await.unwrap(), None);
    // A place that has ended frees its key.
    db.tamper("UPDATE queue_places SET ended_at = 5 WHERE place = 1")
        .await;
    let ticket = db.store.ticket(UserId(1), key("a")).await.unwrap();
    assert_eq!(ticket, None);
    assert_eq!(register_keyed(db, 3, 1, key("a")).await, Kept);
    assert_eq!(
        register_keyed(db, 4, 1, key("a")).await,
        Replayed(registered(3))
    );
    // A key of another kind of request does not count.
    let charge = db
        .store
        .charge(UserId(5), Money(1), Timestamp(5), Some(key("c")));
    charge.await.unwrap();
    let other_call = Idempotency {
        fingerprint: 43,
        ..key("c")
    };
    assert_eq!(register_keyed(db, 5, 5, other_call).await, Mismatch);
    assert_eq!(db.store.standing(UserId(5)).await.unwrap(), None);
    db.assert_sound().await;
}

async fn copies_of_a_registration_get_one_ticket(db: &Opened) {
    for round in 1..=20 {
        let copies = (1..=8).map(|now| async move {
            let new = NewPlace {
                now: Timestamp(now),
                key: Some(key("a")),
                // Some of them take another path to the database.
                replaces: (now % 2 == 0).then_some(Place(1_000)),
                ..new_place(round, i64::try_from(round).unwrap())
            };
            match db.store.register(new).await.unwrap() {
                RegisterOutcome::Kept => now,
                RegisterOutcome::Replayed(ticket) => ticket.issued_at().0,
                other => panic!("{other:?}"),
            }
        });
        let times: BTreeSet<i64> = join_all(copies).await.into_iter().collect();
        assert_eq!(times.len(), 1, "tokens differ: {times:?}");
    }
    db.assert_sound().await;
}

async fn the_store_hands_out_one_place_for_a_key(db: &Opened) {
    let next = |user: i64, name: Idempotency| {
        let asking =
            db.store
                .register_next(UserId(user), Timestamp(1), Place(0), Place(0), Some(name));
        async move { asking.await.unwrap() }
    };
    assert_eq!(next(1, key("a")).await, NextPlace::New(Place(1)));
    assert_eq!(next(1, key("a")).await, NextPlace::Replayed(registered(1)));
    assert_eq!(next(1, key("b")).await, NextPlace::Already(Place(1)));
    let other_body = Idempotency {
        fingerprint: 43,
        ..key("a")
    };
    assert_eq!(next(1, other_body).await, NextPlace::Mismatch);
    assert_eq!(next(2, key("a")).await, NextPlace::New(Place(2)));
    db.assert_sound().await;
}

async fn the_database_itself_refuses_a_second_live_place(db: &Opened) {
    register(db, 1, 1, None).await;
    let planted = |at: u64, user: i64| {
        format!("INSERT INTO queue_places (place, user_id, issued_at) VALUES ({at}, {user}, 0)")
    };
    for twice in [planted(2, 1), planted(1, 2)] {
        let refused = db.try_tamper(&twice).await.unwrap_err().to_lowercase();
        assert!(refused.contains("unique"), "{refused}");
    }
}

async fn many_register_at_once(db: &Opened) {
    let count = i64::try_from(USERS).unwrap();
    let outcomes = join_all((1..=count).map(|user| register(db, place(user).0, user, None))).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == RegisterOutcome::Kept)
    );
    let expected: Vec<_> = (1..=count)
        .map(|user| (place(user).0, user, false))
        .collect();
    assert_eq!(places(db).await, expected);
}

async fn next(db: &Opened, user: i64, above: u64, expired: u64) -> NextPlace {
    let asking = db.store.register_next(
        UserId(user),
        Timestamp(7),
        Place(above),
        Place(expired),
        None,
    );
    asking.await.unwrap()
}

async fn the_store_hands_out_places_by_itself(db: &Opened) {
    assert_eq!(next(db, 1, 0, 0).await, NextPlace::New(Place(1)));
    assert_eq!(next(db, 1, 0, 0).await, NextPlace::Already(Place(1)));
    // The queue has given places that are not durable yet.
    assert_eq!(next(db, 2, 10, 0).await, NextPlace::New(Place(11)));
    assert_eq!(next(db, 3, 4, 0).await, NextPlace::New(Place(12)));
    // A user whose place has ended gets a new place at the end.
    assert_eq!(next(db, 1, 0, 1).await, NextPlace::New(Place(13)));
    assert_eq!(next(db, 2, 0, 1).await, NextPlace::Already(Place(11)));
    assert_eq!(
        places(db).await,
        [(1, 1, true), (11, 2, false), (12, 3, false), (13, 1, false)]
    );
    db.assert_sound().await;
}

async fn a_place_that_the_store_handed_out_is_not_lost_to_a_queue_that_forgot_it(db: &Opened) {
    assert_eq!(next(db, 1, 0, 0).await, NextPlace::New(Place(1)));
    let standing = RegisterOutcome::Standing(Place(1));
    assert_eq!(register(db, 2, 1, None).await, standing);
    assert_eq!(register(db, 2, 1, None).await, standing);
    assert_eq!(places(db).await, [(1, 1, false)]);
    // Once the queue has the place, it replaces the place when it has ended.
    assert_eq!(register(db, 2, 1, Some(1)).await, RegisterOutcome::Kept);
    assert_eq!(places(db).await, [(1, 1, true), (2, 1, false)]);
    db.assert_sound().await;
}

async fn places_handed_out_at_once_are_different_and_without_gaps(db: &Opened) {
    let count = i64::try_from(USERS).unwrap();
    // Every user registers twice, as impatient users do.
    let users = (1..=count).chain(1..=count);
    let answers = join_all(users.map(|user| next(db, user, 3, 0))).await;
    let fresh: BTreeSet<u64> = answers
        .iter()
        .filter_map(|answer| match answer {
            NextPlace::New(place) => Some(place.0),
            _ => None,
        })
        .collect();
    assert_eq!(fresh, (4..4 + USERS).collect());
    let already = answers
        .iter()
        .filter(|at| matches!(at, NextPlace::Already(_)));
    assert_eq!(already.count(), answers.len() / 2);
    for user in 0..answers.len() / 2 {
        let place = |answer| match answer {
            NextPlace::New(place) | NextPlace::Already(place) => place,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            place(answers[user]),
            place(answers[user + answers.len() / 2])
        );
    }
    db.assert_sound().await;
}

async fn admissions_and_settings_are_kept(db: &Opened) {
    let empty = db.store.queue_snapshot().await.unwrap();
    assert_eq!(
        (empty.watermark(), empty.last(), empty.admission),
        (Place(0), Place(0), None)
    );
    for (watermark, at) in [(10, 1), (30, 2), (20, 3), (10, 4)] {
        db.store
            .admit(Place(watermark), Timestamp(at))
            .await
            .unwrap();
    }
    for batch in [5, 7] {
        let admission = Admission {
            batch,
            paused: true,
            ..Admission::default()
        };
        db.store.save_admission(admission).await.unwrap();
    }
    let kept = db.store.queue_snapshot().await.unwrap();
    let expected = [(10, 1), (20, 3), (30, 2)];
    let expected = expected.map(|(watermark, at)| (Place(watermark), Timestamp(at)));
    assert_eq!(
        kept.admissions, expected,
        "the first time of a watermark counts"
    );
    assert_eq!((kept.watermark(), kept.last()), (Place(30), Place(30)));
    let admission = kept.admission.unwrap();
    assert_eq!((admission.batch, admission.paused), (7, true));
}

async fn the_catalog_lists_concerts_and_dates(db: &Opened) {
    let catalog = db.store.catalog().await.unwrap();
    let concerts: Vec<_> = catalog
        .concerts
        .iter()
        .map(|(id, by)| (id.0, by.as_str()))
        .collect();
    assert_eq!(concerts, [(1, "performer1"), (2, "performer2")]);
    let dates = catalog.dates.iter();
    let dates: Vec<_> = dates
        .map(|(id, of, day)| (id.0, of.0, day.as_str()))
        .collect();
    assert_eq!(dates, [(1, 1, "2026-12-24"), (2, 2, "2026-12-24")]);
    assert_eq!(*db.store.info(), super::opened::info());
    let second = db.store.seats_of(catalog.dates[1].0).await.unwrap();
    let ids: Vec<_> = second.iter().map(|seat| (seat.id.0, seat.number)).collect();
    let expected: Vec<_> = (1..=20).map(|number| (number + 20, number)).collect();
    assert_eq!(ids, expected);
}

async fn a_store_that_works_answers_a_ping(db: &Opened) {
    db.store.ping().await.unwrap();
}
