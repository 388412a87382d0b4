//! Fuzz targets `scenarios` (scenario files with `--set` overrides) and `profiles` (dataset profiles).

use crate::load::{Scenario, plan};
use crate::seeding::Profile;

use super::inputs::text;
use super::rules::check_error_position;

/// A line of the input with this prefix is an override, not a part of the file.
const SET: &str = "--set ";

/// The capacity estimate of a valid scenario must have a bounded number of lines, and the scenario must be equal after
/// it is written and read again.
pub(super) fn scenario(data: &[u8]) {
    let text = text(data);
    let overrides: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix(SET))
        .map(str::to_owned)
        .collect();
    let kept = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(SET));
    let file: String = kept.collect();
    let scenario = match Scenario::parse("a.yaml", &file, &overrides) {
        Ok(scenario) => scenario,
        Err(error) => return check_error_position(&file, &error),
    };
    assert!(
        plan::estimate(&scenario).len() < 1_000,
        "the estimate is too long"
    );
    assert!(scenario.everybody() >= u64::from(scenario.users));
    // JSON is YAML.
    let written = serde_json::to_string(&scenario).expect("a scenario can be written");
    let read = Scenario::parse("a.yaml", &written, &[]);
    let read = read.unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(read, scenario, "written {written}");
}

/// A valid profile must have a bounded number of rows, and must be equal after it is written and read again.
pub(super) fn profile(data: &[u8]) {
    let text = text(data);
    let profile = match Profile::parse("a.yaml", text) {
        Ok(profile) => profile,
        Err(error) => return check_error_position(text, &error),
    };
    assert!(profile.rows() <= 1_000_000_000, "{} rows", profile.rows());
    let written = serde_json::to_string(&profile).expect("a profile can be written");
    let read = Profile::parse("a.yaml", &written);
    assert_eq!(read.as_ref(), Ok(&profile), "written {written}");
}
