//! Runs the stages of a query over a line: line filters, parsers, label filters, and formats of labels and lines.
//!
//! As in Loki, labels come from the stream, from the line's structured metadata, and from the line's text. If a line
//! is not JSON or a label is not a number, the line stays and gets a label `__error__`, which only a string filter or
//! `drop` removes. The first of several errors is kept. A comparison depends only on its label, even after an error.

mod parsers;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::chunk::Metadata;
use super::fields::Fields;
use super::logql::{
    Conversion, LabelFilter, LabelRef, LabelSource, Quantity, Stage, Unwrap, parse_bytes,
    parse_go_duration,
};
use super::metadata;
use super::store::Labels;
use crate::embedded::compare::CompareOp;
use crate::embedded::matcher::MatchOp;

pub(super) const ERROR_LABEL: &str = "__error__";
const ERROR_DETAILS_LABEL: &str = "__error_details__";
const CLASH_SUFFIX: &str = "_extracted";

/// Runs one query's stages over the lines of one stream.
pub(super) struct Pipeline<'q> {
    stages: &'q [Stage],
    base: &'q Labels,
    /// The labels that are needed from the line and its metadata. `None` means all of them.
    wanted: Option<Vec<&'q str>>,
    /// Texts that a record must contain to pass the label filters, unless it contains escapes.
    required: Vec<Regex>,
    line: LineLabels,
}

/// The labels of one line after the stages.
#[derive(Default)]
struct LineLabels {
    metadata: Fields,
    parsed: Fields,
    /// The labels of the stream that a stage removed.
    removed: Vec<String>,
    error: Option<&'static str>,
    error_details: Option<&'static str>,
    metadata_read: bool,
    /// The line after `line_format`.
    formatted: Option<String>,
}

/// The labels of a line by their origin.
#[derive(Debug, Default)]
pub(super) struct Categories {
    pub(super) stream: Labels,
    pub(super) metadata: Labels,
    pub(super) parsed: Labels,
}

impl<'q> Pipeline<'q> {
    /// `wanted` has the labels that the result needs, or is `None` for all. The needs of the stages are added.
    pub(super) fn new(
        stages: &'q [Stage],
        base: &'q Labels,
        wanted: Option<&[&'q str]>,
    ) -> Pipeline<'q> {
        let wanted = wanted.map(|names| {
            let mut names = names.to_vec();
            for stage in stages {
                stage_labels(stage, &mut names);
            }
            // A field is renamed to `x_extracted` only if there is an `x`, so both are needed.
            let stripped: Vec<_> = names
                .iter()
                .filter_map(|name| name.strip_suffix(CLASH_SUFFIX))
                .collect();
            names.extend(stripped);
            names
        });
        Pipeline {
            stages,
            base,
            wanted,
            required: required_text(stages, base),
            line: LineLabels::default(),
        }
    }

    /// Returns whether the stages leave the needed labels of the stream unchanged on every line.
    pub(super) fn changes_labels(&self) -> bool {
        self.needs_metadata()
            || self
                .stages
                .iter()
                .any(|stage| !matches!(stage, Stage::Line(_) | Stage::LineIp { .. }))
    }

    fn needs_metadata(&self) -> bool {
        self.wanted.as_ref().is_none_or(|names| {
            names
                .iter()
                .any(|name| !self.base.contains_key(*name) && !name.starts_with("__error"))
        })
    }

    /// Runs the stages. Returns whether the line passes. Its labels stay readable until the next run.
    pub(super) fn run(&mut self, line: &str, metadata: Metadata<'_>) -> bool {
        self.line.clear();
        for stage in self.stages {
            // The original line has the metadata. Stages after `line_format` read the new line.
            let formatted = self.line.formatted.take();
            let now = formatted.as_deref().unwrap_or(line);
            let replaced = match stage {
                Stage::LineFormat(_) | Stage::Unpack | Stage::Decolorize => {
                    self.read_metadata(line, metadata);
                    Some(self.replaced(stage, now))
                }
                _ => None,
            };
            if let Some(replaced) = replaced {
                self.line.formatted = replaced.or(formatted);
                continue;
            }
            let goes_on = self.stage(stage, now, (line, metadata));
            self.line.formatted = formatted;
            if !goes_on {
                return false;
            }
        }
        self.read_metadata(line, metadata);
        true
    }

