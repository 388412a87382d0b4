//! Compares the observations of a drill with its expectations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::{Alerts, Spell};
use super::file::{Drill, Inject, OF_INJECTION};
use super::objective::Second;
use super::prediction::Prediction;
use super::{Moment, seconds};

/// How one expectation came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Within its budget.
    Met,
    /// It happened, too late.
    Late,
    /// It did not happen.
    Missed,
    /// It could not happen: what comes before it did not.
    NotExercised,
}

/// Which step of the response an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The alert fires.
    Fires,
    /// Its notification reaches the receiver.
    Notifies,
    /// The notification of its end reaches the receiver.
    Resolves,
    /// Users are served within the objective again.
    Recovers,
    /// Users are served within the objective all the time.
    Serves,
}

/// One expectation beside what was measured. Times are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// Which inject, from 0.
    pub inject: usize,
    /// Which step of the response it is about.
    pub step: Step,
    /// What is expected: `SlowBuying fires`.
    pub what: String,
    /// The alert that it is about.
    pub alert: Option<String>,
    /// The budget.
    pub budget: f64,
    /// The worst case by rule and settings, where there is one.
    pub predicted: Option<f64>,
    /// What was measured.
    pub measured: Option<f64>,
    /// How it came out.
    pub outcome: Outcome,
    /// Our own prediction was exceeded: the model or the code is wrong.
    pub above_prediction: bool,
    /// Where the alert's rule stands: `otel/prometheus/alerts.yml:93`.
    pub rule: Option<String>,
}

impl Expectation {
    /// Returns whether this expects an alert to fire.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        self.step == Step::Fires
    }
}

/// An alert that nothing in the drill allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FalseAlarm {
    /// Its name.
    pub alert: String,
    /// Seconds from the beginning of the first fault, or of the watch.
    pub at: f64,
    /// Where the alert's rule stands.
    #[serde(default)]
    pub rule: Option<String>,
}

/// How a drill ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "reasons")]
pub enum Verdict {
    /// Every expectation was met, and there was no false alarm.
    Passed,
    /// An expectation was missed, or there was a false alarm.
    Failed(Vec<String>),
    /// It says nothing about the response.
    Inconclusive(Vec<String>),
}

impl Verdict {
    /// The verdict in one word, for reports.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Inconclusive(_) => "inconclusive",
        }
    }

    /// The exit code of the program, the same as of `load`.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Failed(_) => 99,
            Verdict::Inconclusive(_) => 3,
        }
    }
}

/// The limits of the measurement, apart from the service and its alerts. Empty: there were none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// The generator sent too few requests, or sent them late.
    pub(super) generator: Vec<String>,
    /// Other programs on the host may have caused any delay.
    pub(super) host: Option<String>,
}

impl Verdict {
    /// The verdict in view of the limits. If the generator was the limit, the drill proves nothing. A busy host makes
    /// events late, which explains a failure. An event that was in time on a busy host was in time.
    pub(super) fn weighed(self, limits: &Limits) -> Verdict {
        let told = limits.generator.iter().chain(&limits.host).cloned();
        match self {
            Verdict::Passed if limits.generator.is_empty() => Verdict::Passed,
            Verdict::Failed(reasons) if limits.generator.is_empty() && limits.host.is_none() => {
                Verdict::Failed(reasons)
            }
            Verdict::Passed => Verdict::Inconclusive(told.collect()),
            Verdict::Failed(reasons) | Verdict::Inconclusive(reasons) => {
                Verdict::Inconclusive(told.chain(reasons).collect())
            }
        }
    }
}

/// A fault that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    /// Its beginning, as recorded by the process that injected it.
    pub began: Moment,
    /// Its end.
    pub ended: Moment,
}

/// All observations of a drill.
#[derive(Debug)]
pub struct Observed<'o> {
    /// The beginning of the watch.
    pub began: Moment,
    /// Its end.
    pub ended: Moment,
    /// The injected faults, in the order of the drill's injects. A fault that was not injected is missing at the end.
    pub injected: &'o [Injected],
    /// The spells of the alerts.
    pub alerts: &'o Alerts,
    /// The service in each second, as its users saw it.
    pub seconds: &'o [Second],
}

