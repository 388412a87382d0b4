//! Cuts a template into text and actions, and an action into words.

use super::TemplateError;

/// A piece of a template: what stands as it is, or what stands between `{{` and `}}`.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// The inner text and the byte at which it begins.
    Action(&'a str, usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// `$value`, `$labels.x`, `.Labels.x`, or the dot itself.
    Path(&'a str),
    Word(&'a str),
    Text(String),
    Number(&'a str),
    Pipe,
    Open,
    Close,
}

/// Cuts at the braces, and takes white space away where a trim mark says so.
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

/// White space as Go's templates know it.
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

/// Where the `}}` of the action that begins at `begin` stands; braces within quotes do not count.
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
            [quote @ (b'"' | b'`'), ..] => quoted_length(rest, *quote).ok_or_else(unclosed)?,
            _ => 1,
        };
    }
}

/// The bytes of the literal that `text` begins with, quotes included.
fn quoted_length(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if escaped {
            escaped = false;
        } else if byte == quote {
            return Some(at + 1);
        } else if byte == b'\n' && quote == b'"' {
            return None;
        } else {
            escaped = byte == b'\\' && quote == b'"';
        }
    }
    None
}

/// The words of an action, each with its place in the template.
pub(super) fn tokens(text: &str, begin: usize) -> Result<Vec<(usize, Token<'_>)>, TemplateError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let place = begin + at;
        let bad = |what: String| TemplateError::new(place, what);
        let (token, length) = match first {
            c if BLANK.contains(&c) => {
                at += 1;
                continue;
            }
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '$' | '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let end = rest[1..].find(|c: char| !(is_of_name(c) || c == '.'));
                let length = end.map_or(rest.len(), |end| end + 1);
                (Token::Path(&rest[..length]), length)
            }
            '"' | '`' => {
                let length = quoted_length(rest, first as u8);
                let length = length.ok_or_else(|| bad("a quote that is not closed".into()))?;
                let value = unquote(&rest[..length]).map_err(bad)?;
                (Token::Text(value), length)
            }
            c if c.is_ascii_digit() || matches!(c, '.' | '-' | '+') => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
                let length = end.unwrap_or(rest.len());
                (Token::Number(&rest[..length]), length)
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let length = name_length(rest);
                (Token::Word(&rest[..length]), length)
            }
            c => return Err(bad(format!("unexpected {c:?}"))),
        };
        found.push((place, token));
        at += length;
    }
    Ok(found)
}

fn name_length(text: &str) -> usize {
    text.find(|c| !is_of_name(c)).unwrap_or(text.len())
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The value of a Go literal; of its escapes those that people write.
fn unquote(literal: &str) -> Result<String, String> {
    let inner = &literal[1..literal.len() - 1];
    if literal.starts_with('`') {
        return Ok(inner.replace('\r', ""));
    }
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        value.push(match chars.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(c @ ('"' | '\\')) => c,
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!("the escape `\\{other}` is not supported"));
            }
        });
    }
    Ok(value)
}
