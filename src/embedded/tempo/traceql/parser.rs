//! Parses tokens into a condition by recursive descent.

use super::super::TempoError;
use super::lexer::{Token, tokens};
use super::{Expr, Field, Test};
use crate::embedded::compare::CompareOp;
use crate::embedded::regex::{Dialect, anchored};

/// The largest nesting of parentheses.
const MAX_DEPTH: usize = 64;

/// Parses a query: one pair of braces.
pub(in crate::embedded::tempo) fn parse(query: &str) -> Result<Expr, TempoError> {
    let mut parser = Parser::new(query)?;
    parser.expect("{")?;
    let expr = if parser.takes("}") {
        Expr::Always(true)
    } else {
        let expr = parser.expr(0)?;
        parser.expect("}")?;
        expr
    };
    match parser.peek() {
        None => Ok(expr),
        Some(Token::Symbol(symbol)) => Err(parser.error(&format!(
            "{symbol} after the braces is not supported: give one pair of braces"
        ))),
        Some(_) => Err(parser.error("unexpected text after the braces")),
    }
}

/// Parses a single field name: `resource.service.name`, `.http.route`, `span:name`.
pub(in crate::embedded::tempo) fn parse_field(name: &str) -> Result<Field, TempoError> {
    let mut parser = Parser::new(name)?;
    let field = parser.field()?;
    match parser.peek() {
        None => Ok(field),
        Some(_) => Err(parser.error("unexpected text after the name of a field")),
    }
}

/// A comparison before its value is known.
#[derive(Clone, Copy)]
enum Comparison {
    Op(CompareOp),
    Matches,
    MatchesNot,
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
}

impl Parser {
    fn new(query: &str) -> Result<Parser, TempoError> {
        Ok(Parser {
            tokens: tokens(query)?,
            at: 0,
        })
    }

    /// `&&` and `||` have the same precedence and group from left to right, as in Tempo's grammar.
    fn expr(&mut self, depth: usize) -> Result<Expr, TempoError> {
        let mut left = self.term(depth)?;
        loop {
            if self.takes("&&") {
                left = Expr::And(Box::new(left), Box::new(self.term(depth)?));
            } else if self.takes("||") {
                left = Expr::Or(Box::new(left), Box::new(self.term(depth)?));
            } else {
                return Ok(left);
            }
        }
    }

    fn term(&mut self, depth: usize) -> Result<Expr, TempoError> {
        if depth > MAX_DEPTH {
            return Err(self.error("too many nested parentheses"));
        }
        if self.takes("(") {
            let expr = self.expr(depth + 1)?;
            self.expect(")")?;
            return Ok(expr);
        }
        match self.peek() {
            Some(Token::Word(word)) if word == "true" || word == "false" => {
                let yes = word == "true";
                self.at += 1;
                return Ok(Expr::Always(yes));
            }
            Some(Token::Symbol("!")) => return Err(self.error("! is not supported")),
            Some(Token::Text(_) | Token::Int(_) | Token::Float(_) | Token::Duration(_)) => {
                return Err(self.error("a field must stand left of the comparison"));
            }
            _ => {}
        }
        let field = self.field()?;
        let comparison = self.comparison()?;
        let test = self.test(&field, comparison)?;
        Ok(Expr::Test(field, test))
    }

    fn field(&mut self) -> Result<Field, TempoError> {
        let field = match self.peek() {
            Some(Token::Attribute(scope, name)) => match scope.as_str() {
                "" => Field::Either(name.clone()),
                "span" => Field::Span(name.clone()),
                "resource" => Field::Resource(name.clone()),
                other => return Err(self.error(&format!("the scope {other} is not supported"))),
            },
            Some(Token::Word(word)) => match word.as_str() {
                "name" | "span:name" => Field::Name,
                "kind" | "span:kind" => Field::Kind,
                "status" | "span:status" => Field::Status,
                "statusMessage" | "span:statusMessage" => Field::StatusMessage,
                "duration" | "span:duration" => Field::Duration,
                "rootName" | "trace:rootName" => Field::RootName,
                "rootServiceName" | "trace:rootService" => Field::RootService,
                "traceDuration" | "trace:duration" => Field::TraceDuration,
                other => return Err(self.error(&format!("the field {other} is not supported"))),
            },
            _ => return Err(self.error("a field is missing")),
        };
        self.at += 1;
        Ok(field)
    }

