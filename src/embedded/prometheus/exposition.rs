//! Parses the Prometheus text format (version 0.0.4).
//!
//! Grammar: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>. Strings without escapes
//! are borrowed from the input.

use std::borrow::Cow;
use std::str::FromStr;

use super::tsdb::MetricType;
use crate::embedded::quoted::literal_length;

/// A line with content.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// A sample.
    Sample(Sample<'a>),
    /// `# TYPE metric kind`.
    Type(&'a str, MetricType),
    /// `# HELP metric text`.
    Help(&'a str, Cow<'a, str>),
}

/// A sample of an exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// The labels in their original order, without the name.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The value. It can be NaN or infinite.
    pub value: f64,
    /// Milliseconds since 1970, if the exposition gives a time.
    pub timestamp: Option<i64>,
}

/// A line that does not have the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// The number of the line, from one.
    pub line: usize,
    /// The reason why the line is invalid.
    pub reason: String,
}

/// All samples, types and help texts of an exposition in order. An `Err` ends the sequence.
pub fn parse(text: &str) -> impl Iterator<Item = Result<Line<'_>, ParseError>> {
    let mut failed = false;
    text.split('\n').enumerate().filter_map(move |(i, line)| {
        if failed {
            return None;
        }
        let parsed = parse_line(line.strip_suffix('\r').unwrap_or(line));
        failed = parsed.is_err();
        parsed
            .map_err(|reason| ParseError {
                line: i + 1,
                reason,
            })
            .transpose()
    })
}

fn parse_line(line: &str) -> Result<Option<Line<'_>>, String> {
    let line = line.trim_start_matches(BLANKS);
    if line.is_empty() {
        return Ok(None);
    }
    match line.strip_prefix('#') {
        Some(comment) => parse_comment(comment),
        None => parse_sample(line).map(|s| Some(Line::Sample(s))),
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(BLANKS);
    text.split_once(BLANKS).unwrap_or((text, ""))
}

/// `HELP` and `TYPE` carry data. All other comments are skipped.
fn parse_comment(comment: &str) -> Result<Option<Line<'_>>, String> {
    let (keyword, rest) = word(comment);
    if keyword != "HELP" && keyword != "TYPE" {
        return Ok(None);
    }
    let (metric, rest) = word(rest);
    if !is_name(metric, true) {
        return Err(format!("{keyword} of an invalid metric name {metric:?}"));
    }
    if keyword == "HELP" {
        let text = rest.trim_start_matches(BLANKS);
        return Ok(Some(Line::Help(metric, unescape(text, false)?)));
    }
    let kind = rest.trim_matches(BLANKS);
    let kind = MetricType::from_exposition(kind).ok_or_else(|| format!("unknown type {kind:?}"))?;
    Ok(Some(Line::Type(metric, kind)))
}

fn parse_sample(line: &str) -> Result<Sample<'_>, String> {
    let end = line
        .find(|c: char| c == '{' || BLANKS.contains(&c))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err(format!("invalid metric name {name:?}"));
    }
    let rest = rest.trim_start_matches(BLANKS);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => parse_labels(inner)?,
        None => (vec![], rest),
    };
    let (value, rest) = word(rest);
    let value = parse_value(value)?;
    let (time, rest) = word(rest);
    if !rest.trim_matches(BLANKS).is_empty() {
        return Err(format!("unexpected text after the sample: {rest:?}"));
    }
    let timestamp = match time {
        "" => None,
        t => Some(
            i64::from_str(t)
                .map_err(|_| format!("invalid time stamp {t:?}, expected milliseconds"))?,
        ),
    };
    Ok(Sample {
        name,
        labels,
        value,
        timestamp,
    })
}

