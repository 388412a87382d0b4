//! Places in the queue: made durable for many users in one statement, or handed out from here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::Row;

use super::attempts::{Attempts, Repeat};
use super::fault::Fault;
use super::group::Together;
use super::pool::{Lease, Params, Pool};
use super::queue::{self, signed, unsigned};
use super::reservations::parts;
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::{Idempotency, Keyed, NewPlace, NextPlace, RegisterOutcome, StoreError};

/// Sorted by user, so that two servers do not wait for each other crosswise.
const INSERT_MANY: &str = "INSERT INTO queue_places (place, user_id, issued_at)
    SELECT place, user_id, issued_at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS asked (place, user_id, issued_at)
    ON CONFLICT DO NOTHING RETURNING place, user_id, issued_at";

/// The same with tickets under keys, `$4` names and `$5` fingerprints, null where there is no key. A key
/// that another request used is left for a closer look; an older ticket under it is of a place that has
/// ended, or the place is not inserted.
const INSERT_MANY_KEYED: &str = "WITH asked AS MATERIALIZED (
    SELECT a.place, a.user_id, a.issued_at, a.key, a.fingerprint
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
         AS a (place, user_id, issued_at, key, fingerprint)
    LEFT JOIN idempotency i ON i.user_id = a.user_id AND i.key = a.key
    WHERE i.key IS NULL OR (i.fingerprint = a.fingerprint AND i.answer LIKE '{\"Registered\"%')
), kept AS (
    INSERT INTO queue_places (place, user_id, issued_at) SELECT place, user_id, issued_at FROM asked
    ON CONFLICT DO NOTHING RETURNING place, user_id, issued_at
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT DISTINCT ON (user_id, key) user_id, key, fingerprint,
           '{\"Registered\":{\"place\":' || place || ',\"issued_at\":' || issued_at || '}}', issued_at
    FROM kept JOIN asked USING (place, user_id, issued_at) WHERE key IS NOT NULL
    ON CONFLICT (user_id, key) DO UPDATE SET answer = excluded.answer, at = excluded.at
        WHERE idempotency.answer LIKE '{\"Registered\"%'
)
SELECT place, user_id, issued_at FROM kept";

/// Tickets of places that were inserted in the same transaction. `$1` users, `$2` places, `$3` times, `$4`
/// names of keys, `$5` fingerprints.
const REMEMBER_MANY: &str = "INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT user_id, key, fingerprint,
           '{\"Registered\":{\"place\":' || place || ',\"issued_at\":' || issued_at || '}}', issued_at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
         AS a (user_id, place, issued_at, key, fingerprint)
    ON CONFLICT (user_id, key) DO UPDATE SET answer = excluded.answer, at = excluded.at
        WHERE idempotency.answer LIKE '{\"Registered\"%'";

/// `$4` is the place that is replaced. A live place of the user that the queue does not know of ends,
/// unless this place is there already, or that one was handed out from here: then they stand there.
const INSERT_ONE: &str = "WITH there AS MATERIALIZED (
    SELECT user_id, ended_at FROM queue_places WHERE place = $1
), standing AS MATERIALIZED (
    SELECT place FROM queue_places
    WHERE user_id = $2 AND ended_at IS NULL AND handed_out AND place <> $1 AND place IS DISTINCT FROM $4
), ended AS (
    UPDATE queue_places SET ended_at = $3
    WHERE ended_at IS NULL AND place <> $1
      AND (place = $4 OR (user_id = $2 AND NOT handed_out AND NOT EXISTS (SELECT 1 FROM there)))
    RETURNING 1
), kept AS (
    INSERT INTO queue_places (place, user_id, issued_at)
    SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM there) AND NOT EXISTS (SELECT 1 FROM standing)
                        AND (SELECT count(*) FROM ended) >= 0
    ON CONFLICT (place) DO NOTHING RETURNING 1
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $2, $5::text, $6::bigint,
           '{\"Registered\":{\"place\":' || $1::bigint || ',\"issued_at\":' || $3::bigint || '}}', $3
    FROM kept WHERE $5 IS NOT NULL
    ON CONFLICT (user_id, key) DO UPDATE SET answer = excluded.answer, at = excluded.at
        WHERE idempotency.answer LIKE '{\"Registered\"%'
)
SELECT EXISTS (SELECT 1 FROM kept),
       coalesce((SELECT user_id = $2 AND ended_at IS NULL FROM there), false),
       EXISTS (SELECT 1 FROM there),
       (SELECT coalesce(max(place), 0) FROM queue_places),
       (SELECT place FROM standing)";

/// Both an earlier place of the user and the number itself may be made durable by another server in
/// the middle; the next attempt sees them.
const TURN: &str = "BEGIN; SELECT 1 FROM meta WHERE key = 'places' FOR UPDATE";

