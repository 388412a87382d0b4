//! Places: handed out, taken back, ended.

use super::scripts::{self, call};
use super::{RedisCoordination, Unsent};
use crate::coordination::{RegisterError, Registration, Unavailable};
use crate::domain::{Place, Timestamp, UserId};

/// Ended places that wait for Redis; beyond this, a restoration tells them all.
const UNSENT: usize = 10_000;

impl RedisCoordination {
    /// Hands out the next place, or gives the place the user already stands in.
    ///
    /// # Errors
    /// [`RegisterError`].
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

    /// Takes back a place that could not be made durable. The number stays unused.
    pub async fn abandon(&self, user: UserId, registration: Registration) {
        let keys = &self.keys;
        let earlier = registration.replaces.map(|place| place.0.to_string());
        let mut abandon = call(&scripts::ABANDON, &[&keys.ready, &keys.users]);
        abandon
            .arg(user.0)
            .arg(registration.place.0)
            .arg(earlier.unwrap_or_default());
        // Not told, the user has to wait for this place to expire, as anybody whose server died.
        let _: Result<(String,), Unavailable> = self.ask(&abandon).await;
    }

    /// Makes sure that no place up to `place` is handed out any more.
    pub async fn raise(&self, place: Place) {
        self.state.registered_up_to(place);
        let keys = &self.keys;
        let mut raise = call(&scripts::RAISE, &[&keys.ready, &keys.queue]);
        raise.arg(place.0);
        // Not told now, it is with the next call of `follow`.
        let _: Result<(String,), Unavailable> = self.ask(&raise).await;
    }

    /// Takes over a place that the database gave, being asked while this queue did not answer.
    pub async fn keep(&self, user: UserId, place: Place) {
        self.state.registered_up_to(place);
        let keys = &self.keys;
        let mut keep = call(&scripts::KEEP, &[&keys.ready, &keys.queue, &keys.users]);
        keep.arg(user.0).arg(place.0);
        // While the queue is away, the restoration that follows brings the place.
        let told: Result<(String,), Unavailable> = self.ask(&keep).await;
        if told.is_err() {
            self.wish();
        }
    }

    /// Ends a place before its time, on every server.
    pub async fn end(&self, place: Place) {
        self.state.end(place);
        if self.send_ended(&[place]).await.is_err() {
            let mut unsent = self.unsent.lock();
            if unsent.ended.len() < UNSENT {
                unsent.ended.push(place);
            } else {
                unsent.ended.clear();
                drop(unsent);
                self.wish();
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

    /// Tells Redis what it could not be told before.
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
            // Refused, the batch is somebody else's by now; not answered, it comes here again.
            let _: Result<bool, Unavailable> = self.publish(claim).await;
        }
    }
}
