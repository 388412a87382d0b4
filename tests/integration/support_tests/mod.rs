//! Tests of the support code where it could mislead: processes that it reports as gone are gone, and files that it
//! keeps are kept.

mod backend;
mod fleet;
mod owner;
mod postgres;
mod proxy;
mod redis;
