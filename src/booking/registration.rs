//! Registering: gives a user the next place, makes it durable, and signs the token for it.
//!
//! A token holds dataset, place, user and time of registration. The ticket that is stored under an `Idempotency-Key`
//! holds place and time, so the server can sign the same token again.

use std::time::Duration;

use tokio::time::Instant;

use super::queue::view;
use super::{ActiveDataset, Booking, QueueView, Refusal};
use crate::coordination::{RegisterError, Registration};
use crate::domain::token::Token;
use crate::domain::{Place, Timestamp, UserId};
use crate::store::{Idempotency, Keyed, NewPlace, NextPlace, RegisterOutcome, Ticket};

/// The number of attempts when the database already has the number of a place.
const NUMBERS_TRIED: usize = 3;
/// The longest wait for another server to make its place durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two queries for that place.
const QUERY_EVERY: Duration = Duration::from_millis(25);

/// A place that is durable, and its token.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The signed token.
    pub token: String,
    /// The state of the place.
    pub view: QueueView,
}

impl Booking {
    /// Gives `user` the next place, or the same place again to a repeat under `key` while the admission has not ended.
    /// The place is durable when this returns.
    ///
    /// # Errors
    /// [`Refusal::UnknownUser`], [`Refusal::AlreadyRegistered`], [`Refusal::KeyReused`], or the store's.
    pub async fn register(
        &self,
        user: UserId,
        key: Option<Idempotency>,
    ) -> Result<Registered, Refusal> {
        let dataset = self.dataset()?;
        if !dataset.info().has_user(user) {
            return Err(Refusal::UnknownUser);
        }
        let wanted = Wanted {
            dataset: &dataset,
            user,
            now: dataset.now(),
            key: key.clone(),
        };
        let place = wanted.place();
        let ticket = match self.copies.run(user, key.as_ref(), place).await? {
            Keyed::Mismatch => return Err(Refusal::KeyReused),
            Keyed::Replayed(ticket) => ticket,
            Keyed::Fresh(ticket) => {
                self.metrics.registered(1);
                ticket
            }
        };
        let token = Token {
            epoch: dataset.info().epoch,
            place: ticket.place(),
            user,
            issued_at: ticket.issued_at(),
        };
        Ok(Registered {
            token: self.key.sign(&token),
            view: view(&dataset, ticket.place(), user),
        })
    }
}

/// A registration in progress.
struct Wanted<'d> {
    dataset: &'d ActiveDataset,
    user: UserId,
    now: Timestamp,
    key: Option<Idempotency>,
}

impl Wanted<'_> {
    /// A durable place: from the queue, or from the store while the shared queue does not answer.
    async fn place(&self) -> Result<Keyed<Ticket>, Refusal> {
        let queue = &self.dataset.coordination;
        for _ in 0..NUMBERS_TRIED {
            let given = match queue.register(self.user, self.now).await {
                Ok(given) => given,
                Err(RegisterError::Already(place)) => return self.standing(place).await,
                Err(RegisterError::Unavailable(_)) => return self.store_place().await,
            };
            let Registration { place, replaces } = given;
            let outcome = self.dataset.store.register(self.durable(place, replaces));
            let outcome = outcome.await;
            if !matches!(outcome, Ok(RegisterOutcome::Kept)) {
                queue.abandon(self.user, given).await;
            }
            match outcome? {
                RegisterOutcome::Kept => return Ok(Keyed::Fresh(self.ticket(place))),
                RegisterOutcome::Mismatch => return Ok(Keyed::Mismatch),
                RegisterOutcome::Replayed(ticket) => {
                    queue.keep(self.user, ticket.place()).await;
                    return Ok(Keyed::Replayed(ticket));
                }
                RegisterOutcome::NumberTaken(last) => queue.raise(last).await,
                RegisterOutcome::Standing(standing) => {
                    queue.keep(self.user, standing).await;
                    return self.already(standing).await;
                }
            }
        }
        self.store_place().await
    }

    /// The queue already has `place` for the user. If this request repeats one whose answer was lost, it gets that
    /// place. If the server that handed out the place died before it made the place durable, this server makes it
    /// durable.
    async fn standing(&self, place: Place) -> Result<Keyed<Ticket>, Refusal> {
        let Some(key) = &self.key else {
            return Err(Refusal::AlreadyRegistered(place));
        };
        let store = &self.dataset.store;
        let until = Instant::now() + DURABLE_WITHIN;
        loop {
            if let Some(found) = store.ticket(self.user, key.clone()).await? {
                return Ok(found);
            }
            if let Some(standing) = store.standing(self.user).await? {
                return self.already(standing).await;
            }
            if Instant::now() >= until {
                break;
            }
            tokio::time::sleep(QUERY_EVERY).await;
        }
        match store.register(self.durable(place, None)).await? {
            RegisterOutcome::Kept => Ok(Keyed::Fresh(self.ticket(place))),
            RegisterOutcome::Replayed(ticket) => Ok(Keyed::Replayed(ticket)),
            RegisterOutcome::Mismatch => Ok(Keyed::Mismatch),
            RegisterOutcome::NumberTaken(_) => Err(Refusal::AlreadyRegistered(place)),
            RegisterOutcome::Standing(standing) => self.already(standing).await,
        }
    }

    /// The answer to a user whose durable place is `standing`. A copy of this request on another server may have made
    /// that place after this request looked for its ticket. Place and ticket commit together, so a second look finds
    /// the ticket.
    async fn already(&self, standing: Place) -> Result<Keyed<Ticket>, Refusal> {
        let Some(key) = &self.key else {
            return Err(Refusal::AlreadyRegistered(standing));
        };
        match self.dataset.store.ticket(self.user, key.clone()).await? {
            Some(Keyed::Mismatch) => Ok(Keyed::Mismatch),
            Some(Keyed::Replayed(ticket) | Keyed::Fresh(ticket)) if ticket.place() == standing => {
                Ok(Keyed::Replayed(ticket))
            }
            _ => Err(Refusal::AlreadyRegistered(standing)),
        }
    }

    async fn store_place(&self) -> Result<Keyed<Ticket>, Refusal> {
        let queue = self.dataset.queue();
        let (above, expired) = (queue.registered(), queue.expired_up_to(self.now));
        let (user, key) = (self.user, self.key.clone());
        let asked = self
            .dataset
            .store
            .register_next(user, self.now, above, expired, key);
        match asked.await? {
            NextPlace::New(place) => {
                self.dataset.coordination.keep(user, place).await;
                Ok(Keyed::Fresh(self.ticket(place)))
            }
            NextPlace::Already(place) => self.already(place).await,
            NextPlace::Replayed(ticket) => Ok(Keyed::Replayed(ticket)),
            NextPlace::Mismatch => Ok(Keyed::Mismatch),
        }
    }

    fn durable(&self, place: Place, replaces: Option<Place>) -> NewPlace {
        NewPlace {
            place,
            user: self.user,
            now: self.now,
            replaces,
            expired_up_to: self.dataset.queue().expired_up_to(self.now),
            key: self.key.clone(),
        }
    }

    fn ticket(&self, place: Place) -> Ticket {
        Ticket::Registered {
            place,
            issued_at: self.now,
        }
    }
}
