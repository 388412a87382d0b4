//! Describes the errors of a file in plain words for the people who wrote it. The parsers' texts name Rust types and
//! parser options and must not reach a reader.

use serde_json::error::Category;
use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::suggestion;

/// The description of an error.
pub(super) struct Wording {
    /// The mistake, as a predicate that follows the field's name, and how to correct it: `is missing: write …`.
    pub mistake: String,
    /// The name of the missing field, if a field is missing.
    pub missing: Option<String>,
}

/// Describes the error of a YAML text in plain words. `given` is the value at the position of the error.
pub(super) fn of_yaml(error: &Error, given: Option<&str>) -> Wording {
    let mistake = match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => {
            return of_yaml(error, given);
        }
        Error::SerdeMissingField { field, .. } => return missing(field),
        Error::InvalidScalar { ty, .. } => is_not(given, ty),
        Error::InvalidBooleanStrict { .. } => is_not(given, "boolean"),
        Error::NonFiniteFloat { value, .. } => is_not(Some(value), "f64"),
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected,
            ..
        } => is_not(Some(&found(unexpected)), expected),
        Error::SerdeInvalidLength { len, expected, .. } => of_length(len, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => unknown_value(variant, expected),
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown_field(field, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => twice(key),
        Error::DuplicateMappingKey { .. } => "appears twice: remove one of them".to_owned(),
        Error::NullIntoString { .. } => "is empty: write a text".to_owned(),
        Error::Unexpected { expected, .. } => is_not(given, expected),
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
    Wording { mistake, missing }
}

/// Describes the error of a value that was parsed as JSON in plain words.
#[must_use]
pub fn of_json(error: &serde_json::Error) -> String {
    of_json_parts(error).0
}

/// Describes the error in plain words. Also returns the name of the missing field, if a field is missing.
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
            let Wording { mistake, missing } = of_text(text);
            let of_missing = missing
                .as_ref()
                .map(|field| format!("`{field}` is missing: add it"));
            (of_missing.unwrap_or(mistake), missing)
        }
    }
}

/// Describes the mistake of serde's own text in plain words. A text from this program stays unchanged.
#[must_use]
pub fn in_words(text: &str) -> String {
    of_text(text).mistake
}

/// Describes the mistake of an error's text in plain words.
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
    let mistake = if let Some((unexpected, wanted)) =
        about_types.and_then(|rest| rest.split_once(", expected "))
    {
        is_not(Some(&found(unexpected)), wanted)
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
    Wording { mistake, missing }
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
        mistake: format!("is missing: write `{field}: …`"),
        missing: Some(field.to_owned()),
    }
}

/// Says that the given value is not of the type that serde names `wanted`.
fn is_not(given: Option<&str>, wanted: &str) -> String {
    let described = expected(wanted);
    let given = match given {
        Some("") | None => return format!("is not {described}"),
        Some(given) => given,
    };
    if let Some(mistake) = misspelled(given, &described) {
        return mistake;
    }
    match (whole(given), range(wanted)) {
        (Some(number), Some((least, most))) if number < least => {
            format!("`{given}` is too small: write a whole number from {least} to {most}")
        }
        (Some(number), Some((least, most))) if number > most => {
            format!("`{given}` is too large: write a whole number from {least} to {most}")
        }
        (Some(number), Some(_)) => {
            format!("`{given}` is not written as a whole number: write {number}")
        }
        (Some(_), None) if described == WHOLE => format!("`{given}` is out of range"),
        _ => format!("`{given}` is not {described}"),
    }
}

/// The whole number that `text` means: `-1`, `20.0` or `1e20`. A number beyond `i128` becomes the nearest one.
fn whole(text: &str) -> Option<i128> {
    let number: Option<f64> = text.parse().ok();
    let number = number.filter(|number| number.fract() == 0.0);
    text.parse().ok().or(number.map(|number| number as i128))
}

/// The smallest and the largest value of the integer type that serde names `wanted`.
fn range(wanted: &str) -> Option<(i128, i128)> {
    let nonzero = wanted.strip_prefix("a nonzero ");
    let (least, most): (i128, i128) = match nonzero.unwrap_or(wanted) {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" | "usize" => (0, u64::MAX.into()),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "i64" | "isize" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    };
    match nonzero {
        Some(_) => Some((least.max(1), most)),
        None => Some((least, most)),
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

/// Returns the value that serde found, as the file writes it.
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
            // If the text is valid JSON, as in "20", the quotes are the mistake, so the message keeps them.
            match serde_json::from_str::<serde_json::Value>(&given) {
                Ok(_) => format!("\"{given}\""),
                Err(_) => given,
            }
        }
        text => quoted('`', '`').unwrap_or_else(|| text.to_owned()),
    }
}

/// The description of a whole number in messages.
const WHOLE: &str = "a whole number such as 20";

/// Describes the type that serde names `wanted`, with an example.
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
                "x.yaml:1:8: seats: `-1` is too small: write a whole number from 0 to 4294967295",
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
                "x.yaml:1:8: seats: `99999999999` is too large: write a whole number from 0 to 4294967295",
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
    fn a_whole_number_out_of_range_is_refused_with_the_range() {
        for (given, wanted, expected) in [
            (
                "-1",
                "u8",
                "`-1` is too small: write a whole number from 0 to 255",
            ),
            (
                "256",
                "u8",
                "`256` is too large: write a whole number from 0 to 255",
            ),
            (
                "-129",
                "i8",
                "`-129` is too small: write a whole number from -128 to 127",
            ),
            (
                "1e20",
                "u64",
                "`1e20` is too large: write a whole number from 0 to 18446744073709551615",
            ),
            (
                "0",
                "a nonzero u16",
                "`0` is too small: write a whole number from 1 to 65535",
            ),
            (
                "9007199254740992.0",
                "an integer",
                "`9007199254740992.0` is out of range",
            ),
            ("inf", "u8", "`inf` is not a whole number such as 20"),
        ] {
            assert_eq!(is_not(Some(given), wanted), expected);
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
            "`-1` is too small: write a whole number from 0 to 4294967295"
        );
        assert_eq!(
            of(r#"{"seats":"20"}"#),
            "`\"20\"` is not a whole number such as 20"
        );
        assert_eq!(
            of(r#"{"seats":99999999999}"#),
            "`99999999999` is too large: write a whole number from 0 to 4294967295"
        );
        assert_eq!(
            of(r#"{"seats":20.0}"#),
            "`20.0` is not written as a whole number: write 20"
        );
        assert_eq!(
            of(r#"{"seats":1.5}"#),
            "`1.5` is not a whole number such as 20"
        );
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
