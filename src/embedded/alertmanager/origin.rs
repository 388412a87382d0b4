//! The origins of alerts, and the number of firing alerts per origin.

use super::AlertConfig;

/// The sender of an alert. Each origin has its own limit, so that alerts from the API cannot displace those of the
/// rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The rule evaluator of this process.
    Rules,
    /// The HTTP API: an operator, or another program.
    Api,
}

/// The kinds of refusals that `concert_alert_store_refused_total` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// An alert sent over the HTTP API.
    Alert,
    /// An alert of this process's rules.
    RuleAlert,
    /// A silence.
    Silence,
}

impl Refused {
    /// All kinds.
    pub const ALL: [Refused; 3] = [Refused::Alert, Refused::RuleAlert, Refused::Silence];

    /// The value of the metric label `kind`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Refused::Alert => "alert",
            Refused::RuleAlert => "rule_alert",
            Refused::Silence => "silence",
        }
    }
}

impl AlertConfig {
    /// The largest number of firing alerts of that origin.
    pub(super) fn limit(&self, origin: Origin) -> usize {
        match origin {
            Origin::Rules => self.max_rule_alerts,
            Origin::Api => self.max_alerts,
        }
    }
}
