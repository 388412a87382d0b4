//! The console's load generator: `load`, in this process, against the listener that it is shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::newest;
use crate::cli::own_profile;
use crate::files::{self, Access};
use crate::load::model::PhaseName;
use crate::load::progress::{OperationProgress, Step};
use crate::load::{
    Command, Judged, Outcome as Kept, OwnProfile, Reseed, RunHandle, RunOptions, Scenario, Summary,
    Target, Unit, Verdict as Judgement, report, scenarios, start,
};
use crate::seeding::Profile;
use crate::tui::load_port::{
    LoadPort, Operation, Outcome, Phase, Progress, Run, Scenario as Choice, StartRequest, Steer,
    Threshold, Verdict,
};
use crate::yaml;

/// The real load generator.
#[derive(Clone, Debug)]
pub(super) struct Rehearsals {
    /// The server runs in this process.
    pub(super) embedded: bool,
    /// Where summaries are written.
    pub(super) summaries: PathBuf,
}

impl LoadPort for Rehearsals {
    fn scenarios(&self) -> Vec<Choice> {
        let parsed = |info: crate::load::ScenarioInfo| {
            Scenario::parse(info.name, info.text, &[]).ok().map(choice)
        };
        scenarios().into_iter().filter_map(parsed).collect()
    }

    fn read_scenario(&self, path: &Path) -> Result<Choice, String> {
        Ok(Choice {
            file: Some(path.to_owned()),
            ..choice(scenario_of(path)?.0)
        })
    }

