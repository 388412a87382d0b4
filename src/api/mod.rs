//! Wire shapes, error codes and problem documents: shared by the server side (`http`) and by what
//! talks to it from outside (`clients`, `load`, `tui`).

pub mod fault_fields;
pub mod faults;
pub mod integer;
pub mod load;
pub mod ops;
pub mod problem;
pub mod ticketing;

pub use problem::{ErrorCode, Problem};

/// Header that carries the signed place in the queue.
pub const WAIT_TOKEN: &str = "wait-token";
/// Header that makes a repeated write harmless.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Response header that repeats the request's trace id.
pub const TRACE_ID: &str = "x-trace-id";
