//! Places in the queue: made durable for many users in one statement, or handed out from here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::Row;

use super::attempts::{Attempts, Repeat};
use super::fault::Fault;
use super::group::Together;
use super::pool::{Params, Pool};
use super::queue::{signed, unsigned};
use crate::domain::{Place, Timestamp, UserId};
use crate::store::{NextPlace, RegisterOutcome, StoreError};

/// Sorted by user, so that two servers do not wait for each other crosswise.
const INSERT_MANY: &str = "INSERT INTO queue_places (place, user_id, issued_at)
    SELECT place, user_id, issued_at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS asked (place, user_id, issued_at)
    ON CONFLICT DO NOTHING RETURNING place, user_id";

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
)
SELECT EXISTS (SELECT 1 FROM kept) OR coalesce((SELECT user_id = $2 AND ended_at IS NULL FROM there), false),
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

/// A place that the queue gave to a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) place: Place,
    pub(super) user: UserId,
    pub(super) now: Timestamp,
}

/// Makes given places durable; the answer is whether it could be done without looking further.
pub(super) struct Registering(pub(super) Arc<Pool>);

impl Together for Registering {
    type Ask = Given;
    type Answer = bool;

    async fn run(&self, asks: &[Given]) -> Result<Vec<bool>, StoreError> {
        let mut sorted: Vec<Given> = asks.to_vec();
        sorted.sort_by_key(|given| given.user);
        let places: Vec<i64> = sorted.iter().map(|given| signed(given.place)).collect();
        let users: Vec<i64> = sorted.iter().map(|given| given.user.0).collect();
        let times: Vec<i64> = sorted.iter().map(|given| given.now.0).collect();
        let mut attempts = Attempts::new(&self.0, "queue.register", Repeat::Safe);
        let rows = attempts
            .rows(INSERT_MANY, &[&places, &users, &times])
            .await?;
        let kept: HashSet<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let is_kept = |given: &Given| kept.contains(&(signed(given.place), given.user.0));
        Ok(asks.iter().map(is_kept).collect())
    }
}

/// Makes one place durable, whatever stands in its way.
pub(super) async fn register(
    attempts: &mut Attempts<'_>,
    given: Given,
    replaces: Option<Place>,
) -> Result<RegisterOutcome, StoreError> {
    let (place, replaced) = (signed(given.place), replaces.map(signed));
    let params: Params<'_> = &[&place, &given.user.0, &given.now.0, &replaced];
    loop {
        let again = match attempts.rows(INSERT_ONE, params).await {
            Ok(rows) => match rows.first().and_then(outcome) {
                Some(outcome) => return Ok(outcome),
                None => "the place was taken meanwhile".to_owned(),
            },
            Err(Fault::Violates(constraint)) => constraint,
            Err(fault) => return Err(fault.into()),
        };
        attempts.repeated(again).await?;
    }
}

/// What a row of [`INSERT_ONE`] says; `None` when another attempt will tell.
fn outcome(row: &Row) -> Option<RegisterOutcome> {
    if row.get(0) {
        return Some(RegisterOutcome::Kept);
    }
    if row.get(1) {
        return Some(RegisterOutcome::NumberTaken(unsigned(row.get(2))));
    }
    let standing: Option<i64> = row.get(3);
    standing.map(|place| RegisterOutcome::Standing(unsigned(place)))
}

/// A user who asks the store itself for a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) user: UserId,
    pub(super) now: Timestamp,
    pub(super) above: Place,
    pub(super) expired_up_to: Place,
}

/// Hands out places, one server at a time.
pub(super) struct HandingOut(pub(super) Arc<Pool>);

impl Together for HandingOut {
    type Ask = Wanted;
    type Answer = NextPlace;

    async fn run(&self, asks: &[Wanted]) -> Result<Vec<NextPlace>, StoreError> {
        let mut attempts = Attempts::new(&self.0, "queue.register_next", Repeat::Safe);
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
        let mut firsts: HashMap<UserId, Wanted> = HashMap::with_capacity(asks.len());
        let mut unique: Vec<Wanted> = Vec::with_capacity(asks.len());
        for ask in asks {
            if firsts.insert(ask.user, *ask).is_none() {
                unique.push(*ask);
            }
        }
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
