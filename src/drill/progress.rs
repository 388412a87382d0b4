//! The progress of a drill: its clock so far, published several times a second. The console shows it, and `concertctl
//! drill --progress` writes it as JSON lines.

use serde::{Deserialize, Serialize};

use super::alerts::Spell;
use super::blind::{self, Board};
use super::file::{Drill, Inject};
use super::prediction::Prediction;
use super::report::Report;
use super::verdict::{self, FalseAlarm, Injected, Observed, false_alarms, judge};
use super::{Moment, seconds};

/// One line of the stream: the progress several times a second, then the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// The progress so far.
    Progress(Box<Progress>),
    /// The report at the end.
    Report(Box<Report>),
}

/// The step of a drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The server starts.
    #[default]
    Starting,
    /// Users register, and the sale is about to open.
    Opening,
    /// The hypothesis must hold before a fault begins.
    Steady,
    /// The drill waits for the moment of the fault.
    Waiting,
    /// The fault is active.
    Fault,
    /// The fault is over; the drill waits for the rest of the response.
    Following,
    /// A quiet drill watches: no alert may fire.
    Watching,
    /// A blind drill is played: a fault may be active.
    Playing,
    /// The server ends, and the drill writes the report.
    Ending,
}

impl Step {
    /// The step in a few words.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Step::Starting => "its server starts",
            Step::Opening => "the sale is to open",
            Step::Steady => "the hypothesis must hold",
            Step::Waiting => "before the fault",
            Step::Fault => "the fault is there",
            Step::Following => "after the fault",
            Step::Watching => "nothing may fire",
            Step::Playing => "something may be broken: find it",
            Step::Ending => "it ends",
        }
    }
}

impl Step {
    /// The step that the player of a blind drill may see.
    pub(super) const fn withheld(self) -> Step {
        match self {
            Step::Waiting | Step::Fault | Step::Following => Step::Playing,
            other => other,
        }
    }
}

/// A moment on the clock of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The fault begins.
    Fault,
    /// The first second outside of the objective.
    Symptom,
    /// The alert's condition holds.
    Pending,
    /// The alert fires.
    Firing,
    /// The receiver was notified.
    Notified,
    /// The API that the console asks for alerts lists the alert.
    Shown,
    /// Users are served within the objective again.
    Mitigated,
    /// The rule no longer fires.
    Resolved,
    /// The receiver was notified of the end.
    #[serde(rename = "told")]
    EndNotified,
    /// The end of a quiet drill's watch.
    Watch,
}

impl Stage {
    /// The name of this moment on the clock.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Stage::Fault => "fault",
            Stage::Symptom => "symptom",
            Stage::Pending => "pending",
            Stage::Firing => "firing",
            Stage::Notified => "notified",
            Stage::Shown => "shown",
            Stage::Mitigated => "mitigated",
            Stage::Resolved => "resolved",
            Stage::EndNotified => "end sent",
            Stage::Watch => "quiet",
        }
    }
}

/// One moment of the clock. Times are seconds from the fault's beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The kind of moment.
    pub stage: Stage,
    /// The alert that it is about.
    pub alert: Option<String>,
    /// The time of this moment; absent until then.
    pub at: Option<f64>,
    /// The time from which its budget counts; absent until the moment from which it counts.
    pub from: Option<f64>,
    /// Its budget, if it has one.
    pub budget: Option<f64>,
    /// The worst case by rule and settings, counted from the same time as the budget.
    pub predicted: Option<f64>,
}

/// The service in the last second, as its users saw it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Requests outside of the queue that ended.
    pub requests: u64,
    /// The errors among them.
    pub errors: u64,
    /// The time within which 95 % of the successful requests were served, in milliseconds.
    pub p95_ms: Option<f64>,
    /// The objective was met.
    pub met: bool,
}