    /// Runs one stage. `now` is the current line, `came` is the original line with its metadata.
    fn stage(&mut self, stage: &Stage, now: &str, came: (&str, Metadata<'_>)) -> bool {
        let (line, metadata) = came;
        if let Stage::Line(filter) = stage {
            return filter.regex.is_match(now) == filter.keep_matching;
        }
        if let Stage::LineIp {
            keep_matching,
            range,
        } = stage
        {
            return range.is_in(now) == *keep_matching;
        }
        if matches!(stage, Stage::Json | Stage::Label(_)) && !self.can_pass(line, metadata) {
            return false;
        }
        self.read_metadata(line, metadata);
        match stage {
            Stage::Json => self.json(now),
            Stage::JsonFields(fields) => self.json_fields(now, fields),
            Stage::Logfmt(logfmt) => self.logfmt(now, logfmt),
            Stage::Regexp(regex) => self.regexp(now, regex),
            Stage::Pattern(pattern) => self.pattern(now, pattern),
            Stage::LabelFormat(labels) => self.format_labels(now, labels),
            Stage::Label(filter) => return self.passes(filter),
            Stage::Drop(labels) => self.drop_labels(labels),
            Stage::Keep(labels) => self.keep_labels(labels),
            Stage::Line(_)
            | Stage::LineIp { .. }
            | Stage::LineFormat(_)
            | Stage::Unpack
            | Stage::Decolorize => {}
        }
        true
    }

    /// Runs a stage that makes a new line. `None` keeps the current one.
    fn replaced(&mut self, stage: &Stage, now: &str) -> Option<String> {
        match stage {
            Stage::LineFormat(template) => Some(self.render(template, now)),
            Stage::Unpack => self.unpack(now),
            Stage::Decolorize => decolorized(now),
            _ => None,
        }
    }

    /// The line after the last run. `line` is the original.
    pub(super) fn line<'l>(&'l self, line: &'l str) -> &'l str {
        self.line.formatted.as_deref().unwrap_or(line)
    }

    /// Returns whether the line contains the text that a later filter requires.
    fn can_pass(&self, line: &str, metadata: Metadata<'_>) -> bool {
        metadata != Metadata::OfRecord
            || line.contains('\\')
            || self.required.iter().all(|text| text.is_match(line))
    }

    fn read_metadata(&mut self, line: &str, metadata: Metadata<'_>) {
        if self.line.metadata_read || !self.needs_metadata() {
            return;
        }
        self.line.metadata_read = true;
        let (base, wanted) = (self.base, self.wanted.as_deref());
        let fields = &mut self.line.metadata;
        metadata::read(line, metadata, &mut |name, value| {
            let name = clash_name(name, base.contains_key(name));
            if wanted.is_none_or(|wanted| wanted.contains(&&*name)) {
                value.append_to(fields.set(&name));
            }
        });
    }

    /// The value of the line's `__error__` label, if it has one.
    pub(super) fn error(&self) -> Option<&'static str> {
        self.line.error
    }

