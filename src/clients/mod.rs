//! Clients of the HTTP APIs that the console and the load generator read: Prometheus, Loki, Tempo,
//! Alertmanager and the operations listener.
//!
//! Owns the wire shapes of the first four (the operations shapes are in `api`) and one way of
//! asking: every call has a time-out, every answer a size bound, every failure a [`ClientError`]. Knows
//! nothing of screens.

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

pub use crate::http_client::Trust;
pub use crate::secret::Secret;
pub use access::{Access, Api, Credentials};
pub use http::{BadUrl, ClientError, HttpSource, TIMEOUT, without_password};
#[cfg(any(test, fuzzing))]
pub(crate) use http::{decode, refusal};
pub use response_meta::ResponseMeta;
