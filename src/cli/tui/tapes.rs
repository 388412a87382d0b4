//! Recordings: one to make, or one to show.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::{TuiArgs, once, options};
use crate::clients::Credentials;
use crate::settings::OPS_ADDR;
use crate::tui::load_generator::NoLoad;
use crate::tui::{Dashboard, Exit, Recording, Tape};

/// A recording to make or to show.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TapeArgs {
    /// Record what the sources say into a new file, to be shown later
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replay", "once"])]
    record: Option<PathBuf>,
    /// Show a recording, read-only and without asking anybody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ops_url", "ops_addr", "api_addr"])]
    replay: Option<PathBuf>,
}

impl TapeArgs {
    /// The recording to show, read and checked.
    ///
    /// # Errors
    /// What is wrong with it and where.
    pub(super) fn replay(&self) -> Result<Option<Tape>, String> {
        let read = self.replay.as_deref().map(Tape::read).transpose();
        read.map_err(|why| format!("--replay: {why}"))
    }

    /// The file to record to, created.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn record(&self) -> Result<Option<Recording>, String> {
        let created = self.record.as_deref().map(Recording::create).transpose();
        created.map_err(|why| format!("--record: {why}"))
    }
}

/// Shows a recording; no server is looked for or started, and what was done here is not part of it.
pub(super) async fn show(
    args: &TuiArgs,
    tape: Tape,
    dashboard: Option<Arc<Dashboard>>,
) -> anyhow::Result<ExitCode> {
    let nobody = (None, Credentials::default());
    let mut options = options(args, Path::new("."), OPS_ADDR.to_string(), nobody, None);
    options.audit_log = None;
    options.replay = Some(tape);
    options.dashboard = dashboard;
    let load = Arc::new(NoLoad);
    if args.once {
        return once(&options, load.as_ref()).await;
    }
    Ok(match crate::tui::run(options, load).await? {
        Exit::Signal(number) => ExitCode::from(128 + number),
        Exit::Asked | Exit::ServerEnded(_) => ExitCode::SUCCESS,
    })
}