impl Observed<'_> {
    /// The seconds outside of the objective, from the beginning of a fault until the next fault or the end.
    fn outside(&self, index: usize) -> impl Iterator<Item = &Second> {
        let began = self.injected.get(index).map_or(Moment::MAX, |it| it.began);
        let next = self.injected.get(index + 1);
        let until = next.map_or(self.ended, |next| next.began);
        let of_fault =
            move |second: &&Second| second.at + 1_000 > began && second.at < until && !second.met;
        self.seconds.iter().filter(of_fault)
    }

    /// The first second outside of the objective since a fault began. The time is never before the beginning of the
    /// fault.
    pub(super) fn symptom(&self, index: usize) -> Option<Moment> {
        let began = self.injected.get(index)?.began;
        Some(self.outside(index).next()?.at.max(began))
    }

    /// The first second with answers from which on the objective was met until the next fault or the end.
    pub(super) fn mitigated(&self, index: usize) -> Option<Moment> {
        let last = self.outside(index).last()?.at;
        let next = self.injected.get(index + 1);
        let until = next.map_or(self.ended, |next| next.began);
        let mut after = self
            .seconds
            .iter()
            .filter(|it| it.at > last && it.at < until);
        Some(after.find(|it| it.requests > 0)?.at)
    }
}

/// Returns whether the condition of a spell held before `at`. A poll sees it late, never early.
fn was_pending(spell: &Spell, at: Moment) -> bool {
    spell.pending.is_some_and(|pending| pending < at)
}

/// Why the alerts that fired say nothing about a fault: one that the fault should raise was pending before it.
#[must_use]
pub fn pending_before(drill: &Drill, observed: &Observed<'_>) -> Option<String> {
    Judge::all(drill, observed).find_map(|judge| {
        let mut expected = judge.inject.expect.fires.keys();
        let began = judge.injected.began;
        let alert =
            expected.find(|alert| judge.fired(alert).any(|spell| was_pending(spell, began)))?;
        Some(format!(
            "{alert} was pending before the fault: its firing detects nothing"
        ))
    })
}

/// Judges the expectations of a drill. `predict` returns the worst case of an alert for an inject.
#[must_use]
pub fn judge(
    drill: &Drill,
    observed: &Observed<'_>,
    predict: impl Fn(&str, &Inject) -> Option<Prediction>,
) -> Vec<Expectation> {
    let mut all = Vec::new();
    for judged in Judge::all(drill, observed) {
        let inject = judged.inject;
        for (alert, budget) in &inject.expect.fires {
            all.extend(judged.alert(alert, budget.0.as_secs_f64(), predict(alert, inject)));
        }
        all.extend(judged.recovery());
        all.extend(judged.service());
    }
    all
}

struct Judge<'j> {
    index: usize,
    inject: &'j Inject,
    injected: Injected,
    observed: &'j Observed<'j>,
}

