//! Fuzz targets `rules` and `templates`: rule files, and the templates in them.

use std::collections::BTreeMap;

use crate::alerting::{RuleSet, Template, TemplateData};
use crate::embedded::prometheus::labels::Labels;
use crate::yaml::FileError;

use super::inputs::text;

/// A rule file must be accepted, or be refused with a position that exists in it.
pub(super) fn file(data: &[u8]) {
    let text = text(data);
    match RuleSet::parse("rules.yml", text) {
        Ok(rules) => assert!(rules.len() <= text.len(), "more rules than characters"),
        Err(error) => check_error_position(text, &error),
    }
}

/// The error of a file is one line. If it gives a position, its line exists and counts from 1.
#[track_caller]
pub(super) fn check_error_position(text: &str, error: &FileError) {
    let shown = error.to_string();
    assert!(shown.lines().count() == 1, "more than one line: {shown}");
    if let Some((line, column)) = error.at {
        let lines = text
            .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
            .count();
        assert!(
            line >= 1 && column >= 1,
            "places are counted from 1: {shown}"
        );
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        assert!(line <= lines + 1, "{lines} lines, but {shown}");
    }
}

/// A valid template must expand with every value to a text of bounded size.
pub(super) fn template(data: &[u8]) {
    let text = text(data);
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => {
            assert!(error.at <= text.len(), "the place is outside of the text");
            return assert!(!error.problem.is_empty());
        }
    };
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "api"), ("x", "<a & \"b\">")]);
    let external_labels = BTreeMap::from([("cluster".to_owned(), "east".to_owned())]);
    let values = [
        0.0,
        -0.0,
        1.0,
        -1234.5678,
        1e300,
        1e-300,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    for value in values {
        let expanded = template.expand(&TemplateData {
            labels: &labels,
            external_labels: &external_labels,
            external_url: "http://localhost:9090",
            value,
            query: &|_| Ok(vec![(labels.clone(), value)]),
        });
        // The largest expansion, plus an error message around it.
        let most = 72 * 1024 + text.len();
        assert!(
            expanded.len() <= most,
            "{} bytes out of {}",
            expanded.len(),
            text.len()
        );
    }
}
