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

/// The number of places of the shared queue that a registration tries. A try fails if the database has already given
/// that place.
const PLACES_TRIED: usize = 3;
/// The longest wait for another server to make durable the place that it gave to this user.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two queries to the database for that place.
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
    /// Gives `user` the next place. A repeat under the same `key` gets the same place, until the admission of that
    /// place has ended. The place is durable when this returns.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`], [`Refusal::UnknownUser`], [`Refusal::AlreadyRegistered`], [`Refusal::KeyReused`],
    /// [`Refusal::OutcomeUnknown`], or [`Refusal::Store`].
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
            view: view(&dataset, ticket.place(), user, self.rules.polls),
        })
    }
}

/// The input of a registration in progress.
struct Wanted<'d> {
    dataset: &'d ActiveDataset,
    user: UserId,
    now: Timestamp,
    key: Option<Idempotency>,
}

impl Wanted<'_> {
    /// Gets a durable place. The shared queue chooses it. The store chooses it if the shared queue does not answer, or
    /// if all places that the queue chose were taken.
    async fn place(&self) -> Result<Keyed<Ticket>, Refusal> {
        let shared_queue = &self.dataset.coordination;
        for _ in 0..PLACES_TRIED {
            let given = match shared_queue.register(self.user, self.now).await {
                Ok(given) => given,
                Err(RegisterError::Already(place)) => return self.already_in_queue(place).await,
                Err(RegisterError::Unavailable(_)) => return self.store_place().await,
            };
            let Registration { place, replaces } = given;
            let outcome = self.dataset.store.register(self.new_place(place, replaces));
            let outcome = outcome.await;
            if !matches!(outcome, Ok(RegisterOutcome::Kept)) {
                shared_queue.abandon(self.user, given).await;
            }
            match outcome? {
                RegisterOutcome::Kept => return Ok(Keyed::Fresh(self.ticket(place))),
                RegisterOutcome::Mismatch => return Ok(Keyed::Mismatch),
                RegisterOutcome::Replayed(ticket) => {
                    shared_queue.keep(self.user, ticket.place()).await;
                    return Ok(Keyed::Replayed(ticket));
                }
                RegisterOutcome::NumberTaken(last) => shared_queue.raise(last).await,
                RegisterOutcome::Standing(standing) => {
                    shared_queue.keep(self.user, standing).await;
                    return self.already_durable(standing).await;
                }
            }
        }
        self.store_place().await
    }

    /// Answers a user for whom the shared queue already has `place`. The request may repeat one whose answer was lost:
    /// it then gets the same place. If the server that gave the place died before it made the place durable, this
    /// server makes it durable.
    async fn already_in_queue(&self, place: Place) -> Result<Keyed<Ticket>, Refusal> {
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
                return self.already_durable(standing).await;
            }
            if Instant::now() >= until {
                break;
            }
            tokio::time::sleep(QUERY_EVERY).await;
        }
        match store.register(self.new_place(place, None)).await? {
            RegisterOutcome::Kept => Ok(Keyed::Fresh(self.ticket(place))),
            RegisterOutcome::Replayed(ticket) => Ok(Keyed::Replayed(ticket)),
            RegisterOutcome::Mismatch => Ok(Keyed::Mismatch),
            // The database has `place` for another user, so no repeat could ever succeed with it.
            RegisterOutcome::NumberTaken(last) => {
                let shared_queue = &self.dataset.coordination;
                shared_queue.raise(last).await;
                let wrong = Registration {
                    place,
                    replaces: None,
                };
                shared_queue.abandon(self.user, wrong).await;
                self.store_place().await
            }
            RegisterOutcome::Standing(standing) => self.already_durable(standing).await,
        }
    }

    /// Answers a user who already has the durable place `standing`. A copy of this request on another server may have
    /// made that place after this request looked for its ticket. Place and ticket commit together, so a second look
    /// finds the ticket.
    async fn already_durable(&self, standing: Place) -> Result<Keyed<Ticket>, Refusal> {
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

    /// Gets the next place from the store, above all places that this server knows of.
    async fn store_place(&self) -> Result<Keyed<Ticket>, Refusal> {
        let local_queue = self.dataset.queue();
        let above = local_queue.registered();
        let expired_up_to = local_queue.expired_up_to(self.now);
        let (user, key) = (self.user, self.key.clone());
        let asked = self
            .dataset
            .store
            .register_next(user, self.now, above, expired_up_to, key);
        match asked.await? {
            NextPlace::New(place) => {
                self.dataset.coordination.keep(user, place).await;
                Ok(Keyed::Fresh(self.ticket(place)))
            }
            NextPlace::Already(place) => self.already_durable(place).await,
            NextPlace::Replayed(ticket) => Ok(Keyed::Replayed(ticket)),
            NextPlace::Mismatch => Ok(Keyed::Mismatch),
        }
    }

    /// The input with which the store makes `place` durable.
    fn new_place(&self, place: Place, replaces: Option<Place>) -> NewPlace {
        NewPlace {
            place,
            user: self.user,
            now: self.now,
            replaces,
            expired_up_to: self.dataset.queue().expired_up_to(self.now),
            key: self.key.clone(),
        }
    }

    /// The ticket of a place that this request got.
    fn ticket(&self, place: Place) -> Ticket {
        Ticket::Registered {
            place,
            issued_at: self.now,
        }
    }
}
