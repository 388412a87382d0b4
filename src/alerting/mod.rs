//! Alerting without a telemetry stack: rules as in Prometheus and notifications as in Alertmanager, over
//! the embedded stores.
//!
//! Parts, each using only those above it:
//! - `template`: the templates of labels and annotations;
//! - `rules`: rule files, read and checked;
//! - `evaluate`: rules evaluated over the embedded metrics store, alerts with their states;
//! - `api`: the rules and their alerts, in Prometheus's shapes;
//! - `notify`: notifications about the alerts in the embedded alert store.

mod api;
mod evaluate;
mod notify;
mod rules;
mod template;

pub use api::routes;
pub use evaluate::{Evaluator, EvaluatorConfig};
pub use notify::{
    Address, BadAddress, NotifyConfig, Style, Timing, Webhook, spawn as spawn_notifications,
};
pub use rules::{RuleSet, SHIPPED as SHIPPED_RULES};
pub use template::{Data as TemplateData, Template, TemplateError};