    fn comparison(&mut self) -> Result<Comparison, TempoError> {
        let comparison = match self.peek() {
            Some(Token::Symbol("=~")) => Comparison::Matches,
            Some(Token::Symbol("!~")) => Comparison::MatchesNot,
            Some(Token::Symbol(symbol)) => {
                let op = CompareOp::from_symbol(symbol).ok_or_else(|| {
                    self.error(&format!("{symbol} after a field is not supported"))
                })?;
                Comparison::Op(op)
            }
            _ => return Err(self.error("a comparison must follow the field")),
        };
        self.at += 1;
        Ok(comparison)
    }

    fn test(&mut self, field: &Field, comparison: Comparison) -> Result<Test, TempoError> {
        let negative = self.takes("-");
        let Some(literal) = self.peek().cloned() else {
            return Err(self.error("a value is missing"));
        };
        let test = match (comparison, literal) {
            (_, Token::Attribute(..)) => {
                return Err(self.error("comparing two fields is not supported"));
            }
            (Comparison::Op(op), Token::Int(number)) => {
                Test::Int(op, if negative { -number } else { number })
            }
            (Comparison::Op(op), Token::Float(number)) => {
                Test::Float(op, if negative { -number } else { number })
            }
            (Comparison::Op(op), Token::Duration(ns)) => {
                Test::Int(op, if negative { -ns } else { ns })
            }
            _ if negative => return Err(self.error("a number must follow the minus")),
            (Comparison::Op(op), Token::Text(text)) => Test::Text(op, text),
            (Comparison::Op(op), Token::Word(word)) => self.word(field, op, word)?,
            (Comparison::Matches, Token::Text(text)) => Test::Matches(self.regex(&text)?),
            (Comparison::MatchesNot, Token::Text(text)) => Test::MatchesNot(self.regex(&text)?),
            (Comparison::Op(_), _) => return Err(self.error("a value is missing")),
            _ => return Err(self.error("a regular expression must be a text in quotes")),
        };
        self.check(field, &test)?;
        self.at += 1;
        Ok(test)
    }

    /// `true`, `nil`, `error`, `server`.
    fn word(&self, field: &Field, op: CompareOp, word: String) -> Result<Test, TempoError> {
        let equality = matches!(op, CompareOp::Equal | CompareOp::NotEqual);
        let known = field.keywords().unwrap_or_default();
        match word.as_str() {
            _ if !equality => Err(self.error(&format!("{word} can only be equal or unequal"))),
            "true" | "false" => Ok(Test::Bool(op, word == "true")),
            "nil" if op == CompareOp::Equal => Ok(Test::Absent),
            "nil" => Ok(Test::Present),
            _ if known.contains(&word.as_str()) => Ok(Test::Text(op, word)),
            _ => Err(self.error(&format!("{word} is not a value here"))),
        }
    }

    /// Refuses comparisons that can never match, like Tempo.
    fn check(&self, field: &Field, test: &Test) -> Result<(), TempoError> {
        let fits = match field {
            Field::Either(_) | Field::Span(_) | Field::Resource(_) => true,
            Field::Name | Field::StatusMessage | Field::RootName | Field::RootService => {
                matches!(
                    test,
                    Test::Text(..) | Test::Matches(_) | Test::MatchesNot(_)
                )
            }
            Field::Duration | Field::TraceDuration => {
                matches!(test, Test::Int(..) | Test::Float(..))
            }
            // A quoted text cannot be such a keyword.
            Field::Status | Field::Kind => {
                matches!(test, Test::Text(..)) && matches!(self.peek(), Some(Token::Word(_)))
            }
        };
        if fits {
            Ok(())
        } else {
            Err(self.error("the field is never of the type of this value"))
        }
    }

    /// The expression must match the whole value, like in Tempo since 2.7.
    fn regex(&self, pattern: &str) -> Result<regex::Regex, TempoError> {
        anchored(pattern, Dialect::Prometheus3).map_err(|why| self.error(&why))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn takes(&mut self, symbol: &'static str) -> bool {
        let there = self.peek() == Some(&Token::Symbol(symbol));
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), TempoError> {
        if self.takes(symbol) {
            return Ok(());
        }
        let there = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Symbol(other)) => (*other).to_owned(),
            Some(Token::Word(word)) => word.clone(),
            Some(_) => "a value or an attribute".to_owned(),
        };
        Err(self.error(&format!("expected {symbol}, found {there}")))
    }

    fn error(&self, what: &str) -> TempoError {
        let end = self.tokens.last().map_or(0, |(at, _)| at + 1);
        let at = self.tokens.get(self.at).map_or(end, |(at, _)| *at);
        TempoError::refused(format!(
            "invalid TraceQL query: parse error at col {}: {what}",
            at + 1
        ))
    }
}
