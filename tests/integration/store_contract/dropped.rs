//! Drops every operation of a shared database at each of its await points, as when a client disconnects. This must
//! leave no open transaction, no lock, and no connection on which another operation gets a wrong answer.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use concertctl::domain::queue::Admission;
use concertctl::domain::{
    Money, PerformanceDateId, Place, ReservationId, SeatId, SeatStatus, Timestamp, UserId,
};
use concertctl::store::postgres::PgOptions as PoolOptions;
use concertctl::store::{Fact, Keyed, NewPlace, Pay, Reserve, ReserveOutcome, StoreError};
use futures_util::future::{join, join_all};

use super::opened::{PRICE, new_place, place, wish};
use super::{Opened, key, on_each_database};
use crate::support::database::Kind;
use crate::support::eventually;

on_each_database!(
    an_operation_dropped_at_any_await_point_leaves_nothing_behind,
    a_dropped_charge_is_decided_by_its_repeat,
);

/// More polls than any operation has await points.
const MOST_POLLS: usize = 3_000;
/// More polls than a connection to MariaDB needs, or than any operation that finds an open connection.
const EACH_UP_TO: usize = 16;

/// The next number of polls. PostgreSQL's driver yields hundreds of times while it hashes the password, so some numbers
/// above [`EACH_UP_TO`] are left out.
fn after(polls: usize) -> usize {
    match polls < EACH_UP_TO {
        true => polls + 1,
        false => polls + polls / 4,
    }
}

/// The operations in the order of the test. The last ones sell seats and use up places.
const OPERATIONS: [&str; 26] = [
    "catalog",
    "queue_snapshot",
    "ticket",
    "standing",
    "has_ended",
    "preview",
    "replay",
    "seats_of",
    "seat_counts",
    "reservations_of",
    "balance",
    "audit",
    "missing",
    "done",
    "ping",
    "register",
    "register_next",
    "admit",
    "save_admission",
    "reserve",
    "remember_refusal",
    "cancel",
    "expire_holds",
    "forget_answers",
    "charge",
    "pay",
];

/// One operation of each kind. These are also dropped while they connect, because that is the same for all operations
/// of a kind.
const CONNECTING: [&str; 4] = ["balance", "audit", "register", "reserve"];

/// Operations that end only with the store, or never.
const OTHERS: [&str; 2] = ["close", "hold_connections"];

#[test]
fn every_operation_is_dropped() {
    let text = include_str!("../../../src/store/backend.rs");
    let names = text.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix("pub async fn ")?;
        rest.split(['(', '<']).next()
    });
    let all: BTreeSet<&str> = names.filter(|name| !OTHERS.contains(name)).collect();
    assert_eq!(all, BTreeSet::from(OPERATIONS));
}

/// The users whose balances are checked. Each has a different balance, so that the answer to another query is detected.
const READERS: std::ops::RangeInclusive<i64> = 45..=50;
/// The user of most operations. The users from 1 to this number have the places with their numbers.
const USER: i64 = 40;
/// Users without a place.
const REGISTERS: i64 = 41;
const REGISTERS_NEXT: i64 = 42;
/// The seats of the contract's dataset.
const SEATS: i64 = 40;

/// Polls `future` at most `polls` times, and then drops it. Returns its output if it ended.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut polled) = (pin!(future), 0);
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// One attempt: its number among all attempts, and among those of its operation.
#[derive(Clone, Copy)]
struct Attempt {
    nth: i64,
    of_operation: i64,
    /// The seat that [`prepare`] found. It is free, or held for `reservation`.
    seat: i64,
    reservation: ReservationId,
}

/// Ends all holds, finds a free seat, and holds it if the operation needs a hold.
async fn prepare(db: &Opened, operation: &str, nth: i64, of_operation: i64) -> Attempt {
    db.expire(1_000, 100).await;
    let mut seat = SEATS;
    while db.status(seat).await != SeatStatus::Available {
        seat -= 1;
    }
    let reservation = match operation {
        "cancel" => db.reserved(USER, seat).await,
        "pay" => db.reserved(of_operation, seat).await,
        // The hold is in the past, so that it has expired.
        "expire_holds" => {
            db.reserved(USER, seat).await;
            ReservationId(0)
        }
        _ => ReservationId(0),
    };
    Attempt {
        nth,
        of_operation,
        seat,
        reservation,
    }
}

