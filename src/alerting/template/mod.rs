//! The templates of labels and annotations: Go's `text/template` with Prometheus's functions, so that existing rule
//! files expand to the same text.
//!
//! A template that does not parse is refused with the position of the mistake. Prometheus refuses the whole rule file
//! then. A template that cannot be evaluated never stops its rule: the text of the alert shows the problem.

mod ast;
mod exec;
mod functions;
mod humanize;
mod lexer;
mod parser;
mod printf;
mod value;

use std::collections::BTreeMap;

use crate::embedded::prometheus::labels::Labels;

/// The largest nesting of blocks, and of parentheses.
const MAX_DEPTH: usize = 16;

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    tree: ast::Tree,
}

/// The reason why a template is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte of the text at which the mistake was found.
    pub at: usize,
    /// The mistake, as a sentence.
    pub problem: String,
}

impl TemplateError {
    fn new(at: usize, problem: impl Into<String>) -> TemplateError {
        TemplateError {
            at,
            problem: problem.into(),
        }
    }
}

/// Evaluates a PromQL expression at the time at which the rule is evaluated.
pub(super) type Query<'a> = dyn Fn(&str) -> Result<Vec<(Labels, f64)>, String> + 'a;

/// The data that a template can use.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// The labels of the series that the expression returned, including the metric's name.
    pub labels: &'a Labels,
    /// The labels that are added to alerts when they are sent.
    pub external_labels: &'a BTreeMap<String, String>,
    /// The address at which people reach this server.
    pub external_url: &'a str,
    /// The value of the expression.
    pub value: f64,
    /// What the template's function `query` calls.
    pub query: &'a Query<'a>,
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let tree = parser::parse(text)?;
        Ok(Template { tree })
    }

    /// Expands the template with `data`. If it cannot be evaluated, returns the problem as text.
    #[must_use]
    pub fn expand(&self, data: &Data<'_>) -> String {
        exec::run(&self.tree, data)
            .unwrap_or_else(|problem| format!("<error expanding template: {problem}>"))
    }
}

#[cfg(test)]
mod tests;
