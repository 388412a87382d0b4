//! `drill --progress`: the progress of a drill as JSON lines, for the console and for scripts.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::stdout;
use crate::drill::progress::{Line, Progress};
use crate::drill::report::Report;
use crate::files;

/// The shortest time between two lines of progress.
const INTERVAL: Duration = Duration::from_millis(250);
/// The most bytes of progress of one drill. Further progress is not written, but its report is.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The destination of the progress. Clones share it.
#[derive(Clone)]
pub(super) struct ProgressOutput(Arc<Mutex<Lines>>);

struct Lines {
    out: Box<dyn Write + Send>,
    /// Bytes since the last report.
    written: u64,
}

impl ProgressOutput {
    /// Writes to the file `path`, or to standard output.
    ///
    /// # Errors
    /// The file cannot be written; the message says why.
    pub(super) fn to(path: &Path) -> Result<ProgressOutput, String> {
        let out: Box<dyn Write + Send> = match files::is_stdout(path) {
            true => Box::new(stdout::stream()),
            false => Box::new(File::create(path).map_err(|error| {
                format!("--progress {} cannot be written: {error}", path.display())
            })?),
        };
        let lines = Lines { out, written: 0 };
        Ok(ProgressOutput(Arc::new(Mutex::new(lines))))
    }

    /// Writes the progress until its reader is gone, and then cancels `stop`, because the process that started the
    /// drill is gone too.
    pub(super) async fn follow(
        self,
        mut progress: watch::Receiver<Progress>,
        stop: CancellationToken,
    ) {
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            if self.write(&Line::Progress(Box::new(now))).is_err() {
                stop.cancel();
                return;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Writes the report, unless the reader is gone.
    pub(super) fn report(&self, report: &Report) {
        let mut lines = self.0.lock();
        lines.written = 0;
        drop(lines);
        drop(self.write(&Line::Report(Box::new(report.clone()))));
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        let text = serde_json::to_string(line)? + "\n";
        let mut lines = self.0.lock();
        if lines.written > MAX_BYTES {
            return Ok(());
        }
        lines.written += text.len() as u64;
        lines.out.write_all(text.as_bytes())?;
        lines.out.flush()
    }
}
