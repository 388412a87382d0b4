//! One drill from end to end: server, traffic, fault, what follows, verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::alerts::{Alerts, Receiver, Watcher};
use super::embedded::Embedded;
use super::file::{Drill, Fault, Inject};
use super::objective::{Objective, Second};
use super::prediction::{Effect, Prediction, Rule, Settings, predict};
use super::record::{AlertTimes, Basis, Harm, Mark, Record};
use super::report::improve::Improvement;
use super::verdict::{
    Expectation, FalseAlarm, Injected, Observed, Verdict, already_firing, false_alarms, judge,
    verdict,
};
use super::{Moment, now};
use crate::load::progress::Step;
use crate::load::{self, Ending, Meter, PhaseName, Reseed, RunHandle, RunOptions, Summary};

/// How long the sale may take to open, seeding included.
const OPENING: Duration = Duration::from_secs(120);
/// How long the hypothesis may take to hold.
const STEADY: Duration = Duration::from_secs(60);
/// How often a drill looks whether it may go on.
const LOOK: Duration = Duration::from_millis(200);

/// How a drill is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the draws begin.
    pub seed: u64,
    /// This program, which serves in a process of its own.
    pub program: PathBuf,
    /// Rule files; none: the shipped ones.
    pub rules: Vec<PathBuf>,
}

/// Why a drill could not run. Nothing was judged then.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The drill's server.
    #[error("the drill's server: {0}")]
    Server(String),
    /// The traffic.
    #[error("the drill's traffic: {0}")]
    Load(#[from] load::LoadError),
    /// The rules, or the drill beside them.
    #[error("{0}")]
    File(#[from] crate::yaml::FileError),
}

/// Everything there is to say about one drill. Times are seconds from the first fault's beginning, or
/// from the beginning of the watch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The drill's name.
    pub drill: String,
    /// One line for people.
    pub title: String,
    /// Where the draws began.
    pub seed: u64,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each expectation with budget, worst case and measurement.
    pub expectations: Vec<Expectation>,
    /// Alerts that nothing in the drill allows.
    pub false_alarms: Vec<FalseAlarm>,
    /// Alerts that fired, by name: when.
    pub fired: BTreeMap<String, Vec<f64>>,
    /// Alerts that the drill allows but does not expect.
    pub allowed: Vec<String>,
    /// The beginning and the end of each fault.
    pub faults: Vec<(f64, f64)>,
    /// Buying requests second by second: time, requests, errors, p95 in ms.
    pub seconds: Vec<(f64, u64, u64, Option<f64>)>,
    /// The verdict in one sentence.
    pub sentence: String,
    /// Everything that happened, on one clock.
    pub marks: Vec<Mark>,
    /// The spells of each alert that was pending or fired, by its name.
    pub alerts: BTreeMap<String, Vec<AlertTimes>>,
    /// What customers had to bear.
    pub harm: Harm,
    /// What to look at next, for each expectation that was not met and each false alarm.
    pub improvements: Vec<Improvement>,
    /// What is needed to run it again.
    pub basis: Basis,
}

/// Runs a drill on a server of its own.
///
/// # Errors
/// The server or the traffic could not be started, or a rule file is wrong.
pub async fn run(
    drill: &Drill,
    options: &Options,
    stop: &CancellationToken,
) -> Result<Report, DrillError> {
    let rules = super::rules::read(&options.rules)?;
    super::rules::check_budgets(drill, &rules)?;
    let receiver = Receiver::start(([127, 0, 0, 1], 0).into())
        .await
        .map_err(|error| DrillError::Server(format!("no place for notifications: {error}")))?;
    let embedded = Embedded::start(options, &receiver.url).await?;
    let (prometheus, alertmanager) = embedded.alert_sources()?;
    let watcher = receiver.watch(prometheus, alertmanager);
    let objective = Arc::new(Objective::new(drill.hypothesis, now()));
    let handle = traffic(drill, &embedded, &objective)?;
    let mut running = Running {
        drill,
        options,
        embedded,
        watcher,
        objective,
        handle,
        stop,
        injected: Vec::new(),
        began: now(),
    };
    let outcome = running.watch_over().await;
    running.report(outcome, &rules).await
}

