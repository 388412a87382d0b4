//! The result of a run in the console: the verdict, its reasons, and the paths of the files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Summary;
use super::judge::{Judged, Verdict};

/// The files of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFiles {
    /// The JSON summary.
    pub summary: PathBuf,
    /// The HTML report.
    pub report: PathBuf,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The verdict.
    pub verdict: Verdict,
    /// The reasons that the thresholds do not show. It may be empty.
    pub reason: String,
    /// The judged thresholds.
    pub thresholds: Vec<Judged>,
    /// The paths of summary and report. Absent when they could not be written.
    pub files: Option<SavedFiles>,
}

impl RunResult {
    /// The result of a run with its written files, or with the reason why they could not be written.
    #[must_use]
    pub fn new(summary: &Summary, files: Result<SavedFiles, String>) -> RunResult {
        let is_shown_by_threshold = |reason: &String| {
            let missed = reason.strip_suffix(" missed");
            missed.is_some_and(|name| summary.thresholds.iter().any(|it| it.name == name))
        };
        let reasons = summary.reasons.iter();
        let mut reasons: Vec<String> = reasons
            .filter(|reason| !is_shown_by_threshold(reason))
            .cloned()
            .collect();
        let files = files.map_err(|problem| reasons.push(problem)).ok();
        RunResult {
            verdict: summary.verdict,
            reason: reasons.join("; "),
            thresholds: summary.thresholds.clone(),
            files,
        }
    }
}
