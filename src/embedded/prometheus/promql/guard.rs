//! Checks the text of a query before the parser.
//!
//! promql-parser 0.11 follows a newer Prometheus than 2.42 and trusts its input. This pass reads the text once before
//! the parser does, and
//! - bounds length, nesting and number of operators, because recursion walks (and drops) the tree, and the stack is
//!   limited;
//! - refuses what 2.42 refuses but the parser accepts: numbers as durations (`[60]`; some even make it panic),
//!   durations as numbers, `offset +5m`, times that do not fit, quoted metric and label names, and operands of a unary
//!   plus that are not numbers;
//! - rewrites raw strings (`` `\d` ``) as quoted ones, because the parser reads escapes in both, and numbers like
//!   `08` without the zero, because the parser reads them as octal.

use std::sync::Once;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr, Function};

use super::{QueryError, parse_duration};
use crate::embedded::quoted::literal_length;

/// The largest nesting of brackets.
const MAX_DEPTH: usize = 100;

/// The largest number of operators, calls and brackets. Each makes the tree at most one level deeper.
const MAX_NODES: usize = 500;

/// Keywords before a parenthesis that contains label names.
const GROUPING: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Parses a query of at most `max_bytes` bytes.
pub(super) fn parse(text: &str, max_bytes: usize) -> Result<Expr, QueryError> {
    if text.len() > max_bytes {
        return Err(bad(format!(
            "the query has {} bytes, at most {max_bytes} are read",
            text.len()
        )));
    }
    know_holt_winters();
    let mut walk = Walk::new(text);
    walk.run()?;
    if walk.unary_plus {
        // The parser does not check the operand of a unary plus. It does check the operand of a minus.
        parsed(&walk.probe)?;
    }
    parsed(&walk.out)
}

/// Registers a function that the parser has only under its later name.
fn know_holt_winters() {
    static KNOWN: Once = Once::new();
    KNOWN.call_once(|| {
        let arguments = vec![ValueType::Matrix, ValueType::Scalar, ValueType::Scalar];
        let function = Function::new("holt_winters", arguments, 0, ValueType::Vector, false);
        // The parser refuses it only if it is built in.
        let _ = parser::register_extra_functions(vec![function]);
    });
}

/// Runs the parser and catches panics. An input that makes it panic is refused like any other invalid input.
fn parsed(text: &str) -> Result<Expr, QueryError> {
    std::panic::catch_unwind(|| parser::parse(text))
        .unwrap_or_else(|_| Err("the parser gave up on this query".to_owned()))
        .map_err(bad)
}

fn bad(reason: String) -> QueryError {
    QueryError::BadData(format!("parse error: {reason}"))
}

/// The previous token, as far as it matters.
#[derive(Clone, Copy, PartialEq)]
enum Last<'a> {
    Nothing,
    Word(&'a str),
    Operand,
    Operator(char),
}

