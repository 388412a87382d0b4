//! Splits a query into tokens.

use super::super::TempoError;
use crate::embedded::loki::parse_duration;
use crate::embedded::quoted::{literal_length, unquote};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `{`, `&&`, `>=`.
    Symbol(&'static str),
    /// `duration`, `span:duration`, `error`, `true`.
    Word(String),
    /// `.name`, `span.name`: the scope (empty if there is none) and the name.
    Attribute(String, String),
    Text(String),
    Int(i64),
    Float(f64),
    /// A duration in nanoseconds.
    Duration(i64),
}

/// All symbols of the language, the longest first, so that a message about an unsupported one quotes it whole.
const SYMBOLS: [&str; 36] = [
    "!>>", "!<<", "&>>", "&<<", "&&", "||", "!=", "!~", "=~", ">=", "<=", ">>", "<<", "!>", "!<",
    "&~", "&>", "&<", "{", "}", "(", ")", "=", ">", "<", "~", "!", "|", ",", "+", "-", "*", "/",
    "%", "^", "&",
];

/// The tokens of a query, each with the index of its first character.
pub(super) fn tokens(query: &str) -> Result<Vec<(usize, Token)>, TempoError> {
    let mut lexer = Lexer { rest: query, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip(|c| c.is_whitespace());
        let at = lexer.at;
        match lexer.next()? {
            Some(token) => found.push((at, token)),
            None => return Ok(found),
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    /// The number of characters read.
    at: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Token>, TempoError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '"' | '`' => Token::Text(self.quoted()?),
            '.' if !self.digit_follows() => {
                self.take(1);
                Token::Attribute(String::new(), self.attribute()?)
            }
            c if c.is_ascii_digit() || c == '.' => self.number()?,
            c if c.is_ascii_alphabetic() => self.word()?,
            _ => match SYMBOLS.iter().find(|it| self.rest.starts_with(**it)) {
                Some(symbol) => {
                    self.take(symbol.len());
                    Token::Symbol(symbol)
                }
                None => return Err(self.error(&format!("unexpected character {first:?}"))),
            },
        };
        Ok(Some(token))
    }

    fn digit_follows(&self) -> bool {
        self.rest[1..].starts_with(|c: char| c.is_ascii_digit())
    }

    fn word(&mut self) -> Result<Token, TempoError> {
        let word = self.skip(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        if !self.rest.starts_with('.') {
            return Ok(Token::Word(word.to_owned()));
        }
        self.take(1);
        Ok(Token::Attribute(word.to_owned(), self.attribute()?))
    }

    /// Reads a name up to a blank or an operator. Quoted parts may contain any character.
    fn attribute(&mut self) -> Result<String, TempoError> {
        let mut name = String::new();
        loop {
            let plain = self.skip(|c| !c.is_whitespace() && !"{}()=~!<>&|^,\"".contains(c));
            name.push_str(plain);
            if !self.rest.starts_with('"') {
                break;
            }
            name.push_str(&self.quoted()?);
        }
        if name.is_empty() {
            return Err(self.error("a name must follow the dot"));
        }
        Ok(name)
    }

    fn number(&mut self) -> Result<Token, TempoError> {
        let text = self.skip(|c| c.is_alphanumeric() || c == '.');
        let token = if text.ends_with(|c: char| c.is_ascii_digit() || c == '.') {
            match text.parse() {
                Ok(number) => Some(Token::Int(number)),
                Err(_) => text.parse().ok().map(Token::Float),
            }
        } else {
            parse_duration(text).map(Token::Duration)
        };
        token.ok_or_else(|| self.error(&format!("{text:?} is neither a number nor a duration")))
    }

    /// Reads a quoted text. Backticks have no escapes.
    fn quoted(&mut self) -> Result<String, TempoError> {
        let length = literal_length(self.rest);
        let length = length.ok_or_else(|| self.error("a text without its closing quote"))?;
        let text = unquote(&self.rest[..length]).map_err(|escape| {
            self.take(escape);
            self.error("unknown escape in a text")
        })?;
        self.take(length);
        Ok(text)
    }

    fn skip(&mut self, passes: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !passes(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.at += taken.chars().count();
        taken
    }

    fn error(&self, what: &str) -> TempoError {
        TempoError::refused(format!(
            "invalid TraceQL query: parse error at col {}: {what}",
            self.at + 1
        ))
    }
}