fn traffic(
    drill: &Drill,
    embedded: &Embedded,
    objective: &Arc<Objective>,
) -> Result<RunHandle, DrillError> {
    let objective = Arc::clone(objective);
    let meter = Meter(Arc::new(move |_: &str, sample: &load::recorder::Sample| {
        objective.count(sample, now());
    }));
    let options = RunOptions {
        reseed: Reseed::WhenUnfit,
        meter: Some(meter),
        ..RunOptions::new(drill.scenario()?)
    };
    Ok(load::start(embedded.target(), options))
}

struct Running<'d> {
    drill: &'d Drill,
    options: &'d Options,
    embedded: Embedded,
    watcher: Watcher,
    objective: Arc<Objective>,
    handle: RunHandle,
    stop: &'d CancellationToken,
    injected: Vec<Injected>,
    began: Moment,
}

/// Why a drill says nothing about the response.
type Inconclusive = String;

impl<'d> Running<'d> {
    async fn watch_over(&mut self) -> Result<(), Inconclusive> {
        let opened = self.opened().await?;
        self.steady().await?;
        self.began = now();
        if self.drill.is_quiet() {
            return self.wait_until(now() + millis(self.drill.watch.0)).await;
        }
        for (moment, inject) in self.plan(opened) {
            self.wait_until(moment).await?;
            let firing = already_firing(self.drill, &self.watcher.alerts(), now());
            if self.injected.is_empty() && !firing.is_empty() {
                let names = firing.join(", ");
                return Err(format!(
                    "{names} fired before the fault: its firing detects nothing"
                ));
            }
            let injected = self.inject(&inject.fault).await?;
            self.injected.push(injected);
        }
        self.follow_up().await
    }

    /// When each fault begins, in that order. The draws are the seed's alone.
    fn plan(&self, opened: Moment) -> Vec<(Moment, &'d Inject)> {
        let mut random = SmallRng::seed_from_u64(self.options.seed);
        let mut plan: Vec<(Moment, &Inject)> = Vec::new();
        for inject in &self.drill.injects {
            let (from, to) = (millis(inject.at.from.0), millis(inject.at.to.0));
            plan.push((opened + random.random_range(from..=to), inject));
        }
        plan.sort_by_key(|(moment, _)| *moment);
        plan
    }

    async fn opened(&mut self) -> Result<Moment, Inconclusive> {
        let mut progress = self.handle.progress.clone();
        let is_open = |step: &Step| matches!(step, Step::Running(PhaseName::Open | PhaseName::Pay));
        let opening = async {
            loop {
                if is_open(&progress.borrow_and_update().step) {
                    return Ok(now());
                }
                if progress.changed().await.is_err() {
                    return Err("the traffic ended before the sale opened".to_owned());
                }
            }
        };
        tokio::select! {
            opened = tokio::time::timeout(OPENING, opening) => opened
                .unwrap_or_else(|_| Err(format!("the sale did not open within {} s", OPENING.as_secs()))),
            () = self.stop.cancelled() => Err("stopped before the sale opened".to_owned()),
        }
    }

    /// Waits until the hypothesis held for its time.
    async fn steady(&self) -> Result<(), Inconclusive> {
        let wanted = usize::try_from(self.drill.hypothesis.lasts.0.as_secs()).unwrap_or(usize::MAX);
        let latest = now() + millis(STEADY);
        while self.objective.met_for(now()) < wanted {
            if now() > latest {
                let seconds = STEADY.as_secs();
                return Err(format!(
                    "the hypothesis did not hold for {wanted} s within {seconds} s: nothing was injected"
                ));
            }
            self.wait_until(now() + millis(LOOK)).await?;
        }
        Ok(())
    }

