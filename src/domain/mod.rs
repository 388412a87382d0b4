//! Which transitions are legal. No I/O, no async; time is passed in.
