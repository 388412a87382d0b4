//! The syntax tree of a template.

use std::collections::BTreeMap;

use super::value::Value;

/// A parsed template: its own body, and the bodies that `define` names.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tree {
    pub(super) body: Vec<Node>,
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// Prints its value, unless it declares or assigns a variable.
    Action(Pipeline),
    Branch(Branch),
    Template {
        name: String,
        dot: Option<Pipeline>,
    },
    Break,
    Continue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    If,
    With,
    Range,
}

/// `if`, `with` or `range`, with its `else`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Branch {
    pub(super) keyword: Keyword,
    pub(super) condition: Pipeline,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands. The result of each becomes the last argument of the next.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// The pipeline uses `=` and not `:=`.
    pub(super) assigns: bool,
    /// The list is never empty.
    pub(super) commands: Vec<Command>,
}

/// A value, or a function and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    /// The list is never empty.
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    pub(super) base: Base,
    /// The fields after it: `.a.b`.
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Pipeline(Box<Pipeline>),
}