impl<'j> Judge<'j> {
    /// One for each fault that was injected.
    fn all(drill: &'j Drill, observed: &'j Observed<'j>) -> impl Iterator<Item = Judge<'j>> {
        let injected = drill.injects.iter().zip(observed.injected).enumerate();
        injected.map(move |(index, (inject, injected))| Judge {
            index,
            inject,
            injected: *injected,
            observed,
        })
    }
}

impl Judge<'_> {
    fn alert(&self, alert: &str, budget: f64, prediction: Option<Prediction>) -> Vec<Expectation> {
        let spell = self.spell(alert);
        let firing = spell.and_then(|spell| spell.firing);
        let predicted = prediction.map(|it| it.firing.as_secs_f64());
        let from_begin = firing.map(|at| seconds(self.injected.began, at));
        let mut all = vec![self.expectation(
            Step::Fires,
            format!("{alert} fires"),
            Some(alert),
            budget,
            predicted,
            from_begin,
            true,
        )];
        if let Some(budget) = self.inject.expect.notified {
            let predicted = prediction.map(|it| it.notified.as_secs_f64());
            let notified = spell.and_then(|spell| spell.notified);
            // The poll may see the firing alert later than the notification arrives.
            let took = firing.zip(notified);
            let took = took.map(|(from, to)| seconds(from, to).max(0.0));
            let what = format!("{alert} notifies");
            let budget = budget.0.as_secs_f64();
            all.push(self.expectation(
                Step::Notifies,
                what,
                Some(alert),
                budget,
                predicted,
                took,
                firing.is_some(),
            ));
        }
        if let Some(budget) = self.inject.expect.resolved {
            let end = spell.and_then(|spell| spell.end_notified);
            // An alert may end before its fault, for example because requests no longer arrive.
            let took = end.map(|at| seconds(self.injected.ended, at).max(0.0));
            let what = format!("{alert} is resolved");
            let budget = budget.0.as_secs_f64();
            let notified = spell.is_some_and(|spell| spell.notified.is_some());
            all.push(self.expectation(
                Step::Resolves,
                what,
                Some(alert),
                budget,
                None,
                took,
                notified,
            ));
        }
        all
    }

    /// The first spell that began and fired after this fault began. An earlier spell does not detect the fault.
    fn spell(&self, alert: &str) -> Option<&Spell> {
        let began = self.injected.began;
        let mut after = self.fired(alert);
        after.find(|spell| !was_pending(spell, began))
    }

    /// The spells that fired after this fault began.
    fn fired(&self, alert: &str) -> impl Iterator<Item = &Spell> {
        let spells = self.observed.alerts.of(alert).iter();
        spells.filter(|spell| spell.firing.is_some_and(|at| at >= self.injected.began))
    }

    /// The time from the fault's end to the first second in which users are served, after the last second outside of
    /// the objective before the next fault or the end. A second without requests proves neither.
    fn recovery(&self) -> Option<Expectation> {
        let budget = self.inject.expect.recovered?.0.as_secs_f64();
        let next = self.observed.injected.get(self.index + 1);
        let until = next.map_or(self.observed.ended, |next| next.began);
        let after = |second: &&Second| second.at + 1_000 > self.injected.ended && second.at < until;
        let seconds_after: Vec<&Second> = self.observed.seconds.iter().filter(after).collect();
        let last_bad = seconds_after.iter().rposition(|second| !second.met);
        let mut good = seconds_after[last_bad.map_or(0, |at| at + 1)..].iter();
        let served = good.find(|second| second.requests > 0);
        let took = served.map(|second| seconds(self.injected.ended, second.at).max(0.0));
        let exercised = !seconds_after.is_empty();
        Some(self.expectation(
            Step::Recovers,
            "users are served again".to_owned(),
            None,
            budget,
            None,
            took,
            exercised,
        ))
    }