/// The state of a drill at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The drill's name.
    pub drill: String,
    /// One line for people.
    pub title: String,
    /// Its step.
    pub step: Step,
    /// Its beginning.
    pub started: Moment,
    /// Seconds since then.
    pub elapsed: f64,
    /// Seconds since the last fault began, or since the watch began; absent before that.
    pub since_fault: Option<f64>,
    /// Seconds until the last fault ends; absent while no fault is active.
    pub fault_ends_in: Option<f64>,
    /// Faults that have begun.
    pub injected: usize,
    /// The number of faults in the drill.
    pub injects: usize,
    /// The clock of the last fault that began; before the first one, the clock of the first.
    pub clock: Vec<Row>,
    /// Alerts that nothing in the drill allows.
    pub false_alarms: Vec<FalseAlarm>,
    /// The service as its users see it; absent before there is traffic.
    pub traffic: Option<Traffic>,
    /// The view and the actions of a blind drill's player.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Board>,
}

impl Progress {
    /// The progress of a drill at its beginning.
    pub(super) fn of(drill: &Drill, now: Moment) -> Progress {
        Progress {
            drill: drill.name.clone(),
            title: drill.title.clone(),
            started: now,
            injects: drill.injects.len(),
            ..Progress::default()
        }
    }

    /// The progress of a blind drill at its beginning.
    pub(super) fn blind(now: Moment) -> Progress {
        Progress {
            drill: blind::NAME.to_owned(),
            title: blind::TITLE.to_owned(),
            started: now,
            ..Progress::default()
        }
    }

    /// Updates only the fields that the player of a blind drill may see: the time, the users' view, and the player's
    /// actions.
    pub(super) fn observe_blind(&mut self, observed: &Observed<'_>, board: Board) {
        self.elapsed = seconds(self.started, observed.ended);
        self.traffic = traffic(observed);
        self.blind = Some(board);
    }

    /// Updates the progress from the observations so far.
    pub(super) fn observe(
        &mut self,
        drill: &Drill,
        observed: &Observed<'_>,
        predict: impl Fn(&str, &Inject) -> Option<Prediction>,
    ) {
        let now = observed.ended;
        self.elapsed = seconds(self.started, now);
        self.injected = observed.injected.len();
        self.traffic = traffic(observed);
        let last = observed.injected.last();
        let began = last.map(|it| it.began).or_else(|| {
            let watching = self.step == Step::Watching;
            watching.then_some(observed.began)
        });
        self.since_fault = began.map(|began| seconds(began, now));
        self.fault_ends_in = last
            .map(|it| seconds(now, it.ended))
            .filter(|left| *left > 0.0);
        if began.is_some() {
            self.false_alarms = false_alarms(drill, observed);
        }
        let index = self.injected.saturating_sub(1);
        self.clock = match drill.injects.get(index) {
            Some(inject) => clock(drill, index, inject, observed, predict),
            None => vec![Row {
                budget: Some(drill.watch.0.as_secs_f64()),
                from: began.map(|_| 0.0),
                ..row(Stage::Watch, None)
            }],
        };
    }
}

fn traffic(observed: &Observed<'_>) -> Option<Traffic> {
    observed.seconds.last().map(|second| Traffic {
        requests: second.requests,
        errors: second.errors,
        p95_ms: second.p95_ms,
        met: second.met,
    })
}

const fn row(stage: Stage, at: Option<f64>) -> Row {
    Row {
        stage,
        alert: None,
        at,
        from: None,
        budget: None,
        predicted: None,
    }
}

