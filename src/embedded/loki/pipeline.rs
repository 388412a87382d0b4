//! What happens to a line between the selector and the result: filters, `| json`, label filters.
//!
//! As in Loki, a line that is no JSON, or a label that is no number, does not vanish: the line goes on
//! with a label `__error__`, which only a string filter can take out again.

use std::borrow::Cow;

use regex::Regex;

use super::json;
use super::logql::{CompareOp, LabelFilter, Quantity, Stage, parse_bytes, parse_go_duration};
use super::store::Labels;
use crate::embedded::matcher::MatchOp;

pub(super) const ERROR_LABEL: &str = "__error__";
const ERROR_DETAILS_LABEL: &str = "__error_details__";
const CLASH_SUFFIX: &str = "_extracted";

/// Runs one query's stages over the lines of one stream.
pub(super) struct Pipeline<'q> {
    stages: &'q [Stage],
    base: &'q Labels,
    /// The labels `| json` has to extract; `None`: all.
    wanted: Option<Vec<&'q str>>,
    /// Text a line must contain (unless it contains escapes) to pass the label filters.
    required: Vec<Regex>,
    parsed: Parsed,
}

impl<'q> Pipeline<'q> {
    /// `wanted`: labels needed of the result; `None` for all. What the filters need comes on top.
    pub(super) fn new(
        stages: &'q [Stage],
        base: &'q Labels,
        wanted: Option<&[&'q str]>,
    ) -> Pipeline<'q> {
        let wanted = wanted.map(|names| {
            let mut names = names.to_vec();
            for stage in stages {
                if let Stage::Label(filter) = stage {
                    filter_labels(filter, &mut names);
                }
            }
            names
        });
        Pipeline {
            stages,
            base,
            wanted,
            required: required_text(stages, base),
            parsed: Parsed::default(),
        }
    }

    /// Whether every line of the stream keeps the stream's own labels.
    pub(super) fn changes_labels(&self) -> bool {
        self.stages
            .iter()
            .any(|stage| !matches!(stage, Stage::Line(_)))
    }

    /// Runs the stages; true: the line stays. Its labels can be asked for until the next run.
    pub(super) fn run(&mut self, line: &str) -> bool {
        self.parsed.clear();
        let stages = self.stages;
        stages.iter().all(|stage| match stage {
            Stage::Line(filter) => filter.regex.is_match(line) == filter.keep_matching,
            Stage::Json => self.json(line),
            Stage::Label(filter) => self.passes(filter),
        })
    }

