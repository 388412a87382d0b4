//! Failures of a shared database: which statements are retried and which are not. Every wait ends.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use concertctl::domain::{Money, Place, Timestamp, UserId};
use concertctl::store::postgres::PgOptions as PoolOptions;
use concertctl::store::{
    ChargeOutcome, Idempotency, Keyed, NextPlace, Pay, PayOutcome, StoreError,
};
use futures_util::future::join_all;

use super::opened::{PRICE, new_place, place};
use super::{Opened, key, on_each_database};
use crate::support::database::{Holding, Kind};
use crate::support::{Proxy, eventually};

on_each_database!(
    transient_failures_are_retried_and_the_write_is_done_once,
    retries_of_a_lasting_failure_end,
    a_short_failover_causes_no_error,
    a_connection_that_does_not_answer_is_replaced_alone,
    a_charge_with_a_key_whose_answer_is_lost_is_retried_and_done_once,
    a_charge_without_a_key_whose_answer_is_lost_is_not_repeated,
    a_place_whose_commit_outlasts_the_time_out_is_answered,
    a_call_that_finds_no_free_connection_fails_within_the_acquire_time_out,
    a_hanging_statement_ends_at_its_time_out_and_has_no_effect,
    payments_of_all_holds_at_once_end_the_place,
    a_place_that_another_server_commits_meanwhile_is_the_users,
    a_number_that_another_server_takes_meanwhile_is_not_handed_out,
    a_database_that_is_killed_under_traffic_loses_no_acknowledged_charge,
    calls_to_a_stopped_database_end_and_it_is_used_again_when_it_continues,
);

const USER: UserId = UserId(1);
const AMOUNT: i64 = 500;

async fn charge(db: &Opened, key: Option<Idempotency>) -> Result<Keyed<ChargeOutcome>, StoreError> {
    db.store
        .charge(USER, Money(AMOUNT), Timestamp(5), key)
        .await
}

/// Makes the first `times` inserts into the ledger fail with the error. Failed inserts count although they are rolled
/// back.
async fn ledger_fails(db: &Opened, error: &str, times: u32) {
    db.tamper(&match db.server().kind() {
        Kind::Postgres => format!(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
                 'BEGIN
                      IF nextval(TG_TABLE_SCHEMA || ''.tries'') <= {times} THEN
                          RAISE EXCEPTION ''as asked'' USING ERRCODE = ''{error}'';
                      END IF;
                      RETURN NEW;
                  END';
             CREATE TRIGGER fail BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION fail()"
        ),
        Kind::MariaDb => format!(
            "CREATE TABLE tries (n INT NOT NULL) ENGINE = MyISAM;
             INSERT INTO tries VALUES (0);
             CREATE TRIGGER fail BEFORE INSERT ON ledger FOR EACH ROW
             BEGIN
                 UPDATE tries SET n = n + 1;
                 IF (SELECT n FROM tries) <= {times} THEN
                     SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {error}, MESSAGE_TEXT = 'as asked';
                 END IF;
             END"
        ),
    })
    .await;
}

async fn transient_failures_are_retried_and_the_write_is_done_once(kind: Kind) {
    let errors: &[&str] = match kind {
        // Serialization failure, deadlock, lock not available.
        Kind::Postgres => &["40001", "40P01", "55P03"],
        // Lock wait time-out, deadlock.
        Kind::MariaDb => &["1205", "1213"],
    };
    for error in errors {
        let Some(db) = Opened::shared(kind).await else {
            return;
        };
        ledger_fails(&db, error, 3).await;
        let charged = charge(&db, None).await;
        assert!(matches!(charged, Ok(Keyed::Fresh(_))), "{charged:?}");
        assert_eq!(db.balance(USER.0).await, AMOUNT, "{error}");
        db.close().await;
    }
}

async fn retries_of_a_lasting_failure_end(kind: Kind) {
    let Some(db) = Opened::shared(kind).await else {
        return;
    };
    let deadlock = match kind {
        Kind::Postgres => "40P01",
        Kind::MariaDb => "1213",
    };
    ledger_fails(&db, deadlock, 1_000_000).await;
    let charged = charge(&db, Some(key("a"))).await;
    assert!(
        matches!(charged, Err(StoreError::Unavailable(_))),
        "{charged:?}"
    );
    assert_eq!(db.balance(USER.0).await, 0);
    db.close().await;
}

