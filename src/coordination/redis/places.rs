//! Gives, withdraws and ends places.

use super::scripts::{self, call};
use super::{RedisCoordination, Unsent};
use crate::coordination::{RegisterError, Registration, Unavailable};
use crate::domain::{Place, Timestamp, UserId};

/// The largest number of ended places that wait for Redis. Beyond it, a recovery sends them all.
const UNSENT: usize = 10_000;

impl RedisCoordination {
    /// Gives the next place.
    pub async fn register(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Registration, RegisterError> {
        let keys = &self.keys;
        let mut register = call(
            &scripts::REGISTER,
            &[&keys.ready, &keys.queue, &keys.users, &keys.ended],
        );
        register
            .arg(user.0)
            .arg(self.state.expired_up_to(now).0)
            .arg(self.deadline());
        let (outcome, place, earlier): (String, u64, Option<u64>) = self.ask(&register).await?;
        let place = Place(place);
        if outcome == "already" {
            return Err(RegisterError::Already(place));
        }
        self.state.registered_up_to(place);
        Ok(Registration {
            place,
            replaces: earlier.map(Place),
        })
    }

    /// Withdraws a place that could not be made durable. Its number stays unused.
    pub async fn abandon(&self, user: UserId, registration: Registration) {
        let keys = &self.keys;
        let earlier = registration.replaces.map(|place| place.0.to_string());
        let mut abandon = call(&scripts::ABANDON, &[&keys.ready, &keys.users]);
        abandon
            .arg(user.0)
            .arg(registration.place.0)
            .arg(earlier.unwrap_or_default());
        // If this does not reach Redis, the place expires, like a place of a crashed server.
        let _: Result<(String,), Unavailable> = self.ask(&abandon).await;
    }

    /// Raises the last place to at least `place`.
    pub async fn raise(&self, place: Place) {
        self.state.registered_up_to(place);
        let keys = &self.keys;
        let mut raise = call(&scripts::RAISE, &[&keys.ready, &keys.queue]);
        raise.arg(place.0);
        // If this does not reach Redis, the next replication sends it.
        let _: Result<(String,), Unavailable> = self.ask(&raise).await;
    }

    /// Records a place that the database gave while this queue did not answer.
    pub async fn keep(&self, user: UserId, place: Place) {
        self.state.registered_up_to(place);
        let keys = &self.keys;
        let mut keep = call(&scripts::KEEP, &[&keys.ready, &keys.queue, &keys.users]);
        keep.arg(user.0).arg(place.0);
        // If this does not reach Redis, recovery adds the place.
        let answer: Result<(String,), Unavailable> = self.ask(&keep).await;
        if answer.is_err() {
            self.request_recovery();
        }
    }

    /// Ends the admission of a place early, on every server.
    pub async fn end(&self, place: Place) {
        self.state.end(place);
        if self.send_ended(&[place]).await.is_err() {
            let mut unsent = self.unsent.lock();
            if unsent.ended.len() < UNSENT {
                unsent.ended.push(place);
            } else {
                unsent.ended.clear();
                drop(unsent);
                self.request_recovery();
            }
        }
    }

    async fn send_ended(&self, places: &[Place]) -> Result<(), Unavailable> {
        let keys = &self.keys;
        let mut end = call(&scripts::END, &[&keys.ready, &keys.queue, &keys.ended]);
        for place in places {
            end.arg(place.0);
        }
        let _: (String,) = self.ask(&end).await?;
        Ok(())
    }

    /// Sends the changes that did not reach Redis before.
    pub(super) async fn send_unsent(&self) {
        let Unsent { ended, batch } = std::mem::take(&mut *self.unsent.lock());
        for (at, places) in ended.chunks(1_000).enumerate() {
            if self.send_ended(places).await.is_err() {
                let left = &ended[at * 1_000..];
                self.unsent.lock().ended.extend_from_slice(left);
                break;
            }
        }
        if let Some(claim) = batch {
            // If Redis refuses, another server has the batch; if it does not answer, `publish` stores it again.
            let _: Result<bool, Unavailable> = self.publish(claim).await;
        }
    }
}
