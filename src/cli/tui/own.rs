//! `--scenario FILE` and `--profile FILE`: what the console offers beside what ships.

use crate::cli::own_profile::{self, ProfileFile};
use crate::load::{self, OwnProfile, Scenario};

/// Scenarios and profiles of the user's own, read and checked before the terminal is taken.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnFiles {
    /// Each with the profile of its dataset, where that is a file.
    pub(super) scenarios: Vec<(Scenario, Option<OwnProfile>)>,
    /// By name.
    pub(super) profiles: Vec<(String, OwnProfile)>,
}

impl OwnFiles {
    /// # Errors
    /// What is wrong with one of them, and where.
    pub(super) fn read(scenarios: &[String], profiles: &[String]) -> Result<OwnFiles, String> {
        let mut own = OwnFiles::default();
        for path in profiles {
            let file = ProfileFile::read(path).map_err(|error| format!("--profile {error}"))?;
            own.add(file.profile.name.clone(), file.into());
        }
        for path in scenarios {
            let scenario = Scenario::load(path, &[]);
            let mut scenario = scenario.map_err(|error| format!("--scenario {error}"))?;
            let profile = own_profile::resolve(&mut scenario, path)
                .map_err(|error| format!("--scenario {error}"))?;
            let mut shipped = load::scenarios().into_iter();
            let shipped = shipped.any(|known| known.name == scenario.name);
            if shipped
                || own
                    .scenarios
                    .iter()
                    .any(|(known, _)| known.name == scenario.name)
            {
                let name = &scenario.name;
                let why = "the console has one of that name already: rename the file";
                return Err(format!("--scenario {path}: {name}: {why}"));
            }
            if let Some(profile) = &profile {
                own.add(scenario.dataset.clone(), profile.clone());
            }
            own.scenarios.push((scenario, profile));
        }
        Ok(own)
    }

    /// A profile that several scenarios share is offered once.
    fn add(&mut self, name: String, profile: OwnProfile) {
        if self.profiles.iter().all(|(known, _)| *known != name) {
            self.profiles.push((name, profile));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_a_scenario_names_is_offered_once() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let profile = "name: mine\nconcerts: 1\ndates_per_concert: 1\nseats_per_date: 10\nusers: 30\n\
                       on_sale: { concert: 1, popular_share: 0.5 }\nprices: [{ up_to: 10, price: 1 }]\n";
        let profile = write("hall.yaml", profile);
        let scenario = write(
            "evening.yaml",
            "title: t\ndataset: hall.yaml\nusers: 10\nadmission: { batch: 5, every: 1s }\n",
        );
        let own = OwnFiles::read(std::slice::from_ref(&scenario), &[profile]).unwrap();
        assert_eq!(own.profiles.len(), 1);
        assert_eq!(own.scenarios.len(), 1);
        assert_eq!(own.scenarios[0].0.dataset, "mine");
        let twice = OwnFiles::read(&[scenario.clone(), scenario], &[]).unwrap_err();
        assert!(twice.contains("rename the file"), "{twice}");
        let error = OwnFiles::read(&["nowhere.yaml".to_owned()], &[]).unwrap_err();
        assert!(error.starts_with("--scenario nowhere.yaml: "), "{error}");
    }
}
