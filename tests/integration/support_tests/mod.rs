//! The support where it could lie: what is said to be gone is gone, what is said to be kept is kept.

mod backend;
mod fleet;
mod owner;
mod postgres;
mod proxy;
mod redis;