    /// The number of seconds outside of the objective since the fault began, until the next fault or the end.
    fn service(&self) -> Option<Expectation> {
        let budget = self.inject.expect.outside?.0.as_secs_f64();
        let outside = self.observed.outside(self.index).count();
        Some(self.expectation(
            Step::Serves,
            "users outside of the objective".to_owned(),
            None,
            budget,
            None,
            Some(outside as f64),
            true,
        ))
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn expectation(
        &self,
        step: Step,
        what: String,
        alert: Option<&str>,
        budget: f64,
        predicted: Option<f64>,
        measured: Option<f64>,
        exercised: bool,
    ) -> Expectation {
        let outcome = match measured {
            Some(measured) if measured <= budget => Outcome::Met,
            Some(_) => Outcome::Late,
            None if exercised => Outcome::Missed,
            None => Outcome::NotExercised,
        };
        let above = measured.zip(predicted);
        let above_prediction = above.is_some_and(|(measured, predicted)| {
            // A poll sees an event late by this much.
            measured > predicted + super::alerts::EVERY.as_secs_f64() * 2.0
        });
        Expectation {
            inject: self.index,
            step,
            what,
            alert: alert.map(str::to_owned),
            budget,
            predicted,
            measured,
            outcome,
            above_prediction,
            rule: None,
        }
    }
}

/// The alerts that fired during the watch and that the drill does not allow. Alerts that fired before the watch are not
/// false alarms; [`already_firing`] returns them. Nothing excuses an alert that fires while nothing is broken.
#[must_use]
pub fn false_alarms(drill: &Drill, observed: &Observed<'_>) -> Vec<FalseAlarm> {
    let mut allowed = drill.allowed();
    // This alert reports that a fault was injected. It is neither a detection nor a false alarm.
    allowed.push(OF_INJECTION);
    let begin = observed
        .injected
        .first()
        .map_or(observed.began, |it| it.began);
    let mut all = Vec::new();
    for (alert, spells) in &observed.alerts.spells {
        if allowed.contains(&alert.as_str()) {
            continue;
        }
        // A condition that held before the fault is not a false alarm of a drill that has a fault.
        let new = spells
            .iter()
            .filter(|spell| drill.is_quiet() || !was_pending(spell, begin));
        let fired = new.filter_map(|spell| spell.firing);
        let fired = fired.filter(|at| (observed.began..=observed.ended).contains(at));
        all.extend(fired.map(|at| FalseAlarm {
            alert: alert.clone(),
            at: seconds(begin, at),
            rule: None,
        }));
    }
    all
}

/// Alerts that fire at `at`, before the fault `next` or a quiet drill's watch, and make the drill inconclusive: before
/// a fault the alerts that its inject lists under `fires`, before a watch all that may not fire. Other alerts that fire
/// before a fault, such as one that always fires to show that the chain works, say nothing about the fault.
#[must_use]
pub fn already_firing(drill: &Drill, next: usize, alerts: &Alerts, at: Moment) -> Vec<String> {
    let expect = drill.injects.get(next).map(|inject| &inject.expect);
    let counts = |alert: &str| {
        let is_expected = expect.is_some_and(|expect| expect.fires.contains_key(alert));
        let may_fire = alert == OF_INJECTION || drill.may_fire.iter().any(|it| it == alert);
        is_expected || drill.is_quiet() && !may_fire
    };
    let fires = |spell: &Spell| {
        spell.firing.is_some_and(|from| from < at) && spell.resolved.is_none_or(|to| to > at)
    };
    let firing = alerts
        .spells
        .iter()
        .filter(|(_, spells)| spells.iter().any(fires));
    let names = firing.map(|(alert, _)| alert);
    names.filter(|alert| counts(alert)).cloned().collect()
}

/// The verdict from expectations and false alarms.
#[must_use]
pub fn verdict(expectations: &[Expectation], false_alarms: &[FalseAlarm]) -> Verdict {
    let mut reasons = Vec::new();
    for expectation in expectations {
        let Expectation {
            what,
            budget,
            measured,
            outcome,
            rule,
            ..
        } = expectation;
        let place = in_brackets(rule.as_ref());
        match (outcome, measured) {
            (Outcome::Met, _) => {}
            (Outcome::Late, Some(measured)) => {
                reasons.push(format!(
                    "{what}: {measured:.1} s, budget {budget:.0} s{place}"
                ));
            }
            (Outcome::NotExercised, _) => reasons.push(format!("{what}: not exercised{place}")),
            _ => reasons.push(format!("{what}: did not happen{place}")),
        }
        if expectation.above_prediction {
            let predicted = expectation.predicted.unwrap_or_default();
            reasons.push(format!(
                "{what}: later than the worst case of {predicted:.1} s{place}"
            ));
        }
    }
    for alarm in false_alarms {
        let FalseAlarm { alert, at, .. } = alarm;
        let place = in_brackets(alarm.rule.as_ref());
        reasons.push(format!(
            "{alert} fired at {at:.1} s although nothing expects it{place}"
        ));
    }
    match reasons.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed(reasons),
    }
}

