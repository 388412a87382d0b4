//! The report's record of the watch: all events on one clock, the harm to customers, and the facts that are needed to
//! run the drill again.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Moment;
use super::alerts::Spell;
use super::blind::grading::Response;
use super::file::Drill;
pub use super::rules::RuleFile;
use super::verdict::Observed;

/// What happened at a moment.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A fault began, by the record of what injected it.
    FaultBegins,
    /// A fault ended.
    FaultEnds,
    /// The first second outside of the objective.
    Symptom,
    /// An alert's condition began to hold.
    Pending,
    /// An alert fires.
    Firing,
    /// The API that the console asks listed the alert.
    Shown,
    /// The receiver got the notification.
    Notified,
    /// The objective was met again.
    Mitigated,
    /// The alert's rule no longer fires.
    Resolved,
    /// The receiver was notified of the end.
    #[serde(rename = "told_resolved")]
    EndNotified,
    /// The player of a blind drill did something.
    Acted,
}

impl MarkKind {
    /// The event in words, for use after the name of the alert or the fault.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            MarkKind::FaultBegins => "begins",
            MarkKind::FaultEnds => "ends",
            MarkKind::Symptom => "outside of the objective",
            MarkKind::Pending => "pending",
            MarkKind::Firing => "firing",
            MarkKind::Shown => "shown",
            MarkKind::Notified => "notified",
            MarkKind::Mitigated => "objective met again",
            MarkKind::Resolved => "resolved",
            MarkKind::EndNotified => "end notified",
            MarkKind::Acted => "(the player)",
        }
    }
}

/// A moment on the clock of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// Seconds from the beginning of the first fault, or of the watch.
    pub at: f64,
    /// What happened.
    pub kind: MarkKind,
    /// The alert, the kind of fault, or `users`.
    pub subject: String,
}

/// One spell of an alert, from its beginning to its end. Seconds from the beginning of the first fault, or
/// of the watch; absent: not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertTimes {
    /// The condition began to hold.
    pub pending: Option<f64>,
    /// The rule fires.
    pub firing: Option<f64>,
    /// The API that the console asks listed it.
    pub shown: Option<f64>,
    /// The receiver was notified.
    pub notified: Option<f64>,
    /// The rule no longer fires.
    pub resolved: Option<f64>,
    /// The receiver was notified of the end.
    #[serde(rename = "toldResolved")]
    pub end_notified: Option<f64>,
}

/// What customers had to bear from the first fault on. Requests are those of buying, outside of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Harm {
    /// Requests since the first fault.
    pub requests: u64,
    /// Of those, failed ones.
    pub failed: u64,
    /// People of whom a request failed, or took longer than the objective.
    pub people: u64,
    /// Seconds outside of the objective.
    pub seconds_outside: u64,
    /// Requests that may fail by the objective, of all requests of this run.
    pub error_budget: f64,
    /// Failed requests ÷ error budget: above 1 the budget of the run is gone. Absent without requests.
    pub budget_burnt: Option<f64>,
}

/// How the stop conditions `oversold` and `lost` were checked while the traffic ran.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StopChecks {
    /// Audits that the server answered.
    pub made: u64,
    /// Audits that failed, such as those of a server that was killed.
    pub failed: u64,
    /// The longest time without an answered audit, in seconds.
    pub longest_gap: f64,
}

impl StopChecks {
    /// The longest usual gap between audits, which are due every 2 s. A report mentions only longer gaps.
    const USUAL_GAP: f64 = 4.0;

    /// Returns whether a violated condition could have gone unnoticed for a while.
    #[must_use]
    pub fn have_gaps(&self) -> bool {
        self.failed > 0 || self.longest_gap > Self::USUAL_GAP
    }
}

impl fmt::Display for StopChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StopChecks {
            made,
            failed,
            longest_gap,
        } = self;
        write!(f, "checked {made} times, longest gap {longest_gap:.1} s")?;
        match failed {
            0 => Ok(()),
            failed => write!(f, ", {failed} audits failed"),
        }
    }
}

