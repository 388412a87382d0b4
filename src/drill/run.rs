//! Runs one drill from end to end: server, traffic, faults, response, verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::alerts::{Alerts, Receiver, Spell, Watcher};
use super::basis::Basis;
use super::blind::Blind;
use super::blind::grading::{Response, grade};
use super::blind::play::Play;
use super::error::DrillError;
use super::file::{Drill, Fault, Inject};
use super::host::{Crowded, Host};
use super::objective::{Objective, Second};
use super::prediction::worst_case;
use super::progress::{self, Progress};
use super::record::{self, Record};
use super::report::Report;
use super::rules::place_of;
use super::stop::StopWatch;
use super::system::{Given, System};
use super::traffic;
use super::verdict::{
    Expectation, FalseAlarm, Injected, Limits, Observed, Verdict, already_firing, false_alarms,
    judge, pending_before, verdict,
};
use super::{Moment, now};
use crate::load::progress::Step;
use crate::load::{self, Ending, Meter, PhaseName, RunHandle, RunOptions, Summary};

/// The longest time until the sale opens, including seeding.
const OPENING: Duration = Duration::from_secs(120);
/// The longest time until the hypothesis begins to hold, and until the alerts of an earlier drill end.
const STEADY: Duration = Duration::from_secs(60);
/// The pause between two looks at the progress.
const LOOK: Duration = Duration::from_millis(200);

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed of all random draws.
    pub seed: u64,
    /// The path of this program, which also runs the server.
    pub program: PathBuf,
    /// Rule files; without any, the shipped rules.
    pub rules: Vec<PathBuf>,
    /// A running system. Without one, the drill starts its own server.
    pub given: Option<Given>,
    /// Whether drills may run commands that their file names.
    pub allow_commands: bool,
    /// The settings of a blind drill, if its fault is withheld.
    pub blind: Option<Arc<Blind>>,
    /// Receives the progress.
    pub progress: watch::Sender<Progress>,
}

/// Runs a drill.
///
/// # Errors
/// The server or the traffic could not be started, or a budget is below the worst case of `basis`.
pub async fn run(
    drill: &Drill,
    options: &Options,
    basis: &Basis,
    stop: &CancellationToken,
) -> Result<Report, DrillError> {
    basis.check(drill)?;
    options.progress.send_replace(match options.blind {
        Some(_) => Progress::blind(now()),
        None => Progress::of(drill, now()),
    });
    let notified_at = options.given.as_ref().map(|given| given.notified_at);
    let receiver = Receiver::start(notified_at.unwrap_or(([127, 0, 0, 1], 0).into()))
        .await
        .map_err(|error| DrillError::Server(format!("no place for notifications: {error}")))?;
    let system = System::start(
        options.given.as_ref(),
        &options.program,
        &options.rules,
        &receiver.url,
    )
    .await?;
    let play = match &options.blind {
        Some(blind) => Some(Play::begin(blind, drill, &system).await?),
        None => None,
    };
    let (prometheus, alertmanager) = system.alert_sources()?;
    let watcher = receiver.watch(prometheus, alertmanager);
    let objective = Arc::new(Objective::new(drill.hypothesis, now()));
    let handle = start_traffic(drill, &system, &objective)?;
    let stop_watch = StopWatch::start(
        drill.stop,
        &system.target().ops_url,
        Arc::clone(&objective),
        handle.progress.clone(),
    );
    let mut running = Running {
        drill,
        options,
        // On a running system the drill cannot tell the servers' processor time from that of other programs.
        host: options.given.is_none().then(Host::watch),
        system,
        play,
        watcher,
        objective,
        handle,
        stop,
        stop_watch,
        injected: Vec::new(),
        began: now(),
        basis,
    };
    let outcome = running.watch_over().await;
    running.enter(progress::Step::Ending);
    running.report(outcome).await
}

fn start_traffic(
    drill: &Drill,
    system: &System,
    objective: &Arc<Objective>,
) -> Result<RunHandle, DrillError> {
    let objective = Arc::clone(objective);
    let meter = Meter(Arc::new(move |_: &str, sample: &load::recorder::Sample| {
        objective.count(sample, now());
    }));
    let is_new_server = matches!(system, System::Own(_));
    let (scenario, profile) = traffic::of(drill, is_new_server)?;
    let options = RunOptions {
        reseed: system.reseed(),
        meter: Some(meter),
        profile,
        ..RunOptions::new(scenario)
    };
    Ok(load::start(system.target(), options))
}

