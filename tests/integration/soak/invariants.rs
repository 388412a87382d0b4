//! Compares the facts of the clients with the rows of the database. This code shares nothing with the audit of the
//! service.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::client::{Doubt, Verdict};
use super::journal::{Doubts, Facts, unix_ms};
use super::snapshot::{Snapshot, status};

/// The result of the comparison.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Writes that were acknowledged and are missing in the database, or differ there.
    pub lost: Vec<String>,
    /// A seat with two owners.
    pub oversold: Vec<String>,
    /// Intents that were written twice, and rows that no request explains.
    pub duplicates: Vec<String>,
    /// All other violations, such as a wrong order or balance.
    pub wrong: Vec<String>,
    /// Writes in the database with an outcome that is unknown to the client.
    pub unacknowledged: Doubts,
    /// Writes with an outcome that is unknown to the client, whether they were done or not.
    pub unknown: u32,
}

impl Findings {
    pub fn violations(&self) -> impl Iterator<Item = &String> {
        let all = [&self.lost, &self.oversold, &self.duplicates, &self.wrong];
        all.into_iter().flatten()
    }
}

/// The largest batch that was ever set bounds every step of the watermark.
pub fn compare(facts: &Facts, rows: &Snapshot, largest_batch: u64) -> Findings {
    let mut found = Findings::default();
    found.wrong.extend(facts.violations.iter().cloned());
    places(facts, rows, &mut found);
    order(facts, &mut found);
    admission(facts, rows, largest_batch, &mut found);
    reservations(facts, rows, &mut found);
    seats(rows, &mut found);
    charges(facts, rows, &mut found);
    payments(facts, rows, &mut found);
    balances(rows, &mut found);
    found
}

fn places(facts: &Facts, rows: &Snapshot, found: &mut Findings) {
    let users: HashMap<u64, i64> = rows
        .places
        .iter()
        .map(|row| (row.place, row.user))
        .collect();
    let mut acknowledged = HashSet::new();
    for fact in &facts.places {
        // A keyed repeat of a new journey cannot happen: keys are used for one intent.
        if !acknowledged.insert(fact.place) {
            found
                .duplicates
                .push(format!("place {} was given twice", fact.place));
        }
        if users.get(&fact.place) != Some(&fact.user) {
            let there = users.get(&fact.place);
            found.lost.push(format!(
                "place {} of user {}: {there:?}",
                fact.place, fact.user
            ));
        }
    }
    let mut unexplained: HashMap<i64, u32> = HashMap::new();
    let mut live = HashSet::new();
    for row in &rows.places {
        if !row.ended && !live.insert(row.user) {
            found
                .duplicates
                .push(format!("user {} stands in two places", row.user));
        }
        if !acknowledged.contains(&row.place) {
            *unexplained.entry(row.user).or_default() += 1;
        }
    }
    for (user, doubts) in &facts.doubtful_places {
        explain(*doubts, unexplained.remove(user), found, || {
            format!("places of user {user}")
        });
    }
    for (user, count) in unexplained {
        found.duplicates.push(format!(
            "{count} places of user {user} were never asked for"
        ));
    }
}

/// Counts rows that a doubtful intent explains; more rows than intents are duplicates.
fn explain(doubts: Doubts, there: Option<u32>, found: &mut Findings, what: impl Fn() -> String) {
    let there = there.unwrap_or(0);
    found.unknown += doubts.total();
    if there > doubts.total() {
        let total = doubts.total();
        found.duplicates.push(format!(
            "{} rows, {total} unknown intents: {}",
            there,
            what()
        ));
    }
    let lost_answers = there.min(doubts.no_answer);
    found.unacknowledged.no_answer += lost_answers;
    found.unacknowledged.server_error += (there - lost_answers).min(doubts.server_error);
}

/// A user who registers after another registration was acknowledged has a later place.
fn order(facts: &Facts, found: &mut Findings) {
    let mut by_sent: Vec<_> = facts.places.iter().collect();
    by_sent.sort_by_key(|fact| fact.sent);
    let mut by_acknowledged = by_sent.clone();
    by_acknowledged.sort_by_key(|fact| fact.acknowledged);
    let mut earlier = by_acknowledged.into_iter().peekable();
    let mut highest = 0;
    for fact in by_sent {
        let before = |sent: Instant| move |other: &&_| acknowledged_before(other, sent);
        while let Some(other) = earlier.next_if(before(fact.sent)) {
            highest = highest.max(other.place);
        }
        if fact.place < highest {
            found.wrong.push(format!(
                "place {} of user {} was given after place {highest} was acknowledged",
                fact.place, fact.user
            ));
        }
    }
}

