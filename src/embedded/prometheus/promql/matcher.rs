//! Label matchers and the series selectors made of them.

use promql_parser::label::{MatchOp, Matcher as Parsed};
use promql_parser::parser::VectorSelector;
use regex::{Regex, RegexBuilder};

use super::QueryError;
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};
use crate::embedded::prometheus::tsdb::{Selection, Tsdb};

/// Bytes a compiled pattern may take.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// The largest repetition Go's regular expressions allow.
const MAX_REPEAT: u32 = 1000;

#[derive(Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Match(Regex),
    NoMatch(Regex),
}

/// Which series are meant.
#[derive(Debug)]
pub(crate) struct Selector {
    /// The one metric they are of, where the selector says so.
    name: Option<String>,
    tests: Vec<(String, Test)>,
}

impl Selector {
    /// The selector of a parsed expression; an error for patterns that are none or too large.
    pub(super) fn new(vs: &VectorSelector) -> Result<Self, QueryError> {
        let mut name = vs.name.clone();
        let mut tests = Vec::with_capacity(vs.matchers.matchers.len());
        for matcher in &vs.matchers.matchers {
            let by_name = matcher.name == METRIC_NAME
                && matcher.op == MatchOp::Equal
                && !matcher.value.is_empty();
            if by_name && name.is_none() {
                name = Some(matcher.value.clone());
            } else {
                tests.push((matcher.name.clone(), test(matcher)?));
            }
        }
        Ok(Self { name, tests })
    }

    /// Whether a series is meant. A label it lacks counts as empty.
    fn accepts(&self, labels: &Labels) -> bool {
        self.tests.iter().all(|(name, test)| {
            let value = labels.get(name);
            match test {
                Test::Equal(v) => v == value,
                Test::NotEqual(v) => v != value,
                Test::Match(re) => re.is_match(value),
                Test::NoMatch(re) => !re.is_match(value),
            }
        })
    }

    /// The label sets of the series meant that have samples in the window (milliseconds, inclusive).
    pub(crate) fn label_sets(&self, tsdb: &Tsdb, min_t: i64, max_t: i64) -> Vec<Labels> {
        tsdb.label_sets(self.name.as_deref(), |l| self.accepts(l), min_t, max_t)
    }

    /// The series meant that have samples in the window (milliseconds, inclusive), sorted.
    pub(super) fn select(&self, tsdb: &Tsdb, min_t: i64, max_t: i64) -> Vec<Selection> {
        tsdb.select(self.name.as_deref(), |l| self.accepts(l), min_t, max_t)
    }
}

fn test(matcher: &Parsed) -> Result<Test, QueryError> {
    Ok(match matcher.op {
        MatchOp::Equal => Test::Equal(matcher.value.clone()),
        MatchOp::NotEqual => Test::NotEqual(matcher.value.clone()),
        MatchOp::Re(_) => Test::Match(anchored(&matcher.value)?),
        MatchOp::NotRe(_) => Test::NoMatch(anchored(&matcher.value)?),
    })
}

/// A pattern that must match the whole value, with the meaning it has in Go.
pub(super) fn anchored(pattern: &str) -> Result<Regex, QueryError> {
    let refuse = |reason: String| QueryError::BadData(format!("parse error: {reason}"));
    let translated = from_go(pattern).map_err(refuse)?;
    let build = |p: &str| {
        RegexBuilder::new(p)
            .size_limit(MAX_REGEX_BYTES)
            .build()
            .map_err(|e| {
                let text = e.to_string();
                let reason = text.lines().last().unwrap_or_default();
                refuse(format!("error parsing regexp {pattern:?}: {reason}"))
            })
    };
    // By itself first: "a)(b" is no pattern, though it is one within the anchors' parentheses.
    build(&translated)?;
    build(&format!("^(?:{translated})$"))
}

