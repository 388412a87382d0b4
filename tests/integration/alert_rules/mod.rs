//! The alert rules, their tests, and the runbooks.

mod metrics;
mod structure;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{on_path, skipped};

const RULES: &str = "otel/prometheus/alerts.yml";
const TESTS: &str = "otel/prometheus/tests";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Every rule of every group.
fn rules() -> Vec<Value> {
    let file = yaml(RULES);
    let rules = items(&file["groups"]).flat_map(|group| items(&group["rules"]));
    rules.cloned().collect()
}

/// The rules that alert, with their names.
fn alerts() -> Vec<(String, Value)> {
    let named = |rule: Value| Some((rule["alert"].as_str()?.to_owned(), rule));
    rules().into_iter().filter_map(named).collect()
}

/// The names of the files in a folder with this extension, without it.
fn names_in(folder: &str, end: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(path(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let stems = names.filter_map(|name| Some(name.strip_suffix(end)?.to_owned()));
    stems.collect()
}

/// Runs a tool over a file of the repository. Returns whether the tool accepts the file. The test runner bounds the
/// time.
fn accepts(program: &'static str, args: &[&str], file: &str) -> bool {
    if on_path(program).is_none() {
        return skipped(program);
    }
    let ended = Command::new(program).args(args).arg(path(file)).output();
    let ended = ended.unwrap();
    let output = [ended.stdout, ended.stderr].concat();
    println!("{program} {file}: {}", String::from_utf8_lossy(&output));
    ended.status.success()
}

#[test]
fn promtool_accepts_the_rules() {
    assert!(accepts("promtool", &["check", "rules"], RULES));
}

#[test]
fn amtool_accepts_the_configuration_of_alertmanager() {
    let file = "otel/alertmanager/alertmanager.yml";
    assert!(accepts("amtool", &["check-config"], file));
}

/// One test for each file of rule tests, so that they run in parallel.
macro_rules! rule_tests {
    ($($file:ident),*) => {
        $(#[test]
        fn $file() {
            let file = format!("{TESTS}/{}.yml", stringify!($file));
            assert!(accepts("promtool", &["test", "rules"], &file));
        })*

        #[test]
        fn every_file_of_rule_tests_is_run() {
            let run = [$(stringify!($file)),*].map(ToOwned::to_owned);
            assert_eq!(names_in(TESTS, ".yml"), BTreeSet::from(run));
        }
    };
}

rule_tests!(
    buying, database, every_5s, healthy, host, queue, redis, servers
);
