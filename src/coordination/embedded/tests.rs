use super::*;
use crate::domain::queue::{Admission, Follow};
use proptest::prelude::*;

const ACTIVE: Duration = Duration::from_secs(600);

fn open(batch: u64) -> Embedded {
    let admission = Admission {
        batch,
        every_ms: 1_000,
        paused: false,
        opens_at: Some(Timestamp(0)),
        ..Admission::default()
    };
    restored(Vec::new(), Vec::new(), admission)
}

fn restored(
    places: Vec<(Place, UserId, bool)>,
    admissions: Vec<(Place, Timestamp)>,
    admission: Admission,
) -> Embedded {
    let snapshot = QueueSnapshot {
        places,
        admissions,
        admission: Some(admission),
    };
    Embedded::restore(&snapshot, ACTIVE, Duration::from_secs(10))
}

fn admit(queue: &Embedded, now: Timestamp) -> Option<Place> {
    let claim = queue.take_due(now)?;
    queue.state.publish(claim.watermark, claim.at);
    Some(claim.watermark)
}

#[test]
fn places_follow_the_order_of_arrival_and_the_watermark_admits_them() {
    let queue = open(2);
    for user in 1..=5 {
        let registration = queue
            .register(UserId(user), Timestamp(0))
            .expect("not in the queue");
        assert_eq!(registration.place, Place(user.unsigned_abs()));
    }
    assert_eq!(queue.register(UserId(3), Timestamp(0)), Err(Place(3)));
    assert_eq!(queue.state.standing(Place(3), Timestamp(0)).position, 3);
    assert_eq!(admit(&queue, Timestamp(10)), Some(Place(2)));
    assert_eq!(
        queue.state.status(Place(2), Timestamp(10)),
        QueueStatus::Active
    );
    assert_eq!(
        queue.state.status(Place(3), Timestamp(10)),
        QueueStatus::Wait
    );
    assert_eq!(admit(&queue, Timestamp(11)), None, "not due yet");
    assert_eq!(admit(&queue, Timestamp(1_010)), Some(Place(4)));
    let counts = queue.state.counts(Timestamp(1_010));
    assert_eq!((counts.waiting, counts.active, counts.watermark), (1, 4, 4));
}

#[test]
fn a_batch_is_never_larger_than_set_even_after_a_pause() {
    let queue = open(1);
    (1..=100).for_each(|user| assert!(queue.register(UserId(user), Timestamp(0)).is_ok()));
    assert_eq!(admit(&queue, Timestamp(1)), Some(Place(1)));
    assert_eq!(admit(&queue, Timestamp(60_000)), Some(Place(2)));
    assert_eq!(admit(&queue, Timestamp(60_001)), None);
}

#[test]
fn a_batch_that_is_being_made_durable_is_promised_for_now_and_not_for_the_next_time() {
    let queue = open(2);
    (1..=5).for_each(|user| assert!(queue.register(UserId(user), Timestamp(0)).is_ok()));
    let eta = |place, now| queue.state.standing(Place(place), Timestamp(now)).eta;
    let claim = queue.take_due(Timestamp(0)).unwrap();
    let (now, second) = (Some(Duration::ZERO), Duration::from_secs(1));
    assert_eq!(
        (eta(1, 0), eta(2, 0)),
        (now, now),
        "admitted as soon as it is durable"
    );
    assert_eq!((eta(3, 0), eta(5, 0)), (Some(second), Some(2 * second)));
    queue.state.publish(claim.watermark, claim.at);
    assert_eq!(eta(3, 0), Some(second));
    // The batch could not be made durable, so it is retried.
    let claim = queue.take_due(Timestamp(1_000)).unwrap();
    queue.put_back(claim.at, second);
    assert_eq!(
        (eta(3, 1_000), eta(5, 1_000)),
        (Some(second), Some(2 * second))
    );
}

