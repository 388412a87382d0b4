//! `load` with the name of a drill does the same as `concertctl drill`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;

use super::{Failure, LoadArgs};
use crate::cli::drill::{self, DrillArgs};
use crate::drill::file::shipped;
use crate::load::scenario::builtins;
use crate::yaml;

/// The command line of a drill.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(flatten)]
    drill: DrillArgs,
}

/// Returns whether `name` is a shipped drill, or the path of a drill file. No scenario has the field `load`.
pub(super) fn is_one(name: &str) -> bool {
    if builtins().iter().any(|known| known.name == name) {
        return false;
    }
    if shipped().iter().any(|(known, _)| *known == name) {
        return true;
    }
    let Ok(text) = yaml::read_file(Path::new(name), yaml::SMALL) else {
        return false;
    };
    let lacking = |_: &str, missing: &str| missing.to_owned();
    let fields = yaml::parse::<BTreeMap<String, Value>>(name, &text, yaml::SMALL, lacking);
    fields.is_ok_and(|(fields, _)| fields.contains_key("load"))
}

/// Runs the drill, or prints its plan.
pub(super) async fn run(args: &LoadArgs) -> Result<ExitCode, Failure> {
    let name = &args.scenario;
    if let Some(flag) = other_flags(args).first() {
        return Err(Failure::usage(format!(
            "{name} is a drill, to which {flag} does not apply; `concertctl drill --help` lists the flags of drills"
        )));
    }
    let mut line = vec![name.clone()];
    if args.plan {
        line.push("--plan".to_owned());
    }
    if let Some(dir) = &args.data_dir {
        line.extend(["--data-dir".to_owned(), dir.display().to_string()]);
    }
    let line = Line::try_parse_from(line);
    let line = line.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(drill::run(line.drill, false).await)
}

/// The flags of `load` that were given and that a drill does not have.
fn other_flags(args: &LoadArgs) -> Vec<&'static str> {
    let output = &args.output;
    let given = [
        ("--phase", args.phase.is_some()),
        ("--set", !args.set.is_empty()),
        ("--shard", args.shard.is_some()),
        ("--metrics-addr", args.metrics_addr.is_some()),
        ("--otlp", args.otlp.is_some()),
        ("--target", !args.target.is_empty()),
        ("--ops-token-file", args.ops_token_file.is_some()),
        ("--embedded", args.embedded),
        ("--allow-target", !args.allow_target.is_empty()),
        ("--reseed", args.reseed),
        ("--out", output.out.is_some()),
        ("--html", output.html.is_some()),
        ("--json", output.json),
        ("--baseline", output.baseline.is_some()),
    ];
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    given.map(|(flag, _)| flag).collect()
}