/// What is needed to run a drill again and to compare it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Basis {
    /// The version of this program, which is the server's too.
    pub version: String,
    /// The scenario of the traffic.
    pub load: String,
    /// The objective: 95 % of the buying requests within this, ms.
    pub p95_ms: f64,
    /// The objective: the share of the buying requests that may fail.
    pub error_rate: f64,
    /// What was injected, as its drill file has it.
    pub faults: Vec<String>,
    /// The rules that were judged.
    pub rules: Vec<RuleFile>,
}

/// A drill that is over, and the moment from which its report counts seconds.
pub(super) struct Record<'r> {
    pub(super) drill: &'r Drill,
    pub(super) observed: &'r Observed<'r>,
    pub(super) begin: Moment,
}

impl Record<'_> {
    fn seconds(&self, moment: Moment) -> f64 {
        super::seconds(self.begin, moment)
    }

    /// All events, in order.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut add = |at: Option<Moment>, kind, subject: &str| {
            marks.extend(at.map(|at| Mark {
                at: self.seconds(at),
                kind,
                subject: subject.to_owned(),
            }));
        };
        for (index, injected) in self.observed.injected.iter().enumerate() {
            let inject = self.drill.injects.get(index);
            let fault = inject.map_or("fault", |inject| inject.fault.kind.as_str());
            add(Some(injected.began), MarkKind::FaultBegins, fault);
            let ended = Some(injected.ended).filter(|at| *at <= self.observed.ended);
            add(ended, MarkKind::FaultEnds, fault);
            add(self.observed.symptom(index), MarkKind::Symptom, USERS);
            add(self.observed.mitigated(index), MarkKind::Mitigated, USERS);
        }
        for (name, spell) in self.spells() {
            add(spell.pending, MarkKind::Pending, name);
            add(spell.firing, MarkKind::Firing, name);
            add(spell.shown, MarkKind::Shown, name);
            add(spell.notified, MarkKind::Notified, name);
            add(spell.resolved, MarkKind::Resolved, name);
            add(spell.end_notified, MarkKind::EndNotified, name);
        }
        marks.sort_by(|one, other| one.at.total_cmp(&other.at).then(one.kind.cmp(&other.kind)));
        marks
    }

    /// The spells that were not over when the watch began. Alertmanager may notify of an alert shortly after its rule
    /// has ended, which is not a new spell.
    fn spells(&self) -> impl Iterator<Item = (&str, &Spell)> {
        let began = self.observed.began;
        let all = self.observed.alerts.spells.iter();
        let all = all.flat_map(|(name, spells)| spells.iter().map(move |it| (name.as_str(), it)));
        all.filter(move |(_, spell)| {
            let is_seen = spell.pending.or(spell.firing).is_some();
            is_seen && spell.resolved.is_none_or(|at| at >= began)
        })
    }

    pub(super) fn alerts(&self) -> BTreeMap<String, Vec<AlertTimes>> {
        let at = |moment: Option<Moment>| moment.map(|moment| self.seconds(moment));
        let mut all: BTreeMap<String, Vec<AlertTimes>> = BTreeMap::new();
        for (name, spell) in self.spells() {
            all.entry(name.to_owned()).or_default().push(AlertTimes {
                pending: at(spell.pending),
                firing: at(spell.firing),
                shown: at(spell.shown),
                notified: at(spell.notified),
                resolved: at(spell.resolved),
                end_notified: at(spell.end_notified),
            });
        }
        all
    }

    /// The harm to customers. `people` is the number of customers who felt it.
    pub(super) fn harm(&self, people: u64) -> Harm {
        let all = self.observed.seconds;
        let since = all.iter().filter(|it| it.at + 1_000 > self.begin);
        let requests = since.clone().map(|it| it.requests).sum();
        let failed: u64 = since.clone().map(|it| it.errors).sum();
        let in_run: u64 = all.iter().map(|it| it.requests).sum();
        let error_budget = in_run as f64 * self.drill.hypothesis.error_rate;
        Harm {
            requests,
            failed,
            people,
            seconds_outside: since.filter(|it| !it.met).count() as u64,
            error_budget,
            budget_burnt: (error_budget > 0.0).then(|| failed as f64 / error_budget),
        }
    }

    pub(super) fn basis(&self, rules: Vec<RuleFile>) -> Basis {
        let faults = self.drill.injects.iter();
        let faults = faults.map(|it| serde_json::to_string(&it.fault).unwrap_or_default());
        Basis {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            load: self.drill.load.clone(),
            p95_ms: self.drill.hypothesis.p95.0.as_secs_f64() * 1e3,
            error_rate: self.drill.hypothesis.error_rate,
            faults: faults.collect(),
            rules,
        }
    }
}

