//! Grafana's formats of variables, `${name:format}`: how values are written into a query or a title.

use std::fmt::Write as _;

use crate::tui::dashboard::dates::dated;
use crate::tui::dashboard::vars::Choice;

/// The text that replaces a variable in a query. Without a format, several values become the alternatives of a
/// regular expression. With `escape`, a single value does too, because the query expects a pattern.
pub(crate) fn formatted(name: &str, values: &[Choice], format: &str, escape: bool) -> String {
    let each = |one: &dyn Fn(&str) -> String, between: &str| {
        let texts: Vec<String> = values.iter().map(|choice| one(&choice.value)).collect();
        texts.join(between)
    };
    match (format, values) {
        ("csv" | "raw", _) => each(&str::to_owned, ","),
        ("pipe", _) => each(&str::to_owned, "|"),
        ("text", _) => words(values),
        ("glob", [_, _, ..]) => format!("{{{}}}", each(&str::to_owned, ",")),
        ("json", [only]) => quoted(&only.value, '"'),
        ("json", _) => format!("[{}]", each(&|value| quoted(value, '"'), ",")),
        ("singlequote" | "sqlstring", _) => each(&|value| quoted(value, '\''), ","),
        ("doublequote", _) => each(&|value| quoted(value, '"'), ","),
        ("distributed", _) => each(&str::to_owned, &format!(",{name}=")),
        ("percentencode", _) => each(&percent_encoded, ","),
        ("queryparam", _) => {
            let one = |value: &str| format!("var-{name}={}", percent_encoded(value));
            each(&one, "&")
        }
        ("html", _) => each(&html, ", "),
        ("regex", [only]) => escaped(&only.value),
        ("glob", [only]) => only.value.clone(),
        (_, [only]) if escape && is_pattern(&only.value) => escaped(&only.value),
        (_, [only]) => only.value.replace('\\', "\\\\").replace('"', "\\\""),
        (_, several) => alternatives(several),
    }
}

/// The values by their names for readers, for a title.
pub(crate) fn words(values: &[Choice]) -> String {
    let texts: Vec<&str> = values.iter().map(|choice| choice.text.as_str()).collect();
    texts.join(" + ")
}

/// One of several values, as a regular expression inside a PromQL string.
fn alternatives(values: &[Choice]) -> String {
    let mut text = String::from("(");
    for (index, choice) in values.iter().enumerate() {
        let bar = if index > 0 { "|" } else { "" };
        let _ = write!(text, "{bar}{}", escaped(&choice.value));
    }
    text.push(')');
    text
}

/// Returns whether the value contains characters that are special in a regular expression. A dot and a dash do not
/// count: the value still matches itself, and `=` needs it unescaped.
fn is_pattern(value: &str) -> bool {
    value.contains([
        '\\', '^', '$', '*', '+', '?', '(', ')', '|', '[', ']', '{', '}',
    ])
}

/// A regular expression that matches the value, its backslashes doubled for the string around it.
fn escaped(value: &str) -> String {
    let pattern = regex::escape(value);
    pattern.replace('\\', "\\\\").replace('"', "\\\"")
}

fn quoted(value: &str, quote: char) -> String {
    let inside = value
        .replace('\\', "\\\\")
        .replace(quote, &format!("\\{quote}"));
    format!("{quote}{inside}{quote}")
}

fn percent_encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn html(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Unix milliseconds in the format that `${__from:date:…}` names.
pub(crate) fn instant(ms: i64, format: &str) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(ms) else {
        return ms.to_string();
    };
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    match format.split_once(':').unwrap_or((format, "")) {
        ("date", "seconds") => (ms / 1000).to_string(),
        ("date", "" | "iso") => at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        ("date", pattern) if pattern != "ms" => dated(&at, pattern),
        _ => ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str], format: &str) -> String {
        let values: Vec<Choice> = values.iter().map(|value| Choice::of(value)).collect();
        formatted("v", &values, format, false)
    }

    #[test]
    fn each_format_writes_values_as_grafana_does() {
        let two = ["a.b", "c'd"];
        let cases = [
            ("", "(a\\\\.b|c'd)"),
            ("csv", "a.b,c'd"),
            ("raw", "a.b,c'd"),
            ("pipe", "a.b|c'd"),
            ("glob", "{a.b,c'd}"),
            ("json", "[\"a.b\",\"c'd\"]"),
            ("singlequote", "'a.b','c\\'d'"),
            ("doublequote", "\"a.b\",\"c'd\""),
            ("distributed", "a.b,v=c'd"),
            ("percentencode", "a.b,c%27d"),
            ("queryparam", "var-v=a.b&var-v=c%27d"),
            ("text", "a.b + c'd"),
            ("regex", "(a\\\\.b|c'd)"),
            ("no such format", "(a\\\\.b|c'd)"),
        ];
        for (format, wanted) in cases {
            assert_eq!(of(&two, format), wanted, "{format}");
        }
        assert_eq!(of(&["a.b"], "regex"), "a\\\\.b");
        assert_eq!(of(&["a\"b"], ""), "a\\\"b");
        assert_eq!(of(&["a"], "glob"), "a");
        let pattern = [Choice::of("/a+b")];
        assert_eq!(formatted("v", &pattern, "", true), "/a\\\\+b");
        let plain = [Choice::of("10.0.0.1:9100")];
        assert_eq!(formatted("v", &plain, "", true), "10.0.0.1:9100");
    }

    #[test]
    fn instants_are_written_as_dates() {
        let at = 1_780_315_200_123;
        assert_eq!(instant(at, ""), "1780315200123");
        assert_eq!(instant(at, "date"), "2026-06-01T12:00:00.123Z");
        assert_eq!(instant(at, "date:iso"), "2026-06-01T12:00:00.123Z");
        assert_eq!(instant(at, "date:seconds"), "1780315200");
        assert_eq!(instant(at, "date:ms"), "1780315200123");
        assert_eq!(instant(at, "date:M"), "6");
        assert_eq!(instant(at, "date:YYYY-MM-DD HH:mm"), "2026-06-01 12:00");
        assert_eq!(instant(i64::MAX, "date"), i64::MAX.to_string());
    }
}
