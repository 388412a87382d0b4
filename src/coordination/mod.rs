//! Short-lived shared state: the order of the queue, admission, seat locks.
//!
//! Owns who stands where and who is let in; what must outlive the process is handed to the store by
//! `booking`, and comes back from there at start. Embedded now: one process, memory. The shared
//! variant for several servers takes the same place.

pub mod locks;
pub mod queue;

pub use locks::{LockGuard, SeatLocks};
pub use queue::{Queue, QueueCounts, Registration, Standing};
