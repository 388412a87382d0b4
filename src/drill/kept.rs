//! The reports of earlier drills: one JSON file each, the newest of them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::report::Report;
use crate::files::{self, Access, newest};

/// The directory's name in the data directory.
pub const DIR_NAME: &str = "drills";
/// The number of reports that are kept.
const KEPT: usize = 100;
/// The largest report that is read, in bytes. A report of ten minutes has some ten thousand.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Writes a report into `dir`, and removes the oldest reports beyond the number that is kept.
///
/// # Errors
/// The directory or the file cannot be written.
pub fn keep(dir: &Path, report: &Report) -> io::Result<PathBuf> {
    files::create_private_dir(dir)?;
    let path = dir.join(newest::result_name(&report.drill, &report.started_at));
    let json = serde_json::to_vec_pretty(report)?;
    files::replace(&path, &json, Access::Owner)?;
    newest::keep_newest(dir, KEPT)?;
    Ok(path)
}

/// The newest report of the drill called `name`, and its file; `None` if no report can be read.
#[must_use]
pub fn last(dir: &Path, name: &str) -> Option<(PathBuf, Report)> {
    let path = newest::newest(dir, name)?;
    let mut text = String::new();
    let file = File::open(&path).ok()?;
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    let report = serde_json::from_str(&text).ok()?;
    Some((path, report))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::verdict::Verdict;

    fn report(day: u32, verdict: Verdict) -> Report {
        Report {
            started_at: format!("2026-11-{day:02}T04:05:06Z"),
            verdict,
            faults: vec![(0.0, 10.0)],
            ..crate::drill::report::sample::passed("errors")
        }
    }

    #[test]
    fn the_newest_report_is_read_back_and_a_torn_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("drills");
        let failed = Verdict::Failed(vec!["late".to_owned()]);
        keep(&dir, &report(24, failed.clone())).unwrap();
        keep(&dir, &report(23, Verdict::Passed)).unwrap();
        let (path, found) = last(&dir, "errors").unwrap();
        assert_eq!((found.verdict, found.faults), (failed, vec![(0.0, 10.0)]));
        assert!(last(&dir, "latency").is_none());
        std::fs::write(path, "{\"drill\":").unwrap();
        assert!(last(&dir, "errors").is_none());
    }

    #[test]
    fn of_many_reports_the_newest_hundred_stay() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT + 5 {
            let report = Report {
                drill: format!("drill-{n}"),
                ..report(1, Verdict::Passed)
            };
            keep(dir.path(), &report).unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), KEPT);
    }
}