async fn a_short_failover_causes_no_error(kind: Kind) {
    let Some((db, mut proxy)) = Opened::through_proxy(kind).await else {
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

async fn a_connection_that_does_not_answer_is_replaced_alone(kind: Kind) {
    let options = PoolOptions {
        connections: 2,
        idle: Duration::ZERO,
        ..PoolOptions::default()
    };
    let Some((db, mut proxy)) = Opened::through_proxy_with(kind, options).await else {
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
    kind: Kind,
    key: Option<Idempotency>,
) -> Option<(Opened, Proxy, Result<Keyed<ChargeOutcome>, StoreError>)> {
    let (db, mut proxy) = Opened::through_proxy(kind).await?;
    // The connection is open and the statement prepared, so the next message is the statement itself.
    charge(&db, key.clone().map(|_| super::key("before")))
        .await
        .unwrap();
    proxy.delay(Duration::from_secs(3));
    let count = format!("SELECT count(*) FROM {}.ledger", db.dataset());
    let (charged, ()) = tokio::join!(charge(&db, key), async {
        eventually("it is done", || async {
            (db.server().sql(&count).await == "2").then_some(())
        })
        .await;
        proxy.cut().await;
        proxy.delay(Duration::ZERO);
        proxy.open().await;
    });
    Some((db, proxy, charged))
}

/// Makes each insert of a place take five seconds: in PostgreSQL the COMMIT, in MariaDB, where the procedure contains it,
/// the call.
async fn places_are_slow(db: &Opened) {
    db.tamper(match db.server().kind() {
        Kind::Postgres => {
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
                 'BEGIN PERFORM pg_sleep(5); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON queue_places
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
        }
        Kind::MariaDb => {
            "CREATE TRIGGER wait AFTER INSERT ON queue_places FOR EACH ROW SET @waited = SLEEP(5)"
        }
    })
    .await;
}

async fn a_place_whose_commit_outlasts_the_time_out_is_answered(kind: Kind) {
    let options = PoolOptions {
        timeout: Duration::from_secs(3),
        statement_timeout: Duration::from_secs(20),
        ..PoolOptions::default()
    };
    let Some(db) = Opened::with(kind, options).await else {
        return;
    };
    places_are_slow(&db).await;
    let (now, none) = (Timestamp(5), Place(0));
    let next = db.store.register_next(USER, now, none, none, None).await;
    assert!(matches!(next, Ok(NextPlace::New(Place(1)))), "{next:?}");
    assert_eq!(db.store.standing(USER).await.unwrap(), Some(Place(1)));
    db.close().await;
}

async fn a_charge_with_a_key_whose_answer_is_lost_is_retried_and_done_once(kind: Kind) {
    let lost = charge_whose_answer_is_lost(kind, Some(key("a"))).await;
    let Some((db, _proxy, charged)) = lost else {
        return;
    };
    let replayed = matches!(charged, Ok(Keyed::Replayed(ChargeOutcome::Charged { .. })));
    assert!(replayed, "{charged:?}");
    let before_and_now = 2 * AMOUNT;
    assert_eq!(db.balance(USER.0).await, before_and_now);
    db.close().await;
}

async fn a_charge_without_a_key_whose_answer_is_lost_is_not_repeated(kind: Kind) {
    let Some((db, _proxy, charged)) = charge_whose_answer_is_lost(kind, None).await else {
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
    let users = format!("{}.users", db.dataset());
    let lock = format!("SELECT 1 FROM {users} WHERE id = {} FOR UPDATE", USER.0);
    db.server().hold(&lock).await
}

async fn a_call_that_finds_no_free_connection_fails_within_the_acquire_time_out(kind: Kind) {
    let options = PoolOptions {
        connections: 1,
        acquire_timeout: Duration::from_millis(200),
        ..PoolOptions::default()
    };
    let Some(db) = Opened::with(kind, options).await else {
        return;
    };
    let locked = user_is_locked(&db).await;
    let (charged, ()) = tokio::join!(charge(&db, None), async {
        eventually("the one connection is lent", || async {
            let refused = db.store.balance(UserId(2)).await;
            matches!(refused, Err(StoreError::Overloaded)).then_some(())
        })
        .await;
        drop(locked);
    });
    assert!(charged.is_ok(), "{charged:?}");
    assert_eq!(db.balance(2).await, 0, "the connection is free again");
    db.close().await;
}

async fn a_hanging_statement_ends_at_its_time_out_and_has_no_effect(kind: Kind) {
    let options = PoolOptions {
        connections: 1,
        statement_timeout: Duration::from_millis(300),
        ..PoolOptions::default()
    };
    let Some(db) = Opened::with(kind, options).await else {
        return;
    };
    let locked = user_is_locked(&db).await;
    let charged = charge(&db, None).await;
    match kind {
        Kind::Postgres => assert!(
            matches!(
                charged,
                Err(StoreError::Timeout(_) | StoreError::Unavailable(_))
            ),
            "{charged:?}"
        ),
        // It does not say whether the time-out ended the procedure before or after its commit.
        Kind::MariaDb => assert!(charged.is_err(), "{charged:?}"),
    }
    assert_eq!(db.balance(2).await, 0);
    drop(locked);
    charge(&db, None).await.unwrap();
    let only_the_second = AMOUNT;
    assert_eq!(db.balance(USER.0).await, only_the_second);
    db.close().await;
}

/// Each payment is decided before it sees the other payments.
async fn payments_of_all_holds_at_once_end_the_place(kind: Kind) {
    let Some(db) = Opened::shared(kind).await else {
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
            (db.server().waiting().await == 3).then_some(())
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

/// What the store hands out to the user while another server commits `place` of `owner`.
async fn handed_out_beside(db: &Opened, place: i64, owner: i64) -> NextPlace {
    let places = format!("{}.queue_places", db.dataset());
    let insert =
        format!("INSERT INTO {places} (place, user_id, issued_at) VALUES ({place}, {owner}, 1)");
    let inserting = db.server().hold(&insert).await;
    let (now, none) = (Timestamp(7), Place(0));
    let asked = db
        .store
        .register_next(USER, now, none, none, Some(key("k")));
    let (answer, ()) = tokio::join!(asked, async {
        eventually("the insert is awaited", || async {
            (db.server().waiting().await == 1).then_some(())
        })
        .await;
        inserting.commit().await;
    });
    answer.unwrap()
}

/// The repeat must get the token of that place, so the store makes no ticket of its own for it.
async fn a_place_that_another_server_commits_meanwhile_is_the_users(kind: Kind) {
    let Some(db) = Opened::shared(kind).await else {
        return;
    };
    let answer = handed_out_beside(&db, 5, USER.0).await;
    assert_eq!(answer, NextPlace::Already(Place(5)));
    assert_eq!(db.store.ticket(USER, key("k")).await.unwrap(), None);
    db.close().await;
}

async fn a_number_that_another_server_takes_meanwhile_is_not_handed_out(kind: Kind) {
    let Some(db) = Opened::shared(kind).await else {
        return;
    };
    let answer = handed_out_beside(&db, 1, USER.0 + 1).await;
    assert_eq!(answer, NextPlace::New(Place(2)));
    db.close().await;
}

async fn a_database_that_is_killed_under_traffic_loses_no_acknowledged_charge(kind: Kind) {
    let Some(mut db) = Opened::shared(kind).await else {
        return;
    };
    let mut server = db.take_server();
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
            server.kill();
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

async fn calls_to_a_stopped_database_end_and_it_is_used_again_when_it_continues(kind: Kind) {
    let options = PoolOptions {
        timeout: Duration::from_secs(1),
        ..PoolOptions::default()
    };
    let Some(mut db) = Opened::with(kind, options).await else {
        return;
    };
    charge(&db, None).await.unwrap();
    db.server_mut().stall();
    let (read, written) = tokio::join!(db.store.balance(USER), charge(&db, Some(key("a"))));
    assert!(read.is_err(), "{read:?}");
    assert!(written.is_err(), "{written:?}");
    db.server_mut().resume();
    let again = eventually("it answers again", || async {
        charge(&db, Some(key("a"))).await.ok()
    });
    assert!(matches!(again.await, Keyed::Fresh(_) | Keyed::Replayed(_)));
    assert_eq!(db.balance(USER.0).await, 2 * AMOUNT, "once under its key");
    db.close().await;
}
