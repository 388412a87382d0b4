//! The console of the person on call.
