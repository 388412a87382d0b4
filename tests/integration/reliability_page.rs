//! `docs/reliability.md` names tests that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The names of all test functions, in `tests` and in `src`.
fn functions() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("tests"), root.join("src")];
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                names.extend(tests_of(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    names
}

/// The names of functions with a test attribute, and the names that macros of contracts list.
fn tests_of(text: &str) -> Vec<String> {
    let name = |line: &str| -> Option<String> {
        let rest = line
            .trim()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(super) ");
        let rest = rest.trim_start_matches("async ").strip_prefix("fn ")?;
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        Some(rest[..length].to_owned())
    };
    text.lines().filter_map(name).collect()
}

/// The names in backticks in the last column of the rows of promises.
fn named(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let ticked = last.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    ticked.map(str::to_owned).collect()
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = include_str!("../../docs/reliability.md");
    let (named, there) = (named(page), functions());
    assert!(named.len() > 40, "the tables were read: {named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(*name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn a_name_that_is_not_a_test_is_reported() {
    let row = "| a promise with `code` | `a_test_that_is_not_there`, `another` |";
    assert_eq!(named(row), ["a_test_that_is_not_there", "another"]);
    let code = "    #[test]\n    pub(super) async fn one_that_is_there() {\n";
    assert_eq!(tests_of(code), ["one_that_is_there"]);
}
