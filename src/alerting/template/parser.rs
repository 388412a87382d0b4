//! Parses pieces into a tree. It refuses the same templates as Go's `text/template`.

use super::ast::{Base, Branch, Command, Keyword, Node, Operand, Pipeline, Tree};
use super::functions;
use super::lexer::{Piece, Token, pieces, tokens};
use super::value::Value;
use super::{MAX_DEPTH, TemplateError};

/// The variables that Prometheus declares before every template.
pub(super) const DECLARED: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

pub(super) fn parse(text: &str) -> Result<Tree, TemplateError> {
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter(),
        variables: DECLARED.map(str::to_owned).to_vec(),
        loops: 0,
        tree: Tree::default(),
    };
    let (body, end) = parser.block(0)?;
    parser.tree.body = body;
    match end {
        End::Text => Ok(parser.tree),
        End::Else(at, _) => Err(TemplateError::new(at, "unexpected {{else}}")),
        End::Closed(at) => Err(TemplateError::new(at, "unexpected {{end}}")),
    }
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    /// The variables in scope, the innermost last.
    variables: Vec<String>,
    /// The number of open `range` blocks.
    loops: usize,
    tree: Tree,
}

/// The action that ended a block.
enum End<'a> {
    Text,
    /// An `else`. The tokens after it make another `if` or `with`.
    Else(usize, Words<'a>),
    Closed(usize),
}

type Words<'a> = std::iter::Peekable<std::vec::IntoIter<(usize, Token<'a>)>>;
type Parsed<T> = Result<T, TemplateError>;

fn fail<T>(at: usize, problem: impl Into<String>) -> Parsed<T> {
    Err(TemplateError::new(at, problem))
}

