//! Rules evaluated and alerts notified: the embedded evaluator against a real Prometheus over the same
//! samples, both end to end, and webhooks that fail in every way.

mod amtool;
mod api;
mod console;
mod differential;
mod drill;
mod end_to_end;
mod fire_alarm;
mod history;
mod listener;
mod notifications;
mod real;
pub(crate) mod tls;
mod trouble;
