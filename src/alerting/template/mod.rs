//! The templates of labels and annotations: Go's `text/template` with Prometheus's functions, so that
//! the rule files of the field expand to the same text here.
//!
//! A template that does not parse is refused with its place, as Prometheus refuses its file. One that
//! cannot be evaluated never stops its rule: the problem stands in the text of the alert.

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

/// Most levels of nested blocks, and of nested parentheses.
const MAX_DEPTH: usize = 16;

/// A template that was parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    tree: ast::Tree,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte of the text at which it was found.
    pub at: usize,
    /// What is wrong.
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

/// Answers a PromQL expression at the instant of the evaluation.
pub(super) type Query<'a> = dyn Fn(&str) -> Result<Vec<(Labels, f64)>, String> + 'a;

/// What a template can refer to.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// The labels of the series that the expression found, its name included.
    pub labels: &'a Labels,
    /// What is added to alerts on their way out.
    pub external_labels: &'a BTreeMap<String, String>,
    /// Where people reach this server.
    pub external_url: &'a str,
    /// The value of the expression.
    pub value: f64,
    /// Answers the function `query`.
    pub query: &'a Query<'a>,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let tree = parser::parse(text)?;
        Ok(Template { tree })
    }

    /// The text that the template makes of `data`; the problem, where it cannot be evaluated.
    #[must_use]
    pub fn expand(&self, data: &Data<'_>) -> String {
        exec::run(&self.tree, data)
            .unwrap_or_else(|problem| format!("<error expanding template: {problem}>"))
    }
}

#[cfg(test)]
mod tests;
