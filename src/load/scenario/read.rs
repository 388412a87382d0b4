//! Parses text into a checked [`Scenario`]. Errors name file, line, column and field.

use std::path::Path;

use super::{Scenario, builtins};
pub use crate::yaml::FileError as ScenarioError;
use crate::yaml::{self, suggestion};

/// The longest scenario, in bytes.
pub const MAX_BYTES: usize = yaml::SMALL.bytes;

/// An invalid field: its dotted path, and the mistake.
pub(super) type Finding = (String, String);

impl Scenario {
    /// Loads the shipped scenario called `name`, or the file with that path, and applies `overrides` (`path=value`).
    ///
    /// # Errors
    /// There is no such scenario, it cannot be read, or it is invalid.
    pub fn load(name: &str, overrides: &[String]) -> Result<Scenario, ScenarioError> {
        if let Some(builtin) = builtins().iter().find(|builtin| builtin.name == name) {
            return Scenario::parse(builtin.name, builtin.text, overrides);
        }
        let text = yaml::read_file(Path::new(name), yaml::SMALL).map_err(|error| {
            let problem = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    let known = builtins().iter().map(|builtin| builtin.name);
                    let known: Vec<&str> = known.collect();
                    suggestion::no_such("scenario", name, &known)
                }
                _ => format!("cannot be read: {error}"),
            };
            ScenarioError::new(name, problem)
        })?;
        let mut scenario = Scenario::parse(name, &text, overrides)?;
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str());
        stem.unwrap_or(name).clone_into(&mut scenario.name);
        Ok(scenario)
    }

    /// Parses the scenario in `text` and applies `overrides` (`path=value`). `origin` names the text in messages.
    ///
    /// # Errors
    /// The scenario is invalid.
    pub fn parse(
        origin: &str,
        text: &str,
        overrides: &[String],
    ) -> Result<Scenario, ScenarioError> {
        let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        if text.len() <= MAX_BYTES && text.lines().all(is_blank) {
            let problem = "empty: a scenario has at least title, dataset, users and admission";
            return Err(ScenarioError::new(origin, problem));
        }
        let (mut scenario, positions) =
            yaml::parse::<Scenario>(origin, text, yaml::SMALL, lacking)?;
        origin.clone_into(&mut scenario.name);
        if let Some((field, problem)) = scenario.check().into_iter().next() {
            let at = positions.position(&field);
            return Err(ScenarioError {
                at,
                field: Some(field),
                ..ScenarioError::new(origin, problem)
            });
        }
        scenario.with_overrides(overrides)
    }
}

/// The path of the missing field. `near` is the map that lacks it, or a field in that map. The result is in the
/// innermost map around `near` that may have the field.
fn lacking(near: &str, missing: &str) -> String {
    let complete = serde_saphyr::from_str::<Scenario>(builtins()[0].text).ok();
    let complete = complete
        .and_then(|scenario| serde_json::to_value(scenario).ok())
        .unwrap_or_default();
    let mut map = near;
    while !map.is_empty() {
        let pointer = format!("/{}/{missing}", map.replace('.', "/"));
        if complete.pointer(&pointer).is_some() {
            return format!("{map}.{missing}");
        }
        map = map.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
    missing.to_owned()
}
