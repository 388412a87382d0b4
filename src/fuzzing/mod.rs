//! Fuzz targets: every parser of outside input behind a `fn(&[u8])`.
//!
//! They are compiled only for tests and for cargo-fuzz. `scripts/fuzz` runs a target under libFuzzer. The test suite
//! replays `fuzz/corpus` and a fixed number of mutated inputs (`tests`). A target panics when the program breaks a
//! promise: no input makes it panic, it can read its own output, two ways to the same answer agree, and its answer is
//! bounded. Bounds are counts and never times.

mod alerts;
mod answers;
mod console;
mod inputs;
mod logql;
mod promql;
mod reports;
mod requests;
mod rules;
mod scenarios;
mod texts;
mod tokens;
mod traceql;

#[cfg(test)]
mod mutate;
#[cfg(test)]
mod tests;

/// The targets `ops` and `requests` start a service that writes files. Tests call this function to remove them.
pub use requests::remove_files;

/// One parser, or a family of parsers that share an input format.
#[derive(Debug)]
pub struct Target {
    /// The name on the command line and of the folder below `fuzz/corpus`.
    pub name: &'static str,
    /// Feeds one input. Panics when a promise is broken.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("alerts", alerts::run),
    target("answers", answers::run),
    target("dashboards", console::dashboard),
    target("exposition", promql::exposition),
    target("logql", logql::query),
    target("logql-stages", logql::stages),
    target("ops", requests::ops),
    target("profiles", scenarios::profile),
    target("promql", promql::query),
    target("recordings", console::recording),
    target("requests", requests::public),
    target("rules", rules::file),
    target("scenarios", scenarios::scenario),
    target("summaries", reports::summary),
    target("templates", rules::template),
    target("texts", texts::run),
    target("tokens", tokens::run),
    target("traceql", traceql::run),
];

/// The target of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
