//! The promises of both kinds of coordination. The tests use real time, because Redis has its own clock: intervals are
//! short, and events are awaited.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::now;
use concertctl::coordination::{Coordination, Held, RegisterError, Registration, SeatLock};
use concertctl::domain::queue::{Admission, QueueSnapshot};
use concertctl::domain::{Place, QueueStatus, SeatId, Timestamp, UserId};
use futures_util::future::join_all;

use super::setup::{Backend, NEVER_AGAIN, admit, claimed, none_due_for, open, options, register};
use crate::support::eventually;

pub async fn places_follow_the_order_of_arrival_and_a_user_has_one(backend: &Backend) {
    let queue = backend.open(open(10, NEVER_AGAIN)).await;
    for user in 1..=5 {
        let registration = register(&queue, user).await;
        let expected = Registration {
            place: Place(user.unsigned_abs()),
            replaces: None,
        };
        assert_eq!(registration, expected);
    }
    let again = queue.register(UserId(3), now()).await;
    assert_eq!(again, Err(RegisterError::Already(Place(3))));
    assert_eq!(queue.state().registered(), Place(5));
    assert_eq!(queue.state().standing(Place(3), now()).position, 3);
}

pub async fn many_at_once_get_places_without_gap_or_repetition(backend: &Backend) {
    let queue = backend.open(open(10, NEVER_AGAIN)).await;
    let all = join_all((1..=300).map(|user| register(&queue, user))).await;
    let places: BTreeSet<u64> = all.iter().map(|it| it.place.0).collect();
    assert_eq!(places, (1..=300).collect());
}

pub async fn a_user_whose_place_was_ended_gets_the_last_place(backend: &Backend) {
    let queue = backend.open(open(2, NEVER_AGAIN)).await;
    for user in 1..=3 {
        register(&queue, user).await;
    }
    admit(&queue).await;
    queue.end(Place(1)).await;
    assert_eq!(queue.state().status(Place(1), now()), QueueStatus::Expired);
    let expected = Registration {
        place: Place(4),
        replaces: Some(Place(1)),
    };
    assert_eq!(register(&queue, 1).await, expected);
    let again = queue.register(UserId(1), now()).await;
    assert_eq!(again, Err(RegisterError::Already(Place(4))));
    // A user who waits still waits after an attempt to end the place.
    queue.end(Place(3)).await;
    let waiting = queue.register(UserId(3), now()).await;
    assert_eq!(waiting, Err(RegisterError::Already(Place(3))));
}

pub async fn a_user_whose_admission_expired_gets_the_last_place(backend: &Backend) {
    let mut options = options();
    options.active_for = Duration::from_millis(300);
    let snapshot = super::setup::with(open(1, NEVER_AGAIN));
    let queue = backend.restored(&snapshot, options).await;
    register(&queue, 1).await;
    register(&queue, 2).await;
    admit(&queue).await;
    let active = queue.register(UserId(1), now()).await;
    assert_eq!(active, Err(RegisterError::Already(Place(1))));
    eventually("the admission expires", || async {
        let status = queue.state().status(Place(1), now());
        (status == QueueStatus::Expired).then_some(())
    })
    .await;
    let expected = Registration {
        place: Place(3),
        replaces: Some(Place(1)),
    };
    assert_eq!(register(&queue, 1).await, expected);
    let waiting = queue.register(UserId(2), now()).await;
    assert_eq!(waiting, Err(RegisterError::Already(Place(2))));
}

pub async fn an_abandoned_place_is_withdrawn_and_its_number_stays_unused(backend: &Backend) {
    let queue = backend.open(open(1, NEVER_AGAIN)).await;
    let lost = register(&queue, 1).await;
    queue.abandon(UserId(1), lost).await;
    assert_eq!(register(&queue, 1).await.place, Place(2));
    // A place that was abandoned once cannot be abandoned again, because its user may have a new place.
    queue.abandon(UserId(1), lost).await;
    let there = queue.register(UserId(1), now()).await;
    assert_eq!(there, Err(RegisterError::Already(Place(2))));
    register(&queue, 2).await;
    assert_eq!(admit(&queue).await.watermark, Place(1));
    let reopened = Admission {
        opens_at: Some(Timestamp(1)),
        ..queue.state().admission()
    };
    queue.set_admission(reopened, now()).await;
    assert_eq!(admit(&queue).await.watermark, Place(2));
    queue.end(Place(2)).await;
    let next = register(&queue, 1).await;
    assert_eq!(next.replaces, Some(Place(2)));
    // User 1 has place 2 again, and it is still ended.
    queue.abandon(UserId(1), next).await;
    assert_eq!(register(&queue, 1).await.replaces, Some(Place(2)));
}