impl<'a> Parser<'a> {
    fn block(&mut self, depth: usize) -> Parsed<(Vec<Node>, End<'a>)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (inner, begin) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(inner, begin) => (inner, begin),
            };
            let mut words = tokens(inner, begin)?.into_iter().peekable();
            let keyword = match words.peek() {
                Some((_, Token::Word(word))) => *word,
                _ => "",
            };
            let at = words.peek().map_or(begin, |(at, _)| *at);
            match keyword {
                "if" => nodes.push(self.branch(Keyword::If, at, rest(words), depth)?),
                "with" => nodes.push(self.branch(Keyword::With, at, rest(words), depth)?),
                "range" => nodes.push(self.branch(Keyword::Range, at, rest(words), depth)?),
                "else" => return Ok((nodes, End::Else(at, rest(words)))),
                "end" => {
                    finished(&mut rest(words))?;
                    return Ok((nodes, End::Closed(at)));
                }
                "define" | "block" => {
                    nodes.extend(self.define(keyword, at, rest(words), depth)?);
                }
                "template" => nodes.push(self.template(at, rest(words))?),
                "break" | "continue" => nodes.push(self.leave(keyword, at, rest(words))?),
                _ => nodes.push(Node::Action(self.pipeline_of(&mut words, begin)?)),
            }
        }
        Ok((nodes, End::Text))
    }

    /// Parses an action that is a single pipeline.
    fn pipeline_of(&mut self, words: &mut Words<'a>, at: usize) -> Parsed<Pipeline> {
        let pipeline = self.pipeline(words, at, 0)?;
        finished(words)?;
        Ok(pipeline)
    }

    fn branch(
        &mut self,
        keyword: Keyword,
        at: usize,
        mut words: Words<'a>,
        depth: usize,
    ) -> Parsed<Node> {
        if depth >= MAX_DEPTH {
            return fail(at, format!("nested more than {MAX_DEPTH} levels deep"));
        }
        let scope = self.variables.len();
        let condition = match keyword {
            Keyword::Range => self.range_pipeline(&mut words, at)?,
            Keyword::If | Keyword::With => self.pipeline_of(&mut words, at)?,
        };
        let is_loop = usize::from(keyword == Keyword::Range);
        self.loops += is_loop;
        let (then, end) = self.block(depth + 1)?;
        self.loops -= is_loop;
        let otherwise = self.otherwise(keyword, at, end, depth)?;
        self.variables.truncate(scope);
        Ok(Node::Branch(Branch {
            keyword,
            condition,
            then,
            otherwise,
        }))
    }

    fn otherwise(
        &mut self,
        keyword: Keyword,
        at: usize,
        end: End<'a>,
        depth: usize,
    ) -> Parsed<Vec<Node>> {
        let (else_at, mut words) = match end {
            End::Closed(_) => return Ok(Vec::new()),
            End::Text => return fail(at, "this block has no {{end}}"),
            End::Else(at, words) => (at, words),
        };
        let nested = match (words.peek(), keyword) {
            (None, _) => None,
            (Some((_, Token::Word("if"))), Keyword::If) => Some(Keyword::If),
            (Some((_, Token::Word("with"))), Keyword::With) => Some(Keyword::With),
            (Some((at, _)), _) => return fail(*at, "unexpected text after {{else}}"),
        };
        if let Some(nested) = nested {
            return Ok(vec![self.branch(
                nested,
                else_at,
                rest(words),
                depth + 1,
            )?]);
        }
        match self.block(depth + 1)? {
            (nodes, End::Closed(_)) => Ok(nodes),
            (_, End::Else(at, _)) => fail(at, "unexpected second {{else}}"),
            (_, End::Text) => fail(at, "this block has no {{end}}"),
        }
    }

    /// `define "name"`, or `block "name" value`, which also prints the body there.
    fn define(
        &mut self,
        keyword: &str,
        at: usize,
        mut words: Words<'a>,
        depth: usize,
    ) -> Parsed<Option<Node>> {
        if keyword == "define" && depth > 0 {
            return fail(at, "unexpected {{define}}");
        }
        let Some((_, Token::Text(name))) = words.next() else {
            return fail(at, format!("{{{{{keyword}}}}} takes a name in quotes"));
        };
        let shown = match keyword {
            "block" => {
                let dot = Some(self.pipeline_of(&mut words, at)?);
                let name = name.clone();
                Some(Node::Template { name, dot })
            }
            _ => {
                finished(&mut words)?;
                None
            }
        };
        // A definition cannot use the variables around it.
        let around = std::mem::take(&mut self.variables);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, end) = self.block(depth + 1)?;
        self.variables = around;
        self.loops = loops;
        match end {
            End::Closed(_) => self.tree.defined.insert(name, nodes),
            _ => return fail(at, "this block has no {{end}}"),
        };
        Ok(shown)
    }

    fn template(&mut self, at: usize, mut words: Words<'a>) -> Parsed<Node> {
        let Some((_, Token::Text(name))) = words.next() else {
            return fail(at, "{{template}} takes a name in quotes");
        };
        let dot = match words.peek() {
            None => None,
            Some(_) => Some(self.pipeline_of(&mut words, at)?),
        };
        Ok(Node::Template { name, dot })
    }

    fn leave(&self, keyword: &str, at: usize, mut words: Words<'a>) -> Parsed<Node> {
        finished(&mut words)?;
        match (self.loops, keyword) {
            (0, _) => fail(at, format!("{{{{{keyword}}}}} outside {{{{range}}}}")),
            (_, "break") => Ok(Node::Break),
            _ => Ok(Node::Continue),
        }
    }

    /// `range` declares one or two variables: index and element.
    fn range_pipeline(&mut self, words: &mut Words<'a>, at: usize) -> Parsed<Pipeline> {
        let mut names = Vec::new();
        let mut ahead = words.clone();
        while let Some((_, Token::Path(path))) = ahead.next() {
            names.push(path.to_owned());
            match ahead.next() {
                Some((_, Token::Comma)) if names.len() < 2 => {}
                Some((_, sign @ (Token::Declare | Token::Assign))) => {
                    *words = ahead;
                    let assigns = sign == Token::Assign;
                    let mut pipeline = self.pipeline_of(words, at)?;
                    self.bind(&names, assigns, at)?;
                    pipeline.variables = names;
                    pipeline.assigns = assigns;
                    return Ok(pipeline);
                }
                _ => break,
            }
        }
        self.pipeline_of(words, at)
    }

    /// Declares variables, or checks that the assigned ones exist.
    fn bind(&mut self, names: &[String], assigns: bool, at: usize) -> Parsed<()> {
        for name in names {
            if !name.starts_with('$') || name.contains('.') {
                return fail(at, format!("{name:?} is not the name of a variable"));
            }
            match assigns {
                true => self.require(name, at)?,
                false => self.variables.push(name.clone()),
            }
        }
        Ok(())
    }

    fn require(&self, variable: &str, at: usize) -> Parsed<()> {
        match variable == "$" || self.variables.iter().any(|known| known == variable) {
            true => Ok(()),
            false => fail(at, format!("undefined variable {variable:?}")),
        }
    }

    fn pipeline(&mut self, words: &mut Words<'a>, at: usize, depth: usize) -> Parsed<Pipeline> {
        let mut ahead = words.clone();
        let declared = match (ahead.next(), ahead.next()) {
            (Some((_, Token::Path(name))), Some((at, Token::Declare))) => Some((name, at, false)),
            (Some((_, Token::Path(name))), Some((at, Token::Assign))) => Some((name, at, true)),
            _ => None,
        };
        if declared.is_some() {
            *words = ahead;
        }
        let mut commands = vec![self.command(words, at, depth)?];
        while let Some((at, _)) = words.next_if(|(_, token)| *token == Token::Pipe) {
            let command = self.command(words, at, depth)?;
            let first = command.operands.first();
            if !first.is_some_and(is_executable) {
                return fail(
                    at,
                    "a literal or `.` cannot stand after `|`: write a function there",
                );
            }
            commands.push(command);
        }
        let mut variables = Vec::new();
        let mut assigns = false;
        if let Some((name, at, assigned)) = declared {
            assigns = assigned;
            variables.push(name.to_owned());
            self.bind(&variables, assigns, at)?;
        }
        Ok(Pipeline {
            variables,
            assigns,
            commands,
        })
    }

    fn command(&mut self, words: &mut Words<'a>, at: usize, depth: usize) -> Parsed<Command> {
        let mut operands = Vec::new();
        let at = words.peek().map_or(at, |(first, _)| *first);
        while let Some((at, token)) =
            words.next_if(|(_, token)| !matches!(token, Token::Pipe | Token::Close))
        {
            operands.push(self.operand(at, token, words, depth)?);
        }
        match operands.as_slice() {
            [] => fail(at, "missing value for command"),
            // Like Go, this accepts arguments to a value that is not a function. The expansion refuses them.
            _ => Ok(Command { operands }),
        }
    }

    fn operand(
        &mut self,
        at: usize,
        token: Token<'a>,
        words: &mut Words<'a>,
        depth: usize,
    ) -> Parsed<Operand> {
        let plain = |base| {
            let fields = Vec::new();
            Ok(Operand { base, fields })
        };
        match token {
            Token::Text(text) => plain(Base::Literal(Value::Text(text))),
            Token::Int(n) => plain(Base::Literal(Value::Int(n))),
            Token::Float(n) => plain(Base::Literal(Value::Float(n))),
            Token::Imaginary(n) => plain(Base::Literal(Value::Imaginary(n))),
            Token::Word("true") => plain(Base::Literal(Value::Bool(true))),
            Token::Word("false") => plain(Base::Literal(Value::Bool(false))),
            Token::Word("nil") => plain(Base::Literal(Value::Nil)),
            Token::Word(name) if functions::is_known(name) => {
                plain(Base::Function(name.to_owned()))
            }
            Token::Word(name) => fail(at, format!("function {name:?} not defined")),
            Token::Path(path) => self.path(path, at),
            Token::Open => self.parenthesis(at, words, depth),
            other => fail(at, format!("unexpected {}", shown(&other))),
        }
    }

    fn path(&self, path: &str, at: usize) -> Parsed<Operand> {
        let (root, below) = match path.find('.') {
            Some(dot) => path.split_at(dot),
            None => (path, ""),
        };
        let base = match root {
            "" => Base::Dot,
            variable => {
                self.require(variable, at)?;
                Base::Variable(variable.to_owned())
            }
        };
        let fields = fields(if path == "." { "" } else { below }, at)?;
        Ok(Operand { base, fields })
    }

    fn parenthesis(&mut self, at: usize, words: &mut Words<'a>, depth: usize) -> Parsed<Operand> {
        if depth >= MAX_DEPTH {
            return fail(at, format!("more than {MAX_DEPTH} nested parentheses"));
        }
        let pipeline = self.pipeline(words, at, depth + 1)?;
        let Some((closed, Token::Close)) = words.next() else {
            return fail(at, "unclosed left parenthesis");
        };
        // A field directly after the parenthesis belongs to it.
        let behind = words.next_if(|(at, token)| {
            *at == closed + 1 && matches!(token, Token::Path(path) if path.starts_with('.'))
        });
        let fields = match behind {
            Some((at, Token::Path(path))) => fields(path, at)?,
            _ => Vec::new(),
        };
        let base = Base::Pipeline(Box::new(pipeline));
        Ok(Operand { base, fields })
    }
}

