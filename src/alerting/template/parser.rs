//! From pieces to a tree, typed on the way.

use super::expr::{Expr, Format, Humanize, Kind};
use super::lexer::{Piece, Token, pieces, tokens};
use super::{MAX_DEPTH, Node, TemplateError};

pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let pieces = pieces(text)?;
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        dots: Vec::new(),
    };
    let (nodes, end) = parser.block(0)?;
    match end {
        End::Text => Ok(nodes),
        End::Else(at, _) => Err(TemplateError::new(at, "`else` without an `if` or `with`")),
        End::Closed(at) => Err(TemplateError::new(at, "`end` without an `if` or `with`")),
    }
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    /// What the dot is, within each `with` around.
    dots: Vec<Kind>,
}

/// What ended a block.
enum End<'a> {
    Text,
    /// The words after it make another `if` or `with`.
    Else(usize, Words<'a>),
    Closed(usize),
}

type Words<'a> = std::iter::Peekable<std::vec::IntoIter<(usize, Token<'a>)>>;

impl<'a> Parser<'a> {
    fn block(&mut self, depth: usize) -> Result<(Vec<Node>, End<'a>), TemplateError> {
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
                None => return Err(TemplateError::new(begin, "nothing between the braces")),
                Some((at, Token::Word(word))) => Some((*at, *word)),
                Some(_) => None,
            };
            match keyword {
                Some((at, "end")) => {
                    words.next();
                    finished(&mut words)?;
                    return Ok((nodes, End::Closed(at)));
                }
                Some((at, "else")) => {
                    words.next();
                    return Ok((nodes, End::Else(at, words)));
                }
                Some((at, word @ ("if" | "with"))) => {
                    words.next();
                    nodes.push(self.branch(word == "with", at, words, depth + 1)?);
                }
                _ => {
                    let expr = self.pipeline(&mut words, begin, 0)?;
                    finished(&mut words)?;
                    nodes.push(Node::Print(expr));
                }
            }
        }
        Ok((nodes, End::Text))
    }

    fn branch(
        &mut self,
        with: bool,
        at: usize,
        mut words: Words<'a>,
        depth: usize,
    ) -> Result<Node, TemplateError> {
        if depth > MAX_DEPTH {
            let problem = format!("more than {MAX_DEPTH} `if` and `with` within another");
            return Err(TemplateError::new(at, problem));
        }
        let condition = self.pipeline(&mut words, at, 0)?;
        finished(&mut words)?;
        if with {
            self.dots.push(condition.kind());
        }
        let then = self.block(depth);
        if with {
            self.dots.pop();
        }
        let unclosed = || TemplateError::new(at, "without its `end`");
        let (then, end) = then?;
        let otherwise = match end {
            End::Text => return Err(unclosed()),
            End::Closed(_) => Vec::new(),
            End::Else(at, words) => self.otherwise(at, words, depth)?.ok_or_else(unclosed)?,
        };
        Ok(Node::Branch {
            with,
            condition,
            then,
            otherwise,
        })
    }

    /// What follows an `else`: up to the `end`, or another `if` that shares it.
    fn otherwise(
        &mut self,
        at: usize,
        mut words: Words<'a>,
        depth: usize,
    ) -> Result<Option<Vec<Node>>, TemplateError> {
        if let Some((_, Token::Word("if"))) = words.peek() {
            words.next();
            return Ok(Some(vec![self.branch(false, at, words, depth + 1)?]));
        }
        finished(&mut words)?;
        match self.block(depth)? {
            (nodes, End::Closed(_)) => Ok(Some(nodes)),
            (_, End::Else(at, _)) => Err(TemplateError::new(at, "a second `else`")),
            (_, End::Text) => Ok(None),
        }
    }

    /// `a | f b | g`: what comes before a bar is the last argument of what follows.
    fn pipeline(
        &self,
        words: &mut Words<'a>,
        at: usize,
        depth: usize,
    ) -> Result<Expr, TemplateError> {
        let mut expr = self.command(words, None, at, depth)?;
        while let Some((at, _)) = words.next_if(|(_, token)| *token == Token::Pipe) {
            expr = self.command(words, Some(expr), at, depth)?;
        }
        Ok(expr)
    }

    fn command(
        &self,
        words: &mut Words<'a>,
        piped: Option<Expr>,
        at: usize,
        depth: usize,
    ) -> Result<Expr, TemplateError> {
        let function = match words.peek() {
            Some((at, Token::Word(name))) => Some((*at, *name)),
            _ => None,
        };
        let Some((at, name)) = function else {
            let found = words.peek().map_or(at, |(at, _)| *at);
            let expr = self.operand(words, at, depth)?;
            return match piped {
                None => Ok(expr),
                Some(_) => Err(TemplateError::new(
                    found,
                    "a function is expected after `|`",
                )),
            };
        };
        words.next();
        let mut arguments = Vec::new();
        while words
            .peek()
            .is_some_and(|(_, t)| !matches!(t, Token::Pipe | Token::Close))
        {
            arguments.push(self.operand(words, at, depth)?);
        }
        arguments.extend(piped);
        call(name, arguments).map_err(|problem| TemplateError::new(at, problem))
    }

    fn operand(
        &self,
        words: &mut Words<'a>,
        at: usize,
        depth: usize,
    ) -> Result<Expr, TemplateError> {
        let Some((at, token)) = words.next() else {
            return Err(TemplateError::new(at, "a value is expected"));
        };
        let problem = match token {
            Token::Text(text) => return Ok(Expr::Text(text)),
            Token::Number(text) => match number(text) {
                Some(n) => return Ok(Expr::Number(n)),
                None => format!("`{text}` is no number with a fraction, such as 0.5"),
            },
            Token::Open if depth >= MAX_DEPTH => {
                format!("more than {MAX_DEPTH} parentheses within another")
            }
            Token::Open => {
                let expr = self.pipeline(words, at, depth + 1)?;
                match words.next() {
                    Some((_, Token::Close)) => return Ok(expr),
                    _ => "a parenthesis that is not closed".to_owned(),
                }
            }
            Token::Path(path) => match self.path(path) {
                Some(expr) => return Ok(expr),
                None => unsupported(path),
            },
            Token::Word(name) => unsupported(name),
            Token::Pipe => "a value is expected before `|`".to_owned(),
            Token::Close => "a value is expected before `)`".to_owned(),
        };
        Err(TemplateError::new(at, problem))
    }

    fn path(&self, path: &str) -> Option<Expr> {
        // Within `with`, the dot is another and has no fields.
        let root = self.dots.is_empty();
        if path == "$value" || (path == ".Value" && root) {
            return Some(Expr::Value);
        }
        if path == "." {
            return self.dots.last().map(|kind| Expr::Dot(*kind));
        }
        let of = |variable: &str, field: &str| {
            let name = path.strip_prefix(variable);
            let name = name.or_else(|| path.strip_prefix(field).filter(|_| root))?;
            (!name.is_empty() && !name.contains('.')).then(|| name.to_owned())
        };
        of("$labels.", ".Labels.")
            .map(Expr::Label)
            .or_else(|| of("$externalLabels.", ".ExternalLabels.").map(Expr::ExternalLabel))
    }
}

