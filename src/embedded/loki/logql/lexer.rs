//! Splits LogQL into tokens.

use crate::embedded::loki::QueryError;
use crate::embedded::quoted::{literal_length, unquote};

/// A token with its position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: Position,
}

/// Line and column in characters, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    line: usize,
    col: usize,
}

impl Position {
    pub(super) fn error(self, message: impl Into<String>) -> QueryError {
        let Position { line, col } = self;
        let message = message.into();
        QueryError::refused(format!("parse error at line {line}, col {col}: {message}"))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Punctuation or an operator, as written.
    Symbol(&'static str),
    Word(String),
    /// A quoted string, unescaped.
    Text(String),
    /// A number with its unit, if it has one.
    Number(String),
    End,
}

impl Kind {
    /// The name of the token in an error message.
    pub(super) fn describe(&self) -> String {
        match self {
            Kind::Symbol(symbol) => (*symbol).to_owned(),
            Kind::Word(word) => format!("IDENTIFIER `{word}`"),
            Kind::Text(_) => "STRING".to_owned(),
            Kind::Number(number) => format!("NUMBER `{number}`"),
            Kind::End => "$end".to_owned(),
        }
    }
}

/// The longest first, because the first one that fits is taken.
const SYMBOLS: [&str; 27] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",",
    "|", "=", ">", "<", "-", "+", "*", "/", "%", "^",
];

/// Splits a query into tokens. The last one is [`Kind::End`].
pub(super) fn tokens(query: &str) -> Result<Vec<Token>, QueryError> {
    let mut lexer = Lexer {
        rest: query,
        at: Position { line: 1, col: 1 },
    };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = token.kind == Kind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Token, QueryError> {
        self.skip_blanks();
        let at = self.at;
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token {
                kind: Kind::End,
                at,
            });
        };
        let kind = if let Some(symbol) = SYMBOLS.iter().find(|s| self.rest.starts_with(**s)) {
            self.advance(symbol.len());
            Kind::Symbol(symbol)
        } else if first.is_ascii_digit() || first == '.' {
            Kind::Number(self.number())
        } else if first.is_ascii_alphabetic() || first == '_' {
            Kind::Word(
                self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
                    .to_owned(),
            )
        } else if matches!(first, '"' | '`') {
            Kind::Text(self.string()?)
        } else {
            return Err(at.error(format!("syntax error: unexpected character {first:?}")));
        };
        Ok(Token { kind, at })
    }

    /// A number with its unit or exponent: `5`, `1.5h`, `10KB`, `1e-3`.
    fn number(&mut self) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | 'µ' | 'μ');
        let mut text = self.take_while(is_part).to_owned();
        let mantissa = text.strip_suffix(['e', 'E']).unwrap_or_default();
        let exponent = self.rest.strip_prefix(['-', '+']).unwrap_or_default();
        if mantissa.parse::<f64>().is_ok() && exponent.starts_with(|c: char| c.is_ascii_digit()) {
            text.push_str(self.advance(1));
            text.push_str(self.take_while(|c| c.is_ascii_digit()));
        }
        text
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        self.advance(end)
    }

    /// Moves over `bytes` bytes and returns them.
    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        for c in taken.chars() {
            if c == '\n' {
                self.at.line += 1;
                self.at.col = 1;
            } else {
                self.at.col += 1;
            }
        }
        taken
    }

    fn string(&mut self) -> Result<String, QueryError> {
        let at = self.at;
        let length = literal_length(self.rest);
        let length = length.ok_or_else(|| at.error("literal not terminated"))?;
        let text = unquote(&self.rest[..length]).map_err(|escape| {
            self.advance(escape);
            self.at.error("invalid char escape")
        })?;
        self.advance(length);
        Ok(text)
    }
}