pub async fn a_raised_queue_gives_only_higher_places(backend: &Backend) {
    let queue = backend.open(open(1, NEVER_AGAIN)).await;
    register(&queue, 1).await;
    queue.raise(Place(10)).await;
    queue.raise(Place(5)).await;
    assert_eq!(queue.state().registered(), Place(10));
    assert_eq!(register(&queue, 2).await.place, Place(11));
}

pub async fn a_place_that_the_database_gave_is_where_the_user_stands(backend: &Backend) {
    let queue = backend.open(open(1, NEVER_AGAIN)).await;
    register(&queue, 1).await;
    queue.keep(UserId(2), Place(7)).await;
    let there = queue.register(UserId(2), now()).await;
    assert_eq!(there, Err(RegisterError::Already(Place(7))));
    assert_eq!(register(&queue, 3).await.place, Place(8));
}

pub async fn a_batch_is_claimed_once_and_admits_when_it_is_published(backend: &Backend) {
    let queue = backend.open(open(2, 400)).await;
    for user in 1..=5 {
        register(&queue, user).await;
    }
    let begun = Instant::now();
    let first = claimed(&queue).await;
    assert_eq!((first.from, first.watermark), (Place(0), Place(2)));
    assert!(now().since(first.at) < Duration::from_secs(60), "{first:?}");
    assert_eq!(
        queue.state().watermark(),
        Place(0),
        "a claimed batch is not admitted yet"
    );
    assert_eq!(queue.claim(now()).await.unwrap(), None, "claimed already");
    assert!(queue.publish(first).await.unwrap());
    assert_eq!(queue.state().watermark(), Place(2));
    assert_eq!(queue.state().status(Place(2), now()), QueueStatus::Active);
    assert_eq!(queue.state().status(Place(3), now()), QueueStatus::Wait);
    let second = admit(&queue).await;
    assert!(begun.elapsed() >= Duration::from_millis(390), "too soon");
    assert_eq!((second.from, second.watermark), (Place(2), Place(4)));
    assert!(second.at >= first.at.after(Duration::from_millis(400)));
}

pub async fn a_batch_reaches_no_further_than_the_last_place(backend: &Backend) {
    let queue = backend.open(open(100, 200)).await;
    // The queue is empty, so the batch that is due is not claimed.
    assert_eq!(queue.claim(now()).await.unwrap(), None);
    register(&queue, 1).await;
    register(&queue, 2).await;
    let claim = admit(&queue).await;
    assert_eq!((claim.from, claim.watermark), (Place(0), Place(2)));
    none_due_for(&queue, Duration::from_millis(300)).await;
    register(&queue, 3).await;
    assert_eq!(admit(&queue).await.watermark, Place(3));
}

pub async fn unclaimed_batches_are_not_made_up_for(backend: &Backend) {
    let queue = backend.open(open(1, 200)).await;
    for user in 1..=5 {
        register(&queue, user).await;
    }
    let first = admit(&queue).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let second = admit(&queue).await;
    let third = admit(&queue).await;
    assert_eq!(third.watermark, Place(3));
    assert!(second.at.since(first.at) >= Duration::from_millis(1_000));
    let apart = third.at.since(second.at);
    assert!(apart >= Duration::from_millis(199), "{apart:?}");
}

pub async fn no_batch_is_admitted_while_paused_or_closed_or_before_the_opening(backend: &Backend) {
    let soon = Duration::from_millis(250);
    let closed = Admission {
        opens_at: None,
        ..open(1, 100)
    };
    let queue = backend.open(closed).await;
    register(&queue, 1).await;
    register(&queue, 2).await;
    none_due_for(&queue, soon).await;
    assert_eq!(queue.state().standing(Place(1), now()).eta, None);
    let opens_at = now().after(soon);
    let opening = Admission {
        opens_at: Some(opens_at),
        ..closed
    };
    queue.set_admission(opening, now()).await;
    let first = admit(&queue).await;
    assert!(first.at >= opens_at, "{first:?} before {opens_at:?}");
    let paused = Admission {
        paused: true,
        ..opening
    };
    queue.set_admission(paused, now()).await;
    none_due_for(&queue, soon).await;
    assert_eq!(queue.state().standing(Place(2), now()).eta, None);
    queue.set_admission(opening, now()).await;
    assert_eq!(admit(&queue).await.watermark, Place(2));
}

pub async fn a_batch_that_was_put_back_is_due_again_after_the_retry_delay(backend: &Backend) {
    let queue = backend.open(open(1, NEVER_AGAIN)).await;
    register(&queue, 1).await;
    let claim = claimed(&queue).await;
    let retry_delay = Duration::from_millis(200);
    queue.put_back(claim, retry_delay).await;
    assert_eq!(queue.claim(now()).await.unwrap(), None, "not at once");
    let again = admit(&queue).await;
    assert_eq!((again.from, again.watermark), (claim.from, claim.watermark));
    assert!(
        again.at >= claim.at.after(retry_delay),
        "{again:?} {claim:?}"
    );
}

