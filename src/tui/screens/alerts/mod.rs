//! All alerts in one list: pending ones of the rules, those in Alertmanager with their silences, and recently
//! resolved ones. Plain data, as a part of the model.

pub(crate) mod alert;
pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod urgency;
pub(crate) mod view;

use std::cmp::Reverse;
use std::collections::VecDeque;

use crate::clients::alertmanager::{Alert, AlertState, Silence, SilenceState};
use crate::clients::prometheus::{Labels, RuleAlert, RuleState};
use crate::tui::format::{one_line, unix_ms};
use crate::tui::screens::alerts::urgency::Urgency;
use crate::tui::sources::evidence::Evidence;

/// The time for which a resolved alert stays in the list, in milliseconds.
const RESOLVED_MS: i64 = 5 * 60_000;
/// The most resolved alerts that are kept.
const MAX_RESOLVED: usize = 50;
/// The beginning of a silence's comment that acknowledges an alert.
pub(crate) const ACKNOWLEDGED: &str = "acknowledged";

/// The stage of an alert, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The alert fires and is not acknowledged.
    Firing,
    /// The condition holds, but not yet for long enough.
    Pending,
    /// The alert fires and is acknowledged.
    Acknowledged,
    /// The alert fires and is silenced.
    Silenced,
    /// The alert fires, and another alert inhibits it.
    Inhibited,
    /// The alert is resolved.
    Resolved,
}

impl Stage {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Stage::Firing => "firing",
            Stage::Pending => "pending",
            Stage::Acknowledged => "acknowledged",
            Stage::Silenced => "silenced",
            Stage::Inhibited => "inhibited",
            Stage::Resolved => "resolved",
        }
    }
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) alert: Alert,
    pub(crate) stage: Stage,
    /// The beginning of this stage, in Unix milliseconds; `None` if it cannot be parsed.
    pub(crate) since: Option<i64>,
    /// The silences of the alert, the acknowledgement first.
    pub(crate) silences: Vec<Silence>,
    /// The names of the alerts that inhibit it; the fingerprint of one that is not in the list.
    pub(crate) inhibitors: Vec<String>,
}

impl Row {
    /// The end of the last silence, in Unix milliseconds.
    pub(crate) fn silenced_until(&self) -> Option<i64> {
        let ends = self.silences.iter().filter_map(|one| unix_ms(&one.ends_at));
        ends.max()
    }
}

/// The state of the Alerts screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts {
    /// The alerts in Alertmanager, sorted by urgency, then the newest first.
    pub(crate) list: Vec<Alert>,
    /// All silences.
    pub(crate) silences: Vec<Silence>,
    /// The alerts of the rules. `None` before the first answer. The error says why they are unknown.
    pub(crate) rules: Option<Result<Vec<RuleAlert>, String>>,
    /// Resolved alerts with the time of their end, oldest first.
    resolved: VecDeque<(Alert, i64)>,
    /// The visible list, computed from the fields above.
    pub(crate) rows: Vec<Row>,
    /// The chosen one of `rows`.
    pub(crate) row: usize,
    /// Whether the user chose the row, so that the choice stays on its alert. Until then the top row is chosen.
    is_chosen: bool,
    /// Whether the chosen alert fills the screen.
    pub(crate) open: bool,
    /// The scroll position of the text about the alert, in lines.
    pub(crate) scroll: usize,
    /// The evidence for the alert that was chosen last.
    pub(crate) evidence: Option<Evidence>,
}

impl Alerts {
    /// The chosen line.
    pub(crate) fn chosen(&self) -> Option<&Row> {
        self.rows.get(self.row)
    }

    /// Stores the current alerts of Alertmanager.
    pub(crate) fn take(&mut self, list: Vec<Alert>, now: i64) {
        let previous = std::mem::replace(&mut self.list, list);
        let is_there = |alert: &Alert| self.list.iter().any(|one| one.labels == alert.labels);
        for alert in previous {
            if !is_there(&alert) {
                self.resolved.push_back((alert, now));
            }
        }
        while self.resolved.len() > MAX_RESOLVED {
            self.resolved.pop_front();
        }
        self.arrange(now);
    }

    /// Moves the choice. At the top it follows the top row again.
    pub(crate) fn move_by(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.row = self.row.saturating_add_signed(by).min(last);
        self.is_chosen = by != isize::MIN;
    }

    /// Chooses a line, if there is one.
    pub(crate) fn choose(&mut self, row: usize) {
        if row < self.rows.len() {
            self.row = row;
            self.is_chosen = true;
        }
    }

    /// Opens the chosen alert on the whole screen.
    pub(crate) fn open(&mut self) {
        self.open = !self.rows.is_empty();
        self.is_chosen |= self.open;
    }