/// Returns whether Go accepts the operand after `|`. Only a function takes the argument. The expansion refuses the other
/// operands, so that such a template does not stop its rule.
const fn is_executable(operand: &Operand) -> bool {
    match operand.base {
        Base::Function(_) | Base::Variable(_) | Base::Pipeline(_) => true,
        Base::Dot => !operand.fields.is_empty(),
        Base::Literal(_) => false,
    }
}

/// The names in `.a.b`.
fn fields(path: &str, at: usize) -> Parsed<Vec<String>> {
    let names = path.split('.').skip(1);
    names
        .map(|name| match name {
            "" => fail(at, "a name is missing after the dot"),
            name => Ok(name.to_owned()),
        })
        .collect()
}

fn shown(token: &Token<'_>) -> &'static str {
    match token {
        Token::Comma => "\",\"",
        Token::Declare => "\":=\"",
        Token::Assign => "\"=\"",
        Token::Close => "\")\"",
        _ => "token",
    }
}

/// The tokens after the first one, which is a keyword.
fn rest(mut words: Words<'_>) -> Words<'_> {
    words.next();
    words
}

fn finished(words: &mut Words<'_>) -> Parsed<()> {
    match words.next() {
        None => Ok(()),
        Some((at, Token::Close)) => fail(at, "unexpected right parenthesis"),
        Some((at, _)) => fail(at, "unexpected text at the end of the action"),
    }
}