struct Running<'d> {
    drill: &'d Drill,
    options: &'d Options,
    host: Option<Host>,
    system: System,
    play: Option<Play>,
    watcher: Watcher,
    objective: Arc<Objective>,
    handle: RunHandle,
    stop: &'d CancellationToken,
    stop_watch: StopWatch,
    injected: Vec<Injected>,
    began: Moment,
    basis: &'d Basis,
}

/// The reason why a drill proves nothing about the response.
type Inconclusive = String;

impl<'d> Running<'d> {
    async fn watch_over(&mut self) -> Result<(), Inconclusive> {
        self.enter(progress::Step::Opening);
        let opened = self.opened().await?;
        self.enter(progress::Step::Steady);
        self.calm().await?;
        self.steady().await?;
        self.began = now();
        if self.drill.is_quiet() {
            self.nothing_fires("the watch")?;
            self.enter(progress::Step::Watching);
            return self.wait_until(now() + millis(self.drill.watch.0)).await;
        }
        for (moment, inject) in self.plan(opened) {
            self.enter(progress::Step::Waiting);
            self.wait_until(moment).await?;
            self.nothing_fires("the fault")?;
            let injected = self.inject(&inject.fault).await?;
            self.injected.push(injected);
            self.enter(progress::Step::Fault);
            self.fault_over(injected).await?;
        }
        self.enter(progress::Step::Following);
        self.follow_up().await
    }

    /// Checks that no alert fires that would make what follows inconclusive.
    fn nothing_fires(&self, before: &str) -> Result<(), Inconclusive> {
        let firing = self.already_firing();
        let Some(first) = firing.first() else {
            return Ok(());
        };
        let advice = match self.drill.is_quiet() {
            true => "end its cause, or list it in `may_fire`",
            false => "its firing detects nothing",
        };
        Err(format!("{first} fired before {before}: {advice}"))
    }

    fn already_firing(&self) -> Vec<String> {
        already_firing(
            self.drill,
            self.injected.len(),
            &self.watcher.alerts(),
            now(),
        )
    }

    /// Waits, on a running system, until the alerts of an earlier drill have ended. A server of the drill's own has had
    /// no earlier drill.
    async fn calm(&self) -> Result<(), Inconclusive> {
        let latest = now() + millis(STEADY);
        while self.options.given.is_some() && now() < latest && !self.already_firing().is_empty() {
            self.wait_until(now() + millis(LOOK)).await?;
        }
        Ok(())
    }

    /// Waits until the fault has ended: by itself, or by the player of a blind drill.
    async fn fault_over(&mut self, injected: Injected) -> Result<(), Inconclusive> {
        let cleared = |play: &Option<Play>| play.as_ref().and_then(Play::cleared);
        while now() < injected.ended && cleared(&self.play).is_none() {
            let next = match self.play {
                Some(_) => injected.ended.min(now() + millis(LOOK)),
                None => injected.ended,
            };
            self.wait_until(next).await?;
        }
        if let (Some(last), Some(cleared)) = (self.injected.last_mut(), cleared(&self.play)) {
            last.ended = cleared;
        }
        Ok(())
    }

    fn enter(&self, step: progress::Step) {
        let step = match self.play {
            Some(_) => step.withheld(),
            None => step,
        };
        let enter = |progress: &mut Progress| progress.step = step;
        self.options.progress.send_modify(enter);
    }

    /// Publishes the current progress.
    fn tell(&self) {
        if self.options.progress.receiver_count() == 0 {
            return;
        }
        let (alerts, seconds) = (self.watcher.alerts(), self.objective.seconds(now()));
        let observed = self.observed(&alerts, &seconds);
        self.options.progress.send_modify(|progress| {
            if let Some(play) = &self.play {
                progress.observe_blind(&observed, play.board(&alerts));
                return;
            }
            progress.observe(self.drill, &observed, |alert, inject| {
                worst_case(alert, inject, &self.basis.rules, self.basis.settings)
            });
        });
    }

    /// The faults with their beginnings, in the order of the file: one runs after the other, and the n-th of `injected`
    /// is the n-th of the file. The draws depend only on the seed.
    fn plan(&self, opened: Moment) -> Vec<(Moment, &'d Inject)> {
        let mut random = SmallRng::seed_from_u64(self.options.seed);
        let mut draw = |inject: &'d Inject| {
            let (from, to) = (millis(inject.at.from.0), millis(inject.at.to.0));
            (opened + random.random_range(from..=to), inject)
        };
        self.drill.injects.iter().map(&mut draw).collect()
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

