//! Expands a template. Steps, depth, and the length of the text are bounded.

use std::ops::ControlFlow;

use super::Data;
use super::ast::{Base, Branch, Command, Keyword, Node, Operand, Pipeline, Tree};
use super::functions::call;
use super::parser::DECLARED;
use super::value::Value;

/// The largest number of nodes that one expansion may visit.
const MAX_STEPS: usize = 100_000;
/// The largest text that one expansion may make, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// The largest nesting of `template` calls.
const MAX_CALLS: usize = 32;

/// The reason why a block ended early.
enum Stop {
    Break,
    Continue,
    Failed(String),
}

impl From<String> for Stop {
    fn from(problem: String) -> Stop {
        Stop::Failed(problem)
    }
}

type Flow = ControlFlow<Stop>;

/// Expands `tree` with `data`.
pub(super) fn run(tree: &Tree, data: &Data<'_>) -> Result<String, String> {
    let root = root(data);
    let mut variables = vec![("$".to_owned(), root.clone())];
    for (name, field) in DECLARED
        .iter()
        .zip(["Labels", "ExternalLabels", "ExternalURL", "Value"])
    {
        variables.push(((*name).to_owned(), root.field(field)?));
    }
    let mut run = Run {
        tree,
        data,
        variables,
        out: String::new(),
        steps: 0,
        calls: 0,
    };
    match run.block(&tree.body, &root) {
        ControlFlow::Break(Stop::Failed(problem)) => Err(problem),
        _ => Ok(run.out),
    }
}

/// The value of `.` at the top level.
fn root(data: &Data<'_>) -> Value {
    let external = data.external_labels.iter();
    let external = external.map(|(name, value)| (name.as_str(), value.as_str()));
    Value::Record(vec![
        ("Labels", Value::texts(data.labels.iter())),
        ("ExternalLabels", Value::texts(external)),
        ("ExternalURL", Value::Text(data.external_url.to_owned())),
        ("Value", Value::Float(data.value)),
    ])
}

struct Run<'a> {
    tree: &'a Tree,
    data: &'a Data<'a>,
    /// The variables in scope, the innermost last.
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    calls: usize,
}

