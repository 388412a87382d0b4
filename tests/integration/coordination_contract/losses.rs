//! Redis is killed, emptied, restored to an old state, or stalled. No place is given twice or lost, the watermark never
//! decreases, and no caller waits for a Redis that does not answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::now;
use concertctl::clock::Clock;
use concertctl::coordination::{
    RedisCoordination, RedisOptions, RegisterError, Replication, SeatLock, Unavailable,
};
use concertctl::domain::{Epoch, Place, QueueStatus, SeatId, UserId};
use concertctl::faults::Faults;

use futures_util::future::join_all;

use super::setup::{Ledger, NEVER_AGAIN, Server, admit, open, options};
use crate::support::{Proxy, Redis, RedisCluster, eventually};

/// Two servers with a queue of the users 1 to 6. The first two are admitted; the first one's place has ended.
struct Loss {
    redis: Redis,
    ledger: Arc<Ledger>,
    servers: [Server; 2],
}

const STANDING: i64 = 6;

impl Loss {
    async fn begin() -> Option<Loss> {
        Loss::with(options()).await
    }

    async fn with(options: RedisOptions) -> Option<Loss> {
        let redis = Redis::start().await?;
        let (ledger, epoch) = (Ledger::with(open(2, NEVER_AGAIN)), Epoch(rand::random()));
        let url = redis.url();
        let servers = [
            Server::start(&url, epoch, &ledger, options).await,
            Server::start(&url, epoch, &ledger, options).await,
        ];
        let loss = Loss {
            redis,
            ledger,
            servers,
        };
        for user in 1..=STANDING {
            loss.place(user).await;
        }
        let claim = admit(&loss.servers[0].queue).await;
        loss.ledger.admit(claim);
        loss.end(1).await;
        loss.restored_more_often_than([0, 0]).await;
        Some(loss)
    }

    fn restorations(&self) -> [u64; 2] {
        let count = |server: &Server| server.restorations.load(Ordering::Relaxed);
        self.servers.each_ref().map(count)
    }

    async fn restored_more_often_than(&self, before: [u64; 2]) {
        eventually("the queue is restored by either server", || async {
            let mut pairs = self.restorations().into_iter().zip(before);
            pairs.all(|(now, before)| now > before).then_some(())
        })
        .await;
    }

    /// A place for `user` from either server.
    async fn place(&self, user: i64) -> Place {
        let server = &self.servers[usize::try_from(user).unwrap() % 2];
        server.place(&self.ledger, UserId(user)).await
    }

    async fn end(&self, place: u64) {
        self.ledger.end(Place(place));
        self.servers[0].queue.end(Place(place)).await;
    }

    async fn until_available(&self, wanted: bool) {
        for server in &self.servers {
            server.until_available(wanted).await;
        }
    }

    /// Checks on both servers that all users have their places and states, and that new users come after them.
    async fn nothing_is_lost(&self, last: u64) {
        for server in &self.servers {
            let queue = &server.queue;
            for user in 2..=STANDING {
                let there = queue.register(UserId(user), now()).await;
                let expected = Place(user.unsigned_abs());
                assert_eq!(there, Err(RegisterError::Already(expected)));
            }
            let status = |place| queue.state().status(Place(place), now());
            assert_eq!(status(2), QueueStatus::Active);
            assert_eq!(status(3), QueueStatus::Wait);
            eventually("who is through is through", || async {
                (status(1) == QueueStatus::Expired).then_some(())
            })
            .await;
            assert_eq!(
                queue.state().watermark(),
                Place(2),
                "the watermark never decreases"
            );
        }
        let newcomers = [self.place(101).await, self.place(102).await];
        assert_eq!(newcomers.map(|it| it.0), [last + 1, last + 2]);
        let again = self.place_again(1).await;
        assert_eq!(
            again,
            Place(last + 3),
            "a user whose place has ended may register again"
        );
    }

    async fn place_again(&self, user: i64) -> Place {
        let registration = self.servers[0].queue.register(UserId(user), now()).await;
        registration.unwrap().place
    }
}

#[tokio::test]
async fn an_emptied_queue_is_rebuilt_from_the_durable_state() {
    let Some(loss) = Loss::begin().await else {
        return;
    };
    let before = loss.restorations();
    assert_eq!(loss.redis.cli(&["FLUSHALL"]), "OK");
    // The first call detects the loss. After that, the empty queue answers no call.
    loss.restored_more_often_than(before).await;
    loss.until_available(true).await;
    loss.nothing_is_lost(6).await;
}