    /// Waits until the hypothesis has held for its time.
    async fn steady(&self) -> Result<(), Inconclusive> {
        let wanted = usize::try_from(self.drill.hypothesis.lasts.0.as_secs()).unwrap_or(usize::MAX);
        let longest = STEADY + self.drill.hypothesis.lasts.0;
        let latest = now() + millis(longest);
        while self.objective.met_for(now()) < wanted {
            if now() > latest {
                let seconds = longest.as_secs();
                return Err(format!(
                    "the hypothesis did not hold for {wanted} s within {seconds} s: nothing was injected"
                ));
            }
            self.wait_until(now() + millis(LOOK)).await?;
        }
        Ok(())
    }

    async fn inject(&self, fault: &Fault) -> Result<Injected, Inconclusive> {
        if fault.kind.runs_commands() && !self.options.allow_commands {
            return Err("the fault is a command, and commands were not allowed".to_owned());
        }
        let began = match &self.play {
            Some(play) => play.inject(&self.system, fault).await,
            None => self.system.inject(fault, &self.drill.name).await,
        };
        let began =
            began.map_err(|problem| format!("the fault could not be injected: {problem}"))?;
        let ended = began + millis(fault.length.0);
        Ok(Injected { began, ended })
    }

    /// Waits, after the last fault, until every expected event has happened, is given up, or can only come late.
    async fn follow_up(&self) -> Result<(), Inconclusive> {
        let latest = self.latest();
        while now() < latest {
            let alerts = self.watcher.alerts();
            let seconds = self.objective.seconds(now());
            let observed = self.observed(&alerts, &seconds);
            let judged = judge(self.drill, &observed, |_, _| None);
            let is_decided = |it: &Expectation| it.measured.is_some() || self.given_up(it, &judged);
            if judged.iter().all(is_decided) && self.is_steady(&seconds) {
                return Ok(());
            }
            self.wait_until(now() + millis(LOOK)).await?;
        }
        Ok(())
    }

    /// Returns whether the event of `expected` is no longer awaited: its alert has not fired within twice its budget.
    /// Without the alert there is no notification and no end.
    fn given_up(&self, expected: &Expectation, all: &[Expectation]) -> bool {
        all.iter()
            .filter(|fires| fires.is_firing() && fires.measured.is_none())
            .filter(|fires| (fires.inject, &fires.alert) == (expected.inject, &expected.alert))
            .any(|fires| {
                let began = self.injected[fires.inject].began;
                super::seconds(began, now()) > 2.0 * fires.budget
            })
    }

    /// Returns whether users have been served within the objective since the last fault, for as long as the hypothesis
    /// requires. A shorter good time may end in a relapse.
    fn is_steady(&self, seconds: &[Second]) -> bool {
        let wanted = usize::try_from(self.drill.hypothesis.lasts.0.as_secs()).unwrap_or(usize::MAX);
        let ended = self.injected.last().map_or(self.began, |it| it.ended);
        let after = seconds.iter().rev().take_while(|it| it.at >= ended);
        let last: Vec<&Second> = after.take(wanted).collect();
        last.len() == wanted
            && last.iter().all(|it| it.met)
            && last.iter().any(|it| it.requests > 0)
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

    /// Waits until `moment`. Returns an error if the traffic ends or the drill is stopped before.
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
        let due = async {
            loop {
                if let Some(play) = &self.play {
                    let injected = self.injected.last().copied();
                    play.act(&self.system, self.drill, injected).await;
                }
                self.tell();
                let left = moment - now();
                let Ok(left @ 1..) = u64::try_from(left) else {
                    return;
                };
                tokio::time::sleep(Duration::from_millis(left).min(LOOK)).await;
            }
        };
        tokio::select! {
            () = due => Ok(()),
            () = ended => Err("the traffic ended before the drill: give it more users, or admit fewer at once".to_owned()),
            () = self.stop.cancelled() => Err("stopped".to_owned()),
            reason = self.stop_watch.violated() => Err(reason),
        }
    }

    /// Returns why the drill blames other programs: they held the processors for too large a share of the time.
    fn crowded(&self, ended: Moment) -> Option<String> {
        /// Fewer seconds in a short watch are chance.
        const SOME: usize = 3;
        let Crowded { seconds, of } = self.host.as_ref()?.crowded(self.began, ended);
        let crowded = seconds >= SOME && seconds as f64 > of as f64 * self.drill.host_busy;
        crowded.then(|| format!("other programs held the processors in {seconds} of {of} s"))
    }

