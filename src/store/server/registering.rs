//! Places in the queue: this module makes given places durable in batches, or hands out places itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Dialect;
use super::queue::{signed, ticket, unsigned};
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::batcher::BatchWork;
use crate::store::fault::Fault;
use crate::store::keyed::parts;
use crate::store::pooled::{Pool, Reply};
use crate::store::retry::{Repeat, Retry};
use crate::store::values::{Column, Params, Value};
use crate::store::{Idempotency, Keyed, NewPlace, NextPlace, RegisterOutcome, StoreError};

/// Keys and their fingerprints, as two columns.
fn columns<'a>(keys: impl Iterator<Item = Option<&'a Idempotency>>) -> [Column<'a>; 2] {
    let parts = |key: &'a Idempotency| (key.key.as_str(), key.fingerprint);
    let (names, fingerprints) = keys.map(|key| key.map(parts).unzip()).unzip();
    [Column::KeysOrNull(names), Column::IntsOrNull(fingerprints)]
}

/// Makes given places durable. The answer to a request says whether its place is durable; if not, [`register`] decides
/// it alone.
pub(super) struct Registering<D: Dialect>(pub(super) Arc<Pool<D>>);

impl<D: Dialect> BatchWork for Registering<D> {
    type Request = NewPlace;
    type Answer = bool;

    async fn run(&self, requests: &[NewPlace]) -> Result<Vec<bool>, StoreError> {
        // Sorted by user, so that two servers cannot deadlock.
        let mut sorted: Vec<&NewPlace> = requests.iter().collect();
        sorted.sort_by_key(|new| new.user);
        let ints = |value: fn(&NewPlace) -> i64| {
            Column::Ints(sorted.iter().map(|new| value(new)).collect())
        };
        let [names, fingerprints] = columns(sorted.iter().map(|new| new.key.as_ref()));
        let table = [
            ints(|new| signed(new.place)),
            ints(|new| new.user.0),
            ints(|new| new.now.0),
            names,
            fingerprints,
        ];
        let params: Params<'_> = &[Value::Table(&table)];
        let mut retry = Retry::new(&self.0, statement::QUEUE_REGISTER, Repeat::Safe);
        let reply = loop {
            match retry.run(D::SQL.register_many, params).await {
                Ok(reply) => break reply,
                Err(fault) => retry.again(fault).await?,
            }
        };
        // The time distinguishes the request that inserted the place from a later copy of it.
        let mut kept: HashSet<(i64, i64, i64)> = HashSet::with_capacity(reply.rows.len());
        for row in &reply.rows {
            kept.insert((D::int(row, 0)?, D::int(row, 1)?, D::int(row, 2)?));
        }
        let is_kept = |new: &NewPlace| kept.contains(&(signed(new.place), new.user.0, new.now.0));
        Ok(requests.iter().map(is_kept).collect())
    }
}

/// Makes one place durable, or finds out why it cannot be.
pub(super) async fn register<D: Dialect>(
    retry: &mut Retry<'_, D>,
    new: &NewPlace,
) -> Result<RegisterOutcome, StoreError> {
    let (name, fingerprint) = parts(new.key.as_ref());
    let params: Params<'_> = &[
        signed(new.place).into(),
        new.user.0.into(),
        new.now.0.into(),
        new.replaces.map(signed).into(),
        name,
        fingerprint,
    ];
    loop {
        if let Some(decided) = by_ticket(retry, new).await? {
            return Ok(decided);
        }
        let why = match retry.run(D::SQL.register_one, params).await {
            Ok(reply) => match reply.rows.first().map(outcome::<D>).transpose()?.flatten() {
                Some(Found::Own) => return inserted_before(retry, new).await,
                Some(Found::Outcome(outcome)) => return Ok(outcome),
                None => "the place was taken meanwhile".to_owned(),
            },
            // Another server inserted a place of the same user, or a place with this number. The next attempt sees it.
            Err(Fault::Violates(index)) => index,
            Err(fault) => return Err(fault.into()),
        };
        retry.repeated(why).await?;
    }
}

/// The outcome if a valid ticket is stored under the key. `None` without a key or without such a ticket.
async fn by_ticket<D: Dialect>(
    retry: &mut Retry<'_, D>,
    new: &NewPlace,
) -> Result<Option<RegisterOutcome>, StoreError> {
    let Some(key) = &new.key else { return Ok(None) };
    let has_ended = |place: Place| place <= new.expired_up_to || Some(place) == new.replaces;
    Ok(match ticket(retry, new.user, key).await? {
        Some(Keyed::Mismatch) => Some(RegisterOutcome::Mismatch),
        Some(Keyed::Replayed(ticket) | Keyed::Fresh(ticket)) if !has_ended(ticket.place()) => {
            Some(RegisterOutcome::Replayed(ticket))
        }
        _ => None,
    })
}