/// Adds the actions of a blind drill's player.
pub(super) fn add_actions(marks: &mut Vec<Mark>, response: Option<&Response>) {
    let taken = response.into_iter().flat_map(|it| &it.actions);
    marks.extend(taken.map(|it| Mark {
        at: it.at,
        kind: MarkKind::Acted,
        subject: it.action.words(),
    }));
    marks.sort_by(|one, other| one.at.total_cmp(&other.at).then(one.kind.cmp(&other.kind)));
}

/// The subject of marks about the users.
const USERS: &str = "users";

#[cfg(test)]
mod tests {
    use super::super::alerts::Alerts;
    use super::super::objective::Second;
    use super::super::verdict::Injected;
    use super::*;

    const DRILL: &str = "title: Slow\nload: onsale-short\ninjects:\n  - at: 6s\n    fault: { kind: latency, delay: 1s, for: 20s }\n    cause: { component: server, mechanism: latency }\n    expect:\n      fires: { SlowBuying: 18s }\n";

    fn second(at: i64, errors: u64) -> Second {
        Second {
            at: at * 1_000,
            requests: 100,
            errors,
            p95_ms: Some(1.0),
            met: errors == 0,
        }
    }

    fn on_record<T>(look: impl FnOnce(&Record<'_>) -> T) -> T {
        let drill = Drill::parse("drill.yaml", DRILL).unwrap();
        let spell = Spell {
            pending: Some(103_000),
            firing: Some(105_000),
            notified: Some(106_000),
            resolved: Some(130_000),
            ..Spell::default()
        };
        let old = Spell {
            firing: Some(1_000),
            resolved: Some(2_000),
            ..Spell::default()
        };
        let listed = Spell {
            shown: Some(131_000),
            ..Spell::default()
        };
        let alerts = Alerts {
            spells: [("SlowBuying".to_owned(), vec![old, spell, listed])].into(),
            ..Alerts::default()
        };
        // A bad second before the fault does not count as harm of the drill.
        let errors = |at| u64::from(at == 95 || (102..122).contains(&at)) * 10;
        let seconds: Vec<Second> = (90..150).map(|at| second(at, errors(at))).collect();
        look(&Record {
            drill: &drill,
            observed: &Observed {
                began: 90_000,
                ended: 150_000,
                injected: &[Injected {
                    began: 100_000,
                    ended: 120_000,
                }],
                alerts: &alerts,
                seconds: &seconds,
            },
            begin: 100_000,
        })
    }

    #[test]
    fn marks_stand_in_order_on_the_faults_clock_and_what_was_over_before_is_left_out() {
        let marks = on_record(|it| it.marks());
        let told: Vec<(f64, MarkKind)> = marks.iter().map(|it| (it.at, it.kind)).collect();
        assert_eq!(
            told,
            [
                (0.0, MarkKind::FaultBegins),
                (2.0, MarkKind::Symptom),
                (3.0, MarkKind::Pending),
                (5.0, MarkKind::Firing),
                (6.0, MarkKind::Notified),
                (20.0, MarkKind::FaultEnds),
                (22.0, MarkKind::Mitigated),
                (30.0, MarkKind::Resolved),
            ]
        );
        let alerts = on_record(|it| it.alerts());
        assert_eq!(alerts["SlowBuying"].len(), 1);
    }

    #[test]
    fn harm_counts_from_the_fault_and_the_budget_is_that_of_the_whole_run() {
        let harm = on_record(|record| record.harm(7));
        assert_eq!(
            (harm.failed, harm.people, harm.seconds_outside),
            (200, 7, 20)
        );
        assert_eq!(harm.requests, 5_000);
        // 0.1 % of 6,000 requests.
        assert!((harm.error_budget - 6.0).abs() < 1e-9);
        assert!((harm.budget_burnt.unwrap() - 200.0 / 6.0).abs() < 1e-9);
    }
}
