//! The parsers, which turn parts of a line into labels.

use std::collections::BTreeMap;

use regex::Regex;

use super::{LineLabels, Pipeline, clash_name};
use crate::embedded::loki::fields::Fields;
use crate::embedded::loki::logql::{
    JsonField, LabelSource, Logfmt, NewLabel, Pattern, Template, TextPart,
};
use crate::embedded::loki::store::Labels;
use crate::embedded::loki::{json, logfmt};

impl Pipeline<'_> {
    pub(super) fn json(&mut self, line: &str) {
        // No label of the line is needed. As in Loki the line is not parsed, and it causes no error.
        if self.wanted.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let mut parsed = self.parsed();
        let result = json::flatten(line, &mut |name, value| {
            if let Some(text) = parsed.set(name) {
                value.append_to(text);
            }
        });
        if let Err(details) = result {
            self.set_error("JSONParserErr", details);
        }
    }

    pub(super) fn json_fields(&mut self, line: &str, fields: &[JsonField]) {
        if line.is_empty() {
            return;
        }
        for field in fields {
            let found = match json::find(line, &field.path) {
                Ok(found) => found,
                Err(details) => {
                    self.set_error("JSONParserErr", details);
                    return;
                }
            };
            // As in Loki, a field that the line does not have is an empty label, unless there is such a label.
            if found.is_none() && self.get(&field.label).is_some() {
                continue;
            }
            if let Some(text) = self.parsed().set(&field.label) {
                found.unwrap_or(json::Value::Plain("")).append_to(text);
            }
        }
    }

    pub(super) fn logfmt(&mut self, line: &str, logfmt: &Logfmt) {
        let mut parsed = self.parsed();
        let mut name = String::new();
        let mut add = |key: &str, value: &str| {
            if value.is_empty() && !logfmt.keep_empty {
                return;
            }
            if logfmt.fields.is_empty() {
                logfmt::label_name(key, &mut name);
                if let Some(text) = parsed.set(&name) {
                    text.push_str(value);
                }
            }
            for (label, _) in logfmt.fields.iter().filter(|(_, wanted)| wanted == key) {
                if let Some(text) = parsed.set(label) {
                    text.push_str(value);
                }
            }
        };
        if let Err(details) = logfmt::pairs(line, logfmt.strict, &mut add) {
            self.set_error("LogfmtParserErr", details);
            return;
        }
        // As in Loki, a field that the line does not have is an empty label, unless there is such a label.
        for (label, _) in &logfmt.fields {
            if self.get(label).is_none() {
                self.parsed().set(label);
            }
        }
    }

    /// Adds the texts of a packed line as labels, and returns its line. `None` when the line is not packed.
    pub(super) fn unpack(&mut self, line: &str) -> Option<String> {
        let Ok(mut packed) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(line)
        else {
            self.set_error("JSONParserErr", "the line is not a JSON object");
            return None;
        };
        let serde_json::Value::String(entry) = packed.remove("_entry")? else {
            return None;
        };
        let mut parsed = self.parsed();
        let mut name = String::new();
        for (key, value) in &packed {
            logfmt::label_name(key, &mut name);
            if let serde_json::Value::String(value) = value
                && let Some(text) = parsed.set(&name)
            {
                text.push_str(value);
            }
        }
        Some(entry)
    }

    pub(super) fn regexp(&mut self, line: &str, regex: &Regex) {
        let Some(found) = regex.captures(line) else {
            return;
        };
        let mut parsed = self.parsed();
        for name in regex.capture_names().flatten() {
            if let (Some(group), Some(text)) = (found.name(name), parsed.set(name)) {
                text.push_str(group.as_str());
            }
        }
    }

    pub(super) fn pattern(&mut self, line: &str, pattern: &Pattern) {
        let mut parsed = self.parsed();
        pattern.captures(line, |name, value| {
            if let Some(text) = parsed.set(name) {
                text.push_str(value);
            }
        });
    }

    /// Fills the template with the current labels and the current line.
    pub(super) fn render(&self, template: &Template, line: &str) -> String {
        let parts = template.0.iter().map(|part| match part {
            TextPart::Text(text) => text.as_str(),
            TextPart::Label(name) => self.label(name),
            TextPart::Line => line,
        });
        parts.collect()
    }

    pub(super) fn format_labels(&mut self, line: &str, labels: &[NewLabel]) {
        // As in Loki, every template reads the labels as they are at the first one.
        let mut texts = None;
        for (at, label) in labels.iter().enumerate() {
            let value = match &label.of {
                LabelSource::Template(_) => {
                    let texts =
                        texts.get_or_insert_with(|| self.texts(&labels[at..], line).into_iter());
                    texts.next().unwrap_or_default()
                }
                LabelSource::Renamed(old) => {
                    // A missing label is not renamed, and the new name keeps its value.
                    let Some(value) = self.get(old).map(str::to_owned) else {
                        continue;
                    };
                    self.remove(old);
                    value
                }
            };
            self.remove(&label.name);
            self.line.parsed.set(&label.name).push_str(&value);
        }
    }

    /// The texts of all templates of a `label_format`.
    fn texts(&self, labels: &[NewLabel], line: &str) -> Vec<String> {
        let texts = labels.iter().filter_map(|label| match &label.of {
            LabelSource::Template(template) => Some(self.render(template, line)),
            LabelSource::Renamed(_) => None,
        });
        texts.collect()
    }

    /// The labels to which parsers add.
    fn parsed(&mut self) -> Parsed<'_> {
        let LineLabels {
            metadata, parsed, ..
        } = &mut self.line;
        Parsed {
            base: self.base,
            metadata,
            parsed,
            wanted: self.wanted.as_deref(),
        }
    }
}

/// The labels that a parser finds in a line.
struct Parsed<'p> {
    base: &'p Labels,
    metadata: &'p Fields,
    parsed: &'p mut Fields,
    wanted: Option<&'p [&'p str]>,
}

impl Parsed<'_> {
    /// The place for the value of a field. `None` when the field is not needed or already has a value: the first of
    /// two fields with the same name counts.
    fn set(&mut self, name: &str) -> Option<&mut String> {
        let taken = self.base.contains_key(name) || self.metadata.get(name).is_some();
        let name = clash_name(name, taken);
        let needed = self.wanted.is_none_or(|wanted| wanted.contains(&&*name));
        if !needed || self.parsed.get(&name).is_some() {
            return None;
        }
        Some(self.parsed.set(&name))
    }
}
