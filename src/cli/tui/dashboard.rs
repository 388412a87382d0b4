//! `--dashboard FILE` reads a Grafana dashboard before the console uses the terminal.

use std::io::Read as _;
use std::path::Path;

use crate::tui::{Dashboard, MAX_DASHBOARD_BYTES};

/// Reads the dashboard of a file. The error names the mistake, its place, and the correction.
pub(super) fn read(path: &Path) -> Result<Dashboard, String> {
    let name = path.display();
    let unreadable = |why: String| format!("the dashboard {name} cannot be read: {why}");
    let about = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !about.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that the file is too long.
    let most = u64::try_from(MAX_DASHBOARD_BYTES).unwrap_or(u64::MAX);
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    let text =
        String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))?;
    Dashboard::read(&text).map_err(|error| format!("{name}: {error}; {}", error.advice()))
}