    /// The value of a label after the last run. It is empty when the label is missing.
    pub(super) fn label(&self, name: &str) -> &str {
        match name {
            ERROR_LABEL => self.line.error.unwrap_or(""),
            ERROR_DETAILS_LABEL => self.line.error_details.unwrap_or(""),
            _ => self.get(name).unwrap_or(""),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let of_line = self.line.metadata.get(name).or(self.line.parsed.get(name));
        of_line.or_else(|| {
            let of_stream = self.base.get(name).map(String::as_str);
            of_stream.filter(|_| !self.line.removed.iter().any(|removed| removed == name))
        })
    }

    /// All labels after the last run, by their origin.
    pub(super) fn categories(&self) -> Categories {
        let mut stream = self.base.clone();
        for name in &self.line.removed {
            stream.remove(name);
        }
        let mut parsed = self.line.parsed.labels();
        let error = [
            (ERROR_LABEL, self.line.error),
            (ERROR_DETAILS_LABEL, self.line.error_details),
        ];
        for (name, value) in error {
            parsed.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        }
        Categories {
            stream,
            metadata: self.line.metadata.labels(),
            parsed,
        }
    }

    /// All labels after the last run.
    pub(super) fn labels(&self) -> Labels {
        let mut all = self.categories();
        all.stream.extend(all.metadata);
        all.stream.extend(all.parsed);
        all.stream
    }

    /// All labels of a line in a result. With `categorize` its own labels are also given apart from those of the
    /// stream.
    pub(super) fn result_labels(&self, categorize: bool) -> (Labels, Option<Categories>) {
        if !categorize {
            return (self.labels(), None);
        }
        let mut own = self.categories();
        (std::mem::take(&mut own.stream), Some(own))
    }

    /// The number of a line that passed the stages. `None` when it has none.
    pub(super) fn number(&mut self, unwrap: &Unwrap) -> Option<f64> {
        let text = self.get(&unwrap.label).filter(|text| !text.is_empty())?;
        let number = match unwrap.conversion {
            Conversion::Number => text.parse().ok(),
            Conversion::Seconds => parse_go_duration(text).map(|ns| ns as f64 / 1e9),
            Conversion::Bytes => parse_bytes(text).map(|bytes| bytes as f64),
        };
        if number.is_none() {
            self.set_error("SampleExtractionErr", "the label's value is not a number");
        }
        let passes = unwrap.filters.iter().all(|filter| self.passes(filter));
        passes.then_some(number.unwrap_or_default())
    }

    fn passes(&mut self, filter: &LabelFilter) -> bool {
        match filter {
            LabelFilter::And(left, right) => self.passes(left) && self.passes(right),
            LabelFilter::Or(left, right) => self.passes(left) || self.passes(right),
            LabelFilter::String(matcher) => matcher.matches(self.label(&matcher.name)),
            LabelFilter::Compare { name, op, value } => self.compare(name, *op, *value),
            LabelFilter::Ip {
                name,
                is_equal,
                range,
            } => {
                let text = self.get(name);
                text.is_some_and(|text| range.is_in(text) == *is_equal)
            }
        }
    }

    fn compare(&mut self, name: &str, op: CompareOp, value: Quantity) -> bool {
        let Some(text) = self.get(name) else {
            return false;
        };
        let holds = match value {
            Quantity::Number(number) => text.parse().ok().map(|n: f64| op.holds(&n, &number)),
            Quantity::Duration(ns) => parse_go_duration(text).map(|n| op.holds(&n, &ns)),
            Quantity::Bytes(bytes) => parse_bytes(text).map(|n| op.holds(&n, &bytes)),
        };
        holds.unwrap_or_else(|| {
            self.set_error("LabelFilterErr", "the label's value cannot be compared");
            true
        })
    }

    fn set_error(&mut self, error: &'static str, details: &'static str) {
        if self.line.error.is_none() {
            self.line.error = Some(error);
            self.line.error_details = Some(details);
        }
    }

    fn drop_labels(&mut self, labels: &[LabelRef]) {
        for label in labels {
            let name = label.name();
            if label.takes(self.label(name)) {
                self.remove(name);
            }
        }
    }

    fn keep_labels(&mut self, labels: &[LabelRef]) {
        let all = self.labels();
        for (name, value) in all.iter().filter(|(name, _)| !name.starts_with("__error")) {
            let kept = labels
                .iter()
                .any(|label| label.name() == name && label.takes(value));
            if !kept {
                self.remove(name);
            }
        }
    }

    fn remove(&mut self, name: &str) {
        match name {
            ERROR_LABEL => self.line.error = None,
            ERROR_DETAILS_LABEL => self.line.error_details = None,
            _ => {
                self.line.metadata.remove(name);
                self.line.parsed.remove(name);
                self.line.removed.push(name.to_owned());
            }
        }
    }
}

impl LineLabels {
    fn clear(&mut self) {
        self.metadata.clear();
        self.parsed.clear();
        self.removed.clear();
        self.error = None;
        self.error_details = None;
        self.metadata_read = false;
        self.formatted = None;
    }
}

/// The control sequences of a terminal (ECMA-48): those with parameters, such as colours, and those with a text, such
/// as titles and links.
static CONTROL_SEQUENCES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let with_parameters = r"(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]";
    let with_text = r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)";
    Regex::new(&format!("{with_parameters}|{with_text}")).ok()
});

