//! Fingerprints of alerts, and filters that select alerts.

use std::collections::BTreeMap;

use crate::embedded::matcher::{MatchOp, Matcher};
use crate::embedded::regex::Dialect;

/// The fingerprint of a label set, computed like in the Prometheus libraries: 64-bit FNV-1a over names and values in
/// the order of the names, each followed by a byte 255.
#[must_use]
pub fn fingerprint(labels: &BTreeMap<String, String>) -> u64 {
    const OFFSET: u64 = 14_695_981_039_346_656_037;
    const PRIME: u64 = 1_099_511_628_211;
    labels
        .iter()
        .flat_map(|(name, value)| [name, value])
        .flat_map(|text| text.bytes().chain([255]))
        .fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
}

/// Parses a filter of `amtool` or of the API: `alertname="x"`, `job=~"a|b"`, `team!=core`.
pub(super) fn parse_filter(text: &str) -> Result<Matcher, String> {
    let bad = || format!("bad matcher format: {text}");
    let trimmed = text.trim();
    let name_end = trimmed
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')))
        .ok_or_else(bad)?;
    let (name, rest) = trimmed.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let rest = rest.trim_start();
    let operator = |length| Some((MatchOp::from_symbol(rest.get(..length)?)?, &rest[length..]));
    let (op, value) = operator(2).or_else(|| operator(1)).ok_or_else(bad)?;
    let value = unquote(value.trim()).ok_or_else(bad)?;
    Matcher::new(name.to_owned(), op, value, Dialect::Prometheus3)
}

/// A value with or without quotes. `\"`, `\\` and `\n` are escapes, other backslashes stand for themselves.
fn unquote(text: &str) -> Option<String> {
    let inner = match text.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"')?,
        None => text,
    };
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('n')) => {
                chars.next();
                value.push('\n');
            }
            ('\\', Some(escaped @ ('"' | '\\'))) => {
                value.push(*escaped);
                chars.next();
            }
            // This is a quote in the middle, or a backslash that escapes the closing quote.
            ('"', _) => return None,
            ('\\', None) if text.starts_with('"') => return None,
            (c, _) => value.push(c),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn fingerprints_are_those_of_the_prometheus_libraries() {
        // The values come from the tests of prometheus/common, model/signature_test.go.
        assert_eq!(fingerprint(&labels(&[])), 14_695_981_039_346_656_037);
        assert_eq!(
            fingerprint(&labels(&[
                ("name", "garland, briggs"),
                ("fear", "love is not enough")
            ])),
            5_799_056_148_416_392_346
        );
    }

    #[test]
    fn filters_are_read_with_and_without_quotes() {
        for (text, name, op, value) in [
            ("a=b", "a", MatchOp::Equal, "b"),
            (" alertname = \"x y\" ", "alertname", MatchOp::Equal, "x y"),
            ("a!=\"\"", "a", MatchOp::NotEqual, ""),
            ("a=~\"b|c\"", "a", MatchOp::Matches, "b|c"),
            ("a!~b.*", "a", MatchOp::NotMatches, "b.*"),
            (r#"a="x\"\\\n\d""#, "a", MatchOp::Equal, "x\"\\\n\\d"),
        ] {
            let matcher = parse_filter(text).unwrap();
            assert_eq!(
                (matcher.name.as_str(), matcher.op, matcher.value.as_str()),
                (name, op, value),
                "{text}"
            );
        }
        for bad in [
            "", "a", "=b", "1a=b", "a=\"b", "a=b\"c", "a>b", "a=~(", "a=\"\\\"",
        ] {
            assert!(parse_filter(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_filter_makes_the_parser_panic(text in r#"[a1_ =!~"\\é(]{0,12}"#) {
            let _ = parse_filter(&text);
        }
    }
}
