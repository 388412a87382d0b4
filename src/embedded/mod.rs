//! The embedded stores: Prometheus, Loki, Tempo and Alertmanager for a service without a telemetry stack.
//!
//! Each store serves the HTTP API of its product from bounded memory, so that the console and Grafana can use it like
//! the product.

pub mod alertmanager;
mod compare;
pub(crate) mod go_numbers;
pub mod loki;
mod matcher;
pub mod prometheus;
pub(crate) mod quoted;
pub(crate) mod regex;
mod request;
pub mod tempo;

/// Milliseconds since 1970 by the wall clock.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Nanoseconds since 1970 by the wall clock.
fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
