//! Reads and checks rule files and prepares them for evaluation.

mod check;
mod file;

use std::path::PathBuf;
use std::time::Duration;

use crate::embedded::prometheus::QueryLimits;
use crate::embedded::prometheus::promql::Query;
use crate::yaml::{self, FileError};

use super::template::Template;

/// The rules that ship with the program. The Prometheus of the telemetry stack evaluates them too.
pub const SHIPPED: &str = include_str!("../../../otel/prometheus/alerts.yml");

/// The largest number of rule files.
const MAX_FILES: usize = 32;

/// Rule packs are long, and generated ones use many aliases.
const BOUNDS: yaml::Bounds = yaml::Bounds {
    bytes: 4 * 1024 * 1024,
    events: 1_000_000,
    aliases: 10_000,
};

/// The groups of all rule files, in the order of the files and by name within a file, as in Prometheus.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) groups: Vec<Group>,
}

/// Rules that are evaluated in order at the same instant.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) file: String,
    /// `None` means the interval of the evaluator.
    pub(super) interval: Option<Duration>,
    /// The largest number of alerts or series per rule. 0 means no limit.
    pub(super) limit: usize,
    /// The rules are evaluated as of this long ago.
    pub(super) query_offset: Duration,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Rule {
    /// The name of the alert, or of the recorded series.
    pub(super) name: String,
    pub(super) query: Query,
    /// The labels as written in the file, sorted by name.
    pub(super) labels: Vec<(String, String)>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Recording,
    Alerting(Box<Alerting>),
}

/// The fields of an alerting rule.
#[derive(Debug)]
pub(super) struct Alerting {
    /// The time for which the condition must hold (`for`).
    pub(super) hold: Duration,
    /// The time for which an alert continues to fire after its condition no longer holds (`keep_firing_for`).
    pub(super) keep_firing: Duration,
    pub(super) labels: Vec<(String, Template)>,
    /// The annotations sorted by name, with their text and the parsed template.
    pub(super) annotations: Vec<(String, String, Template)>,
}

impl RuleSet {
    /// The rules of `files`, or the shipped ones if there are no files.
    pub fn load(files: &[PathBuf]) -> Result<RuleSet, FileError> {
        if files.is_empty() {
            return RuleSet::parse("otel/prometheus/alerts.yml", SHIPPED);
        }
        if files.len() > MAX_FILES {
            let problem = format!("at most {MAX_FILES} rule files are read");
            return Err(FileError::new("--rules", problem));
        }
        let mut groups: Vec<Group> = Vec::new();
        for path in files {
            let origin = path.display().to_string();
            let text = yaml::read_file(path, BOUNDS)
                .map_err(|error| FileError::new(&origin, format!("cannot be read: {error}")))?;
            let more = RuleSet::parse(&origin, &text)?.groups;
            if more
                .first()
                .is_some_and(|g| groups.iter().any(|o| o.file == g.file))
            {
                return Err(FileError::new(&origin, "given twice"));
            }
            groups.extend(more);
        }
        Ok(RuleSet { groups })
    }

    /// Parses the rules in `text`. `origin` names the text in messages.
    pub fn parse(origin: &str, text: &str) -> Result<RuleSet, FileError> {
        let mut groups = check::groups(origin, text, &QueryLimits::default())?;
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(RuleSet { groups })
    }

    /// The number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }

    /// Returns whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