type LabelList<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels up to the closing brace, and the rest of the line.
fn parse_labels(mut rest: &str) -> Result<(LabelList<'_>, &str), String> {
    let mut labels: LabelList<'_> = vec![];
    loop {
        rest = rest.trim_start_matches(BLANKS);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once('=').ok_or("expected '=' in the labels")?;
        let name = name.trim_end_matches(BLANKS);
        if !is_name(name, false) {
            return Err(format!("invalid label name {name:?}"));
        }
        if labels.iter().any(|(n, _)| *n == name) {
            return Err(format!("label {name:?} twice"));
        }
        let value = after.trim_start_matches(BLANKS);
        if !value.starts_with('"') {
            return Err(format!("the value of label {name:?} is not quoted"));
        }
        let length = literal_length(value)
            .ok_or_else(|| format!("the value of label {name:?} has no closing quote"))?;
        labels.push((name, unescape(&value[1..length - 1], true)?));
        rest = value[length..].trim_start_matches(BLANKS);
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest.starts_with('}') => {}
            None => return Err(format!("expected ',' or '}}' after label {name:?}")),
        }
    }
}

fn unescape(text: &str, quotes: bool) -> Result<Cow<'_, str>, String> {
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('"') if quotes => out.push('"'),
            // An unknown escape stands for itself, as in Prometheus's own parser.
            Some(other) => out.extend(['\\', other]),
            None => return Err("a backslash at the end".to_owned()),
        }
    }
    Ok(Cow::Owned(out))
}

fn parse_value(text: &str) -> Result<f64, String> {
    // Rust accepts a superset of the format that differs only in words, and includes all words of the format.
    f64::from_str(text).map_err(|_| match text {
        "" => "the value is missing".to_owned(),
        _ => format!("invalid value {text:?}"),
    })
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, also with colons for metrics.
pub(crate) fn is_name(name: &str, colons: bool) -> bool {
    let plain = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colons && b == b':');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(plain) && bytes.all(|b| plain(b) || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(text: &str) -> Vec<Sample<'_>> {
        parse(text)
            .filter_map(|l| match l.unwrap() {
                Line::Sample(s) => Some(s),
                _ => None,
            })
            .collect()
    }

    fn error(text: &str) -> String {
        parse(text)
            .find_map(Result::err)
            .map(|e| e.to_string())
            .unwrap()
    }

    #[test]
    fn reads_the_example_of_the_format_s_documentation() {
        let text = concat!(
            "# HELP http_requests_total The total number.\n# TYPE http_requests_total counter\n",
            "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\n",
            "# Escaping in label values:\n",
            "msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n",
            "metric_without_timestamp_and_labels 12.47\n",
            "something_weird{problem=\"division by zero\"} +Inf -3982045\n",
            "rpc_duration_seconds{quantile=\"0.01\",} NaN\r\n",
        );
        let all = samples(text);
        assert_eq!(all.len(), 5);
        assert_eq!(all[0].timestamp, Some(1_395_066_363_000));
        assert_eq!(all[1].labels[0].1, r"C:\DIR\FILE.TXT");
        assert_eq!(all[1].labels[1].1, "Cannot find file:\n\"FILE.TXT\"");
        assert_eq!(all[2].value, 12.47);
        assert_eq!(all[3].value, f64::INFINITY);
        assert!(all[4].value.is_nan());
        let first = parse(text).next().unwrap().unwrap();
        assert_eq!(
            first,
            Line::Help("http_requests_total", "The total number.".into())
        );
    }

    #[test]
    fn an_error_names_its_line_and_ends_the_reading() {
        assert_eq!(error("a 1\nb x\nc"), r#"line 2: invalid value "x""#);
        assert_eq!(
            error("a{b=1} 1"),
            r#"line 1: the value of label "b" is not quoted"#
        );
        assert_eq!(error("\n\n1a 1"), r#"line 3: invalid metric name "1a""#);
        assert_eq!(error("a{x=\"1\",x=\"2\"} 1"), r#"line 1: label "x" twice"#);
        assert_eq!(
            error("a{x=\"1\" 1"),
            r#"line 1: expected ',' or '}' after label "x""#
        );
        assert_eq!(
            error("a 1 2 3"),
            r#"line 1: unexpected text after the sample: "3""#
        );
        assert_eq!(parse("a\nb\nc").count(), 1);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in r#"([a-z{}"=,\\# \n\t0-9.é]|TYPE|HELP|NaN){0,80}"#) {
            let _ = parse(&text).count();
        }

        #[test]
        fn any_label_value_comes_back(value in any::<String>()) {
            let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let text = format!("m{{l=\"{escaped}\"}} 1");
            let read = samples(&text);
            prop_assert_eq!(read[0].labels[0].1.as_ref(), value.as_str());
        }
    }
}
