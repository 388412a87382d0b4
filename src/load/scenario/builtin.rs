//! The scenarios that ship inside the binary.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Scenario;

/// A scenario that ships inside the binary.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// The name on the command line.
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// The scenario that runs by default.
pub const DEFAULT: &str = "onsale-short";

macro_rules! shipped {
    ($($name:expr),* $(,)?) => {
        &[$(Builtin {
            name: $name,
            text: include_str!(concat!("../../../scenarios/", $name, ".yaml")),
        }),*]
    };
}

const BUILTINS: &[Builtin] = shipped![
    "onsale-short",
    "onsale",
    "hot-seat",
    "million",
    "late-surge",
    "refresh-storm",
    "back-door",
    "token-replay",
];

/// All scenarios in the binary, the default first.
#[must_use]
pub fn builtins() -> &'static [Builtin] {
    BUILTINS
}

/// A scenario as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioInfo {
    /// Its name on the command line.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The dataset profile that it runs on.
    pub dataset: String,
    /// Buyers.
    pub users: u64,
    /// The file that it was read from; absent for a shipped one.
    pub file: Option<PathBuf>,
}

impl From<Scenario> for ScenarioInfo {
    fn from(scenario: Scenario) -> ScenarioInfo {
        ScenarioInfo {
            name: scenario.name,
            title: scenario.title,
            dataset: scenario.dataset,
            users: u64::from(scenario.users),
            file: None,
        }
    }
}

/// The shipped scenarios, the default first.
///
/// # Panics
/// Never, because a test parses each of them.
#[must_use]
pub fn scenarios() -> Vec<ScenarioInfo> {
    let info = |builtin: &Builtin| {
        let scenario = Scenario::parse(builtin.name, builtin.text, &[]);
        scenario.expect("shipped scenarios are valid").into()
    };
    BUILTINS.iter().map(info).collect()
}
