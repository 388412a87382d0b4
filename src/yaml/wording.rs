//! Words the errors of a file for the people who wrote it. The parsers' texts name Rust types and parser options and
//! must not reach a reader.

use serde_json::error::Category;
use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::suggestion;

/// The mistake, and the name of the missing field if a field is missing.
pub(super) struct Wording {
    pub problem: String,
    pub missing: Option<String>,
}

/// Words the error of a YAML text. `given` is the value at the position of the error.
pub(super) fn of_yaml(error: &Error, given: Option<&str>) -> Wording {
    let problem = match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => {
            return of_yaml(error, given);
        }
        Error::SerdeMissingField { field, .. } => return missing(field),
        Error::InvalidScalar { ty, .. } => is_not(given, &expected(ty)),
        Error::InvalidBooleanStrict { .. } => is_not(given, &expected("boolean")),
        Error::NonFiniteFloat { value, .. } => is_not(Some(value), &expected("f64")),
        Error::SerdeInvalidType {
            unexpected,
            expected: wanted,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected: wanted,
            ..
        } => is_not(Some(&found(unexpected)), &expected(wanted)),
        Error::SerdeInvalidLength {
            len,
            expected: wanted,
            ..
        } => of_length(len, wanted),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => unknown_value(variant, expected),
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown_field(field, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => twice(key),
        Error::DuplicateMappingKey { .. } => "appears twice: remove one of them".to_owned(),
        Error::NullIntoString { .. } => "is empty: write a text".to_owned(),
        Error::Unexpected {
            expected: wanted, ..
        } => is_not(given, &expected(wanted)),
        Error::Eof { .. } => "the file ends here too early: is it complete?".to_owned(),
        Error::MultipleDocuments { .. } => several_documents(),
        Error::InvalidUtf8Input => "is not UTF-8 text".to_owned(),
        Error::UnknownAnchor { .. } => "`*name` refers to an `&name` that is not there".to_owned(),
        Error::Budget { breach, .. } => over_budget(breach),
        Error::QuotingRequired { value, .. } => format!("put quotes around it: \"{value}\""),
        Error::ExternalMessage { msg, .. } => format!("is not YAML: {msg}"),
        Error::Message { msg, .. } => return of_text(msg),
        _ => match given {
            Some(given) => format!("`{given}` cannot stand here"),
            None => "this value cannot be read".to_owned(),
        },
    };
    let missing = None;
    Wording { problem, missing }
}

/// Words the error of a value that was parsed as JSON.
#[must_use]
pub fn of_json(error: &serde_json::Error) -> String {
    of_json_parts(error).0
}

/// Words the error and names the missing field, if a field is missing.
pub(super) fn of_json_parts(error: &serde_json::Error) -> (String, Option<String>) {
    let text = error.to_string();
    let text = match text.rfind(" at line ") {
        Some(at) if error.line() > 0 => &text[..at],
        _ => &text,
    };
    match error.classify() {
        Category::Eof => (
            "the JSON ends here too early: is it complete?".to_owned(),
            None,
        ),
        Category::Syntax if text.starts_with("recursion limit") => {
            ("is nested too deep".to_owned(), None)
        }
        Category::Syntax => (format!("is not JSON: {text}"), None),
        Category::Data | Category::Io => {
            let Wording { problem, missing } = of_text(text);
            let of_missing = missing
                .as_ref()
                .map(|field| format!("`{field}` is missing: add it"));
            (of_missing.unwrap_or(problem), missing)
        }
    }
}

/// Rewords serde's own text. A text from this program stays unchanged.
#[must_use]
pub fn in_words(text: &str) -> String {
    of_text(text).problem
}

/// Rewords a text and names the missing field.
fn of_text(text: &str) -> Wording {
    let between = |open: &str, close: &str| {
        let rest = text.split_once(open)?.1;
        Some(rest.split_once(close)?.0.to_owned())
    };
    if text.starts_with("missing field `") {
        return missing(&between("`", "`").unwrap_or_default());
    }
    let about_types = ["invalid type: ", "invalid value: "];
    let about_types = about_types
        .iter()
        .find_map(|start| text.strip_prefix(start));
    let problem = if let Some((unexpected, wanted)) =
        about_types.and_then(|rest| rest.split_once(", expected "))
    {
        is_not(Some(&found(unexpected)), &expected(wanted))
    } else if text.starts_with("unknown field `") {
        unknown_field(&between("`", "`").unwrap_or_default(), &listed(text))
    } else if text.starts_with("unknown variant `") {
        unknown_value(&between("`", "`").unwrap_or_default(), &listed(text))
    } else if let Some((length, wanted)) = text
        .strip_prefix("invalid length ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        of_length(length, wanted)
    } else if text.starts_with("duplicate field `") {
        twice(&between("`", "`").unwrap_or_default())
    } else {
        text.to_owned()
    };
    let missing = None;
    Wording { problem, missing }
}

