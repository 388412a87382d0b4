//! The templates of labels and annotations: the part of Prometheus's template language that rules of
//! this field use, with the same output.
//!
//! Understood: `$value`, `$labels.x`, `$externalLabels.x` (also as `.Value`, `.Labels.x`,
//! `.ExternalLabels.x`), literals, pipelines, parentheses, `humanize`, `humanize1024`,
//! `humanizeDuration`, `humanizePercentage`, `printf`, `if` and `with` with `else`, comments and trim
//! marks. Everything is typed when it is read, so that a template that was taken never fails when an
//! alert fires, and everything else is refused, with its place.

mod expr;
mod format;
mod lexer;
mod parser;

use std::collections::BTreeMap;

use crate::embedded::prometheus::labels::Labels;
use expr::{Expr, Scope};
pub(super) use format::go_e_shortest;

/// Levels of `if` and `with` within another, of parentheses within another.
const MAX_DEPTH: usize = 16;

/// A template that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

/// Why a text is no template of the part understood here.
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

/// What a template can speak of.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The labels of the series that the expression found, its name included.
    pub labels: &'a Labels,
    /// What is added to alerts on their way out.
    pub external_labels: &'a BTreeMap<String, String>,
    /// The value of the expression.
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Print(Expr),
    /// `with` makes its condition the dot of what it holds; `if` does not.
    Branch {
        with: bool,
        condition: Expr,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is not understood, and where.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let nodes = parser::parse(text)?;
        Ok(Template { nodes })
    }

    /// The text with what the template speaks of put in.
    #[must_use]
    pub fn expand(&self, data: &Data<'_>) -> String {
        let mut out = String::new();
        write(&self.nodes, &Scope { data, dot: None }, &mut out);
        out
    }
}

fn write(nodes: &[Node], scope: &Scope<'_>, out: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(expr) => out.push_str(&expr.eval(scope).to_string()),
            Node::Branch {
                with,
                condition,
                then,
                otherwise,
            } => {
                let value = condition.eval(scope);
                if !value.is_true() {
                    write(otherwise, scope, out);
                } else if *with {
                    let dot = Some(&value);
                    write(then, &Scope { dot, ..*scope }, out);
                } else {
                    write(then, scope, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
