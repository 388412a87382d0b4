//! The rules that a drill is judged by, and whether its budgets can be met at all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::file::Drill;
use super::prediction::{Rule, Settings};
use super::run::worst_case;
use crate::alerting::SHIPPED_RULES;
use crate::yaml::{self, FileError};

/// Where the shipped rules stand in the repository.
const SHIPPED_FILE: &str = "otel/prometheus/alerts.yml";
/// Rule packs are long, and generated ones repeat themselves by aliases.
const BOUNDS: yaml::Bounds = yaml::Bounds {
    bytes: 4 * 1024 * 1024,
    events: 1_000_000,
    aliases: 10_000,
};

impl Settings {
    /// Those of an embedded server, which scrapes and evaluates every second.
    pub const EMBEDDED: Settings = Settings {
        scrape: Duration::from_secs(1),
        group_wait: Duration::from_secs(1),
    };
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    interval: Option<String>,
    #[serde(default)]
    rules: Vec<RawRule>,
}

#[derive(Deserialize)]
struct RawRule {
    #[serde(default)]
    alert: Option<String>,
    #[serde(default)]
    record: Option<String>,
    #[serde(default)]
    expr: String,
    #[serde(default, rename = "for")]
    hold: Option<String>,
}

/// The rules of `files`; without any, the shipped ones.
///
/// # Errors
/// A file that cannot be read, or holds no rules.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Rule>, FileError> {
    if files.is_empty() {
        return parse(SHIPPED_FILE, SHIPPED_RULES);
    }
    let mut all = Vec::new();
    for path in files {
        let origin = path.display().to_string();
        all.extend(parse(&origin, &text_of(path)?)?);
    }
    Ok(all)
}

/// A file of rules, by what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleFile {
    /// Its path; of the shipped rules that in the repository.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// What identifies the rules of `files`; without any, the shipped ones.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn hashes(files: &[PathBuf]) -> Result<Vec<RuleFile>, FileError> {
    let of = |file: String, text: &str| RuleFile {
        file,
        sha256: hex(&Sha256::digest(text.as_bytes())),
    };
    if files.is_empty() {
        return Ok(vec![of(SHIPPED_FILE.to_owned(), SHIPPED_RULES)]);
    }
    let hash = |path: &PathBuf| Ok(of(path.display().to_string(), &text_of(path)?));
    files.iter().map(hash).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text_of(path: &Path) -> Result<String, FileError> {
    yaml::read_file(path, BOUNDS).map_err(|error| {
        let origin = path.display().to_string();
        FileError::new(&origin, format!("cannot be read: {error}"))
    })
}

fn parse(origin: &str, text: &str) -> Result<Vec<Rule>, FileError> {
    let lacking = |near: &str, missing: &str| format!("{near}.{missing}");
    let (file, positions) = yaml::parse::<File>(origin, text, BOUNDS, lacking)?;
    let duration = |text: &Option<String>| {
        let text = text.as_deref()?;
        crate::embedded::prometheus::promql::parse_duration(text)
    };
    let mut all = Vec::new();
    for (group_index, group) in file.groups.iter().enumerate() {
        let interval = duration(&group.interval).unwrap_or(Duration::from_secs(1));
        for (index, rule) in group.rules.iter().enumerate() {
            let (key, name) = match (&rule.alert, &rule.record) {
                (Some(name), _) => ("alert", name),
                (None, Some(name)) => ("record", name),
                (None, None) => continue,
            };
            let field = format!("groups.{group_index}.rules.{index}.{key}");
            all.push(Rule {
                name: name.clone(),
                expr: rule.expr.clone(),
                is_alert: rule.alert.is_some(),
                hold: duration(&rule.hold).unwrap_or_default(),
                interval,
                file: origin.to_owned(),
                line: positions
                    .position(&field)
                    .map_or(0, |(line, _)| usize::try_from(line).unwrap_or_default()),
            });
        }
    }
    Ok(all)
}

/// Refuses a drill whose alerts no rule raises, or whose budgets are below the worst case.
///
/// # Errors
/// The first of them, with its field.
pub(super) fn check_budgets(drill: &Drill, rules: &[Rule]) -> Result<(), FileError> {
    for (index, inject) in drill.injects.iter().enumerate() {
        for (alert, budget) in &inject.expect.fires {
            let field = format!("injects.{index}.expect.fires.{alert}");
            let refused = |problem: String| FileError {
                field: Some(field.clone()),
                ..FileError::new(&drill.name, problem)
            };
            let Some(worst) = worst_case(alert, inject, rules) else {
                let known = rules.iter().filter(|rule| rule.is_alert);
                let known: Vec<&str> = known.map(|rule| rule.name.as_str()).collect();
                let near = yaml::suggestion::among(alert, &known);
                return Err(refused(format!("no rule raises this alert{near}")));
            };
            if budget.0 < worst.firing {
                return Err(refused(format!(
                    "the budget of {budget} is below the worst case of {:.1} s by the rule and the settings",
                    worst.firing.as_secs_f64()
                )));
            }
        }
    }
    Ok(())
}