fn acknowledged_before(fact: &super::journal::Placed, sent: Instant) -> bool {
    fact.acknowledged < sent
}

fn admission(facts: &Facts, rows: &Snapshot, largest_batch: u64, found: &mut Findings) {
    let mut before = (0, i64::MIN);
    for row in &rows.admissions {
        let (watermark, at) = before;
        if row.at < at {
            found.wrong.push(format!(
                "watermark {} is older than watermark {watermark}",
                row.watermark
            ));
        }
        if row.watermark - watermark > largest_batch {
            found.wrong.push(format!(
                "a batch of {} after watermark {watermark}",
                row.watermark - watermark
            ));
        }
        before = (row.watermark, row.at);
    }
    let highest = rows.places.last().map_or(0, |row| row.place);
    let doubtful: u32 = facts.doubtful_places.values().map(|it| it.total()).sum();
    if rows.watermark() > highest + u64::from(doubtful) {
        found.wrong.push(format!(
            "watermark {} beyond the last place {highest}",
            rows.watermark()
        ));
    }
}

fn reservations(facts: &Facts, rows: &Snapshot, found: &mut Findings) {
    for (id, fact) in &facts.reservations {
        let there = rows.reservations.get(id);
        let same = there.is_some_and(|row| {
            (row.user, row.seat, row.price) == (fact.user, fact.seat, fact.price)
        });
        if !same {
            found.lost.push(format!(
                "reservation {id}: {fact:?} in the database: {there:?}"
            ));
        }
    }
    let mut unexplained: HashMap<(i64, i64), u32> = HashMap::new();
    for (id, row) in &rows.reservations {
        if !facts.reservations.contains_key(id) {
            *unexplained.entry((row.user, row.seat)).or_default() += 1;
        }
        reservation_status(facts, *id, row, found);
    }
    for (owner, doubts) in &facts.doubtful_reservations {
        let there = unexplained.remove(owner);
        explain(*doubts, there, found, || {
            format!("reservations of (user, seat) {owner:?}")
        });
    }
    for (owner, count) in unexplained {
        found.duplicates.push(format!(
            "{count} reservations of (user, seat) {owner:?} were never asked for"
        ));
    }
}

/// The status agrees with the client's requests and answers.
fn reservation_status(
    facts: &Facts,
    id: i64,
    row: &super::snapshot::ReservationRow,
    found: &mut Findings,
) {
    let (paid, cancelled) = (facts.payments.get(&id), facts.cancels.get(&id));
    let possible = |verdict: Option<&Verdict>| !matches!(verdict, None | Some(Verdict::Refused));
    let done = |verdict: Option<&Verdict>| verdict == Some(&Verdict::Done);
    let wrong = match row.status {
        status::PAID => !possible(paid) || done(cancelled),
        status::CANCELLED => !possible(cancelled) || done(paid),
        status::EXPIRED => row.expires_at > unix_ms() || done(paid) || done(cancelled),
        _ => done(paid) || done(cancelled),
    };
    if wrong {
        let list = if done(paid) || done(cancelled) {
            &mut found.lost
        } else {
            &mut found.wrong
        };
        list.push(format!(
            "reservation {id} has status {}; the client's payment: {paid:?}, cancellation: {cancelled:?}",
            row.status
        ));
    }
    if let (status::CANCELLED, Some(Verdict::Unknown(doubt))) = (row.status, cancelled) {
        unacknowledged(*doubt, found);
    }
    found.unknown += u32::from(matches!(cancelled, Some(Verdict::Unknown(_))));
}

fn unacknowledged(doubt: Doubt, found: &mut Findings) {
    match doubt {
        Doubt::NoAnswer => found.unacknowledged.no_answer += 1,
        Doubt::ServerError => found.unacknowledged.server_error += 1,
    }
}

