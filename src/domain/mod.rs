//! The rules of the sale: its values, and their legal transitions.
//!
//! No I/O, no async; the caller passes the time. Every other module may use this one; this one uses no other.

pub mod admission_control;
pub mod audit;
pub mod ids;
pub mod money;
pub mod polling;
pub mod queue;
pub mod reservation;
pub mod seat;
pub mod statement;
pub mod time;
pub mod token;

pub use audit::Audit;
pub use ids::{ConcertId, Epoch, PerformanceDateId, ReservationId, SeatId, UserId};
pub use money::Money;
pub use queue::{Place, QueueStatus};
pub use reservation::ReservationStatus;
pub use seat::SeatStatus;
pub use time::Timestamp;
