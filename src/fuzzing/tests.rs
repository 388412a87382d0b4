//! The bounded pass over every fuzz target, as an ordinary test: the whole corpus in `fuzz/corpus`, then inputs that a
//! fixed seed makes from it. `cargo fuzz` runs the same targets without a bound (docs/fuzzing.md). A new target needs
//! an entry in `TARGETS`, a line in `passes!` below, and a folder in the corpus.

use std::path::{Path, PathBuf};

use super::mutate::Mutator;
use super::{TARGETS, find, remove_files};

/// The number of mutated inputs for each target.
const MUTATED: usize = 400;
const SEED: u64 = 20_260_601;
/// The largest size of the whole corpus, in bytes, so that the repository stays small.
const MAX_CORPUS: usize = 300 << 10;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

/// The inputs of a target by the names of their files, in order.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder(target)).unwrap();
    let mut found: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// Prints the name and the input if the target panics, and then removes the files of the service, which a panic would
/// leave.
struct Guard(String, Vec<u8>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} panicked on {}", self.0, self.1.escape_ascii());
            remove_files();
        }
    }
}

/// Runs the target over its corpus, then over the mutated inputs. A panic of the target fails the test.
fn pass(name: &str) {
    let target = find(name).unwrap();
    let corpus = corpus(name);
    for (file, input) in &corpus {
        let _guard = Guard(format!("{name}: the file {file}"), input.clone());
        (target.run)(input);
    }
    let inputs: Vec<_> = corpus.into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(SEED);
    for nth in 0..MUTATED {
        let input = mutator.input(&inputs);
        let _guard = Guard(format!("{name}: seed {SEED}, input {nth}"), input.clone());
        (target.run)(&input);
    }
}

macro_rules! passes {
    ($($test:ident $name:literal,)*) => {
        $(#[test]
        fn $test() {
            pass($name);
        })*

        #[test]
        fn every_target_is_passed() {
            let targets: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(targets, [$($name),*]);
        }
    };
}

passes! {
    alerts_pass "alerts",
    answers_pass "answers",
    dashboards_pass "dashboards",
    exposition_passes "exposition",
    logql_passes "logql",
    logql_stages_pass "logql-stages",
    ops_passes "ops",
    profiles_pass "profiles",
    promql_passes "promql",
    recordings_pass "recordings",
    requests_pass "requests",
    rules_pass "rules",
    scenarios_pass "scenarios",
    summaries_pass "summaries",
    templates_pass "templates",
    texts_pass "texts",
    tokens_pass "tokens",
    traceql_passes "traceql",
}

#[test]
fn the_corpus_is_small_and_every_target_has_inputs() {
    let mut bytes = 0;
    for target in TARGETS {
        let inputs = corpus(target.name);
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        bytes += inputs.iter().map(|(_, input)| input.len()).sum::<usize>();
    }
    assert!(bytes <= MAX_CORPUS, "the corpus has {bytes} bytes");
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let corpus = [b"one".to_vec(), b"two".to_vec()];
    let make = || {
        let mut mutator = Mutator::new(SEED);
        let inputs = (0..100).map(|_| mutator.input(&corpus));
        inputs.collect::<Vec<_>>()
    };
    assert_eq!(make(), make());
    assert!(make().iter().any(|input| !corpus.contains(input)));
}