/// The names after `expected`, each in backticks.
fn listed(text: &str) -> Vec<&str> {
    let names = text
        .split_once(", expected ")
        .map_or("", |(_, names)| names);
    names.split('`').skip(1).step_by(2).collect()
}

fn missing(field: &str) -> Wording {
    Wording {
        problem: format!("is missing: write `{field}: …`"),
        missing: Some(field.to_owned()),
    }
}

fn is_not(given: Option<&str>, wanted: &str) -> String {
    if let Some(mistake) = given.and_then(|given| misspelled(given, wanted)) {
        return mistake;
    }
    let is_whole = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match given {
        Some(given) if wanted == WHOLE && is_whole(given) => format!("`{given}` is too large"),
        Some("") | None => format!("is not {wanted}"),
        Some(given) => format!("`{given}` is not {wanted}"),
    }
}

/// The mistake in a number that a person reads but a parser does not: `1,000`, `1'000` or `010`.
fn misspelled(given: &str, wanted: &str) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !wanted.contains("number") {
        return None;
    }
    let plain = |digits: &str| {
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() { "0" } else { digits }.to_owned()
    };
    if is_number(given) {
        let has_zero = given.len() > 1 && given.starts_with('0');
        return has_zero.then(|| format!("`{given}` has a leading zero: write {}", plain(given)));
    }
    let mut groups = given.split([',', '\'', ' ', '.']);
    let first = groups
        .next()
        .filter(|first| first.len() <= 3 && is_number(first))?;
    let rest: Vec<&str> = groups.collect();
    let grouped = rest
        .iter()
        .all(|group| group.len() == 3 && is_number(group));
    // `1.500` may be a fraction.
    let is_fraction = rest.len() == 1 && given.contains('.');
    (grouped && !rest.is_empty() && !is_fraction).then(|| {
        let digits = plain(&format!("{first}{}", rest.concat()));
        format!("`{given}` has separators between its digits: write {digits}")
    })
}

fn unknown_field(field: &str, known: &[&str]) -> String {
    let known: Vec<&str> = known.to_vec();
    format!(
        "there is no field `{field}`{}",
        suggestion::among(field, &known)
    )
}

fn unknown_value(value: &str, known: &[&str]) -> String {
    format!(
        "`{value}` is not known here{}",
        suggestion::among(value, known)
    )
}

fn of_length(length: impl std::fmt::Display, wanted: &str) -> String {
    format!("has {length} values: write {}", expected(wanted))
}

fn twice(field: &str) -> String {
    format!("`{field}` appears twice: remove one of them")
}

fn several_documents() -> String {
    "holds a second document after `---`: keep one".to_owned()
}

fn over_budget(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            "uses `&name` and `*name`, of which such a file may have none or few: write the value out"
                .to_owned()
        }
        BudgetBreach::Depth { .. } => "is nested too deep".to_owned(),
        BudgetBreach::Documents { .. } => several_documents(),
        _ => "has more keys and values than such a file needs: split it".to_owned(),
    }
}

/// Names the value that serde found in the notation of the file.
fn found(unexpected: &str) -> String {
    let quoted = |open: char, close: char| {
        let rest = unexpected.split_once(open)?.1;
        Some(rest.rsplit_once(close)?.0.to_owned())
    };
    match unexpected {
        "map" | "struct variant" => "a map".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" | "null" | "Option value" => String::new(),
        text if text.starts_with("string") => {
            let given = quoted('"', '"').unwrap_or_default();
            // The quotes are the mistake in "20" and "true".
            match serde_json::from_str::<serde_json::Value>(&given) {
                Ok(_) => format!("\"{given}\""),
                Err(_) => given,
            }
        }
        text => quoted('`', '`').unwrap_or_else(|| text.to_owned()),
    }
}

/// A whole number, as messages name it.
const WHOLE: &str = "a whole number such as 20";