fn in_brackets(rule: Option<&String>) -> String {
    rule.map_or(String::new(), |rule| format!(" ({rule})"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    const DRILL: &str = "title: Slow\nload: onsale-short\ninjects:\n  - at: 6s\n    fault: { kind: latency, delay: 1s, for: 20s }\n    cause: { component: server, mechanism: latency }\n    expect:\n      fires: { SlowBuying: 18s }\n      notified: 3s\n      recovered: 10s\n      resolved: 60s\n";
    /// The fault begins at 0 and ends at 20 s.
    const FAULT: Injected = Injected {
        began: 0,
        ended: 20_000,
    };

    fn drill() -> Drill {
        Drill::parse("drill.yaml", DRILL).unwrap()
    }

    fn spell(firing: Moment, notified: Moment, end_notified: Moment) -> Spell {
        Spell {
            firing: Some(firing),
            notified: Some(notified),
            end_notified: Some(end_notified),
            resolved: Some(end_notified),
            ..Spell::default()
        }
    }

    fn alerts(of: &[(&str, Spell)]) -> Alerts {
        let mut spells: BTreeMap<String, Vec<Spell>> = BTreeMap::new();
        for (name, spell) in of {
            spells.entry((*name).to_owned()).or_default().push(*spell);
        }
        Alerts {
            spells,
            ..Alerts::default()
        }
    }

    /// The seconds from 0 to 40. Those in `bad` are outside of the objective.
    fn seconds(bad: std::ops::Range<i64>) -> Vec<Second> {
        let second = |at: i64| Second {
            at: at * 1_000,
            requests: 100,
            errors: 0,
            p95_ms: Some(1.0),
            met: !bad.contains(&at),
        };
        (0..40).map(second).collect()
    }

    fn judged(alerts: &Alerts, seconds: &[Second]) -> (Vec<Expectation>, Vec<FalseAlarm>) {
        let observed = Observed {
            began: -10_000,
            ended: 40_000,
            injected: &[FAULT],
            alerts,
            seconds,
        };
        let predicted = Prediction {
            firing: Duration::from_secs(12),
            notified: Duration::from_secs(2),
        };
        let expectations = judge(&drill(), &observed, |_, _| Some(predicted));
        (expectations, false_alarms(&drill(), &observed))
    }

    fn outcomes(alerts: &Alerts, seconds: &[Second]) -> Vec<Outcome> {
        let (expectations, _) = judged(alerts, seconds);
        expectations.iter().map(|it| it.outcome).collect()
    }

    #[test]
    fn everything_in_time_passes() {
        let alerts = alerts(&[("SlowBuying", spell(9_000, 10_000, 50_000))]);
        let (expectations, alarms) = judged(&alerts, &seconds(1..22));
        let measured: Vec<_> = expectations.iter().filter_map(|it| it.measured).collect();
        assert_eq!(measured, [9.0, 1.0, 30.0, 2.0]);
        assert_eq!(verdict(&expectations, &alarms), Verdict::Passed);
    }

    #[test]
    fn late_and_missing_are_told_apart() {
        let late = alerts(&[("SlowBuying", spell(19_000, 20_000, 50_000))]);
        assert_eq!(outcomes(&late, &seconds(1..22))[0], Outcome::Late);
        let none = alerts(&[]);
        let missed = outcomes(&none, &seconds(1..22));
        assert_eq!(missed[0], Outcome::Missed);
        // An alert that does not fire cannot notify.
        assert_eq!(missed[1..3], [Outcome::NotExercised, Outcome::NotExercised]);
    }

    #[test]
    fn an_alert_that_fired_before_the_fault_detects_nothing() {
        let alerts = alerts(&[("SlowBuying", spell(-1_000, 0, 50_000))]);
        assert_eq!(outcomes(&alerts, &seconds(1..22))[0], Outcome::Missed);
        assert_eq!(already_firing(&drill(), 0, &alerts, 0), ["SlowBuying"]);
    }

    /// Two faults with the same expectations: from 0 to 20 s, and from 30 s to 50 s.
    fn twice() -> (Drill, [Injected; 2]) {
        let second = DRILL[DRILL.find("  - at").unwrap()..].replace("6s", "36s");
        let drill = Drill::parse("drill.yaml", &format!("{DRILL}{second}")).unwrap();
        let later = Injected {
            began: 30_000,
            ended: 50_000,
        };
        (drill, [FAULT, later])
    }

    fn pending(pending: Moment, firing: Moment) -> Spell {
        Spell {
            pending: Some(pending),
            ..spell(firing, firing + 1_000, firing + 5_000)
        }
    }

    #[test]
    fn an_alert_that_was_pending_before_any_fault_makes_the_drill_inconclusive() {
        let (drill, injected) = twice();
        let of = |spells: [Spell; 2]| {
            let alerts = alerts(&[("SlowBuying", spells[0]), ("SlowBuying", spells[1])]);
            let observed = Observed {
                began: -10_000,
                ended: 60_000,
                injected: &injected,
                alerts: &alerts,
                seconds: &[],
            };
            let judged = judge(&drill, &observed, |_, _| None);
            let fires = judged.iter().filter(|it| it.is_firing());
            let measured: Vec<_> = fires.map(|it| it.measured).collect();
            (measured, pending_before(&drill, &observed))
        };
        let reason = "SlowBuying was pending before the fault: its firing detects nothing";
        let (good, later) = (pending(2_000, 9_000), pending(32_000, 39_000));
        assert_eq!(of([good, later]), (vec![Some(9.0), Some(9.0)], None));
        let early = of([pending(-1, 9_000), later]);
        assert_eq!(early.1.as_deref(), Some(reason));
        let early = of([good, pending(29_999, 39_000)]);
        assert_eq!(early, (vec![Some(9.0), None], Some(reason.to_owned())));
        // An alert that nothing expects proves nothing, and excuses nothing.
        let others = alerts(&[("HostCpuBusy", pending(-60_000, 9_000))]);
        let observed = Observed {
            began: -10_000,
            ended: 60_000,
            injected: &injected,
            alerts: &others,
            seconds: &[],
        };
        assert_eq!(pending_before(&drill, &observed), None);
    }

    #[test]
    fn before_a_fault_no_alert_may_fire_that_it_should_raise_and_before_a_watch_none_at_all() {
        let (mut drill, _) = twice();
        let firing = |name| {
            (
                name,
                Spell {
                    firing: Some(-5_000),
                    ..Spell::default()
                },
            )
        };
        let alerts = alerts(&[
            firing("SlowBuying"),
            firing("ServerDown"),
            firing("HostCpuBusy"),
            firing(OF_INJECTION),
        ]);
        drill.may_fire = vec!["HostCpuBusy".to_owned()];
        assert_eq!(already_firing(&drill, 0, &alerts, 0), ["SlowBuying"]);
        assert_eq!(already_firing(&drill, 1, &alerts, 30_000), ["SlowBuying"]);
        drill.injects.clear();
        assert_eq!(
            already_firing(&drill, 0, &alerts, 0),
            ["ServerDown", "SlowBuying"]
        );
        assert!(already_firing(&drill, 0, &alerts, -6_000).is_empty());
    }

    #[test]
    fn nothing_excuses_an_alert_that_fires_while_nothing_is_broken() {
        let text = "title: Quiet\nload: onsale-short\nwatch: 40s\nmay_fire: [HostCpuBusy]\n";
        let quiet = Drill::parse("drill.yaml", text).unwrap();
        let alerts = alerts(&[
            ("Always", pending(-9_000, 0)),
            ("Later", pending(-1_000, 39_000)),
            ("HostCpuBusy", pending(-1_000, 5_000)),
            ("Over", pending(-9_000, -8_000)),
            (OF_INJECTION, pending(-1_000, 5_000)),
        ]);
        let observed = Observed {
            began: 0,
            ended: 40_000,
            injected: &[],
            alerts: &alerts,
            seconds: &[],
        };
        let alarms = false_alarms(&quiet, &observed);
        let names: Vec<&str> = alarms.iter().map(|it| it.alert.as_str()).collect();
        assert_eq!(names, ["Always", "Later"]);
        assert_eq!(verdict(&[], &alarms).exit_code(), 99);
    }

    #[test]
    fn later_than_the_worst_case_fails_though_the_budget_is_met() {
        let alerts = alerts(&[("SlowBuying", spell(16_000, 17_000, 50_000))]);
        let (expectations, alarms) = judged(&alerts, &seconds(1..22));
        assert_eq!(expectations[0].outcome, Outcome::Met);
        let Verdict::Failed(reasons) = verdict(&expectations, &alarms) else {
            panic!("passed");
        };
        assert!(reasons[0].contains("worst case of 12.0 s"), "{reasons:?}");
    }

    #[test]
    fn an_alert_that_nothing_allows_is_a_false_alarm_and_the_injection_itself_is_none() {
        let alerts = alerts(&[
            ("SlowBuying", spell(9_000, 10_000, 50_000)),
            ("ServerDown", spell(5_000, 6_000, 7_000)),
            (OF_INJECTION, spell(1_000, 2_000, 21_000)),
        ]);
        let (expectations, alarms) = judged(&alerts, &seconds(1..22));
        let names: Vec<&str> = alarms.iter().map(|it| it.alert.as_str()).collect();
        assert_eq!(names, ["ServerDown"]);
        assert_eq!(verdict(&expectations, &alarms).exit_code(), 99);
    }

    #[test]
    fn what_was_true_before_the_fault_is_no_alarm_of_the_drill() {
        let full = Spell {
            pending: Some(-5_000),
            ..spell(5_000, 6_000, 90_000)
        };
        let alerts = alerts(&[
            ("SlowBuying", spell(9_000, 10_000, 50_000)),
            ("HostDiskFull", full),
        ]);
        assert_eq!(judged(&alerts, &seconds(1..22)).1, []);
    }

    #[test]
    fn a_limit_outside_of_the_service_makes_a_drill_inconclusive() {
        let failed = || Verdict::Failed(vec!["late".to_owned()]);
        let none = Limits::default();
        assert_eq!(Verdict::Passed.weighed(&none), Verdict::Passed);
        assert_eq!(failed().weighed(&none), failed());
        let host = Limits {
            host: Some("busy".to_owned()),
            ..Limits::default()
        };
        let reasons = vec!["busy".to_owned(), "late".to_owned()];
        assert_eq!(failed().weighed(&host), Verdict::Inconclusive(reasons));
        assert_eq!(Verdict::Passed.weighed(&host), Verdict::Passed);
        let generator = Limits {
            generator: vec!["slow".to_owned()],
            ..Limits::default()
        };
        assert_eq!(failed().weighed(&generator).exit_code(), 3);
        assert_eq!(Verdict::Passed.weighed(&generator).exit_code(), 3);
    }

    #[test]
    fn recovery_counts_from_the_last_bad_second_to_the_end() {
        let alerts = alerts(&[("SlowBuying", spell(9_000, 10_000, 50_000))]);
        // A relapse: the objective is met at 22 s, and missed again at 28 s.
        let mut relapse = seconds(1..22);
        relapse[28].met = false;
        let (expectations, _) = judged(&alerts, &relapse);
        assert_eq!(expectations[3].measured, Some(9.0));
        // No user gets any answer until 31 s.
        let mut silence = seconds(1..22);
        silence[22..31].iter_mut().for_each(|it| it.requests = 0);
        let (expectations, _) = judged(&alerts, &silence);
        assert_eq!(expectations[3].measured, Some(11.0));
        // The objective is never met again.
        assert_eq!(outcomes(&alerts, &seconds(1..40))[3], Outcome::Missed);
    }
}
