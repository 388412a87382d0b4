//! Places in the queue: made durable for many users in one statement, or given by the store itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::postgres::PgRow;

use super::columns::{get, int, opt};
use super::queue::{self, signed, unsigned};
use super::{Pool, Retry};
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::batcher::BatchWork;
use crate::store::fault::Fault;
use crate::store::keyed::parts;
use crate::store::retry::Repeat;
use crate::store::values::{Params, Value};
use crate::store::{Idempotency, Keyed, NewPlace, NextPlace, RegisterOutcome, StoreError};

const REGISTER_MANY: &str = include_str!("sql/register_many.sql");

const REGISTER_ONE: &str = include_str!("sql/register_one.sql");

const HAND_OUT: &str = include_str!("sql/hand_out.sql");

/// Waits until no other server gives places. A statement that begins afterwards sees all of theirs.
const TURN: &str = "BEGIN; SELECT 1 FROM meta WHERE key = 'places' FOR UPDATE";

/// Keys and their fingerprints, as two columns.
fn columns<'a>(
    keys: impl Iterator<Item = Option<&'a Idempotency>>,
) -> (Vec<Option<&'a str>>, Vec<Option<i64>>) {
    keys.map(|key| {
        (
            key.map(|key| key.key.as_str()),
            key.map(|key| key.fingerprint),
        )
    })
    .unzip()
}

/// Makes given places durable. The answer is whether that was possible without a closer look.
pub(super) struct Registering(pub(super) Arc<Pool>);

impl BatchWork for Registering {
    type Request = NewPlace;
    type Answer = bool;

    async fn run(&self, requests: &[NewPlace]) -> Result<Vec<bool>, StoreError> {
        // By user, so that two servers do not wait for each other crosswise.
        let mut sorted: Vec<&NewPlace> = requests.iter().collect();
        sorted.sort_by_key(|new| new.user);
        let places: Vec<i64> = sorted.iter().map(|new| signed(new.place)).collect();
        let users: Vec<i64> = sorted.iter().map(|new| new.user.0).collect();
        let times: Vec<i64> = sorted.iter().map(|new| new.now.0).collect();
        let (names, fingerprints) = columns(sorted.iter().map(|new| new.key.as_ref()));
        let params: Params<'_> = &[
            Value::Ints(&places),
            Value::Ints(&users),
            Value::Ints(&times),
            Value::KeysOrNull(&names),
            Value::IntsOrNull(&fingerprints),
        ];
        let mut retry = Retry::new(&self.0, statement::QUEUE_REGISTER, Repeat::Safe);
        let reply = retry.run(REGISTER_MANY, params).await?;
        // With the time, which distinguishes a copy whose place was inserted from one that came second.
        let mut inserted: HashSet<(i64, i64, i64)> = HashSet::with_capacity(reply.rows.len());
        for row in &reply.rows {
            inserted.insert((int(row, 0)?, int(row, 1)?, int(row, 2)?));
        }
        let is_inserted =
            |new: &NewPlace| inserted.contains(&(signed(new.place), new.user.0, new.now.0));
        Ok(requests.iter().map(is_inserted).collect())
    }
}

/// Makes one place durable, whatever is in its way.
pub(super) async fn register(
    retry: &mut Retry<'_>,
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
        let why = match retry.run(REGISTER_ONE, params).await {
            Ok(reply) => match reply.rows.first().map(outcome).transpose()?.flatten() {
                Some(Found::Own) => return inserted_before(retry, new).await,
                Some(Found::Outcome(outcome)) => return Ok(outcome),
                None => "the place was taken meanwhile".to_owned(),
            },
            // Another server inserted a place of the user, or this number. The next attempt sees it.
            Err(Fault::Violates(constraint)) => constraint,
            Err(fault) => return Err(fault.into()),
        };
        retry.repeated(why).await?;
    }
}

/// The outcome that the ticket under the key decides. `None` without a key or a ticket that counts.
async fn by_ticket(
    retry: &mut Retry<'_>,
    new: &NewPlace,
) -> Result<Option<RegisterOutcome>, StoreError> {
    let Some(key) = &new.key else { return Ok(None) };
    let has_ended = |place: Place| place <= new.expired_up_to || Some(place) == new.replaces;
    Ok(match queue::ticket(retry, new.user, key).await? {
        Some(Keyed::Mismatch) => Some(RegisterOutcome::Mismatch),
        Some(Keyed::Replayed(ticket) | Keyed::Fresh(ticket)) if !has_ended(ticket.place()) => {
            Some(RegisterOutcome::Replayed(ticket))
        }
        _ => None,
    })
}

