//! Splits a template into text and actions, and an action into tokens.

use super::TemplateError;
use crate::embedded::quoted::{literal_length, unquote};

/// A piece of a template: literal text, or the content between `{{` and `}}`.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// The content, and the byte at which it begins.
    Action(&'a str, usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// `$value`, `$labels.x`, `.Labels.x`, or the dot itself.
    Path(&'a str),
    Word(&'a str),
    Text(String),
    Int(i64),
    Float(f64),
    /// `2i`
    Imaginary(f64),
    Pipe,
    Open,
    Close,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// Splits at the braces, and removes white space at trim marks.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut trim_left = false;
    loop {
        let open = text[at..].find("{{").map(|open| at + open);
        let mut literal = &text[at..open.unwrap_or(text.len())];
        if trim_left {
            literal = literal.trim_start_matches(BLANK);
        }
        let Some(open) = open else {
            push_text(&mut found, literal);
            return Ok(found);
        };
        let mut begin = open + 2;
        let after = &text[begin..];
        if after.starts_with('-') && after[1..].starts_with(BLANK) {
            literal = literal.trim_end_matches(BLANK);
            begin += 1;
        }
        push_text(&mut found, literal);
        let inner = begin..action_end(text, begin)?;
        at = inner.end + 2;
        let inner = &text[inner];
        let body = inner.strip_suffix('-').filter(|b| b.ends_with(BLANK));
        trim_left = body.is_some();
        let inner = body.unwrap_or(inner);
        if !is_comment(inner, begin)? {
            found.push(Piece::Action(inner, begin));
        }
    }
}

/// The white space of Go's templates.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

fn push_text<'a>(found: &mut Vec<Piece<'a>>, text: &'a str) {
    if !text.is_empty() {
        found.push(Piece::Text(text));
    }
}

fn is_comment(inner: &str, at: usize) -> Result<bool, TemplateError> {
    let inner = inner.trim_matches(BLANK);
    if !inner.starts_with("/*") {
        return Ok(false);
    }
    match inner.len() >= 4 && inner.find("*/") == Some(inner.len() - 2) {
        true => Ok(true),
        false => Err(TemplateError::new(at, "a comment that is not closed")),
    }
}

/// The position of the `}}` that ends the action at `begin`. Braces within quotes do not count.
fn action_end(text: &str, begin: usize) -> Result<usize, TemplateError> {
    let unclosed = || TemplateError::new(begin, "`{{` without its `}}`");
    let mut at = begin;
    loop {
        let rest = &text[at..];
        let next = rest.find(['"', '`', '}', '/']).ok_or_else(unclosed)?;
        at += next;
        let rest = &text[at..];
        at += match rest.as_bytes() {
            [b'}', b'}', ..] => return Ok(at),
            [b'/', b'*', ..] => rest.find("*/").ok_or_else(unclosed)? + 2,
            [b'"' | b'`', ..] => literal_length(rest).ok_or_else(unclosed)?,
            _ => 1,
        };
    }
}

/// The tokens of an action, each with its position in the template.
pub(super) fn tokens(text: &str, begin: usize) -> Result<Vec<(usize, Token<'_>)>, TemplateError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if BLANK.contains(&first) {
            at += 1;
            continue;
        }
        let bad = |problem: String| TemplateError::new(begin + at, problem);
        let (token, length) = token(&text[at..], first).map_err(bad)?;
        found.push((begin + at, token));
        at += length;
    }
    Ok(found)
}

/// The first token of `rest`, and its length in bytes.
fn token(rest: &str, first: char) -> Result<(Token<'_>, usize), String> {
    let second = rest[first.len_utf8()..].chars().next();
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    Ok(match first {
        '|' => (Token::Pipe, 1),
        '(' => (Token::Open, 1),
        ')' => (Token::Close, 1),
        ',' => (Token::Comma, 1),
        '=' => (Token::Assign, 1),
        ':' if second == Some('=') => (Token::Declare, 2),
        '$' | '.' if !is_digit(second) => {
            let end = rest[1..].find(|c: char| !(is_of_name(c) || c == '.'));
            let length = end.map_or(rest.len(), |end| end + 1);
            (Token::Path(&rest[..length]), length)
        }
        '"' | '`' => {
            let length = literal_length(rest).ok_or("a quote that is not closed")?;
            let literal = &rest[..length];
            let text = unquote(literal).map_err(|at| {
                let shown = literal[at + 1..].chars().next().unwrap_or_default();
                format!("the escape `\\{shown}` is not one of Go's")
            })?;
            (Token::Text(text), length)
        }
        '\'' => character(rest)?,
        c if c.is_ascii_digit() || matches!(c, '.' | '-' | '+') => number(rest)?,
        c if c.is_alphabetic() || c == '_' => {
            let length = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
            (Token::Word(&rest[..length]), length)
        }
        c => return Err(format!("unexpected {c:?}")),
    })
}

/// A character constant such as `'x'`, which is a number in Go.
fn character(rest: &str) -> Result<(Token<'_>, usize), String> {
    let mut chars = rest[1..].chars();
    match (chars.next(), chars.next()) {
        (Some(c), Some('\'')) if c != '\\' => {
            Ok((Token::Int(i64::from(u32::from(c))), c.len_utf8() + 2))
        }
        _ => Err("malformed character constant".to_owned()),
    }
}

fn number(rest: &str) -> Result<(Token<'_>, usize), String> {
    let is_of_number = |(at, c): (usize, char)| {
        let exponent = at > 0 && rest[..at].ends_with(['e', 'E']) && !rest.starts_with("0x");
        c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_')
            || ("+-".contains(c) && (at == 0 || exponent))
    };
    let end = rest.char_indices().find(|found| !is_of_number(*found));
    let length = end.map_or(rest.len(), |(at, _)| at);
    let text = rest[..length].replace('_', "");
    if let Some(n) = text
        .strip_suffix('i')
        .filter(|text| !text.contains(['x', 'X']))
    {
        let n = n.parse::<f64>().ok().filter(|n| n.is_finite());
        let is_number = text.contains(|c: char| c.is_ascii_digit());
        let n = n.filter(|_| is_number);
        let n = n.ok_or_else(|| format!("bad number syntax: {:?}", &rest[..length]))?;
        return Ok((Token::Imaginary(n), length));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    let radix = [
        ("0x", 16),
        ("0X", 16),
        ("0b", 2),
        ("0B", 2),
        ("0o", 8),
        ("0O", 8),
    ];
    let prefixed = radix
        .iter()
        .find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, *radix)));
    // As in Go, a zero before other digits makes an octal number, and `08` is not one.
    let is_octal = digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (digits, radix) = prefixed.unwrap_or((digits, if is_octal { 8 } else { 10 }));
    let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_with_digit(digits)
        && let Ok(n) = i64::from_str_radix(digits, radix)
    {
        return Ok((Token::Int(sign * n), length));
    }
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.contains(|c: char| c.is_ascii_digit())
        && !text.contains(|c: char| c.is_ascii_alphabetic() && !"eE".contains(c));
    match text.parse::<f64>() {
        Ok(_) if is_octal => Err(format!("integer overflow: {:?}", &rest[..length])),
        Ok(n) if is_number && n.is_finite() => Ok((Token::Float(n), length)),
        _ => Err(format!("bad number syntax: {:?}", &rest[..length])),
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