fn unsupported(what: &str) -> String {
    format!("`{what}` is not supported here: $value, $labels.NAME and $externalLabels.NAME are")
}

/// Go tells whole numbers from others and prints them differently; rules need only the others.
fn number(text: &str) -> Option<f64> {
    let n = text.parse::<f64>().ok()?;
    (n.is_finite() && text.contains(['.', 'e', 'E'])).then_some(n)
}

fn finished(words: &mut Words<'_>) -> Result<(), TemplateError> {
    match words.next() {
        None => Ok(()),
        Some((at, _)) => Err(TemplateError::new(at, "nothing more is expected here")),
    }
}

fn call(name: &str, mut arguments: Vec<Expr>) -> Result<Expr, String> {
    let humanize = match name {
        "humanize" => Humanize::Thousands,
        "humanize1024" => Humanize::Binary,
        "humanizeDuration" => Humanize::Duration,
        "humanizePercentage" => Humanize::Percentage,
        "printf" => return printf(arguments),
        _ => return Err(format!("the function `{name}` is not supported here")),
    };
    match (arguments.pop(), arguments.is_empty()) {
        (Some(argument), true) if argument.kind() == Kind::Number => {
            Ok(Expr::Humanize(humanize, Box::new(argument)))
        }
        _ => Err(format!("`{name}` takes one number")),
    }
}

fn printf(arguments: Vec<Expr>) -> Result<Expr, String> {
    let mut arguments = arguments.into_iter();
    let Some(Expr::Text(format)) = arguments.next() else {
        return Err("`printf` takes its format, in quotes, first".to_owned());
    };
    let arguments: Vec<Expr> = arguments.collect();
    let kinds: Vec<Kind> = arguments.iter().map(Expr::kind).collect();
    Ok(Expr::Printf(Format::parse(&format, &kinds)?, arguments))
}
