//! Regular expressions with the semantics of Go and with bounded memory.

use regex::{Regex, RegexBuilder};

/// The largest size of a compiled pattern, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// The largest repetition that Go allows.
const MAX_REPEAT: u32 = 1000;

/// The product whose label matchers use the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum Dialect {
    /// Prometheus 2.42, built with Go 1.19.
    Prometheus2,
    /// The library of Prometheus 3, which Loki and Tempo use. The dot matches a newline, and groups may be named by
    /// `(?<name>…)`.
    Prometheus3,
}

/// Compiles a pattern that may match anywhere. The error says in one line why the pattern is refused.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    build(
        pattern,
        &from_go(pattern, Dialect::Prometheus3).map_err(|why| refused(pattern, &why))?,
    )
}

/// Compiles a pattern that must match the whole text.
pub(in crate::embedded) fn anchored(pattern: &str, dialect: Dialect) -> Result<Regex, String> {
    let translated = from_go(pattern, dialect).map_err(|why| refused(pattern, &why))?;
    // The pattern is compiled alone first. "a)(b" is invalid alone, but valid within the parentheses of the anchors.
    build(pattern, &translated)?;
    let flags = match dialect {
        Dialect::Prometheus2 => "",
        Dialect::Prometheus3 => "s",
    };
    build(pattern, &format!("^(?{flags}:{translated})$"))
}

fn build(pattern: &str, translated: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(translated)
        .size_limit(MAX_REGEX_BYTES)
        .build();
    built.map_err(|error| {
        // The library's message has several lines with a drawing. The last line names the mistake.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        refused(pattern, reason.trim_start_matches("error: "))
    })
}

fn refused(pattern: &str, reason: &str) -> String {
    const SHOWN: usize = 80;
    let shown = match pattern.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &pattern[..end]),
        None => pattern.to_owned(),
    };
    format!("invalid regular expression `{shown}`: {reason}")
}

/// Rewrites the parts that Go (RE2) and the `regex` crate read differently. In Go, classes like `\d` are ASCII only.
/// A brace that begins no repetition stands for itself, and so do an opening bracket and an ampersand within a class.
fn from_go(pattern: &str, dialect: Dialect) -> Result<String, String> {
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
                // A named class like [:alpha:] is copied unchanged.
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
                check_group(after, dialect)?;
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

/// Refuses a group syntax that the `regex` crate accepts but Go does not.
fn check_group(after: &str, dialect: Dialect) -> Result<(), String> {
    let Some(special) = after.strip_prefix('?') else {
        return Ok(());
    };
    let flags = special.bytes().take_while(|b| b"imsU-".contains(b)).count();
    match special.as_bytes().get(flags) {
        Some(b':' | b')') => Ok(()),
        Some(b'P') if flags == 0 => Ok(()),
        Some(b'<') if flags == 0 && dialect == Dialect::Prometheus3 => Ok(()),
        _ => Err("invalid or unsupported Perl syntax: `(?`".to_owned()),
    }
}

/// Copies the beginning of a class, which includes a negation and a bracket in first position.
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

/// Returns whether `{` begins a repetition, judged by the text after it.
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
        let matches = |p: &str, v: &str| anchored(p, Dialect::Prometheus2).unwrap().is_match(v);
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
            assert!(anchored(bad, Dialect::Prometheus2).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_that_takes_too_much_memory_is_refused() {
        assert!(compile("([a-z]{100}){10}").is_ok());
        let error = compile("([a-z]{1000}){30}").unwrap_err();
        assert!(error.contains("size limit"), "{error}");
    }

    #[test]
    fn loki_3_takes_named_groups_in_both_notations() {
        for pattern in ["(?P<n>a)", "(?<n>a)"] {
            assert!(compile(pattern).unwrap().is_match("a"), "{pattern}");
        }
    }
}
