//! The console's load generator: `load` in this process, against the server that the console shows.

use std::path::{Path, PathBuf};

use super::drills;
use crate::drill::kept;
use crate::files::{self, Access, newest};
use crate::load::own_profile;
use crate::load::scenario::builtins;
use crate::load::{
    OwnProfile, Reseed, RunHandle, RunOptions, RunResult, SavedFiles, Scenario, ScenarioInfo,
    Summary, Target, report, scenarios, start,
};
use crate::seeding::Profile;
use crate::tui::drill_runner::{DrillInfo, DrillRun};
use crate::tui::load_generator::{LoadGenerator, Run, StartRequest};
use crate::yaml;

/// Runs rehearsals with the load generator.
#[derive(Clone, Debug)]
pub(super) struct Rehearsals {
    /// The server runs in this process.
    pub(super) embedded: bool,
    /// The directory for summaries and reports of drills.
    pub(super) data_dir: PathBuf,
}

impl LoadGenerator for Rehearsals {
    fn scenarios(&self) -> Vec<ScenarioInfo> {
        scenarios()
    }

    fn read_scenario(&self, path: &Path) -> Result<ScenarioInfo, String> {
        Ok(ScenarioInfo {
            file: Some(path.to_owned()),
            ..scenario_of(path)?.0.into()
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
            phase: request.phase,
            profile,
            reseed,
            embedded: self.embedded,
            ..RunOptions::new(scenario)
        };
        let summaries = self.data_dir.join("rehearsals");
        Ok(run(start(target, options), summaries))
    }

    fn drills(&self) -> Vec<DrillInfo> {
        drills::list(&self.data_dir.join(kept::DIR_NAME))
    }

    fn start_drill(&self, drill: &str) -> Result<DrillRun, String> {
        drills::start(drill, &self.data_dir)
    }
}

/// The path as text if it is a file. A device or a pipe is never read, because it might never end.
fn is_file(path: &Path) -> Result<String, String> {
    let name = path.display().to_string();
    let about = std::fs::metadata(path);
    let about = about.map_err(|error| format!("{name} cannot be read: {error}"))?;
    match about.is_file() {
        true => Ok(name),
        false => Err(format!("{name} is not a file")),
    }
}

/// The scenario, and the profile of its dataset if that is a file.
fn scenario_of(path: &Path) -> Result<(Scenario, Option<OwnProfile>), String> {
    let name = is_file(path)?;
    let mut scenario = Scenario::load(&name, &[]).map_err(|error| error.to_string())?;
    let profile = own_profile::resolve(&mut scenario, &name);
    let profile =
        profile.map_err(|problem| own_profile::wrong_dataset(&name, &[], problem).to_string())?;
    Ok((scenario, profile))
}

fn run(handle: RunHandle, summaries: PathBuf) -> Run {
    let control = handle.control.clone();
    Run {
        progress: handle.progress.clone(),
        control: Box::new(move |command| control.send(command)),
        ended: Box::pin(async move {
            let summary = handle.join().await.map_err(|error| error.to_string())?;
            let written = tokio::task::spawn_blocking(move || {
                RunResult::new(&summary, write(&summary, &summaries))
            });
            written.await.map_err(|error| error.to_string())
        }),
    }
}

/// The number of rehearsals whose files are kept.
const KEPT: usize = 100;

/// Writes the summary and the report beside it. Returns their paths, or the reason for the failure.
fn write(summary: &Summary, dir: &Path) -> Result<SavedFiles, String> {
    let path = dir.join(newest::result_name(&summary.scenario, &summary.started_at));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_can_be_chosen_with_its_phases() {
        let generator = Rehearsals {
            embedded: false,
            data_dir: PathBuf::new(),
        };
        let choices = generator.scenarios();
        assert_eq!(choices.len(), scenarios().len());
        assert_eq!(choices[0].name, "onsale-short");
        assert_eq!(choices[0].dataset, "demo");
        let phases = crate::load::PhaseName::ALL.iter();
        let phases: Vec<_> = phases.map(|phase| phase.as_str()).collect();
        assert_eq!(phases, ["register", "open", "pay"]);
    }
}