    async fn inject(&self, fault: &Fault) -> Result<Injected, Inconclusive> {
        let began = self.embedded.inject(fault, &self.drill.name).await;
        let began =
            began.map_err(|problem| format!("the fault could not be injected: {problem}"))?;
        let ended = began + millis(fault.length.0);
        self.wait_until(ended).await?;
        Ok(Injected { began, ended })
    }

    /// After the last fault: until everything that is expected has happened, or can only be late.
    async fn follow_up(&self) -> Result<(), Inconclusive> {
        let latest = self.latest();
        while now() < latest {
            let alerts = self.watcher.alerts();
            let seconds = self.objective.seconds(now());
            let observed = self.observed(&alerts, &seconds);
            let judged = judge(self.drill, &observed, |_, _| None);
            let happened = judged.iter().all(|it| it.measured.is_some());
            if happened {
                return Ok(());
            }
            self.wait_until(now() + millis(LOOK)).await?;
        }
        Ok(())
    }

    /// The end of the last budget.
    fn latest(&self) -> Moment {
        let ends = self.drill.injects.iter().zip(&self.injected);
        let ends = ends.map(|(inject, injected)| {
            let expect = &inject.expect;
            let notified = expect.notified.map_or(0, |it| millis(it.0));
            let fires = expect.fires.values().map(|it| millis(it.0)).max();
            let detected = injected.began + fires.unwrap_or(0) + notified;
            let after = [expect.recovered, expect.resolved];
            let after = after.iter().flatten().map(|it| millis(it.0)).max();
            detected.max(injected.ended + after.unwrap_or(0)) + 1_000
        });
        ends.max().unwrap_or_default()
    }

    fn observed<'o>(&'o self, alerts: &'o Alerts, seconds: &'o [Second]) -> Observed<'o> {
        Observed {
            began: self.began,
            ended: now(),
            injected: &self.injected,
            alerts,
            seconds,
        }
    }

    /// Waits, unless the traffic ends or the drill is stopped meanwhile.
    async fn wait_until(&self, moment: Moment) -> Result<(), Inconclusive> {
        let mut progress = self.handle.progress.clone();
        let ended = async {
            loop {
                if matches!(
                    progress.borrow_and_update().step,
                    Step::Auditing | Step::Finished
                ) {
                    return;
                }
                if progress.changed().await.is_err() {
                    return;
                }
            }
        };
        let pause = u64::try_from(moment - now()).unwrap_or(0);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause)) => Ok(()),
            () = ended => Err("the traffic ended before the drill: give it more users, or let in fewer at once".to_owned()),
            () = self.stop.cancelled() => Err("stopped".to_owned()),
        }
    }

    async fn report(
        self,
        outcome: Result<(), Inconclusive>,
        rules: &[Rule],
    ) -> Result<Report, DrillError> {
        let alerts = self.watcher.alerts();
        let seconds = self.objective.seconds(now());
        let observed = self.observed(&alerts, &seconds);
        let mut expectations = judge(self.drill, &observed, |alert, inject| {
            worst_case(alert, inject, rules)
        });
        for expectation in &mut expectations {
            let alert = expectation.alert.as_deref().unwrap_or_default();
            expectation.rule = place_of(alert, rules);
        }
        let mut alarms = false_alarms(self.drill, &observed);
        for alarm in &mut alarms {
            alarm.rule = place_of(&alarm.alert, rules);
        }
        let begin = self.injected.first().map_or(self.began, |it| it.began);
        let record = Record {
            drill: self.drill,
            observed: &observed,
            begin,
        };
        let (marks, times) = (record.marks(), record.alerts());
        let harm = record.harm(self.objective.harmed_since(begin));
        let basis = record.basis(super::rules::hashes(&self.options.rules)?);
        let ended = now();
        self.handle.control.stop();
        let summary = self.handle.join().await;
        self.embedded.end().await;
        let verdict = match (outcome, broken(self.drill, &summary)) {
            (_, Some(reason)) => Verdict::Failed(vec![reason]),
            (Err(reason), None) => Verdict::Inconclusive(vec![reason]),
            (Ok(()), None) => verdict(&expectations, &alarms),
        };
        let relative = |moment: Moment| (moment - begin) as f64 / 1e3;
        let fired = alerts.spells.iter().filter_map(|(name, spells)| {
            let fired: Vec<f64> = spells
                .iter()
                .filter_map(|it| it.firing)
                .map(relative)
                .collect();
            (!fired.is_empty()).then(|| (name.clone(), fired))
        });
        let faults = self.injected.iter();
        let report = Report {
            drill: self.drill.name.clone(),
            title: self.drill.title.clone(),
            seed: self.options.seed,
            started_at: jiff::Timestamp::from_millisecond(begin)
                .unwrap_or_default()
                .to_string(),
            verdict,
            expectations,
            false_alarms: alarms,
            fired: fired.collect(),
            allowed: self
                .drill
                .allowed()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            faults: faults
                .map(|it| (relative(it.began), relative(it.ended)))
                .collect(),
            seconds: seconds
                .iter()
                .filter(|second| second.at <= ended)
                .map(|it| (relative(it.at), it.requests, it.errors, it.p95_ms))
                .collect(),
            sentence: String::new(),
            marks,
            alerts: times,
            harm,
            improvements: Vec::new(),
            basis,
        };
        Ok(report.concluded())
    }
}