#[test]
fn no_batch_is_admitted_while_paused_or_before_the_opening() {
    let queue = open(10);
    assert!(queue.register(UserId(1), Timestamp(0)).is_ok());
    let shut = Admission {
        opens_at: None,
        ..queue.state.admission()
    };
    queue.state.set_admission(shut, Timestamp(0));
    assert_eq!(queue.take_due(Timestamp(1_000)), None);
    assert_eq!(queue.state.standing(Place(1), Timestamp(1_000)).eta, None);
    let paused = Admission {
        paused: true,
        opens_at: Some(Timestamp(0)),
        ..shut
    };
    queue.state.set_admission(paused, Timestamp(0));
    assert_eq!(queue.take_due(Timestamp(1_000)), None);
    queue.state.set_admission(
        Admission {
            paused: false,
            ..paused
        },
        Timestamp(0),
    );
    assert_eq!(
        queue
            .take_due(Timestamp(1_000))
            .map(|claim| claim.watermark),
        Some(Place(1))
    );
}

#[test]
fn a_clock_set_back_delays_admission_by_one_interval_at_most() {
    let queue = open(1);
    (1..=3).for_each(|user| assert!(queue.register(UserId(user), Timestamp(0)).is_ok()));
    assert!(admit(&queue, Timestamp(10_000_000)).is_some());
    assert_eq!(admit(&queue, Timestamp(5_000_000)), None);
    assert_eq!(
        queue.state.next_in(Timestamp(5_000_000)),
        Some(Duration::from_secs(1))
    );
}

#[test]
fn an_admission_ends_with_payment_or_time_and_its_user_may_queue_again_at_the_end() {
    let queue = open(10);
    assert!(queue.register(UserId(1), Timestamp(0)).is_ok());
    assert!(queue.register(UserId(2), Timestamp(0)).is_ok());
    admit(&queue, Timestamp(0));
    queue.state.end(Place(1));
    assert_eq!(
        queue.state.status(Place(1), Timestamp(1)),
        QueueStatus::Expired
    );
    let again = queue
        .register(UserId(1), Timestamp(1))
        .expect("the first place has ended");
    assert_eq!(
        again,
        Registration {
            place: Place(3),
            replaces: Some(Place(1))
        }
    );
    assert_eq!(
        queue.state.status(Place(2), Timestamp(599_999)),
        QueueStatus::Active
    );
    assert_eq!(
        queue.state.status(Place(2), Timestamp(600_000)),
        QueueStatus::Expired
    );
    assert_eq!(queue.state.counts(Timestamp(600_000)).active, 0);
}

#[test]
fn a_place_that_could_not_be_kept_is_not_used_again() {
    let queue = open(10);
    let lost = queue.register(UserId(1), Timestamp(0)).expect("free");
    queue.abandon(UserId(1), lost);
    let next = queue.register(UserId(1), Timestamp(0)).expect("free again");
    assert_eq!(next.place, Place(2));
}

proptest! {
    #[test]
    fn a_restored_queue_has_its_earlier_state(users in 1_i64..200, batch in 1_u64..50, ticks in 0_i64..10) {
        let queue = open(batch);
        let mut places = Vec::new();
        for user in 1..=users {
            let place = queue.register(UserId(user), Timestamp(0)).expect("new").place;
            places.push((place, UserId(user), false));
        }
        let mut batches = Vec::new();
        for tick in 0..ticks {
            let now = Timestamp(tick * 1_000);
            if let Some(watermark) = admit(&queue, now) {
                batches.push((watermark, now));
            }
        }
        let now = Timestamp(ticks * 1_000);
        let restored = restored(places.clone(), batches, queue.state.admission());
        for (place, ..) in &places {
            prop_assert_eq!(restored.state.status(*place, now), queue.state.status(*place, now));
        }
        prop_assert_eq!(restored.state.counts(now), queue.state.counts(now));
        let next = restored.register(UserId(users + 1), now).expect("new");
        prop_assert_eq!(next.place.0, users.unsigned_abs() + 1);
    }
}

