//! The flags to make or to play a recording.

use std::path::PathBuf;

use crate::tui::{Recording, RecordingFile};

/// A recording to make or to show.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct RecordingArgs {
    /// Record the answers of the sources into a new file, for --replay
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replay", "once"])]
    record: Option<PathBuf>,
    /// Show a recording, read-only; no source is asked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ops_url", "ops_addr", "api_addr"])]
    replay: Option<PathBuf>,
}

impl RecordingArgs {
    /// The recording to show, read and checked.
    pub(super) fn replay(&self) -> Result<Option<Recording>, String> {
        let read = self.replay.as_deref().map(Recording::read).transpose();
        read.map_err(|why| format!("--replay: {why}"))
    }

    /// The file to record to, created.
    pub(super) fn record(&self) -> Result<Option<RecordingFile>, String> {
        let created = self
            .record
            .as_deref()
            .map(RecordingFile::create)
            .transpose();
        created.map_err(|why| format!("--record: {why}"))
    }
}
