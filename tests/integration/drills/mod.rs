//! `concertctl drill` as users run it: it starts a server, makes real traffic, injects real faults, and exits with a
//! code for the verdict.

mod commands;
mod endless;
mod judged;
mod killed;
mod on_server;
mod refused;
mod scenario_faults;
mod stopped;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::process::concertctl;

/// A short drill, even on a busy machine, with the fault `fault` and these expectations.
pub(super) fn drill(fault: &str, expect: &str) -> String {
    format!(
        "title: A test\nload: onsale-short\nhost_busy: 1\n\
         may_fire: [ServerDown, DatabaseUnreachable, QueueStalled, SlowBuying, SlowStatements, ConnectionWaitHigh, HostCpuBusy, HostLoadHigh]\n\
         set: {{ admission.batch: 10, admission.every: 1s, limits.duration: 3m, generator.lag_p99: 60s }}\n\
         hypothesis: {{ buying.p95: 20s, buying.error_rate: 0.001, for: 2s }}\n\
         injects:\n  - at: 1s\n    fault: {fault}\n    cause: {{ component: c, mechanism: m }}\n    expect: {expect}\n"
    )
}

pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = concertctl();
    command.arg("drill").args(args).env("TMPDIR", dir);
    command.env("CONCERTCTL_DATA_DIR", dir.join("data"));
    command
}

fn run(dir: &Path, text: &str, more: &[&str]) -> (Output, Value) {
    let (file, json) = (dir.join("drill.yaml"), dir.join("report.json"));
    std::fs::write(&file, text).unwrap();
    let (file, json) = (file.to_str().unwrap(), json.to_str().unwrap());
    let output = command(dir, &[&[file, "--report", json], more].concat())
        .output()
        .unwrap();
    let document = std::fs::read(json).map(|bytes| serde_json::from_slice(&bytes).unwrap());
    let document: Value = document.unwrap_or_default();
    (output, document["drills"].clone())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The number of data directories that drills left in `dir`.
fn left_behind(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("concertctl-drill-"))
        .count()
}
