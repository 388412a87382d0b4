//! The invariants of the soak find each kind of damage: one row that agrees with the facts is changed, and the finding
//! names it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::soak::client::{Doubt, Reply, Verdict};
use crate::soak::invariants::{Findings, compare};
use crate::soak::journal::{Facts, Intent, unix_ms};
use crate::soak::snapshot::{AdmissionRow, LedgerRow, PlaceRow, ReservationRow, Snapshot, status};

/// Two users registered; the first charged 500, holds reservation 1 and paid it.
fn facts() -> Facts {
    let mut facts = Facts::default();
    let mut done = |intent: Intent, reply: Reply| {
        facts.begin(&intent);
        facts.settle(&intent, Verdict::Done, Instant::now(), &reply);
        // The next request is sent after this one was acknowledged.
        std::thread::sleep(Duration::from_micros(10));
    };
    done(Intent::Register { user: 1 }, place(1));
    done(Intent::Register { user: 2 }, place(2));
    done(
        Intent::Charge {
            user: 1,
            amount: 500,
        },
        Reply::default(),
    );
    let reserve = Intent::Reserve {
        user: 1,
        seat: 7,
        price: 300,
    };
    done(reserve, reservation(1));
    done(Intent::Pay { reservation: 1 }, Reply::default());
    facts
}

fn place(number: u64) -> Reply {
    Reply {
        status: 201,
        token: Some("token".to_owned()),
        body: json!({ "waitId": number }),
    }
}

fn reservation(id: i64) -> Reply {
    Reply {
        status: 201,
        token: None,
        body: json!({ "reservationId": id, "expiresAt": "2999-01-01T00:00:00.000Z" }),
    }
}

/// The rows that agree with [`facts`].
fn rows() -> Snapshot {
    let place = |place, user| PlaceRow {
        place,
        user,
        ended: false,
    };
    let entry = |amount, kind, reservation| LedgerRow {
        user: 1,
        amount,
        reservation,
        kind,
    };
    let paid = ReservationRow {
        seat: 7,
        user: 1,
        price: 300,
        status: status::PAID,
        expires_at: unix_ms(),
    };
    Snapshot {
        places: vec![place(1, 1), place(2, 2)],
        admissions: vec![
            AdmissionRow {
                watermark: 1,
                at: 10,
            },
            AdmissionRow {
                watermark: 2,
                at: 20,
            },
        ],
        reservations: [(1, paid)].into(),
        ledger: vec![entry(500, 0, None), entry(300, 1, Some(1))],
        balances: [(1, 200)].into(),
        seats: [(7, 2)].into(),
    }
}

fn found(facts: &Facts, rows: &Snapshot) -> Findings {
    compare(facts, rows, 1)
}

#[test]
fn rows_that_agree_with_the_facts_violate_no_invariant() {
    let findings = found(&facts(), &rows());
    assert_eq!(findings.violations().count(), 0, "{findings:?}");
}

/// A kind of damage, and the list of findings that must name it.
type Damage = (
    &'static str,
    fn(&mut Snapshot),
    fn(&Findings) -> &Vec<String>,
);