impl Run<'_> {
    fn block(&mut self, nodes: &[Node], dot: &Value) -> Flow {
        for node in nodes {
            if let Err(problem) = self.step() {
                return ControlFlow::Break(problem.into());
            }
            self.node(node, dot)?;
        }
        ControlFlow::Continue(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Flow {
        let done = match node {
            Node::Text(text) => self.print(text),
            Node::Action(pipeline) => {
                self.pipeline(pipeline, dot)
                    .and_then(|value| match pipeline.variables.is_empty() {
                        true => self.print(&printed(&value)),
                        false => Ok(()),
                    })
            }
            Node::Branch(branch) => {
                let scope = self.variables.len();
                let flow = self.branch(branch, dot);
                self.variables.truncate(scope);
                return flow;
            }
            Node::Template { name, dot: given } => return self.template(name, given.as_ref(), dot),
            Node::Break => return ControlFlow::Break(Stop::Break),
            Node::Continue => return ControlFlow::Break(Stop::Continue),
        };
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(problem) => ControlFlow::Break(problem.into()),
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        match self.steps > MAX_STEPS {
            true => Err(format!("more than {MAX_STEPS} steps")),
            false => Ok(()),
        }
    }

    fn print(&mut self, text: &str) -> Result<(), String> {
        if self.out.len() + text.len() > MAX_TEXT {
            return Err(too_long());
        }
        self.out.push_str(text);
        Ok(())
    }

    fn branch(&mut self, branch: &Branch, dot: &Value) -> Flow {
        // `range` binds its variables itself, for each item.
        let value = match branch.keyword {
            Keyword::Range => self.value(&branch.condition, dot),
            Keyword::If | Keyword::With => self.pipeline(&branch.condition, dot),
        };
        let value = match value {
            Ok(value) => value,
            Err(problem) => return ControlFlow::Break(problem.into()),
        };
        match branch.keyword {
            Keyword::Range => self.range(branch, value, dot),
            _ if !value.is_true() => self.block(&branch.otherwise, dot),
            Keyword::With => self.block(&branch.then, &value),
            Keyword::If => self.block(&branch.then, dot),
        }
    }

    fn range(&mut self, branch: &Branch, value: Value, dot: &Value) -> Flow {
        let items: Vec<(Value, Value)> = match value {
            Value::List(list) => (0..).map(Value::Int).zip(list).collect(),
            Value::Map(map) => map.into_iter().map(|(k, v)| (Value::Text(k), v)).collect(),
            Value::Nil => Vec::new(),
            other => {
                let problem = format!("range can't iterate over {other}");
                return ControlFlow::Break(problem.into());
            }
        };
        if items.is_empty() {
            return self.block(&branch.otherwise, dot);
        }
        let names = &branch.condition.variables;
        let scope = self.variables.len();
        for (key, item) in items {
            self.variables.truncate(scope);
            let values = match names.len() {
                2 => vec![key, item.clone()],
                _ => vec![item.clone()],
            };
            for (name, value) in names.iter().zip(values) {
                match branch.condition.assigns {
                    true => self.assign(name, value),
                    false => self.variables.push((name.clone(), value)),
                }
            }
            match self.block(&branch.then, &item) {
                ControlFlow::Break(Stop::Break) => break,
                ControlFlow::Break(Stop::Continue) | ControlFlow::Continue(()) => {}
                failed => return failed,
            }
        }
        ControlFlow::Continue(())
    }

    fn template(&mut self, name: &str, given: Option<&Pipeline>, dot: &Value) -> Flow {
        let tree = self.tree;
        let Some(nodes) = tree.defined.get(name) else {
            return ControlFlow::Break(format!("template {name:?} not defined").into());
        };
        if self.calls >= MAX_CALLS {
            let problem = format!("more than {MAX_CALLS} nested templates");
            return ControlFlow::Break(problem.into());
        }
        let dot = match given.map(|given| self.pipeline(given, dot)) {
            None => Value::Nil,
            Some(Ok(value)) => value,
            Some(Err(problem)) => return ControlFlow::Break(problem.into()),
        };
        let inner = vec![("$".to_owned(), dot.clone())];
        let around = std::mem::replace(&mut self.variables, inner);
        self.calls += 1;
        let flow = self.block(nodes, &dot);
        self.calls -= 1;
        self.variables = around;
        flow
    }

    fn assign(&mut self, name: &str, value: Value) {
        let found = self.variables.iter_mut().rev().find(|(n, _)| n == name);
        if let Some((_, known)) = found {
            *known = value;
        }
    }

    /// Evaluates a pipeline and assigns its variable.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.value(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            match pipeline.assigns {
                true => self.assign(name, value.clone()),
                false => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn value(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        self.step()?;
        let (Some(first), arguments) = (command.operands.first(), command.operands.get(1..)) else {
            return Ok(Value::Nil);
        };
        let Base::Function(name) = &first.base else {
            let takes_argument = piped.is_some() || arguments.is_some_and(|of| !of.is_empty());
            return match &first.base {
                _ if takes_argument => Err("can't give argument to non-function".to_owned()),
                Base::Literal(Value::Nil) => Err("nil is not a command".to_owned()),
                _ => self.operand(first, dot),
            };
        };
        let arguments = arguments.unwrap_or_default();
        if let "and" | "or" = name.as_str() {
            return self.first_that_decides(name == "or", arguments, dot, piped);
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(piped);
        let value = call(name, &values, self.data);
        let value = value.map_err(|problem| format!("error calling {name}: {problem}"))?;
        match &value {
            Value::Text(text) if text.len() > MAX_TEXT => Err(too_long()),
            _ => Ok(value),
        }
    }

    /// `and` and `or` stop at the first argument that decides.
    fn first_that_decides(
        &mut self,
        decides: bool,
        arguments: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let mut last = None;
        for argument in arguments {
            let value = self.operand(argument, dot)?;
            if value.is_true() == decides {
                return Ok(value);
            }
            last = Some(value);
        }
        piped
            .or(last)
            .ok_or_else(|| "wrong number of args for and/or: want at least 1 got 0".to_owned())
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let mut value = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Literal(value) => value.clone(),
            Base::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                found.map_or(Value::Nil, |(_, value)| value.clone())
            }
            Base::Function(name) => call(name, &[], self.data)?,
            Base::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
        };
        for field in &operand.fields {
            value = value.field(field)?;
        }
        Ok(value)
    }
}

fn too_long() -> String {
    format!("more than {MAX_TEXT} bytes of text")
}

fn printed(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        value => value.to_string(),
    }
}