/// Runs an operation that changes nothing; `None` if `operation` is not one.
async fn read(db: &Opened, operation: &str) -> Option<Result<(), StoreError>> {
    let (store, user, name) = (&db.store, UserId(USER), key("none"));
    Some(match operation {
        "catalog" => store.catalog().await.map(drop),
        "queue_snapshot" => store.queue_snapshot().await.map(drop),
        "ticket" => store.ticket(user, name).await.map(drop),
        "standing" => store.standing(user).await.map(drop),
        "has_ended" => store.has_ended(Place(1)).await.map(drop),
        "preview" => {
            let preview = store.preview(SeatId(1), user, Some(name), Timestamp(5));
            preview.await.map(drop)
        }
        "replay" => store.replay::<ReserveOutcome>(user, name).await.map(drop),
        "seats_of" => store.seats_of(PerformanceDateId(1)).await.map(drop),
        "seat_counts" => store.seat_counts().await.map(drop),
        "reservations_of" => {
            let reservations = store.reservations_of(user, ReservationId(0), 10);
            reservations.await.map(drop)
        }
        "balance" => store.balance(user).await.map(drop),
        "audit" => store.audit().await.map(drop),
        "missing" => {
            let facts = vec![
                Fact::Place(Place(1), UserId(1)),
                Fact::Charges(user, Money(1)),
            ];
            store.missing(facts).await.map(drop)
        }
        "done" => store.done(vec![(user, "none".to_owned())]).await.map(drop),
        "ping" => store.ping().await,
        _ => return None,
    })
}

/// Runs an operation that writes.
async fn write(db: &Opened, operation: &str, attempt: Attempt) -> Result<(), StoreError> {
    let (store, user, nth) = (&db.store, UserId(USER), attempt.nth);
    let name = key(&format!("{operation} {nth}"));
    let above = Place(1_000 + 10 * nth.unsigned_abs());
    match operation {
        "register" => {
            let new = NewPlace {
                expired_up_to: Place(above.0 - 1),
                key: Some(name),
                ..new_place(above.0, REGISTERS)
            };
            store.register(new).await.map(drop)
        }
        "register_next" => {
            let user = UserId(REGISTERS_NEXT);
            let next = store.register_next(user, Timestamp(1), above, above, Some(name));
            next.await.map(drop)
        }
        "admit" => store.admit(Place(nth.unsigned_abs()), Timestamp(nth)).await,
        "save_admission" => store.save_admission(Admission::default()).await,
        "reserve" => {
            let wish: Reserve = wish(USER, attempt.seat);
            store.reserve(wish, Some(name)).await.map(drop)
        }
        "remember_refusal" => {
            let refused = ReserveOutcome::Taken;
            let remember = store.remember_refusal(user, name, refused, Timestamp(1));
            remember.await.map(drop)
        }
        "cancel" => {
            let cancel = store.cancel(attempt.reservation, user, Timestamp(11), Some(name));
            cancel.await.map(drop)
        }
        "expire_holds" => store.expire_holds(Timestamp(1_000), 10).await.map(drop),
        "forget_answers" => store.forget_answers(Timestamp(2), 10).await.map(drop),
        "charge" => {
            let charge = store.charge(user, Money(1), Timestamp(5), Some(name));
            charge.await.map(drop)
        }
        "pay" => {
            let user = attempt.of_operation;
            let pay = Pay {
                user: UserId(user),
                reservation: attempt.reservation,
                place: place(user),
                now: Timestamp(11),
            };
            store.pay(pay, Some(name)).await.map(drop)
        }
        other => panic!("{other} is not known"),
    }
}