struct Walk<'a> {
    rest: &'a str,
    out: String,
    /// The query with each unary plus replaced by a minus.
    probe: String,
    unary_plus: bool,
    last: Last<'a>,
    /// The word before the sign of a number was `offset`, as in `offset -5m`.
    after_offset: bool,
    /// The word before the sign of a number was `@`, as in `@ -5`.
    after_at: bool,
    in_braces: bool,
    in_brackets: bool,
    /// The open parentheses. True for those that contain label names.
    parens: Vec<bool>,
    nodes: usize,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            out: String::with_capacity(text.len() + 16),
            probe: String::with_capacity(text.len() + 16),
            unary_plus: false,
            last: Last::Nothing,
            after_offset: false,
            after_at: false,
            in_braces: false,
            in_brackets: false,
            parens: vec![],
            nodes: 0,
        }
    }

    fn run(&mut self) -> Result<(), QueryError> {
        while let Some(c) = self.rest.chars().next() {
            match c {
                '#' => self.comment(),
                '"' | '\'' | '`' => self.string(c)?,
                c if c.is_ascii_digit() => self.number()?,
                '.' if self.rest[1..].starts_with(|d: char| d.is_ascii_digit()) => self.number()?,
                c if c.is_ascii_alphabetic() || c == '_' || c == ':' => self.word(c)?,
                ' ' | '\t' | '\n' | '\r' => self.copy(1),
                c => self.symbol(c)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (head, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        head
    }

    fn copy(&mut self, bytes: usize) {
        let text = self.take(bytes);
        self.emit(text);
    }

    fn emit(&mut self, text: &str) {
        self.out.push_str(text);
        self.probe.push_str(text);
    }

    fn comment(&mut self) {
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        self.take(end);
    }

    fn string(&mut self, quote: char) -> Result<(), QueryError> {
        let names = self.parens.last() == Some(&true);
        let value = matches!(self.last, Last::Operator('=' | '~'));
        if (self.in_braces && !value) || (!self.in_braces && names) {
            return Err(bad("unexpected string, names are not quoted".to_owned()));
        }
        let length = literal_length(self.rest);
        let length = length.ok_or_else(|| bad("unterminated quoted string".to_owned()))?;
        if quote == '`' {
            let raw = self.take(length);
            self.emit(&escaped(&raw[1..length - 1]));
        } else {
            self.copy(length);
        }
        self.last = Last::Operand;
        Ok(())
    }

    fn number(&mut self) -> Result<(), QueryError> {
        let len = number_length(self.rest);
        let text = &self.rest[..len];
        if self.in_brackets || self.after_offset {
            let ms = parse_duration(text).map(|d| d.as_millis());
            match ms {
                None => return Err(bad(format!("not a valid duration string: {text:?}"))),
                Some(0) => return Err(bad("duration must be greater than 0".to_owned())),
                Some(_) => {}
            }
        } else if text != "0" && parse_duration(text).is_some() {
            return Err(bad(format!("unexpected duration {text:?}")));
        }
        // The seconds do not fit 63 bits. The parser accepts them.
        if self.after_at && text.parse().is_ok_and(|at: f64| at >= i64::MAX as f64) {
            return Err(bad(format!(
                "timestamp out of bounds for @ modifier: {text}"
            )));
        }
        if self.in_brackets || self.after_offset {
            self.copy(len);
        } else {
            let text = self.take(len);
            self.emit(without_zeros(text));
        }
        self.after_offset = false;
        self.after_at = false;
        self.last = Last::Operand;
        Ok(())
    }

    fn word(&mut self, first: char) -> Result<(), QueryError> {
        if self.in_brackets && first == ':' {
            self.copy(1);
            self.last = Last::Operator(':');
            return Ok(());
        }
        let len = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(self.rest.len());
        let word = &self.rest[..len];
        let number = ["nan", "inf"].iter().any(|n| word.eq_ignore_ascii_case(n));
        if number && (self.in_brackets || self.after_offset) {
            return Err(bad(format!(
                "unexpected number {word}, a duration is expected"
            )));
        }
        self.copy(len);
        let operator = ["and", "or", "unless", "atan2", "bool"]
            .iter()
            .any(|o| word.eq_ignore_ascii_case(o));
        if operator {
            self.node()?;
        }
        // Where an operand is expected, "offset" is the name of a metric.
        self.after_offset =
            !self.in_braces && !self.expects_operand() && word.eq_ignore_ascii_case("offset");
        self.after_at = false;
        self.last = Last::Word(word);
        Ok(())
    }

    fn symbol(&mut self, c: char) -> Result<(), QueryError> {
        if c == '+' && self.after_offset {
            return Err(bad(
                "unexpected + in offset, a duration is expected".to_owned()
            ));
        }
        let unary = c == '+' && self.expects_operand();
        match c {
            '{' => self.in_braces = true,
            '}' => self.in_braces = false,
            '[' => {
                self.in_brackets = true;
                self.node()?;
            }
            ']' => self.in_brackets = false,
            '(' => self.open_paren()?,
            ')' => {
                self.parens.pop();
            }
            _ if !self.in_braces && c != ',' => self.node()?,
            _ => {}
        }
        if !matches!(c, '+' | '-') {
            self.after_offset = false;
            self.after_at = c == '@';
        }
        self.last = match c {
            ')' | ']' | '}' => Last::Operand,
            _ => Last::Operator(c),
        };
        let text = self.take(c.len_utf8());
        self.out.push_str(text);
        self.probe.push_str(if unary { "-" } else { text });
        self.unary_plus |= unary;
        Ok(())
    }

    fn expects_operand(&self) -> bool {
        match self.last {
            Last::Nothing => true,
            Last::Operator(c) => c != '@' && !self.after_offset,
            Last::Word(_) | Last::Operand => false,
        }
    }

    fn open_paren(&mut self) -> Result<(), QueryError> {
        let names = matches!(self.last, Last::Word(w)
            if GROUPING.iter().any(|g| w.eq_ignore_ascii_case(g)));
        self.parens.push(names);
        if self.parens.len() > MAX_DEPTH {
            return Err(bad(format!("more than {MAX_DEPTH} nested brackets")));
        }
        self.node()
    }

    fn node(&mut self) -> Result<(), QueryError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(bad(format!(
                "more than {MAX_NODES} operators and brackets in one query"
            )));
        }
        Ok(())
    }
}

/// Writes a string as a PromQL literal in double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out + "\""
}

/// Removes leading zeros that would make the parser read the number as octal. A number is octal only if all its
/// digits are octal.
fn without_zeros(text: &str) -> &str {
    let octal = text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    if octal || text.parse::<f64>().is_err() {
        return text;
    }
    let zeros = text.bytes().take_while(|b| *b == b'0').count();
    match text.as_bytes().get(zeros) {
        Some(b'e' | b'E') if zeros > 0 => "0",
        Some(b'.') if zeros > 0 => &text[zeros - 1..],
        _ => &text[zeros..],
    }
}

/// The length of a number or duration: digits, letters, points, and the sign of an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let mut len = 0;
    while let Some(&b) = bytes.get(len) {
        let sign =
            matches!(b, b'+' | b'-') && !hex && len > 0 && matches!(bytes[len - 1], b'e' | b'E');
        if !(b.is_ascii_alphanumeric() || b == b'.' || b == b'_' || sign) {
            break;
        }
        len += 1;
    }
    len
}
