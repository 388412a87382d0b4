//! Keeps the newest rehearsals in the directory, so that they cannot fill the disk.

use std::path::Path;
use std::{fs, io};

/// Removes the files of all rehearsals in `dir` except the `keep` newest. Files with other names than the console's
/// stay.
///
/// # Errors
/// The directory cannot be read, or a file in it cannot be removed.
pub(super) fn keep_newest(dir: &Path, keep: usize) -> io::Result<()> {
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

/// The time at the end of `SCENARIO-2026-11-23T04-05-06.json`.
fn started_at(path: &Path) -> Option<String> {
    const SHAPE: &[u8] = b"0000-00-00T00-00-00";
    let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let at = stem.len().checked_sub(SHAPE.len() + 1)?;
    let time = stem.get(at..)?.strip_prefix('-')?;
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == *shape,
    };
    let all = time.bytes().zip(SHAPE).all(fits);
    all.then(|| time.to_owned())
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
