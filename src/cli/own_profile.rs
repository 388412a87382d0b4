//! The dataset of a scenario: a built-in profile by name, or a profile file.

use std::path::{Path, PathBuf};

use crate::load::{OwnProfile, Scenario};
use crate::seeding::{Profile, ProfileError};

/// A profile file, read and checked.
#[derive(Clone, Debug)]
pub(super) struct ProfileFile {
    pub(super) profile: Profile,
    pub(super) text: String,
}

impl ProfileFile {
    pub(super) fn read(path: &str) -> Result<ProfileFile, ProfileError> {
        let (text, profile) = Profile::read(path)?;
        Ok(ProfileFile { profile, text })
    }
}

impl From<ProfileFile> for OwnProfile {
    fn from(file: ProfileFile) -> OwnProfile {
        OwnProfile {
            seats: file.profile.seats(),
            users: file.profile.users.into(),
            text: file.text,
        }
    }
}

/// Reads the profile file that `dataset: FILE` of a scenario names, and replaces the path by the name of the
/// profile. A relative path is looked up beside the scenario file, then in the working directory. A name that
/// is not a path stays, because a server may hold a dataset of that name.
///
/// # Errors
/// The file cannot be read, or is not a valid profile.
pub(super) fn resolve(
    scenario: &mut Scenario,
    scenario_path: &str,
) -> Result<Option<OwnProfile>, String> {
    if Profile::built_in().any(|known| known == scenario.dataset) {
        return Ok(None);
    }
    let path = beside(Path::new(scenario_path), &scenario.dataset);
    let is_path = scenario.dataset.contains('/')
        || path
            .extension()
            .is_some_and(|kind| kind == "yaml" || kind == "yml");
    if !is_path && !path.is_file() {
        return Ok(None);
    }
    let file = ProfileFile::read(&path.to_string_lossy());
    let file = file.map_err(|error| format!("{scenario_path}: dataset: {error}"))?;
    scenario.dataset.clone_from(&file.profile.name);
    Ok(Some(file.into()))
}

fn beside(scenario: &Path, dataset: &str) -> PathBuf {
    let neighbour = scenario.parent().map(|dir| dir.join(dataset));
    match neighbour {
        Some(path) if path.is_file() => path,
        _ => PathBuf::from(dataset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name: small\nconcerts: 1\ndates_per_concert: 2\nseats_per_date: 10\nusers: 30\n\
                         on_sale: { concert: 1, popular_share: 0.5 }\nprices: [{ up_to: 10, price: 1000 }]\n";

    fn scenario(dataset: &str) -> Scenario {
        let set = format!("dataset={dataset}");
        Scenario::load("onsale-short", &[set]).unwrap()
    }

    #[test]
    fn a_profile_file_is_found_beside_its_scenario() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("small.yaml"), SMALL).unwrap();
        let mut scenario = scenario("small.yaml");
        let at = dir.path().join("mine.yaml").display().to_string();
        let own = resolve(&mut scenario, &at).unwrap().unwrap();
        assert_eq!((own.seats, own.users), (20, 30));
        assert_eq!(scenario.dataset, "small");
        assert_eq!(own.text, SMALL);
    }

    #[test]
    fn a_shipped_profile_needs_no_file() {
        assert_eq!(resolve(&mut scenario("demo"), "onsale-short"), Ok(None));
        // A server may hold a dataset of this name.
        assert_eq!(resolve(&mut scenario("theirs"), "onsale-short"), Ok(None));
    }

    #[test]
    fn an_unknown_profile_is_refused_with_the_scenario_and_the_known_profiles() {
        let error = resolve(&mut scenario("dmeo.yaml"), "mine.yaml").unwrap_err();
        assert!(
            error.starts_with("mine.yaml: dataset: dmeo.yaml: "),
            "{error}"
        );
        assert!(error.contains("demo, onsale"), "{error}");
    }
}