fn seats(rows: &Snapshot, found: &mut Findings) {
    let mut owners: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    for (id, row) in &rows.reservations {
        if matches!(row.status, status::PENDING | status::PAID) {
            owners.entry(row.seat).or_default().push((*id, row.status));
        }
    }
    for (seat, owners) in &owners {
        if owners.len() > 1 {
            found
                .oversold
                .push(format!("seat {seat} has the live reservations {owners:?}"));
        }
        let expected = if owners[0].1 == status::PAID { 2 } else { 1 };
        if rows.seats.get(seat) != Some(&expected) {
            let there = rows.seats.get(seat);
            found.wrong.push(format!(
                "seat {seat} has status {there:?}, its owners: {owners:?}"
            ));
        }
    }
    for seat in rows.seats.keys().filter(|seat| !owners.contains_key(*seat)) {
        found.wrong.push(format!(
            "seat {seat} is not free and has no live reservation"
        ));
    }
}

fn charges(facts: &Facts, rows: &Snapshot, found: &mut Findings) {
    let mut there: HashMap<i64, Vec<i64>> = HashMap::new();
    for row in rows.ledger.iter().filter(|row| row.kind == 0) {
        there.entry(row.amount).or_default().push(row.user);
    }
    for (amount, fact) in &facts.charges {
        let users = there.remove(amount).unwrap_or_default();
        if users.len() > 1 {
            found
                .duplicates
                .push(format!("charge {amount} was written {} times", users.len()));
        }
        let present = users.first() == Some(&fact.user);
        match fact.verdict {
            Verdict::Done if !present => {
                found
                    .lost
                    .push(format!("charge {amount} of user {}: {users:?}", fact.user));
            }
            Verdict::Refused if !users.is_empty() => {
                found
                    .wrong
                    .push(format!("charge {amount} was refused and is there"));
            }
            Verdict::Unknown(doubt) => {
                found.unknown += 1;
                if present {
                    unacknowledged(doubt, found);
                }
            }
            _ => {}
        }
    }
    for (amount, users) in there {
        found
            .duplicates
            .push(format!("charge {amount} of {users:?} was never asked for"));
    }
}

fn payments(facts: &Facts, rows: &Snapshot, found: &mut Findings) {
    let mut there: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    for row in rows.ledger.iter().filter(|row| row.kind == 1) {
        match row.reservation {
            Some(id) => there.entry(id).or_default().push((row.user, row.amount)),
            None => found
                .wrong
                .push(format!("a payment without reservation: {row:?}")),
        }
    }
    for (id, verdict) in &facts.payments {
        let paid = there.remove(id).unwrap_or_default();
        if paid.len() > 1 {
            found
                .duplicates
                .push(format!("reservation {id} was paid {} times", paid.len()));
        }
        let expected = facts
            .reservations
            .get(id)
            .map(|fact| (fact.user, fact.price));
        let present = !paid.is_empty();
        if present && paid.first().copied() != expected {
            found.wrong.push(format!(
                "payment of reservation {id}: {paid:?}, not {expected:?}"
            ));
        }
        match verdict {
            Verdict::Done if !present => found.lost.push(format!("payment of reservation {id}")),
            Verdict::Refused if present => {
                found.wrong.push(format!(
                    "payment of reservation {id} was refused and is there"
                ));
            }
            Verdict::Unknown(doubt) => {
                found.unknown += 1;
                if present {
                    unacknowledged(*doubt, found);
                }
            }
            _ => {}
        }
        let status = rows.reservations.get(id).map(|row| row.status);
        if present != (status == Some(status::PAID)) {
            found.wrong.push(format!(
                "reservation {id} has status {status:?}, paid: {paid:?}"
            ));
        }
    }
    for (id, paid) in there {
        found.duplicates.push(format!(
            "payment {paid:?} of reservation {id} was never asked for"
        ));
    }
}

fn balances(rows: &Snapshot, found: &mut Findings) {
    let mut sums: HashMap<i64, i64> = HashMap::new();
    for row in &rows.ledger {
        let signed = if row.kind == 0 {
            row.amount
        } else {
            -row.amount
        };
        *sums.entry(row.user).or_default() += signed;
    }
    let users: HashSet<&i64> = sums.keys().chain(rows.balances.keys()).collect();
    for user in users {
        let at = |of: &HashMap<i64, i64>| of.get(user).copied().unwrap_or(0);
        let (balance, sum) = (at(&rows.balances), at(&sums));
        if balance != sum {
            found.wrong.push(format!(
                "user {user} has {balance}, charged − paid is {sum}"
            ));
        }
    }
}
