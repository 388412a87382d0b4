//! The statements of the store. Each database has its own texts.
//!
//! Statements with equal texts are constants where they are used. Every integer that a statement returns is a `bigint`
//! in PostgreSQL. A "table" is one parameter in MySQL, and one for each of its columns in PostgreSQL.
//!
//! A keyed statement decides a request once per key. Its first parameters are user, key or NULL, and fingerprint. Its
//! first columns are the fingerprint of a stored answer or NULL, the code of the answer or 0 (ask again), and its two
//! values.

/// The texts of one database, with their parameters and columns.
#[derive(Debug)]
pub struct Statements {
    /// Key → value of the dataset's settings.
    pub meta: &'static str,
    /// Stores a setting. Parameters: key, value.
    pub set_meta: &'static str,
    /// Begins a read-only transaction in which every statement sees the same moment.
    pub snapshot: &'static str,

    /// Date → id, number, price, status and version of its seats, by number.
    pub seats_of_date: &'static str,
    /// Seats with ids 1 to the parameter → status, number of seats.
    pub seat_counts: &'static str,

    /// User → balance.
    pub balance: &'static str,
    /// Keyed. Further parameters: amount, the highest balance to which it may be added, now.
    pub charge: &'static str,
    /// Keyed. Further parameters: reservation, place, now. Further columns: the date of the seat, 1 if the place ended.
    pub pay: &'static str,

    /// Keyed. Further parameters: place, seat, seen version or NULL, now, end of the hold, the most live reservations.
    /// Further column: the date of the seat.
    pub reserve: &'static str,
    /// Keyed. Further parameters: reservation, now. Further columns: the date of the seat, the place that made the
    /// hold, 1 if the user had cancelled the reservation before.
    pub cancel: &'static str,
    /// Ends expired holds. Parameters: now, the largest number. Several servers may run it at the same time; each takes
    /// the holds that no other server has locked. Returns a row for each hold: the date of its seat or NULL, the place
    /// that made it or NULL.
    pub expire: &'static str,
    /// Ends the expired holds that block a request. Parameters: now, seat, user. The rows are those of `expire`.
    pub end_expired: &'static str,
    /// Corrects a seat's row that contradicts the live reservation of the seat. Parameter: seat.
    pub follow_reservation: &'static str,
    /// User, id, number → id, seat, price, status and end of at most so many reservations above the id, by id.
    pub reservations_of: &'static str,

    /// Admits up to a place. Parameters: place, time. An earlier time stays.
    pub admit: &'static str,
    /// Ends the live places of the users of these places, if something was paid by them and their users hold nothing
    /// that can still be paid. Parameters: places, now.
    /// Column: the places that ended.
    pub end_spent: &'static str,
    /// User → live place.
    pub standing: &'static str,
    /// Place → the time of its registration, if the place is live.
    pub lives: &'static str,
    /// Table of place, user, time, key or NULL, fingerprint → place, user and time of those that are durable. The
    /// caller sorts by user, so that two servers cannot deadlock.
    pub register_many: &'static str,
    /// Makes one place durable, or finds out why it cannot be. Parameters: place, user, now, the place that it replaces
    /// or NULL, key or NULL, fingerprint. Columns: 1 if the place was inserted, 1 if it existed and is the user's live
    /// place, 1 if it existed, the last place, the place that the store gave the user or NULL.
    pub register_one: &'static str,
    /// Begins a transaction and waits in it until no other server hands out places. `None` if `hand_out` itself does.
    pub hand_out_turn: Option<&'static str>,
    /// Hands out the next places. Parameters: table of user, time, place up to which the user's own has expired, key or
    /// NULL, fingerprint; then the place above which to begin. Columns: user, place, for an earlier place its time.
    pub hand_out: &'static str,

    /// User, key → fingerprint, code and values of the final answer.
    pub stored_answer: &'static str,
    /// Deletes the transient answer of a user and a key. It is never returned, and it would prevent a final answer.
    pub discard_transient: &'static str,
    /// Keyed, with a key: stores an answer unless there is one. Further parameters: code, first value, second value,
    /// now.
    pub remember: &'static str,
    /// Deletes old answers. Parameters: time before which an answer is old, the most to delete.
    pub forget: &'static str,

    /// The counts of the audit, in the order of `audit::count`.
    pub audit: &'static str,
    /// Table of number, place, user → numbers of those that the database lacks.
    pub missing_places: &'static str,
    /// Table of number, reservation, user, seat → numbers of those that the database lacks.
    pub missing_reservations: &'static str,
    /// Table of number, reservation → numbers of those that are not paid.
    pub missing_payments: &'static str,
    /// Table of number, user, sum → numbers of those whose charges are less than the sum.
    pub missing_charges: &'static str,
    /// Table of number, user, key → number and code of the stored answers.
    pub stored_answers: &'static str,

    /// The version of the control tables.
    pub control_version: &'static str,
    /// Stores the version of the control tables unless there is one.
    pub offer_control_version: &'static str,
    /// The epoch of the active dataset as text.
    pub current: &'static str,
    /// Makes the dataset with the epoch in the parameter the active one.
    pub activate: &'static str,
    /// Epoch → 1 if the dataset has at least as many sessions as the database.
    pub is_followed: &'static str,
    /// The names of all namespaces.
    pub namespaces: &'static str,
    /// Stores a secret unless there is one. Parameters: name, value.
    pub offer_secret: &'static str,
    /// Name → secret.
    pub secret: &'static str,
}
