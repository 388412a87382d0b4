//! `concertctl` rehearses a concert ticket on-sale, and the response to what goes wrong in it.
//!
//! One binary, several faces: `serve` is the ticketing service, `seed` fills it, `load` drives and
//! judges a rehearsal, `tui` is the console of the person on call. The rooms of the house and the
//! arrows between them are described in `docs/architecture.md` and kept by a test.

pub mod alerting;
pub mod api;
pub mod backoff;
pub mod booking;
pub mod cells;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod coordination;
pub mod domain;
pub mod drill;
pub mod duration;
pub mod embedded;
pub mod faults;
pub mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod http_client;
pub mod load;
pub mod secret;
pub mod seeding;
pub mod serve;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod tui;
pub mod yaml;
