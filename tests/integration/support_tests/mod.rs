//! Tests of the support code whose defects could hide failures: processes that it reports as ended have ended, and data
//! that it keeps are kept.

mod backend;
mod fleet;
mod owner;
mod postgres;
mod proxy;
mod redis;