/// The line without control sequences. `None` when it has none.
fn decolorized(line: &str) -> Option<String> {
    match CONTROL_SEQUENCES.as_ref()?.replace_all(line, "") {
        Cow::Owned(line) => Some(line),
        Cow::Borrowed(_) => None,
    }
}

/// The name of a field whose own name is already taken by an earlier label.
fn clash_name(name: &str, taken: bool) -> Cow<'_, str> {
    if taken {
        Cow::Owned(format!("{name}{CLASH_SUFFIX}"))
    } else {
        Cow::Borrowed(name)
    }
}

fn stage_labels<'q>(stage: &'q Stage, names: &mut Vec<&'q str>) {
    match stage {
        Stage::Label(filter) => filter_labels(filter, names),
        Stage::Drop(labels) | Stage::Keep(labels) => {
            names.extend(labels.iter().filter_map(|label| match label {
                LabelRef::Matching(matcher) => Some(matcher.name.as_str()),
                LabelRef::Name(_) => None,
            }));
        }
        Stage::LineFormat(template) => names.extend(template.labels()),
        Stage::LabelFormat(labels) => {
            for label in labels {
                match &label.of {
                    LabelSource::Renamed(old) => names.push(old),
                    LabelSource::Template(template) => names.extend(template.labels()),
                }
            }
        }
        Stage::Line(_)
        | Stage::LineIp { .. }
        | Stage::Json
        | Stage::JsonFields(_)
        | Stage::Logfmt(_)
        | Stage::Unpack
        | Stage::Decolorize
        | Stage::Regexp(_)
        | Stage::Pattern(_) => {}
    }
}

pub(super) fn filter_labels<'q>(filter: &'q LabelFilter, names: &mut Vec<&'q str>) {
    match filter {
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            filter_labels(left, names);
            filter_labels(right, names);
        }
        LabelFilter::String(matcher) => names.push(&matcher.name),
        LabelFilter::Compare { name, .. } | LabelFilter::Ip { name, .. } => names.push(name),
    }
}

/// The texts of labels that must equal a given text and can come only from the line. Such a line contains the text,
/// so most lines are skipped without a parse of their JSON. (Escapes could hide the text, and the caller checks for
/// them.)
fn required_text(stages: &[Stage], base: &Labels) -> Vec<Regex> {
    let mut required = Vec::new();
    let makes_text = |stage: &Stage| {
        matches!(
            stage,
            Stage::LineFormat(_) | Stage::LabelFormat(_) | Stage::Unpack | Stage::Decolorize
        )
    };
    if stages.iter().any(makes_text) {
        return required;
    }
    for stage in stages {
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
                && !metadata::DERIVED.contains(&matcher.name.as_str())
                && !base.contains_key(&matcher.name) =>
        {
            required.extend(Regex::new(&regex::escape(&matcher.value)));
        }
        _ => {}
    }
}