/// `$1` users, `$2` times, `$3` up to which place each one's own has had its time, `$4` above which
/// place to begin.
const HAND_OUT: &str = "WITH asked AS MATERIALIZED (
    SELECT user_id, at, expired, nth
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS a (user_id, at, expired, nth)
), standing AS MATERIALIZED (
    SELECT q.user_id, q.place, q.issued_at FROM asked a
    JOIN queue_places q ON q.user_id = a.user_id AND q.ended_at IS NULL
    WHERE q.place > a.expired
), ended AS (
    UPDATE queue_places q SET ended_at = a.at FROM asked a
    WHERE q.user_id = a.user_id AND q.ended_at IS NULL AND q.place <= a.expired
    RETURNING 1
), fresh AS MATERIALIZED (
    SELECT user_id, at, row_number() OVER (ORDER BY nth) AS nth FROM asked
    WHERE user_id NOT IN (SELECT user_id FROM standing)
), kept AS (
    INSERT INTO queue_places (place, user_id, issued_at, handed_out)
    SELECT greatest($4::bigint, (SELECT coalesce(max(place), 0) FROM queue_places)) + nth, user_id, at, true
    FROM fresh WHERE (SELECT count(*) FROM ended) >= 0
    RETURNING user_id, place
)
SELECT user_id, place, NULL::bigint FROM kept
UNION ALL SELECT user_id, place, issued_at FROM standing";

/// Makes given places durable; the answer is whether it could be done without looking further.
pub(super) struct Registering(pub(super) Arc<Pool>);

impl Together for Registering {
    type Ask = NewPlace;
    type Answer = bool;

    async fn run(&self, asks: &[NewPlace]) -> Result<Vec<bool>, StoreError> {
        let mut sorted: Vec<&NewPlace> = asks.iter().collect();
        sorted.sort_by_key(|new| new.user);
        let places: Vec<i64> = sorted.iter().map(|new| signed(new.place)).collect();
        let users: Vec<i64> = sorted.iter().map(|new| new.user.0).collect();
        let times: Vec<i64> = sorted.iter().map(|new| new.now.0).collect();
        let mut attempts = Attempts::new(&self.0, statement::QUEUE_REGISTER, Repeat::Safe);
        let rows = if sorted.iter().all(|new| new.key.is_none()) {
            let params: Params<'_> = &[&places, &users, &times];
            attempts.rows(INSERT_MANY, params).await?
        } else {
            let keys = sorted.iter().map(|new| parts(new.key.as_ref()));
            let (names, fingerprints): (Vec<_>, Vec<_>) = keys.unzip();
            let params: Params<'_> = &[&places, &users, &times, &names, &fingerprints];
            attempts.rows(INSERT_MANY_KEYED, params).await?
        };
        // With the time, which tells a copy whose place was inserted from one that came second.
        let kept: HashSet<(i64, i64, i64)> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        let is_kept = |new: &NewPlace| kept.contains(&(signed(new.place), new.user.0, new.now.0));
        Ok(asks.iter().map(is_kept).collect())
    }
}

/// Makes one place durable, whatever stands in its way.
pub(super) async fn register(
    attempts: &mut Attempts<'_>,
    new: &NewPlace,
) -> Result<RegisterOutcome, StoreError> {
    let (place, replaced) = (signed(new.place), new.replaces.map(signed));
    let (name, fingerprint) = parts(new.key.as_ref());
    let (user, now) = (new.user.0, new.now.0);
    let params: Params<'_> = &[&place, &user, &now, &replaced, &name, &fingerprint];
    loop {
        if let Some(decided) = by_ticket(attempts, new).await? {
            return Ok(decided);
        }
        let again = match attempts.rows(INSERT_ONE, params).await {
            Ok(rows) => match rows.first().and_then(outcome) {
                Some(Found::Own) => return inserted_before(attempts, new).await,
                Some(Found::Outcome(outcome)) => return Ok(outcome),
                None => "the place was taken meanwhile".to_owned(),
            },
            Err(Fault::Violates(constraint)) => constraint,
            Err(fault) => return Err(fault.into()),
        };
        attempts.repeated(again).await?;
    }
}

/// What the ticket under the key decides; `None` without a key or a ticket that counts.
async fn by_ticket(
    attempts: &mut Attempts<'_>,
    new: &NewPlace,
) -> Result<Option<RegisterOutcome>, StoreError> {
    let Some(key) = &new.key else { return Ok(None) };
    let has_run_out = |place: Place| place <= new.expired_up_to || Some(place) == new.replaces;
    Ok(match queue::ticket(attempts, new.user, key).await? {
        Some(Keyed::Mismatch) => Some(RegisterOutcome::Mismatch),
        Some(Keyed::Replayed(ticket) | Keyed::Fresh(ticket)) if !has_run_out(ticket.place()) => {
            Some(RegisterOutcome::Replayed(ticket))
        }
        _ => None,
    })
}

