//! Blind drills: every answer that a player can get withholds the fault, and the response is graded.

mod play;
mod runbooks;
mod withheld;
