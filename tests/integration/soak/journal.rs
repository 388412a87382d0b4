//! The requests and answers of the clients: the facts with which the database is compared. The journal grows by about
//! 100 bytes per write.

use std::collections::HashMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::client::{Doubt, Reply, Verdict};

/// A write that a client wants once, however often it sends it.
#[derive(Clone, Copy, Debug)]
pub enum Intent {
    Register {
        user: i64,
    },
    /// No two charges of a run have the same amount, so the amount identifies the ledger row.
    Charge {
        user: i64,
        amount: i64,
    },
    Reserve {
        user: i64,
        seat: i64,
        price: i64,
    },
    Cancel {
        reservation: i64,
    },
    Pay {
        reservation: i64,
    },
}

/// An acknowledged registration.
#[derive(Clone, Debug)]
pub struct Placed {
    pub user: i64,
    pub place: u64,
    pub token: String,
    pub sent: Instant,
    pub acknowledged: Instant,
}

/// An acknowledged charge, or one whose outcome may be unknown.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    pub user: i64,
    pub verdict: Verdict,
}

/// An acknowledged reservation.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub user: i64,
    pub seat: i64,
    pub price: i64,
    /// The end of the hold, in Unix milliseconds.
    pub expires_at: i64,
    acknowledged: Instant,
}

/// Intents of one kind with an unknown outcome.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doubts {
    pub no_answer: u32,
    pub server_error: u32,
}

impl Doubts {
    pub fn total(self) -> u32 {
        self.no_answer + self.server_error
    }

    fn slot(&mut self, doubt: Doubt) -> &mut u32 {
        match doubt {
            Doubt::NoAnswer => &mut self.no_answer,
            Doubt::ServerError => &mut self.server_error,
        }
    }
}

/// The facts.
///
/// Invariant: an intent is recorded as unknown before its first attempt is sent. So a row that no fact explains was
/// written without a request, or after its request was refused.
#[derive(Debug, Default)]
pub struct Facts {
    pub places: Vec<Placed>,
    /// Registrations with an unknown outcome, by user.
    pub doubtful_places: HashMap<i64, Doubts>,
    /// Charges by amount.
    pub charges: HashMap<i64, Charge>,
    /// Acknowledged reservations by their id.
    pub reservations: HashMap<i64, Held>,
    /// Reservations with an unknown outcome, by user and seat.
    pub doubtful_reservations: HashMap<(i64, i64), Doubts>,
    /// Payments by reservation.
    pub payments: HashMap<i64, Verdict>,
    /// Cancellations by reservation.
    pub cancels: HashMap<i64, Verdict>,
    /// The errors that the clients saw.
    pub violations: Vec<String>,
    /// The acknowledged reservation that was the last on each seat.
    last_on_seat: HashMap<i64, i64>,
}

const UNKNOWN: Verdict = Verdict::Unknown(Doubt::NoAnswer);

impl Facts {
    /// Records an intent before its first attempt.
    pub fn begin(&mut self, intent: &Intent) {
        match *intent {
            Intent::Register { user } => {
                *self
                    .doubtful_places
                    .entry(user)
                    .or_default()
                    .slot(Doubt::NoAnswer) += 1;
            }
            Intent::Reserve { user, seat, .. } => {
                let doubts = self.doubtful_reservations.entry((user, seat)).or_default();
                *doubts.slot(Doubt::NoAnswer) += 1;
            }
            Intent::Charge { user, amount } => {
                let charge = Charge {
                    user,
                    verdict: UNKNOWN,
                };
                self.charges.insert(amount, charge);
            }
            Intent::Cancel { reservation } => {
                self.cancels.insert(reservation, UNKNOWN);
            }
            Intent::Pay { reservation } => {
                self.payments.insert(reservation, UNKNOWN);
            }
        }
    }

    /// Records the outcome of an intent after its last attempt. `sent` is the time of the first attempt.
    pub fn settle(&mut self, intent: &Intent, verdict: Verdict, sent: Instant, reply: &Reply) {
        match *intent {
            Intent::Register { user } => {
                let doubts = self.doubtful_places.entry(user).or_default();
                settle_doubt(doubts, verdict);
                if verdict == Verdict::Done {
                    self.placed(user, sent, reply);
                }
            }
            Intent::Reserve { user, seat, price } => {
                let doubts = self.doubtful_reservations.entry((user, seat)).or_default();
                settle_doubt(doubts, verdict);
                if verdict == Verdict::Done {
                    self.held((user, seat, price), sent, reply);
                }
            }
            Intent::Charge { user, amount } => {
                self.charges.insert(amount, Charge { user, verdict });
            }
            Intent::Cancel { reservation } => {
                self.cancels.insert(reservation, verdict);
            }
            Intent::Pay { reservation } => {
                self.payments.insert(reservation, verdict);
            }
        }
    }

    fn placed(&mut self, user: i64, sent: Instant, reply: &Reply) {
        let (Some(place), Some(token)) = (reply.body["waitId"].as_u64(), reply.token.clone())
        else {
            self.violations.push(format!(
                "registration of user {user} without place or token: {reply:?}"
            ));
            return;
        };
        self.places.push(Placed {
            user,
            place,
            token,
            sent,
            acknowledged: Instant::now(),
        });
    }

    fn held(&mut self, (user, seat, price): (i64, i64, i64), sent: Instant, reply: &Reply) {
        let id = reply.body["reservationId"].as_i64();
        let until = reply.body["expiresAt"].as_str();
        let until = until.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let (Some(id), Some(until)) = (id, until) else {
            self.violations.push(format!(
                "reservation of user {user} without id or expiry: {reply:?}"
            ));
            return;
        };
        let held = Held {
            user,
            seat,
            price,
            expires_at: until.as_millisecond(),
            acknowledged: Instant::now(),
        };
        if let Some(earlier) = self.last_on_seat.insert(seat, id)
            && earlier != id
            && self.certainly_live(earlier, sent)
        {
            self.violations.push(format!(
                "oversold: seat {seat} was acknowledged as reservation {id} while {earlier} held it"
            ));
        }
        self.reservations.insert(id, held);
    }

    /// Returns whether, according to the client, a reservation held its seat during the whole time from `sent` until
    /// now.
    fn certainly_live(&self, id: i64, sent: Instant) -> bool {
        let held = &self.reservations[&id];
        let released = matches!(
            self.cancels.get(&id),
            Some(Verdict::Done | Verdict::Unknown(_))
        );
        let paid = self.payments.get(&id) == Some(&Verdict::Done);
        held.acknowledged < sent && !released && (paid || held.expires_at > unix_ms())
    }

    /// The number of acknowledged writes.
    pub fn acknowledged(&self) -> usize {
        let done = |verdicts: &HashMap<i64, Verdict>| {
            let done = verdicts.values().filter(|it| **it == Verdict::Done);
            done.count()
        };
        let charged = self
            .charges
            .values()
            .filter(|it| it.verdict == Verdict::Done);
        self.places.len()
            + charged.count()
            + self.reservations.len()
            + done(&self.payments)
            + done(&self.cancels)
    }
}

fn settle_doubt(doubts: &mut Doubts, verdict: Verdict) {
    *doubts.slot(Doubt::NoAnswer) -= 1;
    if let Verdict::Unknown(doubt) = verdict {
        *doubts.slot(doubt) += 1;
    }
}

/// Milliseconds since 1970.
pub fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.expect("it is after 1970").as_millis())
        .expect("it is before the year 292 million")
}