    async fn report(self, outcome: Result<(), Inconclusive>) -> Result<Report, DrillError> {
        let alerts = self.watcher.alerts();
        let seconds = self.objective.seconds(now());
        let observed = self.observed(&alerts, &seconds);
        let (mut expectations, alarms) = judged(self.drill, &observed, self.basis);
        let outcome = outcome.and(pending_before(self.drill, &observed).map_or(Ok(()), Err));
        if self.play.is_some() {
            leave_out_what_ended_early(&mut expectations, &self.injected);
        }
        let begin = self.injected.first().map_or(self.began, |it| it.began);
        let blind = self.graded(&alerts, begin);
        let record = Record {
            drill: self.drill,
            observed: &observed,
            begin,
        };
        let (mut marks, times) = (record.marks(), record.alerts());
        record::add_actions(&mut marks, blind.as_ref());
        let harm = record.harm(self.objective.harmed_since(begin));
        let basis = record.basis(self.basis.identity.clone());
        let ended = now();
        let relative = |moment: Moment| super::seconds(begin, moment);
        let faults = self.injected.iter();
        let faults = faults
            .map(|it| (relative(it.began), relative(it.ended)))
            .collect();
        let seconds = seconds.iter().filter(|second| second.at <= ended);
        let seconds = seconds.map(|it| (relative(it.at), it.requests, it.errors, it.p95_ms));
        let seconds = seconds.collect();
        let host = self.crowded(ended);
        let stop_checks = self.stop_watch.checked();
        if let Some(play) = &self.play {
            play.reveal(self.drill).await;
        }
        // The audit at the end of the traffic needs a server that answers.
        self.system.release(self.drill).await;
        self.handle.control.stop();
        let summary = self.handle.join().await;
        self.system.end().await;
        let stop_reason = self.stop_watch.reason();
        let was_stopped = self.stop.is_cancelled() || stop_reason.is_some();
        let summary = begun(summary, !self.injected.is_empty() || was_stopped)?;
        let fault_lost = self.play.as_ref().and_then(Play::fault_lost);
        let outcome = outcome.and(fault_lost.map_or(Ok(()), Err));
        let outcome = outcome.map(|()| match (verdict(&expectations, &alarms), &blind) {
            (it, Some(response)) => response.weigh(it),
            (it, None) => it,
        });
        let stopped = stop_reason.is_some();
        let verdict = match (stop_reason, broken(self.drill, &summary)) {
            (None, None) => concluded(outcome, &summary, self.stop.is_cancelled(), host),
            (None, Some(reason)) => Verdict::Failed(vec![reason]),
            (Some(reason), broken) => {
                Verdict::Inconclusive(std::iter::once(reason).chain(broken).collect())
            }
        };
        let allowed = self.drill.allowed().into_iter().map(str::to_owned);
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
            fired: fired(&alerts, begin),
            allowed: allowed.collect(),
            faults,
            seconds,
            sentence: String::new(),
            stopped,
            stop_checks,
            marks,
            alerts: times,
            harm,
            improvements: Vec::new(),
            basis,
            blind,
        };
        Ok(report.concluded())
    }

    /// The response of a blind drill's player.
    fn graded(&self, alerts: &Alerts, begin: Moment) -> Option<Response> {
        let play = self.play.as_ref()?;
        let inject = self.drill.injects.first()?;
        let fired = |alert: &str, at: Moment| {
            let mut spells = alerts.of(alert).iter();
            spells.any(|spell| spell.firing.is_some_and(|from| from <= at))
        };
        let sealed = &play.blind.sealed;
        Some(grade(sealed, inject, &play.played(), begin, fired))
    }
}

/// The expectations and the false alarms, each with the place of its rule.
fn judged(
    drill: &Drill,
    observed: &Observed<'_>,
    basis: &Basis,
) -> (Vec<Expectation>, Vec<FalseAlarm>) {
    let Basis {
        rules, settings, ..
    } = basis;
    let mut expectations = judge(drill, observed, |alert, inject| {
        worst_case(alert, inject, rules, *settings)
    });
    for expectation in &mut expectations {
        let alert = expectation.alert.as_deref().unwrap_or_default();
        expectation.rule = place_of(alert, rules);
    }
    let mut alarms = false_alarms(drill, observed);
    for alarm in &mut alarms {
        alarm.rule = place_of(&alarm.alert, rules);
    }
    (expectations, alarms)
}

