//! Several servers on one queue: each place is given once, each batch is admitted once, and all servers learn what one
//! of them does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::now;
use concertctl::coordination::{Claim, Replication, SeatLock};
use concertctl::domain::queue::Admission;
use concertctl::domain::{Epoch, Place, QueueStatus, SeatId, Timestamp, UserId};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::setup::{Ledger, NEVER_AGAIN, Server, admit, claimed, open, options};
use crate::support::{Redis, eventually};

/// Several servers on one Redis and one ledger.
struct Group {
    servers: Vec<Server>,
    ledger: Arc<Ledger>,
    _redis: Redis,
}

impl Group {
    async fn start(count: usize, admission: Admission) -> Option<Group> {
        Group::with(count, admission, options()).await
    }

    async fn with(
        count: usize,
        admission: Admission,
        options: concertctl::coordination::RedisOptions,
    ) -> Option<Group> {
        let redis = Redis::start().await?;
        let (ledger, epoch) = (Ledger::with(admission), Epoch(rand::random()));
        let url = redis.url();
        let servers = (0..count).map(|_| Server::start(&url, epoch, &ledger, options));
        Some(Group {
            servers: join_all(servers).await,
            ledger,
            _redis: redis,
        })
    }
}

#[tokio::test]
async fn places_given_by_three_servers_at_once_are_consecutive() {
    let Some(group) = Group::start(3, open(1, NEVER_AGAIN)).await else {
        return;
    };
    let asking = (1..=300_i64).map(|user| {
        let server = &group.servers[usize::try_from(user).unwrap() % 3];
        server.place(&group.ledger, UserId(user))
    });
    let places: BTreeSet<u64> = join_all(asking).await.iter().map(|it| it.0).collect();
    assert_eq!(places, (1..=300).collect());
    for server in &group.servers {
        let again = server.queue.register(UserId(7), now()).await;
        assert!(again.is_err(), "every server has the places of the users");
        let state = server.queue.state();
        eventually("every server has the last place", || async {
            (state.registered() == Place(300)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn exactly_one_of_three_servers_gets_each_batch() {
    const BATCH: u64 = 5;
    const EVERY: u64 = 60;
    let Some(group) = Group::start(3, open(BATCH, EVERY)).await else {
        return;
    };
    for user in 1..=150 {
        group.servers[0].place(&group.ledger, UserId(user)).await;
    }
    let got: Arc<Mutex<Vec<Claim>>> = Arc::default();
    let askers: Vec<_> = group
        .servers
        .iter()
        .map(|server| {
            let (queue, got) = (Arc::clone(&server.queue), Arc::clone(&got));
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    // On a busy machine the batch may come late, so claim it again.
                    if let Ok(Some(claim)) = queue.claim(now()).await {
                        got.lock().push(claim);
                        let published = queue.publish(claim).await;
                        assert_ne!(published, Ok(false), "its own claim");
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }))
        })
        .collect();
    eventually("all users are admitted", || async {
        (group.servers[0].queue.state().watermark() == Place(150)).then_some(())
    })
    .await;
    drop(askers);
    let mut batches = got.lock().clone();
    batches.sort_by_key(|claim| claim.watermark);
    assert_eq!(batches.len(), 30, "30 batches of 5: {batches:?}");
    let mut before = Place(0);
    for claim in &batches {
        assert_eq!(
            (claim.from, claim.watermark.0 - claim.from.0),
            (before, BATCH)
        );
        before = claim.watermark;
    }
    let apart = batches.last().unwrap().at.since(batches[0].at);
    let least = Duration::from_millis(29 * EVERY);
    assert!(apart >= least, "{apart:?} for 29 intervals");
}

#[tokio::test]
async fn the_other_servers_learn_what_one_server_does() {
    let Some(group) = Group::start(2, open(2, NEVER_AGAIN)).await else {
        return;
    };
    let [one, other] = &group.servers[..] else {
        panic!("the group must have two servers");
    };
    for user in 1..=3 {
        one.place(&group.ledger, UserId(user)).await;
    }
    let claim = admit(&one.queue).await;
    group.ledger.admit(claim);
    let state = other.queue.state();
    eventually("the other server admits them too", || async {
        (state.status(Place(2), now()) == QueueStatus::Active).then_some(())
    })
    .await;
    assert_eq!(state.status(Place(3), now()), QueueStatus::Wait);
    group.ledger.end(Place(1));
    one.queue.end(Place(1)).await;
    eventually("a used-up place is used up everywhere", || async {
        (state.status(Place(1), now()) == QueueStatus::Expired).then_some(())
    })
    .await;
    let settings = Admission {
        paused: true,
        ..open(77, 1_500)
    };
    group.ledger.set(settings);
    one.queue.set_admission(settings, now()).await;
    eventually("settings hold everywhere", || async {
        (state.admission() == settings).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_server_admits_a_batch_at_the_same_instant() {
    let mut options = options();
    options.lead = Duration::from_millis(700);
    let Some(group) = Group::with(2, open(1, NEVER_AGAIN), options).await else {
        return;
    };
    let [one, other] = &group.servers[..] else {
        panic!("the group must have two servers");
    };
    one.place(&group.ledger, UserId(1)).await;
    let claim = admit(&one.queue).await;
    // Both servers know of the batch, and neither admits it before its time.
    eventually("the other server has the batch", || async {
        (other.queue.state().watermark() == Place(1)).then_some(())
    })
    .await;
    for server in [one, other] {
        let state = server.queue.state();
        let status = |at: i64| state.status(Place(1), Timestamp(at));
        // The status is computed for a given instant, so the test need not wait.
        assert_eq!(status(claim.at.0 - 1), QueueStatus::Wait);
        assert_eq!(status(claim.at.0), QueueStatus::Active);
    }
}

#[tokio::test]
async fn a_batch_that_took_long_to_become_durable_begins_when_all_servers_know_it() {
    let mut options = options();
    options.notice = Duration::from_secs(60);
    let Some(group) = Group::with(1, open(1, NEVER_AGAIN), options).await else {
        return;
    };
    let server = &group.servers[0];
    server.place(&group.ledger, UserId(1)).await;
    let claim = claimed(&server.queue).await;
    let published = now();
    assert!(server.queue.publish(claim).await.unwrap());
    let state = server.queue.state();
    assert_eq!(state.watermark(), Place(1), "the batch is announced");
    let before = Timestamp(published.0 + 60_000 - 1);
    assert_eq!(state.status(Place(1), before), QueueStatus::Wait);
}

#[tokio::test]
async fn a_server_with_an_old_copy_of_the_queue_waits_for_a_recent_one() {
    let mut options = options();
    options.notice = Duration::from_millis(50);
    options.queue_timeout = Duration::from_secs(60);
    let Some(mut group) = Group::with(2, open(1, NEVER_AGAIN), options).await else {
        return;
    };
    for server in &group.servers {
        server.until_available(true).await;
    }
    // This server stops replicating, as a process that is stopped.
    let other = group.servers.pop().unwrap().queue;
    eventually("the copy is complete", || async {
        match other.replicate().await {
            Replication::UpToDate => return Some(()),
            Replication::NeedsRecovery => drop(other.recover(&group.ledger.snapshot()).await),
            Replication::Unreachable => {}
        }
        None
    })
    .await;
    let one = &group.servers[0];
    one.place(&group.ledger, UserId(1)).await;
    group.ledger.admit(admit(&one.queue).await);
    let waiting = eventually("the copy is old", || async {
        let mut waiting = Box::pin(other.catch_up(Place(1)));
        futures_util::poll!(&mut waiting)
            .is_pending()
            .then_some(waiting)
    })
    .await;
    assert_eq!(other.replicate().await, Replication::UpToDate);
    waiting.await;
    assert_eq!(other.state().watermark(), Place(1));
}

#[tokio::test]
async fn another_server_takes_over_the_batch_of_a_dead_one_whose_late_publication_is_refused() {
    let mut options = options();
    options.claim_lease = Duration::from_millis(300);
    let Some(group) = Group::with(2, open(1, NEVER_AGAIN), options).await else {
        return;
    };
    let [dies, lives] = &group.servers[..] else {
        panic!("the group must have two servers");
    };
    dies.place(&group.ledger, UserId(1)).await;
    dies.place(&group.ledger, UserId(2)).await;
    let lost = claimed(&dies.queue).await;
    assert_eq!(lives.queue.claim(now()).await.unwrap(), None, "claimed");
    let taken = claimed(&lives.queue).await;
    assert_eq!((taken.from, taken.watermark), (lost.from, lost.watermark));
    assert!(taken.at >= lost.at.after(Duration::from_millis(300)));
    assert!(!dies.queue.publish(lost).await.unwrap(), "too late");
    dies.queue.put_back(lost, Duration::ZERO).await;
    assert_eq!(
        dies.queue.claim(now()).await.unwrap(),
        None,
        "a lost claim cannot be put back"
    );
    assert!(lives.queue.publish(taken).await.unwrap());
    assert_eq!(lives.queue.state().watermark(), Place(1));
}

#[tokio::test]
async fn a_seat_locked_by_one_server_is_busy_for_the_others_until_it_is_released() {
    let Some(group) = Group::start(2, open(1, NEVER_AGAIN)).await else {
        return;
    };
    let [one, other] = &group.servers[..] else {
        panic!("the group must have two servers");
    };
    let SeatLock::Held(held) = one.queue.try_lock(SeatId(5), None).await else {
        panic!("the seat must be free");
    };
    for _ in 0..3 {
        assert!(matches!(
            other.queue.try_lock(SeatId(5), None).await,
            SeatLock::Busy
        ));
    }
    let fence = held.fence();
    drop(held);
    let next = eventually("it is released", || async {
        match other.queue.try_lock(SeatId(5), None).await {
            SeatLock::Held(held) => Some(held),
            _ => None,
        }
    })
    .await;
    assert!(next.fence() > fence, "fencing values ascend over servers");
}
