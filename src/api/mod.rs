//! Wire formats, error codes and problem documents. The server side (`http`) and the clients of the server
//! (`clients`, `load`, `tui`) share them.

pub mod fault_fields;
pub mod faults;
pub mod integer;
pub mod load;
pub mod ops;
pub mod problem;
pub mod ticketing;

pub use problem::{ErrorCode, Problem};

/// The header with the signed place in the queue.
pub const WAIT_TOKEN: &str = "wait-token";
/// The header that allows a write to be retried.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Response header that repeats the request's trace id.
pub const TRACE_ID: &str = "x-trace-id";
