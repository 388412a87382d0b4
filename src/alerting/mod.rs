//! Alerting without a telemetry stack, over the embedded stores: rules as in Prometheus, and notifications as in
//! Alertmanager.
//!
//! Each part uses only the parts above it:
//! - `template`: the templates of labels and annotations;
//! - `rules`: reads and checks rule files;
//! - `evaluate`: evaluates rules over the embedded metrics store, and keeps the states of alerts;
//! - `api`: lists the rules and their alerts in Prometheus's format;
//! - `notify`: sends notifications for the alerts in the embedded alert store.
//!
//! `serve` puts the alerts of `evaluate` into the embedded alert store.

mod api;
mod evaluate;
mod notify;
pub(crate) mod rules;
mod template;

pub use api::routes;
pub use evaluate::{Evaluator, EvaluatorConfig};
pub use notify::{
    Address, BadAddress, NotifyConfig, Style, Timing, Webhook, spawn as spawn_notifications,
};
pub use rules::{RuleSet, SHIPPED as SHIPPED_RULES, StatedRule};
pub use template::{Data as TemplateData, Template, TemplateError};
