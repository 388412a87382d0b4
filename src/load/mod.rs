//! `concertctl load`: drives virtual users through a scenario, measures and judges.