/// The moments of one fault, in the order in which they should come.
fn clock(
    drill: &Drill,
    index: usize,
    inject: &Inject,
    observed: &Observed<'_>,
    predict: impl Fn(&str, &Inject) -> Option<Prediction>,
) -> Vec<Row> {
    let injected = observed.injected.get(index).copied();
    let t0 = injected.map(|it| it.began);
    let since = |moment: Moment| t0.map(|t0| seconds(t0, moment));
    let symptom = observed.symptom(index).and_then(since);
    let mut rows = vec![
        row(Stage::Fault, t0.map(|_| 0.0)),
        row(Stage::Symptom, symptom),
    ];
    for (alert, budget) in &inject.expect.fires {
        let spell = injected.and_then(|it| spell(observed.alerts.of(alert), it.began));
        let spell = spell.unwrap_or_default();
        let fires = (budget.0.as_secs_f64(), predict(alert, inject));
        rows.extend(of_alert(alert, inject, injected, spell, fires));
    }
    let judged = judge(drill, observed, |_, _| None);
    let recovered = judged
        .iter()
        .find(|it| it.inject == index && it.step == verdict::Step::Recovers);
    let over = injected.filter(|it| it.ended <= observed.ended);
    let from = over.and_then(|it| since(it.ended));
    let took = recovered.and_then(|it| it.measured);
    let mitigated = match inject.expect.recovered {
        Some(_) => from.zip(took).map(|(from, took)| from + took),
        None => over.and_then(|_| since(observed.mitigated(index)?)),
    };
    rows.push(Row {
        from,
        budget: inject.expect.recovered.map(|it| it.0.as_secs_f64()),
        ..row(Stage::Mitigated, mitigated)
    });
    rows
}

fn of_alert(
    alert: &str,
    inject: &Inject,
    injected: Option<Injected>,
    spell: Spell,
    (budget, prediction): (f64, Option<Prediction>),
) -> Vec<Row> {
    let since = |moment: Moment| injected.map(|it| seconds(it.began, moment));
    let at = |moment: Option<Moment>| moment.and_then(since);
    let expect = &inject.expect;
    let end = injected
        .filter(|_| spell.notified.is_some())
        .and_then(|it| since(it.ended));
    let mut rows = vec![
        row(Stage::Pending, at(spell.pending).map(at_least_0)),
        Row {
            from: injected.map(|_| 0.0),
            budget: Some(budget),
            predicted: prediction.map(|it| it.firing.as_secs_f64()),
            ..row(Stage::Firing, at(spell.firing))
        },
        Row {
            from: at(spell.firing),
            budget: expect.notified.map(|it| it.0.as_secs_f64()),
            predicted: prediction.map(|it| it.notified.as_secs_f64()),
            ..row(Stage::Notified, at(spell.notified))
        },
        row(Stage::Shown, at(spell.shown)),
        row(Stage::Resolved, at(spell.resolved)),
        Row {
            from: end,
            budget: expect.resolved.map(|it| it.0.as_secs_f64()),
            ..row(Stage::EndNotified, at(spell.end_notified))
        },
    ];
    for row in &mut rows {
        row.alert = Some(alert.to_owned());
    }
    rows
}

/// The first spell that fired since `began`, or that has not fired yet. Unlike the verdict's, it may still be pending.
fn spell(spells: &[Spell], began: Moment) -> Option<Spell> {
    let of_this = |spell: &&Spell| match spell.firing {
        Some(at) => at >= began,
        None => true,
    };
    spells.iter().find(of_this).copied()
}

