//! Failures of PostgreSQL: which statements are retried and which are not. Every wait ends.

use std::time::{Duration, Instant};

use concertctl::domain::{Money, Timestamp, UserId};
use concertctl::store::postgres::PgOptions;
use concertctl::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome, StoreError};
use futures_util::future::join_all;

use super::opened::{EPOCH, PRICE};
use super::{Opened, key};
use crate::support::{Proxy, eventually};

const USER: UserId = UserId(1);
const AMOUNT: i64 = 500;

async fn charge(db: &Opened, key: Option<Idempotency>) -> Result<Keyed<ChargeOutcome>, StoreError> {
    db.store
        .charge(USER, Money(AMOUNT), Timestamp(5), key)
        .await
}

/// Makes the first `times` inserts into the ledger fail with the SQLSTATE. Failed ones count although they are rolled
/// back.
async fn ledger_fails(db: &Opened, state: &str, times: u32) {
    db.tamper(&format!(
        "CREATE SEQUENCE tries;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
             'BEGIN
                  IF nextval(TG_TABLE_SCHEMA || ''.tries'') <= {times} THEN
                      RAISE EXCEPTION ''as asked'' USING ERRCODE = ''{state}'';
                  END IF;
                  RETURN NEW;
              END';
         CREATE TRIGGER fail BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION fail()"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transient_failures_are_retried_and_the_write_is_done_once() {
    // The states are: serialization failure, deadlock, lock not available.
    for state in ["40001", "40P01", "55P03"] {
        let Some(db) = Opened::postgres().await else {
            return;
        };
        ledger_fails(&db, state, 3).await;
        let charged = charge(&db, None).await;
        assert!(matches!(charged, Ok(Keyed::Fresh(_))), "{charged:?}");
        assert_eq!(db.balance(USER.0).await, AMOUNT, "{state}");
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_of_a_lasting_failure_end() {
    let Some(db) = Opened::postgres().await else {
        return;
    };
    ledger_fails(&db, "40001", 1_000_000).await;
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
    let Some((db, mut proxy)) = Opened::through_proxy(PgOptions::default()).await else {
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

/// Reads twice at once, so that two connections are in use.
async fn two_reads(db: &Opened) {
    let reads = tokio::join!(db.store.balance(USER), db.store.balance(UserId(2)));
    assert!(matches!(reads, (Ok(_), Ok(_))), "{reads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_does_not_answer_is_replaced_alone() {
    let options = PgOptions {
        connections: 2,
        idle: Duration::ZERO,
        ..PgOptions::default()
    };
    let Some((db, mut proxy)) = Opened::through_proxy(options).await else {
        return;
    };
    let before = proxy.accepted();
    two_reads(&db).await;
    assert_eq!(proxy.accepted(), before + 2);

    proxy.silence(before);
    two_reads(&db).await;
    two_reads(&db).await;
    assert_eq!(proxy.accepted(), before + 3, "the other is still in use");

    // Without a new connection, the server is gone.
    proxy.cut().await;
    let gone = db.store.balance(USER).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
    proxy.open().await;
    two_reads(&db).await;
    db.close().await;
}

/// Charges an account, and cuts the connection after the commit and before the answer.
async fn charge_whose_answer_is_lost(
    key: Option<Idempotency>,
) -> Option<(Opened, Proxy, Result<Keyed<ChargeOutcome>, StoreError>)> {
    let (db, mut proxy) = Opened::through_proxy(PgOptions::default()).await?;
    // The connection is open and the statement prepared, so the next message is the statement itself.
    charge(&db, key.clone().map(|_| super::key("before")))
        .await
        .unwrap();
    proxy.delay(Duration::from_secs(3));
    let (charged, ()) = tokio::join!(charge(&db, key), async {
        let sql = format!("SELECT count(*) FROM concertctl_{:016x}.ledger", EPOCH.0);
        eventually("it is done", || async {
            (db.server().sql(&sql).await == "2").then_some(())
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
    assert_eq!(
        db.balance(USER.0).await,
        2 * AMOUNT,
        "one charge before, one now"
    );
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
    assert_eq!(
        db.balance(USER.0).await,
        2 * AMOUNT,
        "one charge before, one now"
    );
    db.close().await;
}

/// Locks the user's row until the result is dropped.
async fn user_is_locked(db: &Opened) -> crate::support::postgres::Holding {
    let users = format!("concertctl_{:016x}.users", EPOCH.0);
    let lock = format!("SELECT 1 FROM {users} WHERE id = {} FOR UPDATE", USER.0);
    db.server().hold(&lock).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_finds_no_free_connection_fails_within_the_acquire_time_out() {
    let options = PgOptions {
        connections: 1,
        acquire_timeout: Duration::from_millis(200),
        ..PgOptions::default()
    };
    let Some(db) = Opened::postgres_with(options).await else {
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
async fn a_hanging_statement_ends_at_its_time_out_and_its_connection_stays_usable() {
    let options = PgOptions {
        connections: 1,
        statement_timeout: Duration::from_millis(300),
        ..PgOptions::default()
    };
    let Some(db) = Opened::postgres_with(options).await else {
        return;
    };
    let locked = user_is_locked(&db).await;
    let asked = Instant::now();
    let charged = charge(&db, None).await;
    assert!(
        matches!(
            charged,
            Err(StoreError::Timeout(_) | StoreError::Unavailable(_))
        ),
        "{charged:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(20));
    assert_eq!(db.balance(2).await, 0);
    drop(locked);
    charge(&db, None).await.unwrap();
    assert_eq!(
        db.balance(USER.0).await,
        AMOUNT,
        "the first statement had no effect"
    );
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_one_round_trip() {
    let Some(db) = Opened::set_up(&[("log_statement", "all")]).await else {
        return;
    };
    db.standing(2).await;
    db.reserved(1, 1).await;
    let log_now = || db.server().log();
    let so_far = log_now().len();
    db.reserved(1, 2).await;
    db.try_reserve(2, 2).await;
    let log = log_now().split_off(so_far);
    let statements: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("LOG:") && !line.contains("pg_try_advisory"))
        .collect();
    assert_eq!(statements.len(), 2, "two reservations asked for: {log}");
    let executed = statements.iter().all(|line| line.contains("execute "));
    assert!(
        executed,
        "the statement must be prepared before and have no transaction around it: {log}"
    );
    db.close().await;
}

/// Each payment is decided before it sees the other payments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_of_all_holds_that_do_not_see_each_other_end_the_place() {
    let Some(db) = Opened::postgres().await else {
        return;
    };
    let user = USER.0;
    let place = super::opened::place(user);
    let standing = db.store.register(super::opened::new_place(place.0, user));
    standing.await.unwrap();
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
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            (db.server().sql(sql).await == "3").then_some(())
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