pub async fn a_shorter_interval_and_a_new_opening_take_effect_at_once(backend: &Backend) {
    let queue = backend.open(open(1, NEVER_AGAIN)).await;
    for user in 1..=4 {
        register(&queue, user).await;
    }
    admit(&queue).await;
    none_due_for(&queue, Duration::from_millis(150)).await;
    let changed = now();
    queue.set_admission(open(1, 300), changed).await;
    let second = admit(&queue).await;
    let waited = second.at.since(changed);
    assert!(waited >= Duration::from_millis(290), "{waited:?}");
    queue.set_admission(open(1, NEVER_AGAIN), now()).await;
    // The batch was due in 300 ms; a longer interval does not delay it.
    admit(&queue).await;
    none_due_for(&queue, Duration::from_millis(150)).await;
    let opened = Admission {
        opens_at: Some(now()),
        ..open(1, NEVER_AGAIN)
    };
    queue.set_admission(opened, now()).await;
    assert_eq!(admit(&queue).await.watermark, Place(4));
}

async fn held(queue: &Coordination, seat: i64) -> Held<'_> {
    eventually("the lock is free", || async {
        match queue.try_lock(SeatId(seat), None).await {
            SeatLock::Held(held) => Some(held),
            SeatLock::Busy | SeatLock::Copy => None,
            SeatLock::Unavailable => panic!("locks are unavailable"),
        }
    })
    .await
}

async fn is_busy(queue: &Coordination, seat: i64) -> bool {
    matches!(queue.try_lock(SeatId(seat), None).await, SeatLock::Busy)
}

pub async fn a_seat_is_locked_by_one_until_it_is_released(backend: &Backend) {
    let queue = backend.open(open(1, NEVER_AGAIN)).await;
    let first = held(&queue, 1).await;
    let other = held(&queue, 2).await;
    assert!(other.fence() > first.fence());
    for _ in 0..3 {
        assert!(is_busy(&queue, 1).await);
    }
    let before = first.fence();
    drop(first);
    assert!(held(&queue, 1).await.fence() > before);
}

pub async fn a_lock_runs_out_and_its_late_holder_does_not_release_its_successors(
    backend: &Backend,
) {
    let mut options = options();
    options.lock_ttl = Duration::from_millis(200);
    let snapshot = super::setup::with(open(1, NEVER_AGAIN));
    let queue = backend.restored(&snapshot, options).await;
    let late = held(&queue, 1).await;
    // The late holder drops its lock. The successor's lock must stay busy until it expires.
    let successor = held(&queue, 1).await;
    let since = Instant::now();
    assert!(successor.fence() > late.fence());
    drop(late);
    while since.elapsed() < Duration::from_millis(120) {
        let busy = is_busy(&queue, 1).await;
        assert!(busy || since.elapsed() > Duration::from_millis(190));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub async fn a_restored_queue_has_its_earlier_state(backend: &Backend) {
    let at = now();
    let ago = |ms: i64| Timestamp(at.0 - ms);
    let snapshot = QueueSnapshot {
        places: vec![
            (Place(1), UserId(11), false),
            (Place(2), UserId(12), true),
            (Place(3), UserId(13), false),
            (Place(5), UserId(15), false),
        ],
        admissions: vec![(Place(1), ago(700_000)), (Place(3), ago(5_000))],
        admission: Some(Admission {
            opens_at: None,
            ..open(7, 1_234)
        }),
    };
    let queue = backend.restored(&snapshot, options()).await;
    let status = |place| queue.state().status(Place(place), now());
    assert_eq!(status(1), QueueStatus::Expired);
    assert_eq!(status(2), QueueStatus::Expired);
    assert_eq!(status(3), QueueStatus::Active);
    assert_eq!(status(5), QueueStatus::Wait);
    assert_eq!(queue.state().watermark(), Place(3));
    assert_eq!(queue.state().registered(), Place(5));
    assert_eq!(Some(queue.state().admission()), snapshot.admission);
    let there = queue.register(UserId(15), now()).await;
    assert_eq!(there, Err(RegisterError::Already(Place(5))));
    let there = queue.register(UserId(13), now()).await;
    assert_eq!(there, Err(RegisterError::Already(Place(3))));
    assert_eq!(register(&queue, 12).await.place, Place(6));
    let expired = register(&queue, 11).await;
    assert_eq!(
        (expired.place, expired.replaces),
        (Place(7), Some(Place(1)))
    );
}