/// The user has the place already: by an earlier attempt of this request, or by a copy of it, whose ticket is the answer
/// then. Another registration of the user has no ticket under this key.
async fn inserted_before(
    retry: &mut Retry<'_>,
    new: &NewPlace,
) -> Result<RegisterOutcome, StoreError> {
    if new.key.is_none() {
        return Ok(RegisterOutcome::Kept);
    }
    let decided = by_ticket(retry, new).await?;
    Ok(decided.unwrap_or(RegisterOutcome::Standing(new.place)))
}

/// The meaning of a row of [`REGISTER_ONE`].
enum Found {
    /// The place is there, and it is the user's.
    Own,
    Outcome(RegisterOutcome),
}

/// `None` when another attempt decides.
fn outcome(row: &PgRow) -> Result<Option<Found>, Fault> {
    let [inserted, own, taken] = [get(row, 0)?, get(row, 1)?, get(row, 2)?];
    Ok(if inserted {
        Some(Found::Outcome(RegisterOutcome::Kept))
    } else if own {
        Some(Found::Own)
    } else if taken {
        let last = unsigned(int(row, 3)?);
        Some(Found::Outcome(RegisterOutcome::NumberTaken(last)))
    } else {
        let kept_instead = opt(row, 4)?.map(unsigned);
        kept_instead.map(|place| Found::Outcome(RegisterOutcome::Standing(place)))
    })
}

/// A user who asks the store itself for a place.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) user: UserId,
    pub(super) now: Timestamp,
    pub(super) above: Place,
    pub(super) expired_up_to: Place,
    pub(super) key: Option<Idempotency>,
}

/// Hands out places, one server at a time.
pub(super) struct HandingOut(pub(super) Arc<Pool>);

impl BatchWork for HandingOut {
    type Request = Wanted;
    type Answer = NextPlace;

    async fn run(&self, requests: &[Wanted]) -> Result<Vec<NextPlace>, StoreError> {
        let mut retry = Retry::new(&self.0, statement::QUEUE_REGISTER_NEXT, Repeat::Safe);
        loop {
            match retry.bounded(self.hand_out(requests)).await {
                Ok(rows) => return answers(requests, &rows, retry.uncertain()),
                Err(fault) => retry.again(fault).await?,
            }
        }
    }
}

impl HandingOut {
    /// A row for each user: see [`HAND_OUT`].
    async fn hand_out(&self, requests: &[Wanted]) -> Result<Vec<PgRow>, Fault> {
        let mut seen: HashSet<UserId> = HashSet::with_capacity(requests.len());
        let unique = requests.iter().filter(|wanted| seen.insert(wanted.user));
        let unique: Vec<&Wanted> = unique.collect();
        let users: Vec<i64> = unique.iter().map(|wanted| wanted.user.0).collect();
        let times: Vec<i64> = unique.iter().map(|wanted| wanted.now.0).collect();
        let expired = unique.iter().map(|wanted| signed(wanted.expired_up_to));
        let expired: Vec<i64> = expired.collect();
        let (names, fingerprints) = columns(unique.iter().map(|wanted| wanted.key.as_ref()));
        let above = requests.iter().map(|wanted| signed(wanted.above)).max();
        let params: Params<'_> = &[
            Value::Ints(&users),
            Value::Ints(&times),
            Value::Ints(&expired),
            Value::KeysOrNull(&names),
            Value::IntsOrNull(&fingerprints),
            above.into(),
        ];
        let mut lease = self.0.lend().await?;
        lease.begin(TURN).await?;
        let reply = lease.run(HAND_OUT, params).await?;
        lease.commit().await?;
        Ok(reply.rows)
    }
}

/// The answer to each request. `uncertain`: an earlier attempt may have handed out the places.
fn answers(
    requests: &[Wanted],
    rows: &[PgRow],
    uncertain: bool,
) -> Result<Vec<NextPlace>, StoreError> {
    let mut places: HashMap<UserId, (Place, Option<Timestamp>)> = HashMap::new();
    for row in rows {
        let since = opt(row, 2)?.map(Timestamp);
        places.insert(UserId(int(row, 0)?), (unsigned(int(row, 1)?), since));
    }
    let answer = |wanted: &Wanted| {
        let (place, since) = places
            .get_mut(&wanted.user)
            .ok_or_else(|| StoreError::Unavailable("it gave no place".to_owned()))?;
        let by_lost_attempt = uncertain && *since == Some(wanted.now);
        let fresh = since.is_none() || by_lost_attempt;
        // A second request of the same user finds the place of the first.
        *since = Some(Timestamp(i64::MIN));
        Ok(match fresh {
            true => NextPlace::New(*place),
            false => NextPlace::Already(*place),
        })
    };
    requests.iter().map(answer).collect()
}
