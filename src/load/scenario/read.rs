//! From text to a checked [`Scenario`], with errors that name file, line, column and field.

use std::path::Path;

use super::{Scenario, builtins};
use crate::yaml;
pub use crate::yaml::FileError as ScenarioError;

/// The longest scenario that is read, in bytes.
pub const MAX_BYTES: usize = yaml::SMALL.bytes;

/// A field that cannot be what it is: its dotted path and what is wrong.
pub(super) type Finding = (String, String);

impl Scenario {
    /// The scenario called `name` among the shipped ones, or the file of that path, with
    /// `overrides` (`path=value`) put over it.
    ///
    /// # Errors
    /// When there is neither, it cannot be read, or it is not a valid scenario.
    pub fn load(name: &str, overrides: &[String]) -> Result<Scenario, ScenarioError> {
        if let Some(builtin) = builtins().iter().find(|builtin| builtin.name == name) {
            return Scenario::parse(builtin.name, builtin.text, overrides);
        }
        let names = builtins()
            .iter()
            .map(|builtin| builtin.name)
            .collect::<Vec<_>>()
            .join(", ");
        let text = yaml::read_file(Path::new(name), yaml::SMALL).map_err(|error| {
            let problem = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!(
                        "there is no such scenario; shipped ones are {names}, or give a file's path"
                    )
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

    /// The scenario that `text` describes, with `overrides` (`path=value`) put over it. `origin`
    /// names the text in messages.
    ///
    /// # Errors
    /// When it is not a valid scenario.
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

/// The path of the field `missing`, given a field in the map that lacks it or that map itself: the
/// innermost map around that may hold it.
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
