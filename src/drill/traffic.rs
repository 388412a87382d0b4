//! The traffic of a drill: its scenario with the drill's own settings, and the profile of its dataset.

use serde_json::Value;

use super::file::Drill;
use crate::load::own_profile::{self, OwnProfile, beside};
use crate::load::scenario::Scenario;
use crate::yaml::FileError;

impl Drill {
    /// The scenario of the traffic, with the drill's own settings. A scenario file is looked up beside the drill file,
    /// then in the working directory.
    ///
    /// # Errors
    /// The scenario does not exist, or is not valid with these settings. The message names the field of the drill.
    pub fn scenario(&self) -> Result<Scenario, FileError> {
        let scenario = Scenario::load(&self.scenario_file(), &[]);
        let scenario = scenario.map_err(|error| self.wrong("load", error.to_string()))?;
        let settings: Vec<(String, Value)> = self.set.clone().into_iter().collect();
        scenario.with_settings(&settings).map_err(|wrong| {
            let (path, _) = &settings[wrong.index];
            let problem = match wrong.field {
                Some(field) if field != *path => format!("{field}: {}", wrong.problem),
                _ => wrong.problem,
            };
            self.wrong(&format!("set.{path}"), problem)
        })
    }

    /// The name of a shipped scenario, or the path of the scenario's file.
    fn scenario_file(&self) -> String {
        let path = beside(self.file(), &self.load);
        path.to_string_lossy().into_owned()
    }
}

/// The scenario of a drill, and the profile of its dataset if that is a file. `is_new_server`: the drill starts its own
/// server, which can load only profiles that exist.
///
/// # Errors
/// The scenario or the profile is invalid. The message names the field of the drill.
pub(super) fn of(
    drill: &Drill,
    is_new_server: bool,
) -> Result<(Scenario, Option<OwnProfile>), FileError> {
    let mut scenario = drill.scenario()?;
    let scenario_file = drill.scenario_file();
    let is_set = drill.set.contains_key("dataset");
    let named_in = if is_set { drill.file() } else { &scenario_file };
    let profile = own_profile::resolve(&mut scenario, named_in).and_then(|own| {
        if is_new_server {
            own_profile::check_for_new_server(&scenario, own.as_ref())?;
        }
        Ok(own)
    });
    let profile = profile.map_err(|problem| match is_set {
        true => drill.wrong("set.dataset", problem),
        false => {
            let wrong = own_profile::wrong_dataset(&scenario_file, &[], problem);
            drill.wrong("load", wrong.to_string())
        }
    })?;
    Ok((scenario, profile))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PROFILE: &str = "name: hall\nconcerts: 1\ndates_per_concert: 2\nseats_per_date: 10\nusers: 30\n\
                           on_sale: { concert: 1, popular_share: 0.5 }\nprices: [{ up_to: 10, price: 1000 }]\n";
    const TRAFFIC: &str =
        "title: Own\ndataset: DATASET\nusers: 20\nadmission: { batch: 10, every: 1s }\n";

    /// A quiet drill in `dir`, with these lines after its title.
    fn drill(dir: &Path, lines: &str) -> Result<Drill, String> {
        let path = dir.join("drill.yaml");
        std::fs::write(&path, format!("title: Quiet\n{lines}")).unwrap();
        let drill = Drill::load(&path.display().to_string());
        drill.map_err(|error| short(dir, &error))
    }

    /// The message without the directory.
    fn short(dir: &Path, error: &FileError) -> String {
        let dir = format!("{}/", dir.display());
        error.to_string().replace(&dir, "")
    }

    fn write(dir: &Path, name: &str, text: &str) {
        std::fs::write(dir.join(name), text).unwrap();
    }

    #[test]
    fn scenario_and_profile_are_found_beside_the_drill() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(
            dir,
            "traffic.yaml",
            &TRAFFIC.replace("DATASET", "hall.yaml"),
        );
        write(dir, "hall.yaml", PROFILE);
        let by_scenario = drill(dir, "load: traffic.yaml\n").unwrap();
        let by_setting = drill(dir, "load: onsale-short\nset: { dataset: hall.yaml }\n").unwrap();
        for drill in [by_scenario, by_setting] {
            let (scenario, own) = of(&drill, true).unwrap();
            assert_eq!(scenario.dataset, "hall");
            assert_eq!(own.map(|own| own.text).as_deref(), Some(PROFILE));
        }
    }

    #[test]
    fn a_wrong_dataset_is_refused_with_file_line_and_field() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, "hall.yaml", &PROFILE.replace("users: 30", "users: 0"));
        write(
            dir,
            "traffic.yaml",
            &TRAFFIC.replace("DATASET", "hall.yaml"),
        );
        write(dir, "nope.yaml", &TRAFFIC.replace("DATASET", "nope"));
        for (lines, expected) in [
            (
                "load: traffic.yaml\n",
                "drill.yaml:2:1: load: traffic.yaml:2:1: dataset: hall.yaml:5:1: users: must be at least 1",
            ),
            (
                "load: nope.yaml\n",
                "drill.yaml:2:1: load: nope.yaml:2:1: dataset: there is no such profile",
            ),
            (
                "load: onsale-short\nset:\n  users: 5\n  dataset: nope\n",
                "drill.yaml:5:3: set.dataset: there is no such profile",
            ),
        ] {
            let drill = drill(dir, lines).unwrap();
            let error = short(dir, &of(&drill, true).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
        let drill = drill(dir, "load: nope.yaml\n").unwrap();
        let of_running = of(&drill, false).unwrap();
        assert_eq!(of_running.1, None, "a running system may hold the dataset");
    }

    #[test]
    fn a_wrong_setting_has_its_own_line_and_no_name_of_a_flag() {
        let dir = tempfile::tempdir().unwrap();
        for (setting, expected) in [
            (
                "admission.evry: 3s",
                "drill.yaml:5:3: set.admission.evry: `admission` has no `evry`; did you mean `every`?",
            ),
            (
                "users: ",
                "drill.yaml:5:3: set.users: is empty: write a whole number such as 20",
            ),
            ("users: 0", "drill.yaml:5:3: set.users: is 0, must be 1 to"),
            (
                "admission: { batch: 5 }",
                "drill.yaml:5:3: set.admission: `every` is missing: add it; to change one field only, write its path: admission.batch",
            ),
        ] {
            let lines = format!("load: onsale-short\nset:\n  pay.share: 0.5\n  {setting}\n");
            let error = drill(dir.path(), &lines).unwrap_err();
            assert!(error.starts_with(expected), "{setting}: {error}");
            assert!(!error.contains("--set"), "{error}");
        }
    }
}