#[test]
fn an_announced_batch_is_admitted_at_its_instant_and_stays_admitted() {
    let queue = open(10);
    assert!(queue.register(UserId(1), Timestamp(0)).is_ok());
    queue.state.publish(Place(1), Timestamp(1_000));
    let standing = queue.state.standing(Place(1), Timestamp(999));
    assert_eq!((standing.status, standing.position), (QueueStatus::Wait, 1));
    assert_eq!(queue.state.counts(Timestamp(999)).watermark, 0);
    let status = |at| queue.state.status(Place(1), Timestamp(at));
    assert_eq!(status(1_000), QueueStatus::Active);
    assert_eq!(queue.state.counts(Timestamp(1_000)).watermark, 1);
    assert_eq!(status(0), QueueStatus::Active, "a clock set back");
}

/// A sale of 100 a second at most, with 1,000 people waiting, that follows the objective.
fn following() -> Embedded {
    let admission = Admission {
        batch: 1_000,
        every_ms: 10_000,
        follow: Follow::Objective,
        ..Admission::default()
    };
    let queue = restored(Vec::new(), Vec::new(), admission);
    queue.raise(Place(1_000));
    queue
}

#[test]
fn admission_by_objective_admits_parts_of_an_interval_at_the_decided_rate() {
    let queue = following();
    assert_eq!(admit(&queue, Timestamp(1)), None, "nothing is decided yet");
    queue.state.set_flow(Flow::new(2.5, true));
    let marks: Vec<_> = (1..=4)
        .map(|second| admit(&queue, Timestamp(second * 1_000 + 1)))
        .collect();
    // The remaining half of a user is admitted with the next part.
    assert_eq!(marks, [2, 5, 7, 10].map(|place| Some(Place(place))));
    assert_eq!(admit(&queue, Timestamp(4_500)), None, "a tenth of 10 s");
    queue.state.set_flow(Flow::new(2.5, false));
    assert_eq!(admit(&queue, Timestamp(5_001)), None, "no user is admitted");
    queue.state.set_flow(Flow::new(2.5, true));
    let caught_up = admit(&queue, Timestamp(6_001));
    assert_eq!(caught_up, Some(Place(12)), "a pause saves up no batches");
}

#[test]
fn the_promised_wait_follows_the_decided_rate() {
    let queue = following();
    queue.state.set_flow(Flow::new(50.0, true));
    assert_eq!(admit(&queue, Timestamp(0)), Some(Place(50)));
    let promise = |place| queue.state.standing(Place(place), Timestamp(0)).eta;
    assert_eq!(promise(51), Some(Duration::from_secs(1)));
    assert_eq!(promise(151), Some(Duration::from_secs(3)));
    queue.state.set_flow(Flow::new(10.0, true));
    assert_eq!(promise(151), Some(Duration::from_secs(11)));
    // Before the first decision the promise assumes the minimum rate of 1 user per second.
    queue.state.set_flow(Flow::default());
    assert_eq!(promise(151), Some(Duration::from_secs(101)));
}

proptest! {
    #[test]
    fn no_interval_admits_more_than_the_batch(rate in 0.0_f64..200.0, every_ms in 100_u64..20_000, batch in 1_u64..1_000) {
        let admission = Admission { batch, every_ms, follow: Follow::Objective, ..Admission::default() };
        let queue = restored(Vec::new(), Vec::new(), admission);
        queue.raise(Place(1_000_000));
        let rate = rate.min(admission.cap().rate());
        queue.state.set_flow(Flow::new(rate, true));
        let end = 10 * every_ms;
        let mut last = Place(0);
        for at in (0..end).step_by(50) {
            last = admit(&queue, Timestamp(i64::try_from(at).unwrap())).unwrap_or(last);
        }
        // The first part is due at the start of the first interval.
        let parts = admission.entry_every().as_secs_f64() * rate;
        prop_assert!(last.0 as f64 <= 10.0 * batch as f64 + parts + 1.0, "{:?}", last);
    }
}
