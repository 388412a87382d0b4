//! Clients of the HTTP APIs that the console and the load generator use: Prometheus, Loki, Tempo, Alertmanager and
//! the operations listener.
//!
//! This module owns the wire formats of the first four (`api` has those of the operations API). Every call has a
//! time-out, every answer a size limit, and every failure is a [`ClientError`]. The module does not depend on
//! screens.

mod access;
pub mod alertmanager;
pub mod health;
mod http;
pub mod loki;
pub mod ops;
pub mod prometheus;
mod response_meta;
pub mod rules;
pub mod settings;
pub mod tempo;

pub use crate::secret::Secret;
pub use crate::tls::Trust;
pub use access::{Access, Api, Credentials};
pub use http::{BadUrl, ClientError, HttpSource, TIMEOUT, clean, without_password};
#[cfg(any(test, fuzzing))]
pub(crate) use http::{decode, refusal};
pub use response_meta::ResponseMeta;
