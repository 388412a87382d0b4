//! Blind drills: what is broken is withheld from everything that a player can ask, and the response is graded.

mod play;
mod runbooks;
mod withheld;