#[test]
fn every_damage_to_the_rows_is_found() {
    let damages: [Damage; 15] = [
        (
            "a place is missing",
            |rows| _ = rows.places.remove(0),
            |it| &it.lost,
        ),
        (
            "a place is another's",
            |rows| rows.places[1].user = 9,
            |it| &it.lost,
        ),
        (
            "a user has two places",
            |rows| {
                rows.places.push(PlaceRow {
                    place: 3,
                    user: 2,
                    ended: false,
                })
            },
            |it| &it.duplicates,
        ),
        (
            "the watermark fell",
            |rows| rows.admissions[1].at = 5,
            |it| &it.wrong,
        ),
        (
            "a batch is too large",
            |rows| rows.admissions[1].watermark = 4,
            |it| &it.wrong,
        ),
        (
            "a reservation is missing",
            |rows| rows.reservations.clear(),
            |it| &it.lost,
        ),
        (
            "a reservation has another price",
            |rows| rows.reservations.get_mut(&1).unwrap().price = 1,
            |it| &it.lost,
        ),
        (
            "a payment was undone",
            |rows| rows.reservations.get_mut(&1).unwrap().status = status::EXPIRED,
            |it| &it.lost,
        ),
        (
            "a seat has two owners",
            |rows| _ = rows.reservations.insert(2, rows.reservations[&1]),
            |it| &it.oversold,
        ),
        (
            "a reservation without a request",
            |rows| _ = rows.reservations.insert(2, rows.reservations[&1]),
            |it| &it.duplicates,
        ),
        (
            "a sold seat is free",
            |rows| rows.seats.clear(),
            |it| &it.wrong,
        ),
        (
            "a charge is missing",
            |rows| _ = rows.ledger.remove(0),
            |it| &it.lost,
        ),
        (
            "a charge is there twice",
            |rows| rows.ledger.push(rows.ledger[0]),
            |it| &it.duplicates,
        ),
        (
            "a payment is missing",
            |rows| _ = rows.ledger.remove(1),
            |it| &it.lost,
        ),
        (
            "a balance is wrong",
            |rows| _ = rows.balances.insert(1, 201),
            |it| &it.wrong,
        ),
    ];
    for (what, damage, list) in damages {
        let mut rows = rows();
        damage(&mut rows);
        let findings = found(&facts(), &rows);
        assert!(!list(&findings).is_empty(), "{what}: {findings:?}");
    }
}

#[test]
fn a_refused_write_that_was_done_is_found() {
    let mut facts = facts();
    let intent = Intent::Charge {
        user: 1,
        amount: 500,
    };
    facts.settle(&intent, Verdict::Refused, Instant::now(), &Reply::default());
    assert_eq!(found(&facts, &rows()).wrong.len(), 1);
}

#[test]
fn an_unknown_write_may_be_done_or_not_and_is_counted() {
    let (mut facts, mut rows) = (facts(), rows());
    let intent = Intent::Charge {
        user: 1,
        amount: 500,
    };
    let unknown = Verdict::Unknown(Doubt::ServerError);
    facts.settle(&intent, unknown, Instant::now(), &Reply::default());
    let findings = found(&facts, &rows);
    assert_eq!(
        (
            findings.violations().count(),
            findings.unacknowledged.server_error
        ),
        (0, 1)
    );
    rows.ledger.remove(0);
    rows.balances.insert(1, -300);
    let findings = found(&facts, &rows);
    assert_eq!(
        (
            findings.violations().count(),
            findings.unacknowledged.server_error
        ),
        (0, 0)
    );
    assert_eq!(findings.unknown, 1);
}

#[test]
fn a_later_user_with_an_earlier_place_is_found() {
    let mut facts = Facts::default();
    for (user, number) in [(1, 2), (2, 1)] {
        let intent = Intent::Register { user };
        let sent = Instant::now();
        facts.begin(&intent);
        facts.settle(&intent, Verdict::Done, sent, &place(number));
        std::thread::sleep(Duration::from_micros(10));
    }
    let row = |place, user| PlaceRow {
        place,
        user,
        ended: false,
    };
    let rows = Snapshot {
        places: vec![row(1, 2), row(2, 1)],
        ..Snapshot::default()
    };
    assert_eq!(found(&facts, &rows).wrong.len(), 1);
}

#[test]
fn a_seat_acknowledged_to_two_users_is_found_without_the_database() {
    let mut facts = facts();
    let other = Intent::Reserve {
        user: 2,
        seat: 7,
        price: 300,
    };
    facts.begin(&other);
    facts.settle(&other, Verdict::Done, Instant::now(), &reservation(2));
    assert_eq!(facts.violations.len(), 1, "{:?}", facts.violations);
}