    fn read_profile(&self, path: &Path) -> Result<String, String> {
        let name = is_file(path)?;
        let text = yaml::read_file(path, yaml::SMALL)
            .map_err(|error| format!("{name} cannot be read: {error}"))?;
        Profile::parse(&name, &text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn start(&self, request: StartRequest) -> Result<Run, String> {
        let (scenario, profile) = match &request.file {
            Some(path) => scenario_of(path)?,
            None => {
                let found = scenarios()
                    .into_iter()
                    .find(|info| info.name == request.scenario);
                let info =
                    found.ok_or_else(|| format!("there is no scenario {}", request.scenario))?;
                let parsed = Scenario::parse(info.name, info.text, &[]);
                (parsed.map_err(|error| error.to_string())?, None)
            }
        };
        let phase = match &request.phase {
            None => None,
            Some(name) => {
                Some(PhaseName::named(name).ok_or_else(|| format!("there is no phase {name}"))?)
            }
        };
        let target = Target {
            api_urls: vec![request.api_url],
            ops_url: request.ops_url.trim_end_matches('/').to_owned(),
            ops_token: request.token.map(|token| token.expose().to_owned()),
        };
        let reseed = if request.reseed {
            Reseed::WhenUnfit
        } else {
            Reseed::WhenMissing
        };
        let options = RunOptions {
            phase,
            profile,
            reseed,
            embedded: self.embedded,
            ..RunOptions::new(scenario)
        };
        Ok(run(start(target, options), self.summaries.clone()))
    }
}

fn choice(scenario: Scenario) -> Choice {
    Choice {
        name: scenario.name,
        title: scenario.title,
        dataset: scenario.dataset,
        users: u64::from(scenario.users),
        phases: PhaseName::ALL.iter().map(ToString::to_string).collect(),
        file: None,
    }
}

/// The path as text, if a file is there: a device or a pipe is never read, it might never end.
fn is_file(path: &Path) -> Result<String, String> {
    let name = path.display().to_string();
    let about = std::fs::metadata(path);
    let about = about.map_err(|error| format!("{name} cannot be read: {error}"))?;
    match about.is_file() {
        true => Ok(name),
        false => Err(format!("{name} is not a file")),
    }
}

/// The scenario, and the profile of its dataset where that is a file.
fn scenario_of(path: &Path) -> Result<(Scenario, Option<OwnProfile>), String> {
    let name = is_file(path)?;
    let mut scenario = Scenario::load(&name, &[]).map_err(|error| error.to_string())?;
    let profile = own_profile::resolve(&mut scenario, &name)?;
    Ok((scenario, profile))
}

fn run(handle: RunHandle, summaries: PathBuf) -> Run {
    let (sender, progress) = watch::channel(shown(&handle.progress.borrow()));
    let (control, steering) = (handle.control.clone(), handle.control.clone());
    let mut seen = handle.progress.clone();
    tokio::spawn(async move {
        // Ends with the run, whose end drops the other side.
        while seen.changed().await.is_ok() {
            let now = shown(&seen.borrow_and_update());
            sender.send_replace(now);
        }
    });
    Run {
        progress,
        stop: Box::new(move || control.stop()),
        steer: Box::new(move |steer| steering.tell(command(steer))),
        ended: Box::pin(async move {
            let summary = handle.join().await.map_err(|error| error.to_string())?;
            let written = tokio::task::spawn_blocking(move || {
                let path = write(&summary, &summaries);
                (summary, path)
            });
            let (summary, path) = written.await.map_err(|error| error.to_string())?;
            Ok(outcome(&summary, path))
        }),
    }
}

fn command(steer: Steer) -> Command {
    match steer {
        Steer::Pause => Command::Pause,
        Steer::Resume => Command::Resume,
        Steer::Faster => Command::Faster,
        Steer::Slower => Command::Slower,
        Steer::NextPhase => Command::Next,
    }
}

/// Rehearsals whose files are kept.
const KEPT: usize = 100;

/// Writes the summary and, beside it, the page for people; where, or why not.
fn write(summary: &Summary, dir: &Path) -> Result<(PathBuf, PathBuf), String> {
    let stamp: String = summary
        .started_at
        .chars()
        .take(19)
        .map(|c| if c == ':' { '-' } else { c })
        .collect();
    let path = dir.join(format!("{}-{stamp}.json", summary.scenario));
    let page = path.with_extension("html");
    files::create_private_dir(dir)
        .and_then(|()| summary.write(&path))
        .and_then(|()| files::replace(&page, report::html(summary).as_bytes(), Access::Owner))
        .map_err(|error| format!("the summary was not written to {}: {error}", path.display()))?;
    if let Err(error) = newest::keep_newest(dir, KEPT) {
        tracing::warn!(dir = %dir.display(), %error, "older rehearsals cannot be removed");
    }
    Ok((path, page))
}

fn outcome(summary: &Summary, paths: Result<(PathBuf, PathBuf), String>) -> Outcome {
    // The table of thresholds says by itself which were missed.
    let told = |reason: &String| {
        let names = summary.thresholds.iter().map(|one| one.name.as_str());
        reason
            .strip_suffix(" missed")
            .is_some_and(|name| names.into_iter().any(|known| known == name))
    };
    let reasons = summary.reasons.iter().filter(|reason| !told(reason));
    let mut reasons: Vec<String> = reasons.cloned().collect();
    let paths = paths.map_err(|problem| reasons.push(problem)).ok();
    let (path, page) = paths.unzip();
    Outcome {
        verdict: match summary.verdict {
            Judgement::Passed => Verdict::Passed,
            Judgement::Failed => Verdict::Missed,
            Judgement::Inconclusive => Verdict::Inconclusive,
        },
        reason: reasons.join("; "),
        thresholds: summary.thresholds.iter().map(threshold).collect(),
        summary: path,
        report: page,
    }
}

fn threshold(judged: &Judged) -> Threshold {
    let sign = judged.relation.sign();
    let value = |value: f64| match judged.unit {
        Unit::Milliseconds if value < 10.0 => format!("{value:.1} ms"),
        Unit::Milliseconds => format!("{value:.0} ms"),
        Unit::Share => format!("{:.2} %", value * 100.0),
        Unit::PerSecond => format!("{value:.1}/s"),
        Unit::Count => format!("{value:.0}"),
    };
    Threshold {
        asked: format!("{} {sign} {}", judged.name, value(judged.limit)),
        measured: judged.measured.map_or("no data".into(), value),
        held: judged.outcome == Kept::Passed,
        known: judged.outcome != Kept::NoData,
    }
}

/// A run's progress in the console's words.
fn shown(now: &crate::load::Progress) -> Progress {
    let some = |duration: Duration| Some(duration.as_secs_f64());
    let operation = |of: &OperationProgress| {
        let ok = of.count.saturating_sub(of.refused + of.errors);
        let measured = |duration| if ok > 0 { some(duration) } else { None };
        Operation {
            name: of.operation.to_string(),
            ok,
            refused: of.refused,
            errors: of.errors,
            p50: measured(of.p50),
            p95: measured(of.p95),
            p99: measured(of.p99),
        }
    };
    let classes = [
        ("2xx", now.statuses.success),
        ("4xx", now.statuses.client),
        ("5xx", now.statuses.server),
        ("no answer", now.statuses.none),
    ];
    Progress {
        doing: doing(&now.step),
        elapsed: now.elapsed.as_secs_f64(),
        phases: now
            .phases
            .iter()
            .map(|phase| Phase {
                name: phase.phase.to_string(),
                done: share(phase.done, phase.total),
            })
            .collect(),
        users: now
            .users
            .iter()
            .map(|(state, count)| (state.to_string(), *count))
            .collect(),
        requests: now.requests,
        p95: now.p95.and_then(some),
        operations: now.operations.iter().map(operation).collect(),
        classes: classes
            .map(|(name, count)| (name.to_owned(), count))
            .to_vec(),
        sold: now.seats_paid,
        paused: now.paused,
        pace: now.pace,
        thresholds: now.thresholds.iter().map(threshold).collect(),
    }
}

fn doing(step: &Step) -> String {
    match step {
        Step::Connecting => "looking at the server".into(),
        Step::Seeding(seed) => {
            format!(
                "seeding {} {:.0} %",
                seed.profile,
                100.0 * share(seed.rows_done, seed.rows_total)
            )
        }
        Step::Running(phase) => phase.to_string(),
        Step::Stopping => "awaiting the last answers".into(),
        Step::Auditing => "comparing with the database".into(),
        Step::Finished => "finished".into(),
    }
}

fn share(done: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of users and rows, far below 2^53"
    )]
    let share = done as f64 / total as f64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Relation;

