//! `concertctl` rehearses a concert ticket on-sale, and the response to its failures.
//!
//! One binary: `serve` is the ticketing service, `seed` fills it, `load` drives and judges a rehearsal, `drill`
//! rehearses the response to a fault, and `tui` is the console of the person on call. A table in `docs/architecture.md`
//! says which module may use which, and a test checks it.

#[cfg(not(unix))]
compile_error!(
    "concertctl runs on Linux and macOS: it needs the signals, file modes and terminals of Unix"
);

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
pub mod size;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod tui;
pub mod yaml;
