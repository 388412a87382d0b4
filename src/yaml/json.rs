//! Parses JSON from outside. Errors name the position and the field, in the same words as those of YAML.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Deserializer, Track};

use super::wording;

/// The reason why a JSON text is refused: its position, its field, and the mistake.
#[derive(Debug)]
pub struct JsonError {
    line: usize,
    column: usize,
    /// For example `thresholds[0].name`. It is empty for the text as a whole and for malformed JSON.
    pub field: String,
    problem: String,
    /// The name of the missing field, if a field is missing.
    pub missing: Option<String>,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for JsonError {}

/// Parses a JSON text. Anything after its value is refused.
///
/// # Errors
/// [`JsonError`].
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let mut track = Track::new();
    let read = T::deserialize(Deserializer::new(&mut json, &mut track));
    let read = read.and_then(|value| json.end().map(|()| value));
    read.map_err(|error| {
        let (problem, missing) = wording::of_json_parts(&error);
        // If the text itself is malformed, the current field is meaningless.
        let field = Some(track.path().to_string()).filter(|path| error.is_data() && path != ".");
        JsonError {
            line: error.line(),
            column: error.column(),
            field: field.unwrap_or_default(),
            problem,
            missing,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only how it is refused matters")]
    struct Order {
        seat: u32,
        guests: Vec<Guest>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only how it is refused matters")]
    struct Guest {
        name: String,
    }

    #[test]
    fn an_error_names_place_and_field_in_the_words_of_this_program() {
        for (text, expected) in [
            (
                r#"{"seat": "x", "guests": []}"#,
                "line 1, column 12: seat: `x` is not a whole number such as 20",
            ),
            (
                "{\"seat\": 1,\n\"guests\": [{\"name\": 7}]}",
                "line 2, column 21: guests[0].name: `7` is not a text",
            ),
            (
                r#"{"seat": 1, "guests": [{}]}"#,
                "line 1, column 25: guests[0]: `name` is missing: add it",
            ),
            (
                r#"{"seat": 1}"#,
                "line 1, column 11: `guests` is missing: add it",
            ),
            (
                r#"{"seat": 1, "seat": 2}"#,
                "line 1, column 18: `seat` appears twice: remove one of them",
            ),
            ("[]", "line 1, column 2: has 0 values: write a map such as "),
            (
                r#"{"seat": 1"#,
                "line 1, column 10: the JSON ends here too early: is it complete?",
            ),
            (
                "",
                "line 1, column 0: the JSON ends here too early: is it complete?",
            ),
            ("seat=1", "line 1, column 1: is not JSON: expected value"),
            (
                r#"{"seat": 1, "guests": []} x"#,
                "line 1, column 27: is not JSON: trailing characters",
            ),
        ] {
            let error = from_json::<Order>(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
            for word in ["invalid type", "u32", "EOF", "struct", "missing field"] {
                assert!(!error.contains(word), "{text} says {word:?}: {error}");
            }
        }
    }
}
