//! The console's sources: their connections, their credentials, hanging sources, and recordings of their answers.

mod access;
mod answers;
mod hanging;
mod over_tls;
mod recording;
