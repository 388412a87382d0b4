//! The dataset of a scenario: a built-in profile by name, or a profile file.

use std::path::{Path, PathBuf};

use super::Scenario;
use crate::seeding::Profile;
use crate::yaml::{self, FileError, suggestion};

/// A dataset profile that the server does not ship, with its text and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnProfile {
    /// The file's text.
    pub text: String,
    /// Number of seats.
    pub seats: u64,
    /// Number of users.
    pub users: u64,
}

/// Reads the profile file that `dataset: FILE` of a scenario names, and replaces the path by the name of the
/// profile. A relative path is looked up beside `named_in`, which is the file with this field, then in the working
/// directory. A name that is not a path stays, because a server may hold a dataset of that name.
///
/// # Errors
/// The file cannot be read, or is not a valid profile. The message names the file, but not the field.
pub fn resolve(scenario: &mut Scenario, named_in: &str) -> Result<Option<OwnProfile>, String> {
    if is_built_in(&scenario.dataset) {
        return Ok(None);
    }
    let path = beside(named_in, &scenario.dataset);
    let is_path = scenario.dataset.contains('/')
        || path
            .extension()
            .is_some_and(|kind| kind == "yaml" || kind == "yml");
    if !is_path && !path.is_file() {
        return Ok(None);
    }
    let read = Profile::read(&path.to_string_lossy());
    let (text, profile) = read.map_err(|error| error.to_string())?;
    let own = OwnProfile {
        text,
        seats: profile.seats(),
        users: profile.users.into(),
    };
    scenario.dataset = profile.name;
    Ok(Some(own))
}

/// Checks that a new server can load the dataset of a scenario whose profile file is `own`. Such a server holds no
/// dataset yet, so a name that is neither a file nor a built-in profile is a mistake.
///
/// # Errors
/// It cannot. The message names the profile, but not the field.
pub fn check_for_new_server(scenario: &Scenario, own: Option<&OwnProfile>) -> Result<(), String> {
    let name = &scenario.dataset;
    if own.is_some() || is_built_in(name) {
        return Ok(());
    }
    let known: Vec<&str> = Profile::built_in().collect();
    Err(suggestion::no_such("profile", name, &known))
}

/// The message about the dataset of the scenario `name`, with its place: the last of the `overrides` (`path=value`)
/// that sets it, or else the line in the scenario's file.
#[must_use]
pub fn wrong_dataset(name: &str, overrides: &[String], problem: String) -> FileError {
    const FIELD: &str = "dataset";
    let sets = |text: &&String| {
        let path = text.split_once('=').map(|(path, _)| path.trim());
        path == Some(FIELD)
    };
    if let Some(text) = overrides.iter().rfind(sets) {
        return FileError::new(format!("--set {text}"), problem);
    }
    FileError {
        at: yaml::position_in(Path::new(name), FIELD),
        field: Some(FIELD.to_owned()),
        ..FileError::new(name, problem)
    }
}

/// The file `name` beside `file` if it exists, otherwise `name`.
#[must_use]
pub fn beside(file: &str, name: &str) -> PathBuf {
    let neighbour = Path::new(file).parent().map(|dir| dir.join(name));
    match neighbour {
        Some(path) if path.is_file() => path,
        _ => PathBuf::from(name),
    }
}

fn is_built_in(name: &str) -> bool {
    Profile::built_in().any(|known| known == name)
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
        assert_eq!(check_for_new_server(&scenario, Some(&own)), Ok(()));
    }

    #[test]
    fn a_shipped_profile_needs_no_file() {
        assert_eq!(resolve(&mut scenario("demo"), "onsale-short"), Ok(None));
        // A server may hold a dataset of this name.
        assert_eq!(resolve(&mut scenario("theirs"), "onsale-short"), Ok(None));
    }

    #[test]
    fn a_new_server_refuses_a_name_that_is_no_profile() {
        assert_eq!(check_for_new_server(&scenario("demo"), None), Ok(()));
        let error = check_for_new_server(&scenario("dmeo"), None).unwrap_err();
        assert!(
            error.starts_with("there is no such profile; did you mean `demo`?"),
            "{error}"
        );
    }

    #[test]
    fn a_mistake_in_the_dataset_names_the_place_of_the_field() {
        let error = resolve(&mut scenario("dmeo.yaml"), "mine.yaml").unwrap_err();
        assert!(error.starts_with("dmeo.yaml: "), "{error}");
        assert!(error.contains("demo, onsale"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.yaml");
        std::fs::write(&path, "title: Mine\ndataset: nope\n").unwrap();
        let path = path.display().to_string();
        let wrong = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|it| (*it).to_owned()).collect();
            wrong_dataset(&path, &overrides, "wrong".to_owned()).to_string()
        };
        assert_eq!(wrong(&["users=3"]), format!("{path}:2:1: dataset: wrong"));
        assert_eq!(wrong(&["dataset=x", "users=3"]), "--set dataset=x: wrong");
    }
}