    /// The error the line carries, if any.
    pub(super) fn error(&self) -> Option<&'static str> {
        self.parsed.error.map(|(error, _)| error)
    }

    /// A label's value after the last run; empty: no such label.
    pub(super) fn label(&self, name: &str) -> &str {
        match name {
            ERROR_LABEL => self.error().unwrap_or(""),
            ERROR_DETAILS_LABEL => self.parsed.error.map_or("", |(_, details)| details),
            _ => self
                .parsed
                .get(name)
                .or(self.base_label(name))
                .unwrap_or(""),
        }
    }

    /// All labels after the last run.
    pub(super) fn labels(&self) -> Labels {
        let mut labels = self.base.clone();
        let found = self
            .parsed
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        labels.extend(found.filter(|(_, value)| !value.is_empty()));
        if let Some((error, details)) = self.parsed.error {
            labels.insert(ERROR_LABEL.into(), error.into());
            labels.insert(ERROR_DETAILS_LABEL.into(), details.into());
        }
        labels
    }

    fn base_label(&self, name: &str) -> Option<&str> {
        self.base.get(name).map(String::as_str)
    }

    fn json(&mut self, line: &str) -> bool {
        if !line.contains('\\') && !self.required.iter().all(|text| text.is_match(line)) {
            return false;
        }
        let (base, parsed) = (self.base, &mut self.parsed);
        let wanted = self.wanted.as_deref();
        let result = json::flatten(line, &mut |name, value| {
            let name = if base.contains_key(name) {
                Cow::Owned(format!("{name}{CLASH_SUFFIX}"))
            } else {
                Cow::Borrowed(name)
            };
            if wanted.is_none_or(|wanted| wanted.contains(&&*name)) {
                value.append_to(parsed.set(&name));
            }
        });
        if let Err(details) = result {
            parsed.error = Some(("JSONParserErr", details));
        }
        true
    }

    fn passes(&mut self, filter: &LabelFilter) -> bool {
        match filter {
            LabelFilter::And(left, right) => self.passes(left) && self.passes(right),
            LabelFilter::Or(left, right) => self.passes(left) || self.passes(right),
            LabelFilter::String(matcher) => matcher.matches(self.label(&matcher.name)),
            LabelFilter::Compare { name, op, value } => self.compare(name, *op, *value),
        }
    }

    fn compare(&mut self, name: &str, op: CompareOp, value: Quantity) -> bool {
        if self.parsed.error.is_some() {
            return true;
        }
        let Some(text) = self.parsed.get(name).or(self.base_label(name)) else {
            return false;
        };
        let holds = match value {
            Quantity::Number(number) => text.parse().ok().map(|n: f64| op.holds(n, number)),
            Quantity::Duration(ns) => parse_go_duration(text).map(|n| op.holds(n, ns)),
            Quantity::Bytes(bytes) => parse_bytes(text).map(|n| op.holds(n, bytes)),
        };
        holds.unwrap_or_else(|| {
            self.parsed.error = Some(("LabelFilterErr", "the label's value cannot be compared"));
            true
        })
    }
}

/// Labels found in the current line. Strings are kept from line to line.
#[derive(Default)]
struct Parsed {
    labels: Vec<(String, String)>,
    used: usize,
    error: Option<(&'static str, &'static str)>,
}

impl Parsed {
    fn clear(&mut self) {
        self.used = 0;
        self.error = None;
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let used = &self.labels[..self.used];
        used.iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The emptied value of a label, to be written.
    fn set(&mut self, name: &str) -> &mut String {
        let known = self.iter().position(|(known, _)| known == name);
        let index = known.unwrap_or(self.used);
        if known.is_none() {
            if index == self.labels.len() {
                self.labels.push(Default::default());
            }
            self.labels[index].0.clear();
            self.labels[index].0.push_str(name);
            self.used += 1;
        }
        let value = &mut self.labels[index].1;
        value.clear();
        value
    }
}

fn filter_labels<'q>(filter: &'q LabelFilter, names: &mut Vec<&'q str>) {
    match filter {
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            filter_labels(left, names);
            filter_labels(right, names);
        }
        LabelFilter::String(matcher) => names.push(&matcher.name),
        LabelFilter::Compare { name, .. } => names.push(name),
    }
}

/// A label that must equal some text and can only come from the line: then the line has the text in
/// it, and most lines can be passed over without reading their JSON. (Escapes could hide the text;
/// the caller looks for them.)
fn required_text(stages: &[Stage], base: &Labels) -> Vec<Regex> {
    let mut required = Vec::new();
    let after_json = stages
        .iter()
        .skip_while(|stage| !matches!(stage, Stage::Json));
    for stage in after_json {
        if let Stage::Label(filter) = stage {
            collect_required(filter, base, &mut required);
        }
    }
    required
}

fn collect_required(filter: &LabelFilter, base: &Labels, required: &mut Vec<Regex>) {
    match filter {
        LabelFilter::And(left, right) => {
            collect_required(left, base, required);
            collect_required(right, base, required);
        }
        LabelFilter::String(matcher)
            if matcher.op == MatchOp::Equal
                && !matcher.value.is_empty()
                && !matcher.name.starts_with("__error")
                && !base.contains_key(&matcher.name) =>
        {
            required.extend(Regex::new(&regex::escape(&matcher.value)));
        }
        _ => {}
    }
}
