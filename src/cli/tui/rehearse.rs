//! The console's load generator: `load`, in this process, against the listener that it is shown.

use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::newest;
use crate::cli::own_profile;
use crate::files::{self, Access};
use crate::load::model::PhaseName;
use crate::load::progress::OperationProgress;
use crate::load::scenario::builtins;
use crate::load::summary::Latency;
use crate::load::{
    Command, Judged, Outcome as Kept, OwnProfile, Reseed, RunHandle, RunOptions, RunResult,
    SavedFiles, Scenario, ScenarioInfo, Summary, Target, Verdict as Judgement, report, scenarios,
    start,
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
        scenarios().into_iter().map(choice).collect()
    }

    fn read_scenario(&self, path: &Path) -> Result<Choice, String> {
        Ok(Choice {
            file: Some(path.to_owned()),
            ..choice(scenario_of(path)?.0.into())
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
                let found = builtins().iter().find(|info| info.name == request.scenario);
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

fn choice(scenario: ScenarioInfo) -> Choice {
    Choice {
        name: scenario.name,
        title: scenario.title,
        dataset: scenario.dataset,
        users: scenario.users,
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
        steer: Box::new(move |steer| steering.send(command(steer))),
        ended: Box::pin(async move {
            let summary = handle.join().await.map_err(|error| error.to_string())?;
            let written = tokio::task::spawn_blocking(move || {
                let path = write(&summary, &summaries);
                (summary, path)
            });
            let (summary, path) = written.await.map_err(|error| error.to_string())?;
            Ok(outcome(RunResult::new(&summary, path)))
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
fn write(summary: &Summary, dir: &Path) -> Result<SavedFiles, String> {
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
    Ok(SavedFiles {
        summary: path,
        report: page,
    })
}

fn outcome(result: RunResult) -> Outcome {
    let (summary, report) = result
        .files
        .map(|files| (files.summary, files.report))
        .unzip();
    Outcome {
        verdict: match result.verdict {
            Judgement::Passed => Verdict::Passed,
            Judgement::Failed => Verdict::Missed,
            Judgement::Inconclusive => Verdict::Inconclusive,
        },
        reason: result.reason,
        thresholds: result.thresholds.iter().map(threshold).collect(),
        summary,
        report,
    }
}

fn threshold(judged: &Judged) -> Threshold {
    Threshold {
        asked: judged.condition(),
        measured: judged.measured_text(),
        held: judged.outcome == Kept::Passed,
        known: judged.outcome != Kept::NoData,
    }
}

/// A run's progress in the console's words.
fn shown(now: &crate::load::Progress) -> Progress {
    let operation = |of: &OperationProgress| {
        let seconds = |part: fn(&Latency) -> f64| of.latency.as_ref().map(|of| part(of) / 1e3);
        Operation {
            name: of.operation.to_string(),
            ok: of.ok(),
            refused: of.refused,
            errors: of.errors,
            p50: seconds(|it| it.p50),
            p95: seconds(|it| it.p95),
            p99: seconds(|it| it.p99),
        }
    };
    let class = |(name, count)| match name {
        "none" => ("no answer".to_owned(), count),
        name => (name.to_owned(), count),
    };
    Progress {
        doing: now.step.description(),
        elapsed: now.elapsed.as_secs_f64(),
        phases: now
            .phases
            .iter()
            .map(|phase| Phase {
                name: phase.phase.to_string(),
                done: phase.share(),
            })
            .collect(),
        users: now
            .users
            .iter()
            .map(|(state, count)| (state.to_string(), *count))
            .collect(),
        requests: now.requests,
        p95: now.p95.map(|p95| p95.as_secs_f64()),
        operations: now.operations.iter().map(operation).collect(),
        classes: now.statuses.by_class().map(class).to_vec(),
        sold: now.seats_paid,
        paused: now.paused,
        pace: now.pace,
        thresholds: now.thresholds.iter().map(threshold).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
