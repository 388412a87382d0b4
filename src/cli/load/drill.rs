//! `load` with the name of a drill does the same as `concertctl drill`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;

use super::{Failure, LoadArgs};
use crate::cli::drill::{self, DrillArgs};
use crate::drill::file::{Drill, shipped};
use crate::load::scenario::builtins;
use crate::yaml;

/// The command line of a drill.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(flatten)]
    drill: DrillArgs,
}

/// The fields that only drills have. A drill file may lack one of them by mistake.
const ONLY_DRILLS: [&str; 3] = ["load", "injects", "hypothesis"];

/// Returns whether `name` is a shipped drill, or the path of a drill file.
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
    fields.is_ok_and(|(fields, _)| ONLY_DRILLS.iter().any(|it| fields.contains_key(*it)))
}

/// Runs the drill, or prints its plan.
pub(super) async fn run(args: &LoadArgs) -> Result<ExitCode, Failure> {
    let name = &args.scenario;
    if let Some(flag) = other_flags(args).first() {
        return Err(Failure::usage(format!(
            "{name} is a drill, to which {flag} does not apply; `concertctl drill --help` lists the flags of drills"
        )));
    }
    let drill = Drill::load(name).map_err(|error| Failure::usage(error.to_string()))?;
    if drill.runs_commands() {
        return Err(Failure::usage(format!(
            "{name} is a drill that runs commands of its file, which `concertctl load` cannot allow: read them, and run `concertctl drill {name} --allow-commands`"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct LoadLine {
        #[command(flatten)]
        load: LoadArgs,
    }

    /// The message of `load FILE` for a file with this text.
    async fn refusal(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.yaml");
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        assert!(is_one(&path), "{text}");
        let line = LoadLine::try_parse_from(["load", &path]).unwrap();
        let failure = run(&line.load).await.unwrap_err();
        assert_eq!(failure.code, 2);
        failure.message.replace(&path, "mine.yaml")
    }

    #[tokio::test]
    async fn a_drill_that_load_cannot_run_is_refused_in_the_words_of_the_user() {
        let inject = "injects:\n  - at: 1s\n    fault: { kind: command, run: 'true', undo: 'true', for: 5s }\n    \
                      cause: { component: c, mechanism: m }\n    expect: { recovered: 5s }\n";
        let commands = refusal(&format!("title: T\nload: onsale-short\n{inject}")).await;
        assert!(
            commands.contains("`concertctl drill mine.yaml --allow-commands`"),
            "{commands}"
        );
        let no_load = refusal(&format!("title: T\n{inject}")).await;
        assert!(no_load.starts_with("mine.yaml:"), "{no_load}");
        assert!(
            no_load.contains("load: is missing: write `load: …`"),
            "{no_load}"
        );
    }
}