/// Checks the answers on both connections, and that no transaction is open and nothing is locked.
async fn nothing_is_left(db: &Opened, what: &str) {
    let reads = READERS.map(|user| db.store.balance(UserId(user)));
    let balances: Vec<_> = join_all(reads)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let expected: Vec<_> = READERS.map(|user| Some(Money(user * 1_000))).collect();
    assert_eq!(balances, expected, "{what}");
    // The statement fails at once if another transaction has a lock on one of the rows.
    let tables = [
        "users",
        "seats",
        "reservations",
        "queue_places",
        "idempotency",
        "meta",
    ];
    let locks = tables.map(|table| format!("SELECT 1 FROM {table} FOR UPDATE NOWAIT"));
    let (locks, dataset, server) = (locks.join("; "), db.dataset(), db.server());
    // A server notices a closed connection after a moment.
    eventually(&format!("{what}: no transaction is open"), || async {
        (server.open_transactions().await == 0).then_some(())
    })
    .await;
    eventually(&format!("{what}: no row is locked"), || async {
        server.tamper(&dataset, &locks).await.ok()
    })
    .await;
}

/// The named locks other than those of the presence.
async fn named_locks(db: &Opened) -> String {
    let sql = match db.server().kind() {
        Kind::Postgres => "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
        Kind::MariaDb => "SELECT IS_USED_LOCK('concertctl:concert')",
    };
    db.server().sql(sql).await
}

async fn two_connections(kind: Kind) -> Option<Opened> {
    let options = PoolOptions {
        connections: 2,
        ..PoolOptions::default()
    };
    let db = Opened::with(kind, options).await?;
    db.standing(USER).await;
    for user in READERS {
        db.charged(user, user * 1_000).await;
    }
    for user in 1..=USER {
        db.charged(user, PRICE).await;
    }
    Some(db)
}

/// Closes the connections of the pool, so that the next operation opens one.
async fn close_connections(db: &Opened) {
    // Each has sent its statement when it is dropped, unless the answer came at once.
    let read = |user| dropped_after(1, db.store.balance(UserId(user)));
    while !matches!(join(read(1), read(2)).await, (None, None)) {}
}

async fn an_operation_dropped_at_any_await_point_leaves_nothing_behind(kind: Kind) {
    let Some(db) = two_connections(kind).await else {
        return;
    };
    let (mut nth, locks) = (0, named_locks(&db).await);
    for operation in OPERATIONS {
        let mut of_operation = 0;
        let variants = match CONNECTING.contains(&operation) {
            true => [false, true].as_slice(),
            false => &[false],
        };
        for connects in variants {
            let (mut polls, mut ended) = (0, false);
            while !ended {
                assert!(
                    polls <= MOST_POLLS,
                    "{operation}: {polls} polls are too few"
                );
                (nth, of_operation) = (nth + 1, of_operation + 1);
                let attempt = prepare(&db, operation, nth, of_operation).await;
                if *connects {
                    close_connections(&db).await;
                }
                let work = async {
                    match read(&db, operation).await {
                        Some(done) => done,
                        None => write(&db, operation, attempt).await,
                    }
                };
                if let Some(done) = dropped_after(polls, Box::pin(work)).await {
                    done.unwrap_or_else(|error| panic!("{operation}: {error}"));
                    ended = true;
                }
                nothing_is_left(&db, &format!("{operation} after {polls} polls")).await;
                polls = after(polls);
            }
            println!("{operation}, connects {connects}: fewer than {polls} polls");
        }
    }
    assert_eq!(named_locks(&db).await, locks);
    db.assert_sound().await;
    db.close().await;
}

async fn a_dropped_charge_is_decided_by_its_repeat(kind: Kind) {
    let Some(db) = two_connections(kind).await else {
        return;
    };
    let (user, before) = (UserId(USER), db.balance(USER).await);
    for polls in 0.. {
        let name = key(&format!("charge {polls}"));
        let charge = || {
            db.store
                .charge(user, Money(1), Timestamp(5), Some(name.clone()))
        };
        let ended = dropped_after(polls, charge()).await;
        // The repeat succeeds whether or not the first attempt was done.
        let repeat = charge().await.unwrap();
        assert!(!matches!(repeat, Keyed::Mismatch), "{repeat:?}");
        let charges = i64::try_from(polls).unwrap() + 1;
        assert_eq!(db.balance(USER).await, before + charges);
        if ended.is_some() {
            break;
        }
        assert!(polls < MOST_POLLS, "{polls} polls are too few");
    }
    db.assert_sound().await;
    db.close().await;
}
