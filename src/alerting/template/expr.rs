//! The expressions of a template: what they are made of, and what they are worth.

use std::fmt;

use super::Data;
pub(super) use super::format::{Format, Formatted};
use super::format::{go_g, humanize, humanize_1024, humanize_duration, humanize_percentage};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Value,
    Label(String),
    ExternalLabel(String),
    Text(String),
    Number(f64),
    /// What the innermost `with` is about.
    Dot(Kind),
    Humanize(Humanize, Box<Expr>),
    Printf(Format, Vec<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Humanize {
    Thousands,
    Binary,
    Duration,
    Percentage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Worth {
    Number(f64),
    Text(String),
}

#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) data: &'a Data<'a>,
    pub(super) dot: Option<&'a Worth>,
}

impl Expr {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Expr::Value | Expr::Number(_) => Kind::Number,
            Expr::Dot(kind) => *kind,
            _ => Kind::Text,
        }
    }

    pub(super) fn eval(&self, scope: &Scope<'_>) -> Worth {
        match self {
            Expr::Value => Worth::Number(scope.data.value),
            Expr::Number(n) => Worth::Number(*n),
            Expr::Label(name) => Worth::Text(scope.data.labels.get(name).to_owned()),
            Expr::ExternalLabel(name) => {
                let value = scope.data.external_labels.get(name);
                Worth::Text(value.cloned().unwrap_or_default())
            }
            Expr::Text(text) => Worth::Text(text.clone()),
            Expr::Dot(_) => scope.dot.cloned().unwrap_or(Worth::Text(String::new())),
            Expr::Humanize(how, of) => {
                let v = of.eval(scope).number();
                Worth::Text(match how {
                    Humanize::Thousands => humanize(v),
                    Humanize::Binary => humanize_1024(v),
                    Humanize::Duration => humanize_duration(v),
                    Humanize::Percentage => humanize_percentage(v),
                })
            }
            Expr::Printf(format, arguments) => {
                let values: Vec<Worth> = arguments.iter().map(|a| a.eval(scope)).collect();
                Worth::Text(format.write(&values))
            }
        }
    }
}

impl Worth {
    /// What `if` and `with` ask: a number that is not zero, a text that is not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Worth::Number(n) => *n != 0.0,
            Worth::Text(text) => !text.is_empty(),
        }
    }

    /// The number; what is none was refused when the template was read.
    fn number(&self) -> f64 {
        match self {
            Worth::Number(n) => *n,
            Worth::Text(_) => f64::NAN,
        }
    }
}

impl Formatted for Worth {
    fn as_number(&self) -> Option<f64> {
        match self {
            Worth::Number(n) => Some(*n),
            Worth::Text(_) => None,
        }
    }
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Worth::Number(n) => f.write_str(&go_g(*n, None)),
            Worth::Text(text) => f.write_str(text),
        }
    }
}
