//! From text to a checked [`Scenario`], with errors that name file, line, column and field.

use std::path::Path;

use super::locate::{Position, Positions};
use super::{Scenario, builtins};

/// The longest scenario file that is read.
pub const MAX_BYTES: usize = 64 * 1024;

/// Why a scenario cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file, the shipped scenario, or the `--set` that is wrong.
    pub origin: String,
    /// Line and column, from 1, where there is one.
    pub at: Option<(u64, u64)>,
    /// The field, as a dotted path.
    pub field: Option<String>,
    /// What is wrong and what to do.
    pub problem: String,
}

impl std::fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ScenarioError {}

impl ScenarioError {
    pub(super) fn new(origin: impl Into<String>, problem: impl Into<String>) -> ScenarioError {
        ScenarioError {
            origin: origin.into(),
            at: None,
            field: None,
            problem: problem.into(),
        }
    }
}

/// A field that cannot be what it is: its dotted path and what is wrong.
pub(super) type Finding = (String, String);

/// Bounds for the parser: a scenario is small and flat.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            max_events: 10_000,
            max_aliases: 0,
            max_anchors: 0,
            max_documents: 1,
        },
        with_snippet: false,
    }
}

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
        let text = read_file(Path::new(name)).map_err(|error| {
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
        if text.len() > MAX_BYTES {
            let problem = format!("longer than {MAX_BYTES} bytes: a scenario is a short text");
            return Err(ScenarioError::new(origin, problem));
        }
        let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        if text.lines().all(is_blank) {
            let problem = "empty: a scenario has at least title, dataset, users and admission";
            return Err(ScenarioError::new(origin, problem));
        }
        let positions = Positions::of(text);
        let mut scenario = serde_saphyr::from_str_with_options::<Scenario>(text, options())
            .map_err(|error| of_parser(origin, &positions, &error))?;
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

fn read_file(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    // One byte more than allowed, so that a longer file is told from one that just fits.
    std::fs::File::open(path)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn of_parser(origin: &str, positions: &Positions, error: &serde_saphyr::Error) -> ScenarioError {
    let at: Option<Position> = error
        .location()
        .map(|at| (at.line(), at.column()))
        .filter(|at| at.0 > 0);
    let field = at.and_then(|at| positions.field(at)).map(str::to_owned);
    let problem = error.without_snippet().to_string();
    // The position stands in front already.
    let problem = match at {
        Some((line, column)) => problem.replace(&format!(" at line {line}, column {column}"), ""),
        None => problem,
    };
    // The parser stands somewhere in the map that lacks the field, not at the field.
    let field = match problem
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split_once('`'))
    {
        Some((missing, _)) => Some(lacking(field.as_deref().unwrap_or_default(), missing)),
        None => field,
    };
    ScenarioError {
        at,
        field,
        ..ScenarioError::new(origin, problem)
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
