//! Reads and checks rule files and prepares them for evaluation.

mod check;
mod file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::embedded::prometheus::QueryLimits;
use crate::embedded::prometheus::promql::Query;
use crate::files;
use crate::yaml::{self, FileError};

use super::template::Template;

/// The rules that ship with the program. The Prometheus of the telemetry stack evaluates them too.
pub const SHIPPED: &str = include_str!("../../../otel/prometheus/alerts.yml");
/// The path of the shipped rules in the repository.
pub(crate) const SHIPPED_FILE: &str = "otel/prometheus/alerts.yml";

/// The largest number of rule files.
const MAX_FILES: usize = 32;

/// The limits for the YAML of a rule file. Rule files can be long, and generated ones use many aliases.
pub(crate) const BOUNDS: yaml::Bounds = yaml::Bounds {
    bytes: 4 * 1024 * 1024,
    events: 1_000_000,
    aliases: 10_000,
};

/// The groups of all rule files. The files are in the order in which they were given, and the groups of a file are
/// sorted by name, as in Prometheus.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) groups: Vec<Group>,
}

/// Rules that are evaluated in order at the same instant.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) file: String,
    /// The time between two evaluations. Without it, the evaluator's own interval applies.
    pub(super) interval: Option<Duration>,
    /// The largest number of alerts or series per rule. 0 means no limit.
    pub(super) limit: usize,
    /// How far in the past the rules are evaluated (`query_offset`).
    pub(super) query_offset: Duration,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Rule {
    /// The name of the alert, or of the recorded series.
    pub(super) name: String,
    /// The expression as the file states it.
    pub(super) expr: String,
    pub(super) query: Query,
    /// The labels of the rule, and those of its group that the rule does not set. They are sorted by name, and their
    /// templates are not expanded.
    pub(super) labels: Vec<(String, String)>,
    pub(super) kind: Kind,
    /// The line of its `alert` or `record` in the file, counted from 1.
    pub(super) line: usize,
}

/// A rule as its file states it, for programs that predict alerts and do not evaluate them.
#[derive(Debug)]
pub struct StatedRule<'r> {
    /// The name of the alert, or of the recorded series.
    pub name: &'r str,
    /// The expression.
    pub expr: &'r str,
    /// The time for which the expression must hold (`for`). `None` for a recording rule.
    pub hold: Option<Duration>,
    /// The interval of its group, if the group has one.
    pub interval: Option<Duration>,
    /// The file.
    pub file: &'r str,
    /// The line in the file, counted from 1.
    pub line: usize,
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
    /// The labels of the rule as parsed templates.
    pub(super) labels: Vec<(String, Template)>,
    /// The annotations sorted by name, with their text and the parsed template.
    pub(super) annotations: Vec<(String, String, Template)>,
}

impl RuleSet {
    /// The rules of `files`, or the shipped ones if there are no files.
    pub fn load(files: &[PathBuf]) -> Result<RuleSet, FileError> {
        if files.is_empty() {
            return RuleSet::parse(SHIPPED_FILE, SHIPPED);
        }
        if files.len() > MAX_FILES {
            let problem = format!(
                "there are {} rule files; at most {MAX_FILES} are allowed",
                files.len()
            );
            return Err(FileError::new("--rules", problem));
        }
        let mut groups: Vec<Group> = Vec::new();
        for path in files {
            let origin = path.display().to_string();
            let file_groups = RuleSet::parse(&origin, &text_of(path)?)?.groups;
            // All groups of a file have the same `file`, so the first group is enough.
            if file_groups
                .first()
                .is_some_and(|new| groups.iter().any(|group| group.file == new.file))
            {
                return Err(FileError::new(&origin, "the file is given twice"));
            }
            groups.extend(file_groups);
        }
        Ok(RuleSet { groups })
    }

    /// Parses the rules in `text`. `origin` names the text in messages.
    pub fn parse(origin: &str, text: &str) -> Result<RuleSet, FileError> {
        let mut groups = check::groups(origin, text, &QueryLimits::default())?;
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(RuleSet { groups })
    }

    /// The rules as their files state them.
    pub fn stated(&self) -> impl Iterator<Item = StatedRule<'_>> {
        self.groups.iter().flat_map(|group| {
            group.rules.iter().map(|rule| StatedRule {
                name: &rule.name,
                expr: &rule.expr,
                hold: match &rule.kind {
                    Kind::Recording => None,
                    Kind::Alerting(alerting) => Some(alerting.hold),
                },
                interval: group.interval,
                file: &group.file,
                line: rule.line,
            })
        })
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

/// The text of a rule file.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn text_of(path: &Path) -> Result<String, FileError> {
    let text = files::open_regular(path).and_then(|file| yaml::read(file, BOUNDS));
    text.map_err(|error| {
        let problem = format!("cannot be read: {error}");
        FileError::new(path.display().to_string(), problem)
    })
}

#[cfg(test)]
mod tests;