/// What a drill will do, and the worst case of each alert. Sends nothing.
///
/// # Errors
/// A rule file is wrong, or a budget is below the worst case.
pub fn plan(drill: &Drill, rule_files: &[PathBuf]) -> Result<String, crate::yaml::FileError> {
    let rules = super::rules::read(rule_files)?;
    super::rules::check_budgets(drill, &rules)?;
    let mut lines = vec![format!("{}: {}", drill.name, drill.title)];
    lines.push(format!("  traffic  {}", drill.load));
    for inject in &drill.injects {
        let Inject { at, fault, .. } = inject;
        let settings = serde_json::to_string(fault).unwrap_or_default();
        lines.push(format!("  at {at}  {settings}"));
        for (alert, budget) in &inject.expect.fires {
            let worst = worst_case(alert, inject, &rules);
            let worst = worst.map_or(0.0, |it| it.firing.as_secs_f64());
            let rule = rules
                .iter()
                .find(|rule| rule.is_alert && rule.name == *alert);
            let place = rule.map_or(String::new(), |rule| format!("{}:{}", rule.file, rule.line));
            lines.push(format!(
                "    {alert} fires: budget {budget}, worst case {worst:.1} s  ({place})"
            ));
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// Where the rule of an alert stands.
fn place_of(alert: &str, rules: &[Rule]) -> Option<String> {
    let rule = rules
        .iter()
        .find(|rule| rule.is_alert && rule.name == alert)?;
    Some(format!("{}:{}", rule.file, rule.line))
}

/// What the settings of an embedded server make of the rules.
pub(super) fn worst_case(alert: &str, inject: &Inject, rules: &[Rule]) -> Option<Prediction> {
    predict(alert, rules, Settings::EMBEDDED, Effect::of(&inject.fault))
}

/// What must never happen, whatever is broken.
fn broken(drill: &Drill, summary: &Result<Summary, load::LoadError>) -> Option<String> {
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => return Some(format!("the traffic: {error}")),
    };
    if let Some(audit) = &summary.audit
        && audit.oversold_seats > drill.stop.oversold
    {
        return Some(format!("{} seats were sold twice", audit.oversold_seats));
    }
    let lost = summary.lookup.as_ref().map_or(0, |lookup| lookup.missing);
    if lost > drill.stop.lost {
        return Some(format!(
            "{lost} acknowledged writes are not in the database"
        ));
    }
    (summary.ending == Ending::ServerLost).then(|| "the server was lost".to_owned())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