/// Decides the outcome when the user already has this place. An earlier attempt of this request inserted it, or a copy
/// of the request, whose ticket is then the answer, or another registration of the user: a queue that lost its last
/// places may give one of them to its own user. Without a key the time tells the first from the last.
async fn inserted_before<D: Dialect>(
    retry: &mut Retry<'_, D>,
    new: &NewPlace,
) -> Result<RegisterOutcome, StoreError> {
    if new.key.is_none() {
        let reply = retry.run(D::SQL.lives, &[signed(new.place).into()]).await?;
        let since = reply.rows.first().map(|row| D::int(row, 0)).transpose()?;
        return Ok(match since == Some(new.now.0) {
            true => RegisterOutcome::Kept,
            false => RegisterOutcome::Standing(new.place),
        });
    }
    let decided = by_ticket(retry, new).await?;
    Ok(decided.unwrap_or(RegisterOutcome::Standing(new.place)))
}

/// The meaning of a row of [`Statements::register_one`](super::Statements).
enum Found {
    /// The user already has this place.
    Own,
    Outcome(RegisterOutcome),
}

/// Reads the result of a row. `None` means that another attempt must decide.
fn outcome<D: Dialect>(row: &D::Row) -> Result<Option<Found>, Fault> {
    let [inserted, own, taken] = [
        D::int(row, 0)? != 0,
        D::int(row, 1)? != 0,
        D::int(row, 2)? != 0,
    ];
    Ok(if inserted {
        Some(Found::Outcome(RegisterOutcome::Kept))
    } else if own {
        Some(Found::Own)
    } else if taken {
        let last = unsigned(D::int(row, 3)?);
        Some(Found::Outcome(RegisterOutcome::NumberTaken(last)))
    } else {
        let kept_instead = D::opt(row, 4)?.map(unsigned);
        kept_instead.map(|place| Found::Outcome(RegisterOutcome::Standing(place)))
    })
}

/// A request for a place that the store hands out.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) user: UserId,
    pub(super) now: Timestamp,
    pub(super) above: Place,
    pub(super) expired_up_to: Place,
    pub(super) key: Option<Idempotency>,
}

/// Hands out places. Only one server does this at a time.
pub(super) struct HandingOut<D: Dialect>(pub(super) Arc<Pool<D>>);

impl<D: Dialect> BatchWork for HandingOut<D> {
    type Request = Wanted;
    type Answer = NextPlace;

    async fn run(&self, requests: &[Wanted]) -> Result<Vec<NextPlace>, StoreError> {
        let mut seen: HashSet<UserId> = HashSet::with_capacity(requests.len());
        let unique = requests.iter().filter(|wanted| seen.insert(wanted.user));
        let unique: Vec<&Wanted> = unique.collect();
        let ints = |value: fn(&Wanted) -> i64| {
            Column::Ints(unique.iter().map(|wanted| value(wanted)).collect())
        };
        let [names, fingerprints] = columns(unique.iter().map(|wanted| wanted.key.as_ref()));
        let table = [
            ints(|wanted| wanted.user.0),
            ints(|wanted| wanted.now.0),
            ints(|wanted| signed(wanted.expired_up_to)),
            names,
            fingerprints,
        ];
        let above = requests.iter().map(|wanted| signed(wanted.above)).max();
        let params: Params<'_> = &[Value::Table(&table), above.unwrap_or(0).into()];
        let mut retry = Retry::new(&self.0, statement::QUEUE_REGISTER_NEXT, Repeat::Safe);
        loop {
            let handed_out = match D::SQL.hand_out_turn {
                Some(turn) => {
                    let committing = AtomicBool::new(false);
                    let attempt = self.in_turn(turn, params, &committing);
                    retry.transaction(&committing, attempt).await
                }
                None => retry.run(D::SQL.hand_out, params).await,
            };
            match handed_out {
                Ok(reply) => return answers::<D>(requests, &reply.rows, retry.uncertain()),
                Err(fault) => retry.again(fault).await?,
            }
        }
    }
}

impl<D: Dialect> HandingOut<D> {
    /// Hands out places in a transaction that begins with `turn`. Sets `committing` before the COMMIT.
    async fn in_turn(
        &self,
        turn: &str,
        params: Params<'_>,
        committing: &AtomicBool,
    ) -> Result<Reply<D::Row>, Fault> {
        let mut lease = self.0.lend().await?;
        lease.begin(turn).await?;
        let reply = lease.run(D::SQL.hand_out, params).await?;
        committing.store(true, Ordering::Relaxed);
        lease.commit().await?;
        Ok(reply)
    }
}

/// The answer to each request. `uncertain` means that an earlier attempt may already have handed out the places.
fn answers<D: Dialect>(
    requests: &[Wanted],
    rows: &[D::Row],
    uncertain: bool,
) -> Result<Vec<NextPlace>, StoreError> {
    let mut places: HashMap<UserId, (Place, Option<Timestamp>)> = HashMap::new();
    for row in rows {
        let since = D::opt(row, 2)?.map(Timestamp);
        places.insert(UserId(D::int(row, 0)?), (unsigned(D::int(row, 1)?), since));
    }
    let answer = |wanted: &Wanted| {
        let (place, since) = places
            .get_mut(&wanted.user)
            .ok_or_else(|| StoreError::Unavailable("it gave no place".to_owned()))?;
        let by_lost_attempt = uncertain && *since == Some(wanted.now);
        let fresh = since.is_none() || by_lost_attempt;
        // A second request of the same user gets the place as one that existed before.
        *since = Some(Timestamp(i64::MIN));
        Ok(match fresh {
            true => NextPlace::New(*place),
            false => NextPlace::Already(*place),
        })
    };
    requests.iter().map(answer).collect()
}
