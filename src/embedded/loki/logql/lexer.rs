//! LogQL's words.

use crate::embedded::loki::QueryError;

/// A word with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: Position,
}

/// Line and column in characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    line: usize,
    col: usize,
}

impl Position {
    pub(super) fn error(self, message: impl Into<String>) -> QueryError {
        QueryError::Parse {
            line: self.line,
            col: self.col,
            message: message.into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Punctuation or an operator, as written.
    Symbol(&'static str),
    Word(String),
    /// A quoted string, unescaped.
    Text(String),
    /// A number with whatever unit follows it.
    Number(String),
    End,
}

impl Kind {
    /// As an error message names it.
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

/// Longest first: the first that fits is the one.
const SYMBOLS: [&str; 23] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",",
    "|", "=", ">", "<", "-", "+",
];

/// Splits a query into words; the last is [`Kind::End`].
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
            Kind::Number(
                self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | 'µ' | 'μ'))
                    .to_owned(),
            )
        } else if first.is_ascii_alphabetic() || first == '_' {
            Kind::Word(
                self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
                    .to_owned(),
            )
        } else if first == '`' {
            Kind::Text(self.raw_string()?)
        } else if first == '"' {
            Kind::Text(self.quoted_string()?)
        } else {
            return Err(at.error(format!("syntax error: unexpected character {first:?}")));
        };
        Ok(Token { kind, at })
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

    fn raw_string(&mut self) -> Result<String, QueryError> {
        let at = self.at;
        match self.rest[1..].find('`') {
            Some(end) => {
                let text = self.advance(end + 2);
                Ok(text[1..=end].to_owned())
            }
            None => Err(at.error("literal not terminated")),
        }
    }

    /// A Go string literal (<https://go.dev/ref/spec#String_literals>).
    fn quoted_string(&mut self) -> Result<String, QueryError> {
        let at = self.at;
        self.advance(1);
        let mut text = String::new();
        loop {
            let Some(c) = self.rest.chars().next() else {
                return Err(at.error("literal not terminated"));
            };
            let here = self.at;
            self.advance(c.len_utf8());
            match c {
                '"' => return Ok(text),
                '\n' => return Err(at.error("literal not terminated")),
                '\\' => text.push(
                    self.escape()
                        .ok_or_else(|| here.error("invalid char escape"))?,
                ),
                c => text.push(c),
            }
        }
    }

    /// What follows a backslash. Escapes for bytes above 127 are refused: they need not form text.
    fn escape(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        if c.is_digit(8) {
            return self.code(3, 8).filter(char::is_ascii);
        }
        self.advance(c.len_utf8());
        Some(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            '"' => '"',
            'x' => return self.code(2, 16).filter(char::is_ascii),
            'u' => return self.code(4, 16),
            'U' => return self.code(8, 16),
            _ => return None,
        })
    }

    fn code(&mut self, digits: usize, radix: u32) -> Option<char> {
        let text = self.rest.get(..digits)?;
        if !text.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let code = u32::from_str_radix(text, radix).ok()?;
        self.advance(digits);
        char::from_u32(code)
    }
}