/// Rewrites the places in which Go (RE2) and the `regex` crate read a pattern differently: classes
/// like `\d` are of ASCII in Go, a brace that begins no repetition and an opening bracket or an
/// ampersand within a class stand for themselves.
fn from_go(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut in_class = false;
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = after;
        match c {
            '\\' => {
                let Some(escaped) = after.chars().next() else {
                    return Err("trailing backslash at end of expression".to_owned());
                };
                rest = &after[escaped.len_utf8()..];
                push_escape(&mut out, escaped);
            }
            '[' if in_class && !after.starts_with(':') => out.push_str("\\["),
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                rest = push_class_start(&mut out, after);
            }
            '[' => {
                // A named class like [:alpha:] goes through whole.
                let end = after.find(":]").map_or(0, |i| i + 2);
                out.push('[');
                out.push_str(&after[..end]);
                rest = &after[end..];
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            '{' if !in_class => match repetition(after)? {
                Some(_) => out.push('{'),
                None => out.push_str("\\{"),
            },
            '}' if in_class => out.push_str("\\}"),
            '(' if !in_class => {
                check_group(after)?;
                out.push('(');
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn push_escape(out: &mut String, escaped: char) {
    match escaped {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str("[\\t\\n\\x0C\\r ]"),
        'S' => out.push_str("[^\\t\\n\\x0C\\r ]"),
        'b' => out.push_str("(?-u:\\b)"),
        other => out.extend(['\\', other]),
    }
}

/// Refuses what may follow an opening parenthesis in the `regex` crate but not in Go 1.19.
fn check_group(after: &str) -> Result<(), String> {
    let Some(special) = after.strip_prefix('?') else {
        return Ok(());
    };
    let flags = special.bytes().take_while(|b| b"imsU-".contains(b)).count();
    match special.as_bytes().get(flags) {
        Some(b':' | b')') => Ok(()),
        Some(b'P') if flags == 0 => Ok(()),
        _ => Err("invalid or unsupported Perl syntax: `(?`".to_owned()),
    }
}

/// A negation and a bracket that stands first in a class belong to its beginning.
fn push_class_start<'a>(out: &mut String, mut rest: &'a str) -> &'a str {
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = after;
    }
    rest
}

/// Whether `{` begins a repetition, given what follows it.
fn repetition(after: &str) -> Result<Option<()>, String> {
    let Some((inside, _)) = after.split_once('}') else {
        return Ok(None);
    };
    let (low, high) = inside.split_once(',').unwrap_or((inside, inside));
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !number(low) || !(number(high) || (high.is_empty() && inside.contains(','))) {
        return Ok(None);
    }
    let too_large = |s: &str| !s.is_empty() && s.parse::<u32>().is_ok_and(|n| n > MAX_REPEAT);
    if low.len() > 4 || high.len() > 4 || too_large(low) || too_large(high) {
        return Err(format!("invalid repeat count: `{{{inside}}}`"));
    }
    Ok(Some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_values_as_in_go() {
        let matches = |p: &str, v: &str| anchored(p).unwrap().is_match(v);
        assert!(matches("a|b", "b") && !matches("a|b", "ab"));
        assert!(
            matches(r"\d+", "42") && !matches(r"\d+", "٤٢"),
            "digits are ASCII"
        );
        assert!(matches(r"[\d-]+", "4-2"));
        assert!(matches("x{a}", "x{a}"), "a brace that repeats nothing");
        assert!(matches("[[]a[]]", "[a]"), "brackets within classes");
        assert!(matches("[a&&b]+", "a&b"));
        assert!(matches("(?i)A(?:b)(?P<n>c)(?i-s:d)", "aBcD"));
        assert!(matches("[[:alpha:]]{2}", "ab"));
        assert!(!matches("a.c", "a\nc"));
        assert!(!matches("a", "a\n"));
    }

    #[test]
    fn patterns_that_are_none_or_too_large_are_refused() {
        for bad in [
            "(",
            "(?x) a",
            "(?<n>a)",
            "a)(b",
            "a{1001}",
            "((a{1000}){1000}){100}",
            "\\",
        ] {
            assert!(anchored(bad).is_err(), "{bad}");
        }
    }
}