#[tokio::test]
async fn a_queue_that_was_lost_and_restored_between_two_replications_is_detected() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let (ledger, epoch) = (Ledger::with(open(2, NEVER_AGAIN)), Epoch(rand::random()));
    let snapshot = ledger.snapshot();
    let (url, options) = (redis.url(), options());
    let looks_rarely = RedisCoordination::connect(
        &url,
        epoch,
        &snapshot,
        (options, Clock::default()),
        Faults::default(),
    );
    let looks_rarely = looks_rarely.await.unwrap();
    assert_eq!(looks_rarely.replicate().await, Replication::NeedsRecovery);
    looks_rarely.recover(&snapshot).await.unwrap();
    assert_eq!(looks_rarely.replicate().await, Replication::UpToDate);
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    let other = Server::start(&url, epoch, &ledger, options).await;
    other.place(&ledger, UserId(1)).await;
    // Redis may lack changes since the last recovery.
    assert_eq!(looks_rarely.replicate().await, Replication::NeedsRecovery);
}

#[tokio::test]
async fn places_that_the_database_gave_meanwhile_are_in_the_queue_after_recovery() {
    for empty in [false, true] {
        let Some(mut loss) = Loss::begin().await else {
            return;
        };
        loss.redis.kill();
        loss.until_available(false).await;
        for user in 51..=60 {
            let place = loss.place(user).await;
            assert_eq!(place.0, 6 + user.unsigned_abs() - 50);
        }
        match empty {
            true => loss.redis.restart_empty().await,
            false => loss.redis.restart().await,
        }
        loss.until_available(true).await;
        for user in 51..=60 {
            let there = loss.servers[1].queue.register(UserId(user), now()).await;
            let expected = Place(6 + user.unsigned_abs() - 50);
            assert_eq!(there, Err(RegisterError::Already(expected)));
        }
        loss.nothing_is_lost(16).await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_queue_that_returns_with_an_old_state_is_raised_to_the_durable_one() {
    let Some(mut loss) = Loss::begin().await else {
        return;
    };
    let (data, old) = (
        loss.redis.dir().join("appendonlydir"),
        loss.redis.dir().join("old"),
    );
    copy(&data, &old);
    for user in 51..=60 {
        loss.place(user).await;
    }
    loss.redis.kill();
    loss.until_available(false).await;
    fs::remove_dir_all(&data).unwrap();
    copy(&old, &data);
    loss.redis.restart().await;
    loss.until_available(true).await;
    loss.nothing_is_lost(16).await;
}

#[tokio::test]
async fn a_hanging_queue_delays_calls_briefly_and_not_at_all_once_the_breaker_is_open() {
    let mut options = options();
    options.breaker.longest_pause = Duration::from_millis(200);
    let Some(mut loss) = Loss::with(options).await else {
        return;
    };
    loss.redis.stall();
    let answer = loss.servers[0].queue.register(UserId(201), now()).await;
    assert_eq!(answer, Err(RegisterError::Unavailable(Unavailable)));
    let locked = loss.servers[0].queue.try_lock(SeatId(1), None).await;
    assert!(matches!(locked, SeatLock::Unavailable));
    eventually("it is given up", || async {
        drop(loss.servers[0].queue.try_lock(SeatId(1), None).await);
        (!loss.servers[0].queue.is_available()).then_some(())
    })
    .await;
    let asked = Instant::now();
    for seat in 1..=1_000 {
        let locked = loss.servers[0].queue.try_lock(SeatId(seat), None).await;
        assert!(matches!(locked, SeatLock::Unavailable));
        let answer = loss.servers[0].queue.register(UserId(201), now()).await;
        assert_eq!(answer, Err(RegisterError::Unavailable(Unavailable)));
    }
    // If each call waited for its time-out, 1,000 calls would take ten minutes.
    assert!(
        asked.elapsed() < Duration::from_secs(60),
        "{:?}",
        asked.elapsed()
    );
    loss.redis.resume();
    loss.until_available(true).await;
    loss.nothing_is_lost(6).await;
}

#[tokio::test]
async fn a_place_of_a_call_that_was_given_up_is_not_handed_out_when_redis_continues() {
    let Some(mut loss) = Loss::begin().await else {
        return;
    };
    let queue = Arc::clone(&loss.servers[0].queue);
    queue.set_admission(open(2, NEVER_AGAIN), now()).await;
    loss.redis.stall();
    for user in [201, 202] {
        let place = queue.register(UserId(user), now()).await;
        assert_eq!(place, Err(RegisterError::Unavailable(Unavailable)));
    }
    queue.set_admission(open(999, 100), now()).await;
    // Another server gave both users places from the database, in the opposite order.
    let (other, before) = (&loss.servers[1].queue, loss.restorations());
    for (user, place) in [(202, 7), (201, 8)] {
        let above = other.state().registered();
        assert_eq!(loss.ledger.next(UserId(user), above), Place(place));
        other.keep(UserId(user), Place(place)).await;
    }
    loss.redis.resume();
    loss.restored_more_often_than(before).await;
    loss.until_available(true).await;
    for (user, place) in [(202, 7), (201, 8)] {
        let there = queue.register(UserId(user), now()).await;
        assert_eq!(there, Err(RegisterError::Already(Place(place))));
    }
    eventually("the settings of the database hold", || async {
        let settings = queue.state().admission();
        (settings == open(2, NEVER_AGAIN)).then_some(())
    })
    .await;
    loss.nothing_is_lost(8).await;
}

#[tokio::test]
async fn settings_of_a_call_that_was_given_up_do_not_overwrite_later_ones() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let (ledger, epoch) = (Ledger::with(open(2, NEVER_AGAIN)), Epoch(rand::random()));
    let mut proxy = Proxy::to(redis.addr()).await;
    let through = redis.url_at(proxy.addr());
    let slow = Server::start(&through, epoch, &ledger, options()).await;
    let quick = Server::start(&redis.url(), epoch, &ledger, options()).await;
    // Redis has cached the script now, so one message is enough.
    slow.queue.set_admission(open(2, NEVER_AGAIN), now()).await;
    proxy.blackhole().await;
    slow.queue.set_admission(open(999, 100), now()).await;
    // Another caller sets these later through the other server.
    let last = open(5, NEVER_AGAIN);
    ledger.set(last);
    quick.queue.set_admission(last, now()).await;
    let queue = redis.cli(&["--scan", "--pattern", "*:queue"]);
    let changes = redis.cli(&["HGET", &queue, "changes"]);
    // The delayed messages arrive now.
    proxy.open().await;
    slow.until_available(true).await;
    eventually("the slow server has the settings", || async {
        (slow.queue.state().admission() == last).then_some(())
    })
    .await;
    let kept = redis.cli(&["HMGET", &queue, "batch", "changes"]);
    assert_eq!(kept, format!("5\n{changes}"), "not even for a moment");
}

#[tokio::test]
async fn a_lock_of_a_call_that_was_given_up_is_not_taken_when_redis_continues() {
    const SEATS: i64 = 12;
    let Some(mut loss) = Loss::begin().await else {
        return;
    };
    // Redis has cached the script now, so one message is enough.
    drop(loss.servers[0].queue.try_lock(SeatId(99), None).await);
    loss.redis.stall();
    // These calls open the circuit breaker, so that no call releases the locks that were taken.
    let queue = &loss.servers[0].queue;
    let tries = (1..=SEATS).map(|seat| queue.try_lock(SeatId(seat), None));
    for lock in join_all(tries).await {
        assert!(matches!(lock, SeatLock::Unavailable));
    }
    loss.redis.resume();
    for seat in 1..=SEATS {
        let other = &loss.servers[1].queue;
        let lock = eventually("locks are tried again", || async {
            match other.try_lock(SeatId(seat), None).await {
                SeatLock::Unavailable => None,
                lock => Some(lock),
            }
        })
        .await;
        assert!(
            matches!(lock, SeatLock::Held(_)),
            "{seat} is still locked by a call that was given up"
        );
    }
}

#[tokio::test]
async fn a_cluster_continues_when_a_killed_node_returns() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return;
    };
    let (ledger, epoch) = (Ledger::with(open(2, NEVER_AGAIN)), Epoch(rand::random()));
    let urls = cluster.urls().join(",");
    let server = Server::start(&urls, epoch, &ledger, options()).await;
    let mut places = BTreeSet::new();
    for user in 1..=5 {
        places.insert(server.place(&ledger, UserId(user)).await);
    }
    // The node that owns the queue is the one with keys.
    let owner = cluster
        .nodes()
        .iter()
        .position(|node| node.cli(&["DBSIZE"]) != "0");
    let owner = owner.expect("a node with the queue");
    cluster.nodes()[owner].kill();
    server.until_available(false).await;
    for user in 6..=10 {
        places.insert(server.place(&ledger, UserId(user)).await);
    }
    cluster.nodes()[owner].restart().await;
    server.until_available(true).await;
    for user in 11..=15 {
        places.insert(server.place(&ledger, UserId(user)).await);
    }
    let expected: BTreeSet<Place> = (1..=15).map(Place).collect();
    assert_eq!(places, expected, "every place is given once");
    let there = server.queue.register(UserId(8), now()).await;
    assert_eq!(there, Err(RegisterError::Already(Place(8))));
}
