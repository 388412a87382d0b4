//! `| logfmt`: `key=value key="a value" flag`. As in Loki 3, a key without a value makes no label, and a text that is
//! not logfmt is skipped up to the next blank, without an error.

use super::json::Value;

/// Calls `found(key, value)` for each pair. A key without a value has an empty one.
///
/// # Errors
/// Strict reading ends at the first text that is not logfmt, with the reason.
pub(super) fn pairs(
    line: &str,
    is_strict: bool,
    found: &mut dyn FnMut(&str, &str),
) -> Result<(), &'static str> {
    let is_blank = |c: char| c <= ' ';
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(is_blank);
        if rest.is_empty() {
            return Ok(());
        }
        let end = rest.find(|c: char| c == '=' || c == '"' || is_blank(c));
        let (key, after) = rest.split_at(end.unwrap_or(rest.len()));
        let value = after.strip_prefix('=').filter(|_| !key.is_empty());
        let Some(value) = value else {
            if after.starts_with(['=', '"']) {
                refuse(
                    is_strict,
                    "the line has a value without a key, or a quote in a key",
                )?;
            } else {
                found(key, "");
            }
            rest = after.find(is_blank).map_or("", |end| &after[end..]);
            continue;
        };
        if value.starts_with('"') {
            let Some(length) = quoted_length(value) else {
                return refuse(is_strict, "the line has a quoted value that does not end");
            };
            let mut text = String::new();
            Value::Escaped(&value[1..length - 1]).append_to(&mut text);
            found(key, &text);
            rest = &value[length..];
        } else {
            let end = value.find(is_blank).unwrap_or(value.len());
            let (text, after) = value.split_at(end);
            if text.contains(['"', '=']) {
                refuse(
                    is_strict,
                    "the line has a value with a quote or an equals sign",
                )?;
            } else {
                found(key, text);
            }
            rest = after;
        }
    }
}

fn refuse(is_strict: bool, reason: &'static str) -> Result<(), &'static str> {
    match is_strict {
        true => Err(reason),
        false => Ok(()),
    }
}

/// The length in bytes of the quoted value at the beginning of `text`, with its quotes. `None` when it does not end.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map(|at| at + 2)
}

/// Writes a key as the name of a label.
pub(super) fn label_name(key: &str, name: &mut String) {
    name.clear();
    if key.starts_with(|c: char| c.is_ascii_digit()) {
        name.push('_');
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.extend(key.chars().map(|c| if allowed(c) { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let add = &mut |key: &str, value: &str| {
            let mut name = String::new();
            label_name(key, &mut name);
            if !value.is_empty() {
                all.push((name, value.to_owned()));
            }
        };
        pairs(line, false, add).unwrap();
        all
    }

    #[test]
    fn keys_and_values_are_read_with_and_without_quotes() {
        let pairs =
            read(r#"  level=info msg="a \"b\" c\u00e9" http.status=200 flag empty= 1st=x none="""#);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("level", "info"),
                ("msg", "a \"b\" cé"),
                ("http_status", "200"),
                ("_1st", "x")
            ]
        );
    }

    #[test]
    fn what_is_not_logfmt_is_skipped_up_to_the_next_blank() {
        for (line, expected) in [
            (r#"a=1 b="open c=2"#, &[("a", "1")][..]),
            (r#"a=1 "x"=2 c=3"#, &[("a", "1"), ("c", "3")]),
            ("=a c=3", &[("c", "3")]),
            ("a=b=c c=3", &[("c", "3")]),
            (r#"{"a":1}"#, &[]),
            ("a=日本\u{3000}b c=3", &[("a", "日本\u{3000}b"), ("c", "3")]),
        ] {
            let pairs = read(line);
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            assert_eq!(pairs, expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in r#"[a1=" \\é]{0,40}"#) {
            let _ = read(&line);
        }
    }
}
