//! Evaluation of rules and notification of alerts: the embedded evaluator compared with a real Prometheus, both chains
//! from a fault to a webhook, and webhooks that fail in every way.

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
