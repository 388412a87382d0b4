//! Failures of MariaDB: which statements are retried and which are not. Every wait ends, and a caller who gives up leaves
//! nothing behind on a connection.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use concertctl::domain::{Money, SeatStatus, Timestamp, UserId};
use concertctl::store::mysql::MySqlOptions;
use concertctl::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome, StoreError};
use futures_util::future::join_all;

use super::opened::{PRICE, mysql_dataset, new_place, place, wish};
use super::{Opened, key};
use crate::support::mysql::Holding;
use crate::support::{Proxy, eventually};

const USER: UserId = UserId(1);
const AMOUNT: i64 = 500;

async fn charge(db: &Opened, key: Option<Idempotency>) -> Result<Keyed<ChargeOutcome>, StoreError> {
    db.store
        .charge(USER, Money(AMOUNT), Timestamp(5), key)
        .await
}

/// Makes the first `times` inserts into the ledger fail with the error. Failed ones count although they are rolled back.
async fn ledger_fails(db: &Opened, error: u32, times: u32) {
    db.tamper(&format!(
        "CREATE TABLE tries (n INT NOT NULL) ENGINE = MyISAM;
         INSERT INTO tries VALUES (0);
         CREATE TRIGGER fail BEFORE INSERT ON ledger FOR EACH ROW
         BEGIN
             UPDATE tries SET n = n + 1;
             IF (SELECT n FROM tries) <= {times} THEN
                 SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {error}, MESSAGE_TEXT = 'as asked';
             END IF;
         END"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transient_failures_are_retried_and_the_write_is_done_once() {
    // Lock wait time-out, deadlock.
    for error in [1205, 1213] {
        let Some(db) = Opened::mysql().await else {
            return;
        };
        ledger_fails(&db, error, 3).await;
        let charged = charge(&db, None).await;
        assert!(matches!(charged, Ok(Keyed::Fresh(_))), "{charged:?}");
        assert_eq!(db.balance(USER.0).await, AMOUNT, "{error}");
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_of_a_lasting_failure_end() {
    let Some(db) = Opened::mysql().await else {
        return;
    };
    ledger_fails(&db, 1213, 1_000_000).await;
    let asked = Instant::now();
    let charged = charge(&db, Some(key("a"))).await;
    assert!(
        matches!(charged, Err(StoreError::Unavailable(_))),
        "{charged:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(20));
    assert_eq!(db.balance(USER.0).await, 0);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_failover_causes_no_error() {
    let Some((db, mut proxy)) = Opened::mysql_through_proxy(MySqlOptions::default()).await else {
        return;
    };
    charge(&db, None).await.unwrap();
    proxy.cut().await;
    let (charged, ()) = tokio::join!(charge(&db, Some(key("a"))), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.open().await;
    });
    assert!(matches!(charged, Ok(Keyed::Fresh(_))), "{charged:?}");
    assert_eq!(db.balance(USER.0).await, 2 * AMOUNT);
    db.close().await;
}

/// Charges an account, and cuts the connection after the commit and before the answer.
async fn charge_whose_answer_is_lost(
    key: Option<Idempotency>,
) -> Option<(Opened, Proxy, Result<Keyed<ChargeOutcome>, StoreError>)> {
    let (db, mut proxy) = Opened::mysql_through_proxy(MySqlOptions::default()).await?;
    // The connection is open and the statement prepared, so the next message is the statement itself.
    charge(&db, key.clone().map(|_| super::key("before")))
        .await
        .unwrap();
    proxy.delay(Duration::from_secs(3));
    let count = format!("SELECT COUNT(*) FROM {}.ledger", mysql_dataset());
    let (charged, ()) = tokio::join!(charge(&db, key), async {
        eventually("it is done", || async {
            (db.mysql_server().sql(&count).await == "2").then_some(())
        })
        .await;
        proxy.cut().await;
        proxy.delay(Duration::ZERO);
        proxy.open().await;
    });
    Some((db, proxy, charged))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_with_a_key_whose_answer_is_lost_is_retried_and_done_once() {
    let Some((db, _proxy, charged)) = charge_whose_answer_is_lost(Some(key("a"))).await else {
        return;
    };
    let replayed = matches!(charged, Ok(Keyed::Replayed(ChargeOutcome::Charged { .. })));
    assert!(replayed, "{charged:?}");
    let before_and_now = 2 * AMOUNT;
    assert_eq!(db.balance(USER.0).await, before_and_now);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_without_a_key_whose_answer_is_lost_is_not_repeated() {
    let Some((db, _proxy, charged)) = charge_whose_answer_is_lost(None).await else {
        return;
    };
    let Err(error @ StoreError::Unknown(_)) = charged else {
        panic!("{charged:?}");
    };
    assert!(error.to_string().contains("not known"), "{error}");
    let before_and_now = 2 * AMOUNT;
    assert_eq!(db.balance(USER.0).await, before_and_now);
    db.close().await;
}

/// Locks the user's row until the result is dropped.
async fn user_is_locked(db: &Opened) -> Holding {
    let users = format!("{}.users", mysql_dataset());
    let lock = format!("SELECT 1 FROM {users} WHERE id = {} FOR UPDATE", USER.0);
    db.mysql_server().hold(&lock).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_finds_no_free_connection_fails_within_the_acquire_time_out() {
    let options = MySqlOptions {
        connections: 1,
        acquire_timeout: Duration::from_millis(200),
        ..MySqlOptions::default()
    };
    let Some(db) = Opened::mysql_with(options).await else {
        return;
    };
    let locked = user_is_locked(&db).await;
    let (charged, ()) = tokio::join!(charge(&db, None), async {
        eventually("the one connection is lent", || async {
            let refused = db.store.balance(UserId(2)).await;
            matches!(refused, Err(StoreError::Overloaded)).then_some(())
        })
        .await;
        let asked = Instant::now();
        let refused = db.store.balance(UserId(2)).await;
        assert!(
            matches!(refused, Err(StoreError::Overloaded)),
            "{refused:?}"
        );
        assert!(asked.elapsed() < Duration::from_secs(2));
        drop(locked);
    });
    assert!(charged.is_ok(), "{charged:?}");
    assert_eq!(db.balance(2).await, 0, "the connection is free again");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_statement_ends_at_its_time_out_and_has_no_effect() {
    let options = MySqlOptions {
        connections: 1,
        statement_timeout: Duration::from_millis(300),
        ..MySqlOptions::default()
    };
    let Some(db) = Opened::mysql_with(options).await else {
        return;
    };
    let locked = user_is_locked(&db).await;
    let asked = Instant::now();
    let charged = charge(&db, None).await;
    // MySQL does not say whether the time-out ended the procedure before or after its commit.
    assert!(charged.is_err(), "{charged:?}");
    assert!(asked.elapsed() < Duration::from_secs(20));
    assert_eq!(db.balance(2).await, 0);
    drop(locked);
    charge(&db, None).await.unwrap();
    let only_the_second = AMOUNT;
    assert_eq!(db.balance(USER.0).await, only_the_second);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_one_round_trip() {
    let options = MySqlOptions {
        connections: 1,
        ..MySqlOptions::default()
    };
    let Some(db) = Opened::mysql_with(options).await else {
        return;
    };
    let counted = |name: &'static str| {
        let sql = format!(
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = '{name}'"
        );
        let server = db.mysql_server();
        async move { server.sql(&sql).await.parse::<i64>().unwrap() }
    };
    db.standing(2).await;
    db.reserved(1, 1).await;
    let before = (
        counted("COM_STMT_EXECUTE").await,
        counted("COM_STMT_PREPARE").await,
    );
    db.reserved(1, 2).await;
    db.try_reserve(2, 2).await;
    let after = (
        counted("COM_STMT_EXECUTE").await,
        counted("COM_STMT_PREPARE").await,
    );
    assert_eq!(after.0 - before.0, 2, "two reservations, two statements");
    assert_eq!(after.1, before.1, "both were prepared before");
    db.close().await;
}

/// Each payment is decided before it sees the other payments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_of_all_holds_at_once_end_the_place() {
    let Some(db) = Opened::mysql().await else {
        return;
    };
    let user = USER.0;
    let place = place(user);
    db.store.register(new_place(place.0, user)).await.unwrap();
    db.charged(user, 3 * PRICE).await;
    let mut held = Vec::new();
    for seat in 1..=3 {
        held.push(db.reserved(user, seat).await);
    }
    let lock = user_is_locked(&db).await;
    let paying = held.iter().map(|id| {
        let pay = Pay {
            user: USER,
            reservation: *id,
            place,
            now: Timestamp(20),
        };
        db.store.pay(pay, None)
    });
    let (paid, ()) = tokio::join!(join_all(paying), async {
        eventually("all three wait", || async {
            let sql = "SELECT COUNT(*) FROM information_schema.processlist
                       WHERE info LIKE 'UPDATE users%'";
            (db.mysql_server().sql(sql).await == "3").then_some(())
        })
        .await;
        drop(lock);
    });
    for paid in paid {
        assert_eq!(paid.unwrap().outcome, Keyed::Fresh(PayOutcome::Paid));
    }
    assert!(db.store.has_ended(place).await.unwrap());
    db.close().await;
}

/// Polls a future `polls` times, and drops it then. `None` if it had no result by then.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_at_any_point_leaves_no_transaction_and_no_answer_behind() {
    let options = MySqlOptions {
        connections: 1,
        ..MySqlOptions::default()
    };
    let Some(db) = Opened::mysql_with(options).await else {
        return;
    };
    db.standing(1).await;
    db.charged(7, 70).await;
    let (mut dropped, mut finished) = (0, 0);
    for polls in 0..60 {
        let write = async {
            charge(&db, None).await.unwrap();
            let reserved = db.store.reserve(wish(1, 1), None).await;
            reserved.map(|_| ())
        };
        match dropped_after(polls, write).await {
            Some(done) => {
                done.unwrap();
                finished += 1;
            }
            None => dropped += 1,
        }
        assert_eq!(db.balance(7).await, 70, "the answer to another statement");
        let number = db.seat(2).await.id.0;
        assert_eq!(number, 2, "the answer to another statement");
    }
    assert!(dropped > 3 && finished > 0, "{dropped}, {finished}");
    eventually("no transaction is open", || async {
        // The server refreshes this table only when it was not read for 0.1 s.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let sql = "SELECT COUNT(*) FROM information_schema.innodb_trx";
        (db.mysql_server().sql(sql).await == "0").then_some(())
    })
    .await;
    assert_eq!(db.status(1).await, SeatStatus::Pending);
    db.assert_sound().await;
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_under_traffic_loses_no_acknowledged_charge() {
    let durable = ["--innodb-flush-log-at-trx-commit=1"];
    let Some(mut db) = Opened::mysql_set_up(&durable).await else {
        return;
    };
    let mut server = db.take_mysql_server();
    let (acknowledged, over) = (AtomicI64::new(0), AtomicBool::new(false));
    let charging = async {
        let mut nth = 0;
        while !over.load(Ordering::Relaxed) {
            nth += 1;
            let name = format!("k{nth}");
            if let Ok(Keyed::Fresh(_) | Keyed::Replayed(_)) = charge(&db, Some(key(&name))).await {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let killing = async {
        for round in 1..=2 {
            let before = acknowledged.load(Ordering::Relaxed);
            eventually("charges are acknowledged", || async {
                (acknowledged.load(Ordering::Relaxed) > before + 5).then_some(())
            })
            .await;
            server.restart().await;
            println!("killed {round}");
        }
        let before = acknowledged.load(Ordering::Relaxed);
        eventually("charges are acknowledged again", || async {
            (acknowledged.load(Ordering::Relaxed) > before + 5).then_some(())
        })
        .await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(charging, killing);
    let done = db.balance(USER.0).await / AMOUNT;
    let acknowledged = acknowledged.into_inner();
    assert!(
        done >= acknowledged,
        "{done} done, {acknowledged} acknowledged"
    );
    db.assert_sound().await;
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_a_stopped_database_end_and_it_is_used_again_when_it_continues() {
    let options = MySqlOptions {
        timeout: Duration::from_secs(1),
        ..MySqlOptions::default()
    };
    let Some(mut db) = Opened::mysql_with(options).await else {
        return;
    };
    charge(&db, None).await.unwrap();
    db.mysql_server_mut().stall();
    let asked = Instant::now();
    let (read, written) = tokio::join!(db.store.balance(USER), charge(&db, Some(key("a"))));
    assert!(read.is_err(), "{read:?}");
    assert!(written.is_err(), "{written:?}");
    assert!(asked.elapsed() < Duration::from_secs(15));
    db.mysql_server_mut().resume();
    let again = eventually("it answers again", || async {
        charge(&db, Some(key("a"))).await.ok()
    });
    assert!(matches!(again.await, Keyed::Fresh(_) | Keyed::Replayed(_)));
    assert_eq!(db.balance(USER.0).await, 2 * AMOUNT, "once under its key");
    db.close().await;
}
