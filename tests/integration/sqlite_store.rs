//! The embedded database by itself: what it refuses whatever the service believes.

use crate::support::TestServer;
use crate::support::backend::dataset_file;
use concertctl::domain::{Place, SeatId, Timestamp, UserId};
use concertctl::store::sqlite::{Options, SqliteStore};
use concertctl::store::{Keyed, Look, RegisterOutcome, Reserve, ReserveOutcome};

/// The dataset of a stopped server, opened as a store.
async fn store_of(mut server: TestServer) -> (SqliteStore, tempfile::TempDir) {
    let file = dataset_file(server.dir.path());
    server.halt().await;
    let metrics = concertctl::telemetry::Metrics::new().unwrap();
    let store = SqliteStore::open(&file, Options::default(), metrics).unwrap();
    (store, server.into_dir())
}

#[tokio::test]
async fn a_registration_that_was_never_told_does_not_lock_its_user_out() {
    let (store, _dir) = store_of(TestServer::seeded(1, 5, 5).await).await;
    // The first was committed, but its answer came too late; the user registers again.
    store
        .register(Place(1), UserId(1), Timestamp(1), None)
        .await
        .unwrap();
    store
        .register(Place(2), UserId(1), Timestamp(2), None)
        .await
        .unwrap();
    let places = store.queue_snapshot().await.unwrap().places;
    assert_eq!(
        places,
        [(Place(1), UserId(1), true), (Place(2), UserId(1), false)]
    );
    // A place that somebody holds is never given away.
    let refused = store.register(Place(2), UserId(2), Timestamp(3), None);
    assert_eq!(
        refused.await.unwrap(),
        RegisterOutcome::NumberTaken(Place(2))
    );
    assert_eq!(store.queue_snapshot().await.unwrap().places, places);
    store.close().await;
}

#[tokio::test]
async fn the_version_refuses_a_seat_that_changed_since_it_was_seen() {
    let (store, _dir) = store_of(TestServer::seeded(1, 5, 5).await).await;
    for id in [1_i64, 2] {
        let (place, user) = (Place(id.unsigned_abs()), UserId(id));
        let kept = store.register(place, user, Timestamp(1), None).await;
        assert_eq!(kept.unwrap(), RegisterOutcome::Kept);
    }
    let Look::Seen {
        seat: Some(seen), ..
    } = store.look(SeatId(1), UserId(1), None).await.unwrap()
    else {
        panic!("the seat is there")
    };
    let wish = |user: i64, version| Reserve {
        seat: SeatId(1),
        seen_version: Some(version),
        user: UserId(user),
        place: Place(user.unsigned_abs()),
        now: Timestamp(1),
        expires_at: Timestamp(2),
        limit: 4,
    };
    // Somebody takes the seat and gives it back: it is free, but not the seat that was seen.
    let first = store.reserve(wish(1, seen.version), None).await.unwrap();
    let Keyed::Fresh(ReserveOutcome::Reserved { id, .. }) = first else {
        panic!("{first:?}")
    };
    store.cancel(id, UserId(1), Timestamp(1)).await.unwrap();
    let late = store.reserve(wish(2, seen.version), None).await.unwrap();
    assert_eq!(late, Keyed::Fresh(ReserveOutcome::Conflict));
    store.close().await;
}
