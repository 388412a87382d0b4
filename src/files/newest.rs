//! Keeps the newest results in a directory, so that they cannot fill the disk.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The name of the result of `what` that began at `started_at` (RFC 3339, UTC):
/// `WHAT-2026-11-23T04-05-06.json`.
#[must_use]
pub fn result_name(what: &str, started_at: &str) -> String {
    let stamp = started_at.chars().take(SHAPE.len());
    let stamp: String = stamp.map(|c| if c == ':' { '-' } else { c }).collect();
    format!("{what}-{stamp}.json")
}

/// Removes all results in `dir` except the `keep` newest. Files whose names [`result_name`] does not give stay.
///
/// # Errors
/// The directory cannot be read, or a file in it cannot be removed.
pub fn keep_newest(dir: &Path, keep: usize) -> io::Result<()> {
    let mut summaries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(started_at) = started_at(&path) {
            summaries.push((started_at, path));
        }
    }
    summaries.sort();
    let surplus = summaries.len().saturating_sub(keep);
    for (_, summary) in &summaries[..surplus] {
        fs::remove_file(summary)?;
        match fs::remove_file(summary.with_extension("html")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The newest result of `what` in `dir`; `None`: there is none, or the directory cannot be read.
#[must_use]
pub fn newest(dir: &Path, what: &str) -> Option<PathBuf> {
    let paths = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    let of_this = paths.filter_map(|path| {
        let (name, time) = parts(&path)?;
        (name == what).then(|| (time.to_owned(), path.clone()))
    });
    of_this.max().map(|(_, path)| path)
}

/// The time at the end of `SCENARIO-2026-11-23T04-05-06.json`.
fn started_at(path: &Path) -> Option<String> {
    parts(path).map(|(_, time)| time.to_owned())
}

const SHAPE: &[u8] = b"0000-00-00T00-00-00";

/// Splits the name of a result into its subject and its start.
fn parts(path: &Path) -> Option<(&str, &str)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let at = stem.len().checked_sub(SHAPE.len() + 1)?;
    let (name, time) = stem.split_at_checked(at)?;
    let time = time.strip_prefix('-')?;
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == *shape,
    };
    let all = time.bytes().zip(SHAPE).all(fits);
    all.then_some((name, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let name =
            |path: std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut names: Vec<String> = paths.map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_result_of_one_thing_is_found_among_those_of_others() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(dir.path(), "errors"), None);
        for (what, at) in [
            ("errors", "2026-11-23T04:05:06.123Z"),
            ("errors", "2026-11-22T04:05:06Z"),
            ("errors-few", "2026-11-24T04:05:06Z"),
        ] {
            fs::write(dir.path().join(result_name(what, at)), "").unwrap();
        }
        fs::write(dir.path().join("errors-soon.json"), "").unwrap();
        let found = newest(dir.path(), "errors").unwrap();
        assert_eq!(found, dir.path().join("errors-2026-11-23T04-05-06.json"));
        assert_eq!(newest(&dir.path().join("none"), "errors"), None);
    }

    #[test]
    fn the_newest_rehearsals_stay_whatever_their_scenario_and_so_does_what_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "zebra-2026-11-23T04-05-06.json",
            "zebra-2026-11-23T04-05-06.html",
            "onsale-2026-11-24T04-05-06.json",
            "onsale-short-2026-11-25T04-05-06.json",
            "onsale-short-2026-11-25T04-05-06.html",
            "notes.json",
            "2026-11-23T04-05-06.json",
            "한국-2026-11-2.json",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        keep_newest(dir.path(), 2).unwrap();
        assert_eq!(
            names(dir.path()),
            [
                "2026-11-23T04-05-06.json",
                "notes.json",
                "onsale-2026-11-24T04-05-06.json",
                "onsale-short-2026-11-25T04-05-06.html",
                "onsale-short-2026-11-25T04-05-06.json",
                "한국-2026-11-2.json",
            ]
        );
    }
}
