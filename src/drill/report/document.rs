//! The report as a whole: one drill or several, with the matrix of alerts and the comparison with an earlier run.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::Comparison;
use super::content::Report;
use super::matrix::{Matrix, Skipped};
use crate::drill::verdict::Verdict;
use crate::yaml;

/// The version of the document's JSON. It increases when readers must change.
pub const SCHEMA: u32 = 1;
/// The largest document that is read, in bytes. A suite of drills has some MB.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Everything there is to say about one drill, or about several that ran one after the other.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The verdict over all drills, in one sentence.
    pub sentence: String,
    /// The drills in the order in which they ran.
    pub drills: Vec<Report>,
    /// Drills of the suite that the running system cannot have.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// Which alert fired in which drill, with precision and recall.
    pub matrix: Matrix,
    /// The comparison with an earlier run, if there was one.
    pub baseline: Option<Comparison>,
}

impl Document {
    /// A document of the drills that ran, and of those that the running system cannot have.
    #[must_use]
    pub fn new(drills: Vec<Report>, skipped: Vec<Skipped>) -> Document {
        Document {
            schema: SCHEMA,
            sentence: sentence_of_all(&drills, skipped.len()),
            matrix: Matrix::of(&drills, &skipped),
            skipped,
            drills,
            baseline: None,
        }
    }

    /// Reads the document that was written as `.json`.
    ///
    /// # Errors
    /// The file cannot be read, or has another version. The message names the file.
    pub fn read(path: &Path) -> Result<Document, String> {
        use std::io::Read as _;
        let name = path.display();
        let mut text = String::new();
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| file.take(LARGEST).read_to_string(&mut text));
        read.map_err(|error| format!("{name} cannot be read: {error}"))?;
        Document::parse(&text).map_err(|problem| format!("{name} {problem}"))
    }

    pub(super) fn parse(text: &str) -> Result<Document, String> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let is_none = |error: serde_json::Error| {
            let problem = yaml::of_json(&error);
            format!(
                "holds no report of a drill ({problem}): name a file that --report wrote as .json"
            )
        };
        let version: Version = serde_json::from_str(text).map_err(is_none)?;
        match version.schema {
            SCHEMA => serde_json::from_str(text).map_err(is_none),
            other => Err(format!(
                "is a report of version {other}, this program reads version {SCHEMA}: run the drill again"
            )),
        }
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Text keys and finite numbers always convert to JSON.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The exit code: the worst among the drills. A suite in which no drill could run is inconclusive.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.drills.is_empty() && !self.skipped.is_empty() {
            return Verdict::Inconclusive(Vec::new()).exit_code();
        }
        let codes = self.drills.iter().map(|report| report.verdict.exit_code());
        codes.max().unwrap_or(0)
    }
}

fn sentence_of_all(drills: &[Report], skipped: usize) -> String {
    if let ([only], 0) = (drills, skipped) {
        return only.sentence.clone();
    }
    let of = |word: &str| {
        let found = drills.iter().filter(|it| it.verdict.word() == word);
        found.count()
    };
    let counts = ["passed", "failed", "inconclusive"].map(|word| (of(word), word));
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let all = format!("Of {} drills: {}.", drills.len(), counts.join(", "));
    match skipped {
        0 => all,
        skipped => format!("{all} Not exercised: {skipped} more."),
    }
}
