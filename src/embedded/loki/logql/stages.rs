//! Parses the arguments of stages: paths, patterns, templates.

use super::lexer::Kind;
use super::parser::Parser;
use super::{JsonField, LabelSource, NewLabel, PathPart, Pattern, Stage, Template};
use crate::embedded::loki::QueryError;
use crate::embedded::loki::pipeline::ERROR_LABEL;
use crate::embedded::regex::compile;

impl Parser {
    /// `label="path.to[0].field", other="name"`. A name without a path is its own path.
    pub(super) fn json_fields(&mut self) -> Result<Vec<JsonField>, QueryError> {
        let mut fields = Vec::new();
        loop {
            let label = self.label_name("IDENTIFIER, $end, | or a line filter")?;
            let at = self.at();
            let path = match self.accept("=") {
                true => self.text()?,
                false => label.clone(),
            };
            let path = json_path(&path)
                .ok_or_else(|| at.error(format!("cannot parse expression [{path}]")))?;
            fields.push(JsonField { label, path });
            if !self.accept(",") {
                return Ok(fields);
            }
        }
    }

    pub(super) fn regexp(&mut self) -> Result<Stage, QueryError> {
        let at = self.at();
        let text = self.text()?;
        let regex = compile(&text).map_err(|reason| at.error(reason))?;
        if regex.capture_names().flatten().next().is_none() {
            return Err(at.error("at least one named capture must be supplied"));
        }
        Ok(Stage::Regexp(regex))
    }

    pub(super) fn template(&mut self) -> Result<Template, QueryError> {
        let at = self.at();
        let text = self.text()?;
        Template::parse(&text).map_err(|part| {
            at.error(format!(
                "`{part}` is not supported in a template; use {{{{.label}}}} and {{{{__line__}}}}"
            ))
        })
    }

    /// `new=old, other="text with {{.label}}"`
    pub(super) fn new_labels(&mut self) -> Result<Vec<NewLabel>, QueryError> {
        let mut labels: Vec<NewLabel> = Vec::new();
        loop {
            let at = self.at();
            let name = self.label_name("IDENTIFIER")?;
            if name == ERROR_LABEL {
                return Err(at.error(format!("{name} cannot be formatted")));
            }
            if labels.iter().any(|label| label.name == name) {
                return Err(at.error(format!(
                    "multiple label name '{name}' not allowed in a single format operation"
                )));
            }
            self.expect("=")?;
            let of = match self.peek() {
                Kind::Text(_) => LabelSource::Template(self.template()?),
                _ => LabelSource::Renamed(self.label_name("IDENTIFIER or STRING")?),
            };
            labels.push(NewLabel { name, of });
            if !self.accept(",") {
                return Ok(labels);
            }
        }
    }

    pub(super) fn pattern(&mut self) -> Result<Stage, QueryError> {
        let at = self.at();
        let pattern = Pattern::parse(&self.text()?).map_err(|reason| at.error(reason))?;
        Ok(Stage::Pattern(pattern))
    }
}

/// `a.b["c"][0]`
fn json_path(text: &str) -> Option<Vec<PathPart>> {
    let mut path = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix("[\"") {
            let (name, after) = inner.split_once("\"]")?;
            path.push(PathPart::Name(name.to_owned()));
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            path.push(PathPart::Index(index.trim().parse().ok()?));
            rest = after;
        } else {
            let name = match path.is_empty() {
                true => rest,
                false => rest.strip_prefix('.')?,
            };
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            if name.is_empty() {
                return None;
            }
            path.push(PathPart::Name(name.to_owned()));
            rest = after;
        }
    }
    (!path.is_empty()).then_some(path)
}