/// An event in the same second as the fault, or before it, counts from the fault's beginning.
fn at_least_0(at: f64) -> f64 {
    at.max(0.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::drill::alerts::Alerts;
    use crate::drill::objective::Second;

    const DRILL: &str = "title: Slow\nload: onsale-short\ninjects:\n  - at: 6s\n    fault: { kind: latency, delay: 1s, for: 20s }\n    cause: { component: server, mechanism: latency }\n    expect:\n      fires: { SlowBuying: 18s }\n      notified: 3s\n      recovered: 10s\n      resolved: 60s\n";
    const FAULT: Injected = Injected {
        began: 100_000,
        ended: 120_000,
    };

    /// Seconds around the fault. Those in `bad` (from its beginning) are outside of the objective.
    fn seconds_with(bad: std::ops::Range<i64>, until: i64) -> Vec<Second> {
        let second = |at: i64| Second {
            at: FAULT.began + at * 1_000,
            requests: 100,
            errors: 0,
            p95_ms: Some(1.0),
            met: !bad.contains(&at),
        };
        (-10..until).map(second).collect()
    }

    fn observe(spell: Spell, injected: &[Injected], at: i64) -> Progress {
        let drill = Drill::parse("slow", DRILL).unwrap();
        let mut alerts = Alerts::default();
        alerts.spells.insert("SlowBuying".into(), vec![spell]);
        let observed = Observed {
            began: 90_000,
            ended: FAULT.began + at * 1_000,
            injected,
            alerts: &alerts,
            seconds: &seconds_with(1..22, at),
        };
        let mut progress = Progress::of(&drill, 80_000);
        let predicted = Prediction {
            firing: Duration::from_secs(12),
            notified: Duration::from_secs(2),
        };
        progress.observe(&drill, &observed, |_, _| Some(predicted));
        progress
    }

    fn found(progress: &Progress, stage: Stage) -> &Row {
        let mut rows = progress.clock.iter();
        rows.find(|row| row.stage == stage).expect("a row")
    }

    #[test]
    fn before_the_fault_the_clock_has_its_budgets_and_no_time() {
        let progress = observe(Spell::default(), &[], -3);
        assert_eq!((progress.since_fault, progress.injected), (None, 0));
        let firing = found(&progress, Stage::Firing);
        assert_eq!((firing.budget, firing.predicted), (Some(18.0), Some(12.0)));
        assert!(
            progress
                .clock
                .iter()
                .all(|row| row.at.is_none() && row.from.is_none())
        );
    }

    #[test]
    fn while_the_fault_lasts_the_clock_counts_from_its_beginning() {
        let pending = Spell {
            pending: Some(107_000),
            ..Spell::default()
        };
        let progress = observe(pending, &[FAULT], 8);
        assert_eq!(progress.since_fault, Some(8.0));
        assert_eq!(progress.fault_ends_in, Some(12.0));
        assert_eq!(found(&progress, Stage::Symptom).at, Some(1.0));
        assert_eq!(found(&progress, Stage::Pending).at, Some(7.0));
        let firing = found(&progress, Stage::Firing);
        assert_eq!((firing.from, firing.at), (Some(0.0), None));
        assert_eq!(found(&progress, Stage::Notified).from, None);
    }

    #[test]
    fn at_the_end_the_clock_says_what_the_verdict_measures() {
        let spell = Spell {
            pending: Some(107_000),
            firing: Some(109_000),
            notified: Some(110_000),
            shown: Some(109_500),
            resolved: Some(140_000),
            end_notified: Some(150_000),
        };
        let progress = observe(spell, &[FAULT], 60);
        let took = |stage| {
            let row = found(&progress, stage);
            row.at.zip(row.from).map(|(at, from)| at - from)
        };
        let stages = [
            Stage::Firing,
            Stage::Notified,
            Stage::EndNotified,
            Stage::Mitigated,
        ];
        // The same figures as in `verdict::tests::everything_in_time_passes`.
        assert_eq!(stages.map(took), [9.0, 1.0, 30.0, 2.0].map(Some));
        assert_eq!(progress.fault_ends_in, None);
    }

    #[test]
    fn an_alert_that_fired_before_the_fault_is_on_nobodys_clock() {
        let before = Spell {
            firing: Some(99_000),
            ..Spell::default()
        };
        let progress = observe(before, &[FAULT], 8);
        assert_eq!(found(&progress, Stage::Firing).at, None);
    }

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let progress = observe(Spell::default(), &[FAULT], 8);
        let line = Line::Progress(Box::new(progress.clone()));
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.starts_with(r#"{"progress":{"#), "{text}");
        let Line::Progress(read) = serde_json::from_str(&text).unwrap() else {
            panic!("{text}")
        };
        assert_eq!(*read, progress);
    }
}
