//! Polls the alerts and silences of Alertmanager, and the alerts of Prometheus's rules.

use std::time::Duration;

use crate::clients::ClientError;
use crate::clients::alertmanager::{Alert, AlertState, Alertmanager};
use crate::clients::prometheus::Prometheus;
use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;

const EVERY: Duration = Duration::from_secs(2);

pub(crate) struct Alerts(pub(crate) Alertmanager);

impl Poll for Alerts {
    type Wanted = ();

    fn wanted(&self, _: &Plan) -> Option<()> {
        Some(())
    }

    /// Fetches the silences first, and only if an alert is suppressed. If Alertmanager refuses them, the alert is shown
    /// without the name of the user who silenced it.
    async fn ask(&mut self, (): &()) -> Answer {
        let alerts = self.0.alerts().await?;
        let is_suppressed = |alert: &Alert| alert.status.state == AlertState::Suppressed;
        let silences = match alerts.iter().any(is_suppressed) {
            true => self.0.silences().await.ok(),
            false => None,
        };
        let silences = silences.map(Event::Silences).into_iter();
        Ok((silences.chain([Event::Alerts(alerts)]).collect(), EVERY))
    }
}

/// Polls the alerts of the rules while a screen shows them. The poll of metrics reports whether the source answers.
pub(crate) struct RuleAlerts(pub(crate) Prometheus);

impl Poll for RuleAlerts {
    type Wanted = ();

    fn wanted(&self, plan: &Plan) -> Option<()> {
        plan.rules.then_some(())
    }

    async fn ask(&mut self, (): &()) -> Answer {
        let alerts = self.0.alerts().await?;
        Ok((vec![Event::RuleAlerts(Ok(alerts))], EVERY))
    }

    fn failure(_: Source, error: &ClientError, _: i64) -> Event {
        Event::RuleAlerts(Err(error.to_string()))
    }
}