/// Names the expected value with an example.
fn expected(wanted: &str) -> String {
    let whole = WHOLE;
    let text = match wanted {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => whole,
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "integer" | "an integer" => whole,
        "f32" | "f64" | "floating point" | "float" => "a number such as 0.5",
        "bool" | "a boolean" | "boolean" => "true or false",
        "a string" | "str" | "string" | "string scalar" => "a text",
        "a map" | "mapping start" | "mapping" => "a map such as { field: value }",
        "a sequence" | "sequence start" | "sequence" => "a list such as [a, b]",
        wanted if wanted.starts_with("struct ") => "a map such as { field: value }",
        wanted if wanted.starts_with("a nonzero ") => "a whole number, 1 or more",
        wanted => return wanted.to_owned(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only how it is refused matters")]
    struct Hall {
        seats: u32,
        share: Option<f64>,
        open: Option<bool>,
        kind: Option<Kind>,
        names: Option<Vec<String>>,
        prices: Option<BTreeMap<String, i64>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Hall,
        Stadium,
    }

    fn refused(text: &str) -> String {
        let parsed = super::super::parse::<Hall>("x.yaml", text, super::super::SMALL, |_, name| {
            name.to_owned()
        });
        parsed.map(|(hall, _)| hall).unwrap_err().to_string()
    }

    #[test]
    fn no_word_of_a_library_reaches_the_reader() {
        for (text, expected) in [
            (
                "seats: many",
                "x.yaml:1:8: seats: `many` is not a whole number such as 20",
            ),
            (
                "seats: -1",
                "x.yaml:1:8: seats: `-1` is not a whole number such as 20",
            ),
            (
                "seats: 1.5",
                "x.yaml:1:8: seats: `1.5` is not a whole number such as 20",
            ),
            (
                "seats: [1]",
                "x.yaml:1:8: seats: is a list: write a whole number such as 20",
            ),
            (
                "seats:\n  - 1",
                "seats: is a list: write a whole number such as 20",
            ),
            (
                "seats: {a: 1}",
                "seats: is a map: write a whole number such as 20",
            ),
            (
                "seats:\nopen: true",
                "seats: is empty: write a whole number such as 20",
            ),
            (
                "{seats: , open: true}",
                "seats: is empty: write a whole number such as 20",
            ),
            (
                "seats: 1,000",
                "x.yaml:1:8: seats: `1,000` has separators between its digits: write 1000",
            ),
            (
                "seats: 1'000'000 # many",
                "seats: `1'000'000` has separators between its digits: write 1000000",
            ),
            (
                "seats: 1.000.000",
                "has separators between its digits: write 1000000",
            ),
            ("seats: 1.500", "`1.500` is not a whole number such as 20"),
            (
                "seats: 010",
                "x.yaml:1:8: seats: `010` has a leading zero: write 10",
            ),
            (
                "{seats: x, open: true}",
                "seats: `x` is not a whole number such as 20",
            ),
            (
                "seats: 99999999999",
                "x.yaml:1:8: seats: `99999999999` is too large",
            ),
            (
                "seats: 1\nshare: 1%",
                "x.yaml:2:8: share: `1%` is not a number such as 0.5",
            ),
            (
                "seats: 1\nopen: maybe",
                "x.yaml:2:7: open: `maybe` is not true or false",
            ),
            (
                "seats: 1\nkind: hal",
                "`hal` is not known here; did you mean `hall`? There are hall, stadium",
            ),
            (
                "seats: 1\nsaets: 2",
                "there is no field `saets`; did you mean `seats`? There are ",
            ),
            ("share: 1", "seats: is missing: write `seats: …`"),
            (
                "seats: 1\nseats: 2",
                "`seats` appears twice: remove one of them",
            ),
            ("seats: &a 1\nshare: *a", "write the value out"),
            (
                "seats: 1\n---\nseats: 2",
                "holds a second document after `---`: keep one",
            ),
            ("seats: 1\nnames: x", "names: "),
            ("seats: {a: 1", "x.yaml:"),
        ] {
            let error = refused(text);
            assert!(error.contains(expected), "{text:?}: {error}");
            for word in [
                "u32",
                "f64",
                "serde",
                "budget",
                "policy",
                "Options",
                "struct",
                "mapping key",
                "invalid type",
                "scalar",
                "expected one of",
                "Anchors",
                "deserialize",
            ] {
                assert!(!error.contains(word), "{text:?} says {word:?}: {error}");
            }
        }
    }

    #[test]
    fn json_is_refused_in_the_same_words() {
        let of = |text: &str| of_json(&serde_json::from_str::<Hall>(text).unwrap_err());
        assert_eq!(
            of(r#"{"seats":"x"}"#),
            "`x` is not a whole number such as 20"
        );
        assert_eq!(
            of(r#"{"seats":-1}"#),
            "`-1` is not a whole number such as 20"
        );
        assert_eq!(
            of(r#"{"seats":"20"}"#),
            "`\"20\"` is not a whole number such as 20"
        );
        assert_eq!(of(r#"{"seats":99999999999}"#), "`99999999999` is too large");
        assert!(of(r#"{"seats":1,"saets":2}"#).contains("did you mean `seats`?"));
        assert_eq!(of("{}"), "`seats` is missing: add it");
        assert_eq!(
            of(r#"{"seats":1,"seats":2}"#),
            "`seats` appears twice: remove one of them"
        );
        assert_eq!(
            of(r#"{"seats":1"#),
            "the JSON ends here too early: is it complete?"
        );
        assert_eq!(of("seats: 1"), "is not JSON: expected value");
    }
}
