//! Reads and writes summaries as files.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use super::{SCHEMA, Summary};
use crate::files::{self, Access};

/// The largest summary, in bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

#[derive(Deserialize)]
struct Version {
    schema: u32,
}

impl Summary {
    /// The summary as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self)
            .expect("the summary has only text keys and finite numbers")
    }

    /// Writes the summary as JSON, completely or not at all.
    ///
    /// # Errors
    /// See [`files::replace`].
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        files::replace(path, (self.to_json() + "\n").as_bytes(), Access::Umask)
    }

    /// Reads a summary.
    ///
    /// # Errors
    /// One line that says that the file cannot be read, is not a summary, or has another version.
    pub fn read(path: &Path) -> Result<Summary, String> {
        let at_path = |problem: String| format!("{}: {problem}", path.display());
        let text = std::fs::File::open(path)
            .and_then(|file| std::io::read_to_string(file.take(MAX_BYTES)))
            .map_err(|error| at_path(error.to_string()))?;
        Summary::parse(&text).map_err(at_path)
    }

    /// Parses a summary.
    ///
    /// # Errors
    /// One line that says that the text is not a summary or has another version. It continues the file's name.
    pub(crate) fn parse(text: &str) -> Result<Summary, String> {
        let is_none = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            let problem = crate::yaml::of_json(&error);
            format!("is no summary of a run: line {line}, column {column}: {problem}")
        };
        let version: Version = serde_json::from_str(text).map_err(is_none)?;
        if version.schema != SCHEMA {
            return Err(format!(
                "is a summary of version {}, this program reads version {SCHEMA}: run the scenario again",
                version.schema
            ));
        }
        serde_json::from_str(text).map_err(is_none)
    }
}

/// The JSON Schema (draft 2020-12) of a summary.
///
/// # Panics
/// Never, because the schema is made from constant types.
#[must_use]
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Summary);
    schema.insert(
        "title".to_owned(),
        "The summary of a concertctl load run".into(),
    );
    let text = serde_json::to_string_pretty(&schema);
    text.expect("a schema has text keys only") + "\n"
}
