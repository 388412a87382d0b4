//! Registering: a place in the queue, made durable, and the token that carries it.
//!
//! A token is made of dataset, place, user and time of registration, so the ticket that is stored under an
//! `Idempotency-Key` together with the place is enough to make the same token again.

use std::time::Duration;

use tokio::time::Instant;

use super::queue::view;
use super::{ActiveDataset, Booking, QueueView, Refusal};
use crate::coordination::{RegisterError, Registration};
use crate::domain::token::Token;
use crate::domain::{Place, Timestamp, UserId};
use crate::store::{Idempotency, Keyed, NewPlace, NextPlace, RegisterOutcome, Ticket};

/// How many places are tried when the database has their numbers already.
const NUMBERS_TRIED: usize = 3;
/// How long another server may take to make its place durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two queries for that place.
const QUERY_EVERY: Duration = Duration::from_millis(25);

/// A place that is on disk, and the token that carries it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The signed token.
    pub token: String,
    /// Where it stands.
    pub view: QueueView,
}

impl Booking {
    /// Gives `user` the next place, or again the one given under `key` while that lives. It is on disk when
    /// this returns.
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

/// A registration under way.
struct Wanted<'d> {
    dataset: &'d ActiveDataset,
    user: UserId,
    now: Timestamp,
    key: Option<Idempotency>,
}

impl Wanted<'_> {
    /// A place that is durable: from the queue, or from the store while the shared queue is away.
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

    /// The user stands at `place`, says the queue: by this request, if it is the repeat of one whose
    /// answer was lost. A place that its server did not live to make durable is taken over.
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

    /// The answer to a user who stands at `standing`. A copy of this request at another server may have
    /// given that place after this one looked for its ticket. Place and ticket commit together, so a
    /// look after the place was seen decides.
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