    /// Computes the list again. A choice of the user stays on its alert.
    pub(crate) fn arrange(&mut self, now: i64) {
        let chosen = self.chosen().filter(|_| self.is_chosen);
        let chosen = chosen.map(|row| row.alert.labels.clone());
        self.resolved.retain(|(_, at)| now - at <= RESOLVED_MS);
        let mut rows: Vec<Row> = self.list.iter().map(|alert| self.row_of(alert)).collect();
        rows.extend(self.of_rules(RuleState::Pending).map(pending));
        for (alert, at) in self.resolved.iter().rev() {
            if !rows.iter().any(|row| row.alert.labels == alert.labels) {
                rows.push(Row {
                    alert: alert.clone(),
                    stage: Stage::Resolved,
                    since: Some(*at),
                    silences: Vec::new(),
                    inhibitors: Vec::new(),
                });
            }
        }
        rows.sort_by(|a, b| {
            let key = |row: &Row| (row.stage, Urgency::of(&row.alert), Reverse(row.since));
            let by_labels = || a.alert.labels.cmp(&b.alert.labels);
            key(a).cmp(&key(b)).then_with(by_labels)
        });
        let at = chosen.and_then(|labels| rows.iter().position(|row| row.alert.labels == labels));
        let row = if self.is_chosen { self.row } else { 0 };
        self.row = at.unwrap_or(row).min(rows.len().saturating_sub(1));
        self.rows = rows;
    }

    /// Returns whether the condition of a rule still holds, so that the alert comes back after it is resolved.
    pub(crate) fn is_held_by_a_rule(&self, labels: &Labels) -> bool {
        // Prometheus adds its external labels when it sends an alert to Alertmanager.
        self.of_rules(RuleState::Firing).any(|of_rule| {
            let same = |(name, value): (&String, &String)| labels.get(name) == Some(value);
            of_rule.labels.iter().all(same)
        })
    }

    /// The alerts of the rules in this state.
    pub(crate) fn of_rules(&self, state: RuleState) -> impl Iterator<Item = &RuleAlert> {
        let known = self.rules.iter().flatten().flatten();
        known.filter(move |alert| alert.state == state)
    }

    /// The row for an alert of Alertmanager.
    fn row_of(&self, alert: &Alert) -> Row {
        let silences_it = |silence: &&Silence| {
            silence.status.state == SilenceState::Active
                && alert.status.silenced_by.contains(&silence.id)
        };
        let mut silences: Vec<Silence> =
            self.silences.iter().filter(silences_it).cloned().collect();
        silences.sort_by_key(|silence| !is_acknowledgement(silence));
        let stage = match alert.status.state {
            AlertState::Suppressed if silences.first().is_some_and(is_acknowledgement) => {
                Stage::Acknowledged
            }
            AlertState::Suppressed
                if alert.status.silenced_by.is_empty() && !alert.status.inhibited_by.is_empty() =>
            {
                Stage::Inhibited
            }
            AlertState::Suppressed => Stage::Silenced,
            AlertState::Active | AlertState::Unprocessed => Stage::Firing,
        };
        let silenced_since = silences
            .first()
            .filter(|_| stage != Stage::Firing)
            .and_then(|silence| unix_ms(&silence.starts_at));
        Row {
            alert: alert.clone(),
            stage,
            since: silenced_since.or_else(|| unix_ms(&alert.starts_at)),
            silences,
            inhibitors: self.inhibitors_of(alert),
        }
    }

    fn inhibitors_of(&self, alert: &Alert) -> Vec<String> {
        let fingerprints = alert.status.inhibited_by.iter();
        let names = fingerprints.map(|fingerprint| {
            let inhibitor = self.list.iter().find(|it| it.fingerprint == *fingerprint);
            inhibitor.map_or_else(|| one_line(fingerprint), name)
        });
        let mut names: Vec<String> = names.collect();
        names.dedup();
        names
    }
}

fn pending(of_rule: &RuleAlert) -> Row {
    let alert = Alert {
        labels: of_rule.labels.clone(),
        annotations: of_rule.annotations.clone(),
        starts_at: of_rule.active_at.clone(),
        ..Alert::default()
    };
    Row {
        since: unix_ms(&alert.starts_at),
        alert,
        stage: Stage::Pending,
        silences: Vec::new(),
        inhibitors: Vec::new(),
    }
}

/// Returns whether the silence acknowledges the alert.
pub(crate) fn is_acknowledgement(silence: &Silence) -> bool {
    let head: String = silence.comment.chars().take(ACKNOWLEDGED.len()).collect();
    head.eq_ignore_ascii_case(ACKNOWLEDGED)
}

/// The name of an alert for the screen.
pub(crate) fn name(alert: &Alert) -> String {
    one_line(
        alert
            .labels
            .get("alertname")
            .map_or("(no name)", String::as_str),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::prometheus::Labels;

    #[test]
    fn the_last_of_many_resolved_alerts_are_kept() {
        let named = |n: usize| Alert {
            labels: Labels::from([("alertname".to_owned(), n.to_string())]),
            ..Alert::default()
        };
        let mut alerts = Alerts::default();
        alerts.take((0..200).map(named).collect(), 1_000);
        alerts.take(Vec::new(), 2_000);
        assert_eq!(alerts.resolved.len(), MAX_RESOLVED);
        let last = alerts.resolved.back().map(|(alert, _)| &alert.labels);
        assert_eq!(last, Some(&named(199).labels));
    }
}