/// The user has the place already: by an earlier attempt of this request, or by a copy of it, whose
/// ticket then is the answer. Another registration of the user has no ticket under this key.
async fn inserted_before(
    attempts: &mut Attempts<'_>,
    new: &NewPlace,
) -> Result<RegisterOutcome, StoreError> {
    if new.key.is_none() {
        return Ok(RegisterOutcome::Kept);
    }
    let decided = by_ticket(attempts, new).await?;
    Ok(decided.unwrap_or(RegisterOutcome::Standing(new.place)))
}

/// What a row of [`INSERT_ONE`] says.
enum Found {
    /// The place is there, and the user's.
    Own,
    Outcome(RegisterOutcome),
}

/// `None` when another attempt will tell.
fn outcome(row: &Row) -> Option<Found> {
    let [kept, own, taken] = [0, 1, 2].map(|column| row.get::<_, bool>(column));
    if kept {
        return Some(Found::Outcome(RegisterOutcome::Kept));
    }
    if own {
        return Some(Found::Own);
    }
    if taken {
        let last = unsigned(row.get(3));
        return Some(Found::Outcome(RegisterOutcome::NumberTaken(last)));
    }
    let standing: Option<i64> = row.get(4);
    standing.map(|place| Found::Outcome(RegisterOutcome::Standing(unsigned(place))))
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

impl Together for HandingOut {
    type Ask = Wanted;
    type Answer = NextPlace;

    async fn run(&self, asks: &[Wanted]) -> Result<Vec<NextPlace>, StoreError> {
        let mut attempts = Attempts::new(&self.0, statement::QUEUE_REGISTER_NEXT, Repeat::Safe);
        loop {
            match attempts.bounded(self.hand_out(asks, &attempts)).await {
                Ok(places) => return Ok(places),
                Err(fault) => attempts.again(fault).await?,
            }
        }
    }
}

impl HandingOut {
    async fn hand_out(
        &self,
        asks: &[Wanted],
        attempts: &Attempts<'_>,
    ) -> Result<Vec<NextPlace>, Fault> {
        let mut seen: HashSet<UserId> = HashSet::with_capacity(asks.len());
        let unique: Vec<&Wanted> = asks.iter().filter(|ask| seen.insert(ask.user)).collect();
        let users: Vec<i64> = unique.iter().map(|ask| ask.user.0).collect();
        let times: Vec<i64> = unique.iter().map(|ask| ask.now.0).collect();
        let expired: Vec<i64> = unique.iter().map(|ask| signed(ask.expired_up_to)).collect();
        let above = unique.iter().map(|ask| signed(ask.above)).max();

        let mut lease = self.0.lend().await?;
        lease.works();
        lease.batch(TURN).await?;
        let rows = lease
            .rows(HAND_OUT, &[&users, &times, &expired, &above])
            .await?;
        remember_new(&mut lease, &rows, &unique).await?;
        lease.batch("COMMIT").await?;
        lease.rests();

        let mut places: HashMap<UserId, (Place, Option<Timestamp>)> = rows
            .iter()
            .map(|row| {
                let since: Option<i64> = row.get(2);
                (
                    UserId(row.get(0)),
                    (unsigned(row.get(1)), since.map(Timestamp)),
                )
            })
            .collect();
        asks.iter()
            .map(|ask| {
                let (place, since) = places
                    .get_mut(&ask.user)
                    .ok_or_else(|| Fault::unavailable("it gave no place"))?;
                // Issued by the attempt whose answer was lost.
                let ours = attempts.uncertain() && *since == Some(ask.now);
                let fresh = since.is_none() || ours;
                // A second request of the same user finds the place of the first.
                *since = Some(Timestamp(i64::MIN));
                Ok(if fresh {
                    NextPlace::New(*place)
                } else {
                    NextPlace::Already(*place)
                })
            })
            .collect()
    }
}

/// Stores the tickets of the new places among `rows` under the keys they were asked with.
async fn remember_new(lease: &mut Lease<'_>, rows: &[Row], asks: &[&Wanted]) -> Result<(), Fault> {
    let new: HashMap<i64, i64> = rows
        .iter()
        .filter(|row| row.get::<_, Option<i64>>(2).is_none())
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let keyed: Vec<(&Wanted, &Idempotency, i64)> = asks
        .iter()
        .filter_map(|ask| Some((*ask, ask.key.as_ref()?, *new.get(&ask.user.0)?)))
        .collect();
    if keyed.is_empty() {
        return Ok(());
    }
    let users: Vec<i64> = keyed.iter().map(|(ask, ..)| ask.user.0).collect();
    let places: Vec<i64> = keyed.iter().map(|(.., place)| *place).collect();
    let times: Vec<i64> = keyed.iter().map(|(ask, ..)| ask.now.0).collect();
    let names: Vec<&str> = keyed.iter().map(|(_, key, _)| key.key.as_str()).collect();
    let fingerprints: Vec<i64> = keyed.iter().map(|(_, key, _)| key.fingerprint).collect();
    let params: Params<'_> = &[&users, &places, &times, &names, &fingerprints];
    lease.rows(REMEMBER_MANY, params).await.map(drop)
}
