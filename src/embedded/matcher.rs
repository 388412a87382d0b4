//! Label matchers, as Prometheus, Loki and Alertmanager share them: regular expressions match the
//! whole value, and a label that is not there has the empty value.
//!
//! One difference from theirs remains: in regular expressions `\d`, `\w`, `\s` and `\b` know all of
//! Unicode, not only ASCII.

use regex::{Regex, RegexBuilder};

/// Compiled size allowed for a regular expression from a query, in bytes.
const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum MatchOp {
    Equal,
    NotEqual,
    Matches,
    NotMatches,
}

/// A condition on one label.
#[derive(Debug, Clone)]
pub(in crate::embedded) struct Matcher {
    pub(in crate::embedded) name: String,
    pub(in crate::embedded) op: MatchOp,
    pub(in crate::embedded) value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Builds a matcher; the error is why the regular expression is not accepted, in one line.
    pub(in crate::embedded) fn new(
        name: String,
        op: MatchOp,
        value: String,
    ) -> Result<Matcher, String> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            // Loki and Prometheus let the dot match a newline in matchers.
            MatchOp::Matches | MatchOp::NotMatches => {
                // Compiled alone first: `a)(b` must not become valid by being wrapped.
                compile(&value)?;
                Some(compile(&format!("^(?s:{value})$"))?)
            }
        };
        Ok(Matcher {
            name,
            op,
            value,
            regex,
        })
    }

    /// Whether a label with this value (empty: no such label) passes.
    pub(in crate::embedded) fn matches(&self, value: &str) -> bool {
        let regex_matches = || {
            self.regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(value))
        };
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Matches => regex_matches(),
            MatchOp::NotMatches => !regex_matches(),
        }
    }
}

/// Compiles a regular expression from outside, with bounded memory.
pub(in crate::embedded) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|error| {
            // The library draws a picture over several lines; the last says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            format!(
                "invalid regular expression `{}`: {reason}",
                shorten(pattern)
            )
        })
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_that_takes_too_much_memory_is_refused() {
        assert!(compile("([a-z]{100}){10}").is_ok());
        let error = compile("([a-z]{1000}){30}").unwrap_err();
        assert!(error.contains("size limit"), "{error}");
    }
}
