//! Operations whose future is dropped at an await point, as when a client hangs up. They leave no open transaction, and
//! no connection on which another operation gets a wrong answer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use concertctl::domain::{Money, Timestamp, UserId};
use concertctl::store::StoreError;
use concertctl::store::postgres::PgOptions;
use futures_util::future::join_all;

use super::opened::{USERS, wish};
use super::{Opened, key};
use crate::support::eventually;

/// The await points at which operations are dropped: each of a pooled statement, and some of the many in which a session
/// of its own is authenticated and used. The last is beyond the end of every operation.
fn await_points() -> impl Iterator<Item = usize> {
    let authenticating = (40..800).step_by(60);
    (0..40).chain(authenticating).chain((800..2_000).step_by(4))
}

/// Polls `future` at most `polls` times, and then drops it. Returns whether it ended.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> bool {
    let (mut future, mut polled) = (pin!(future), 0);
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polled == polls => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Each user has another balance, so the answer to another query shows.
async fn check(db: &Opened, balances: &[i64]) {
    let reads = (1..=USERS as i64).map(|user| db.store.balance(UserId(user)));
    let reads: Vec<Result<Option<Money>, StoreError>> = join_all(reads).await;
    for (read, expected) in reads.into_iter().zip(balances) {
        assert_eq!(read.unwrap(), Some(Money(*expected)));
    }
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE usename = 'concert' AND state LIKE 'idle in transaction%'";
    // A server notices a closed connection a moment later.
    eventually("no transaction is open", || async {
        (db.server().sql(sql).await == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_operation_leaves_no_transaction_and_no_wrong_answer() {
    let options = PgOptions {
        connections: 2,
        ..PgOptions::default()
    };
    let Some(db) = Opened::postgres_with(options).await else {
        return;
    };
    db.standing(2).await;
    let mut balances = Vec::new();
    for user in 1..=USERS as i64 {
        db.charged(user, user * 1_000).await;
        balances.push(user * 1_000);
    }
    let store = &db.store;
    let (mut seat, mut all_ended) = (0, false);
    for polls in await_points() {
        seat = seat % 20 + 1;
        let reserving = store.reserve(wish(1, seat), Some(key(&format!("seat {polls}"))));
        let mut ended = dropped_after(polls, reserving).await;
        check(&db, &balances).await;
        ended &= dropped_after(polls, store.audit()).await;
        check(&db, &balances).await;
        ended &= dropped_after(polls, store.queue_snapshot()).await;
        check(&db, &balances).await;
        let (user, name) = (UserId(2), key(&format!("charge {polls}")));
        let charge = || store.charge(user, Money(1), Timestamp(5), Some(name.clone()));
        ended &= dropped_after(polls, charge()).await;
        // The repeat decides it, whether or not the first was done.
        charge().await.unwrap();
        balances[1] += 1;
        check(&db, &balances).await;
        all_ended = ended;
        if ended {
            break;
        }
    }
    assert!(all_ended, "there are more await points");
    db.assert_sound().await;
    db.close().await;
}
