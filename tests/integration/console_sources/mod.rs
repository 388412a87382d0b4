//! The console's sources: how they are reached, what they are given, what happens while they hang;
//! and recordings of what they said.

mod access;
mod answers;
mod hanging;
mod over_tls;
mod recording;