    #[test]
    fn every_shipped_scenario_can_be_chosen_with_its_phases() {
        let port = Rehearsals {
            embedded: false,
            summaries: PathBuf::new(),
        };
        let choices = port.scenarios();
        assert_eq!(choices.len(), scenarios().len());
        assert_eq!(choices[0].name, "onsale-short");
        assert_eq!(choices[0].dataset, "demo");
        assert_eq!(choices[0].phases, ["register", "open", "pay"]);
    }

    #[test]
    fn thresholds_are_told_with_sign_and_unit_and_no_data_is_not_held() {
        let judged = |unit, limit, measured, outcome| {
            let name = "buying.p95".to_owned();
            threshold(&Judged {
                name,
                unit,
                limit,
                measured,
                outcome,
                relation: match unit {
                    Unit::PerSecond => Relation::AtLeast,
                    _ => Relation::AtMost,
                },
                window: None,
                worst_at: None,
            })
        };
        let held = judged(Unit::Milliseconds, 500.0, Some(42.4), Kept::Passed);
        assert_eq!(
            (held.asked.as_str(), held.measured.as_str()),
            ("buying.p95 ≤ 500 ms", "42 ms")
        );
        assert!(held.held);
        let none = judged(Unit::PerSecond, 10.0, None, Kept::NoData);
        assert_eq!(
            (none.asked.as_str(), none.measured.as_str()),
            ("buying.p95 ≥ 10.0/s", "no data")
        );
        assert!(!none.held);
    }

    #[test]
    fn a_phase_that_nobody_came_to_is_not_begun() {
        assert_eq!(share(0, 0), 0.0);
        assert_eq!(share(1, 4), 0.25);
    }
}
