//! `concertctl load`: drives virtual users through a scenario, measures and judges.

pub mod model;
pub mod scenario;
