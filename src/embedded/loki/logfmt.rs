//! `| logfmt`: `key=value key="a value" flag`. As in Loki, a key without a value makes no label.

use crate::embedded::quoted::{literal_length, unescape};

/// Calls `found(key, value)` for each pair. The error is the reason why the rest of the line is not logfmt.
pub(super) fn pairs(line: &str, found: &mut dyn FnMut(&str, &str)) -> Result<(), &'static str> {
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace() || c == '"');
        let (key, after) = rest.split_at(end.unwrap_or(rest.len()));
        if after.starts_with('"') || (key.is_empty() && after.starts_with('=')) {
            return Err("unexpected character in a key");
        }
        let Some(value) = after.strip_prefix('=') else {
            rest = after.trim_start();
            continue;
        };
        let after = if value.starts_with('"') {
            let length = literal_length(value).ok_or("unterminated quoted value")?;
            let inner = &value[1..length - 1];
            found(
                key,
                &unescape(inner, |c| Some(escaped(c))).unwrap_or_default(),
            );
            &value[length..]
        } else {
            let end = value.find(char::is_whitespace).unwrap_or(value.len());
            let (value, after) = value.split_at(end);
            if value.contains(['"', '=']) {
                return Err("unexpected character in a value");
            }
            if !value.is_empty() {
                found(key, value);
            }
            after
        };
        rest = after.trim_start();
    }
    Ok(())
}

/// The character that an escape stands for. Most characters stand for themselves.
fn escaped(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        other => other,
    }
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

    fn read(line: &str) -> (Vec<(String, String)>, bool) {
        let mut all = Vec::new();
        let result = pairs(line, &mut |key, value| {
            let mut name = String::new();
            label_name(key, &mut name);
            all.push((name, value.to_owned()));
        });
        (all, result.is_ok())
    }

    #[test]
    fn keys_and_values_are_read_with_and_without_quotes() {
        let (pairs, well) =
            read(r#"  level=info msg="a \"b\" c" http.status=200 flag empty= 1st=x"#);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert!(well);
        assert_eq!(
            pairs,
            [
                ("level", "info"),
                ("msg", "a \"b\" c"),
                ("http_status", "200"),
                ("_1st", "x")
            ]
        );
        for (line, kept) in [
            (r#"a=1 b="open"#, 1),
            (r#"a=1 "x"=2"#, 1),
            ("=a", 0),
            ("a=b=c", 0),
        ] {
            let (pairs, well) = read(line);
            assert_eq!((pairs.len(), well), (kept, false), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in r#"[a1=" \\é]{0,40}"#) {
            let _ = read(&line);
        }
    }
}