/// Removes the expectations of alerts that did not fire because the player ended the fault within their budget. Such an
/// alert proves nothing about its rule.
fn leave_out_what_ended_early(expectations: &mut Vec<Expectation>, injected: &[Injected]) {
    let is_early = |it: &&Expectation| {
        let lasted = injected
            .get(it.inject)
            .map(|fault| super::seconds(fault.began, fault.ended));
        it.is_firing() && it.measured.is_none() && lasted.is_some_and(|lasted| lasted < it.budget)
    };
    let early: Vec<Option<String>> = expectations
        .iter()
        .filter(is_early)
        .map(|it| it.alert.clone())
        .collect();
    expectations.retain(|it| it.alert.is_none() || !early.contains(&it.alert));
}

/// The times at which each alert fired, in seconds from `begin`.
fn fired(alerts: &Alerts, begin: Moment) -> BTreeMap<String, Vec<f64>> {
    let firing = |(name, spells): (&String, &Vec<Spell>)| {
        let firing = spells.iter().filter_map(|it| it.firing);
        let fired: Vec<f64> = firing.map(|at| super::seconds(begin, at)).collect();
        (!fired.is_empty()).then(|| (name.clone(), fired))
    };
    alerts.spells.iter().filter_map(firing).collect()
}

/// The verdict on the whole drill. `outcome` is the verdict on the response, or the reason why there is none. `host`
/// says how other programs delayed the drill.
fn concluded(
    outcome: Result<Verdict, Inconclusive>,
    summary: &Result<Summary, load::LoadError>,
    was_stopped: bool,
    host: Option<String>,
) -> Verdict {
    let verdict = match (lost(summary), outcome) {
        // A drill that is stopped before the first request has no summary of the traffic.
        (Some(_), Err(reason)) if was_stopped && summary.is_err() => {
            Verdict::Inconclusive(vec![reason])
        }
        (Some(reason), _) => Verdict::Failed(vec![reason]),
        (None, Err(reason)) => Verdict::Inconclusive(vec![reason]),
        (None, Ok(verdict)) => verdict,
    };
    let generator = match summary {
        Ok(summary) => summary.generator.limited.clone(),
        Err(_) => Vec::new(),
    };
    verdict.weighed(&Limits { generator, host })
}

/// The rule of the sale that the drill violated, if one was: no oversold seats, no lost writes.
fn broken(drill: &Drill, summary: &Result<Summary, load::LoadError>) -> Option<String> {
    let summary = summary.as_ref().ok()?;
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
    None
}

/// The outcome of traffic that began, or that was stopped before. Other traffic without a summary did not begin, unless
/// a fault was injected, and then the drill proves nothing about the response.
///
/// # Errors
/// The traffic did not begin.
fn begun(
    summary: Result<Summary, load::LoadError>,
    was_injected_or_stopped: bool,
) -> Result<Result<Summary, load::LoadError>, DrillError> {
    match summary {
        Err(error) if !was_injected_or_stopped && !matches!(error, load::LoadError::Stopped) => {
            Err(error.into())
        }
        summary => Ok(summary),
    }
}

/// Returns why the traffic failed as a whole; `None` if it did not.
fn lost(summary: &Result<Summary, load::LoadError>) -> Option<String> {
    match summary {
        Ok(summary) if summary.ending == Ending::ServerLost => {
            Some("the server was lost: nothing was answered any more".to_owned())
        }
        // The reason why the drill stopped the traffic is known.
        Ok(_) | Err(load::LoadError::Stopped) => None,
        Err(error) => Some(format!("the traffic: {error}")),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::LoadError;

    #[test]
    fn traffic_that_did_not_begin_misses_no_expectation() {
        let misfit = || Err(LoadError::Dataset("the server holds another".to_owned()));
        let error = begun(misfit(), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the drill's traffic: the server holds another"
        );
        assert!(begun(misfit(), true).unwrap().is_err(), "judged as before");
        // The sale did not open in time, so the drill stopped the traffic.
        let stopped = begun(Err(LoadError::Stopped), false).unwrap();
        let reason = "the sale did not open".to_owned();
        let verdict = concluded(Err(reason.clone()), &stopped, false, None);
        assert_eq!(verdict, Verdict::Inconclusive(vec![reason]));
    }
}
