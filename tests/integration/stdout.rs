//! Every command with a standard output that cannot be written, and with a reader that has closed its end.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::fake_sources::{Fake, TOKEN, demo};
use crate::support::process::{Ended, ServerProcess, concertctl, finish, run};

/// Every command that prints and ends. The test replaces `OPS`, `API` and `SUMMARY`.
const PRINTING: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["help"],
    &["serve", "--help"],
    &["seed", "--help"],
    &["backup", "--help"],
    &["restore", "--help"],
    &["health", "API"],
    &["fault", "list", "--target", "OPS"],
    &["fault", "clear", "--target", "OPS"],
    &[
        "fault", "latency", "--delay", "1ms", "--for", "1s", "--target", "OPS",
    ],
    &[
        "fault", "errors", "--share", "0", "--for", "1s", "--target", "OPS",
    ],
    &[
        "fault",
        "slow-statement",
        "--delay",
        "1ms",
        "--for",
        "1s",
        "--target",
        "OPS",
    ],
    &[
        "fault",
        "pool-exhaustion",
        "--connections",
        "1",
        "--for",
        "1s",
        "--target",
        "OPS",
    ],
    &["fault", "redis-cut", "--help"],
    &["fault", "telemetry-gone", "--for", "1s", "--target", "OPS"],
    &["fault", "disk-full", "--for", "1s", "--target", "OPS"],
    &[
        "fault",
        "clock-step",
        "--seconds=-1",
        "--for",
        "1s",
        "--target",
        "OPS",
    ],
    &["fault", "fire-alarm", "--for", "1s", "--target", "OPS"],
    &["drill", "--list"],
    &["drill", "--schema"],
    &["drill", "--print", "quiet"],
    &["drill", "quiet", "--plan"],
    &["drill", "--report-schema"],
    &["drill", "fire-alarm", "--help"],
    &["seed", "--print-profile", "demo"],
    &["seed", "--profile-schema"],
    &["completions", "bash"],
    &["completions", "zsh"],
    &["completions", "fish"],
    &["man"],
    &["man", "load"],
    &["man", "fault", "errors"],
    &["load", "--list"],
    &["load", "--plan"],
    &["load", "quiet", "--plan"],
    &["load", "--print-scenario", "onsale"],
    &["load", "--scenario-schema"],
    &["load", "--summary-schema"],
    &["load", "merge", "SUMMARY"],
    &["load", "merge", "SUMMARY", "--json"],
    &["load", "merge", "SUMMARY", "--html", "-"],
    &["tui", "--help"],
    &["tui", "--once", "--ops-url", "FAKE"],
];

/// The commands that `help` lists below `parent`.
async fn commands(parent: &[&str]) -> BTreeSet<String> {
    let help = run(&[parent, &["--help"]].concat()).await.stdout;
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn the_table_names_every_command() {
    for parent in [&[][..], &["fault"], &["load"], &["drill"]] {
        let known = commands(parent).await;
        assert!(known.len() >= 2, "{parent:?}: {known:?}");
        for name in known
            .iter()
            .filter(|name| parent.is_empty() || *name != "help")
        {
            let wanted = [parent, &[name.as_str()]].concat();
            assert!(
                PRINTING.iter().any(|args| args.starts_with(&wanted)),
                "no line for {wanted:?}"
            );
        }
    }
}

/// Runs a check for each line of the table, with a server, fake sources and a summary.
async fn each(mut check: impl AsyncFnMut(&[String], Command)) {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    let fake = Fake::start().await;
    fake.facts.lock().dataset = Some(demo());
    let summary = dir.path().join("summary.json");
    write_summary(&summary).await;
    for args in PRINTING {
        let filled = args.iter().map(|arg| match *arg {
            "OPS" => server.ops_url.clone(),
            "API" => server.api.clone(),
            "FAKE" => fake.url(),
            "SUMMARY" => summary.display().to_string(),
            arg => arg.to_owned(),
        });
        let filled: Vec<String> = filled.collect();
        let mut command = concertctl();
        let token = match args[0] {
            "tui" => TOKEN.to_owned(),
            _ => crate::support::token_of(dir.path()),
        };
        command.args(&filled).env("CONCERTCTL_OPS_TOKEN", token);
        command.env("RUST_BACKTRACE", "0");
        check(&filled, command).await;
    }
}

async fn write_summary(path: &std::path::Path) {
    let mut command = crate::support::process::small_rehearsal();
    command.arg("--out").arg(path);
    assert!(finish(command).await.code.is_some());
    assert!(path.exists());
}

/// Runs a command with this standard output to its end.
async fn with_stdout(mut command: Command, stdout: impl Into<Stdio>) -> Ended {
    let stderr = tempfile::NamedTempFile::new().unwrap();
    command.stdout(stdout).stderr(stderr.reopen().unwrap());
    let mut child = crate::support::process::Guard(command.spawn().unwrap());
    // Drop the command, because its copy of the pipe would keep the pipe open.
    drop(command);
    let status = crate::support::eventually("the program ends", || {
        let ended = child.0.try_wait().unwrap();
        async move { ended }
    })
    .await;
    Ended {
        code: status.code(),
        stdout: String::new(),
        stderr: std::fs::read_to_string(stderr.path()).unwrap(),
    }
}

#[tokio::test]
async fn every_command_fails_if_its_output_cannot_be_written() {
    each(async |args, command| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = with_stdout(command, full).await;
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(
            ended.stderr.contains("No space left"),
            "{args:?}: {ended:?}"
        );
        assert!(!ended.stderr.contains("panicked"), "{args:?}: {ended:?}");
    })
    .await;
}

#[tokio::test]
async fn every_command_succeeds_quietly_on_a_closed_pipe() {
    each(async |args, command| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = with_stdout(command, writer).await;
        // The server has no dataset, so `health` exits with 1.
        let expected = if args[0] == "health" { 1 } else { 0 };
        // The exit code of `merge` depends on the verdict.
        let merge = args.get(1).is_some_and(|arg| arg == "merge");
        let fine = ended.code == Some(expected) || merge && ended.code != Some(1);
        assert!(fine && ended.code != Some(101), "{args:?}: {ended:?}");
        assert_eq!(ended.stderr, "", "{args:?}");
    })
    .await;
}

#[tokio::test]
async fn a_run_fails_if_its_report_is_lost_and_prints_it_if_its_file_is_lost() {
    let mut command = crate::support::process::small_rehearsal();
    let full = File::options().write(true).open("/dev/full").unwrap();
    command.env_remove("NO_COLOR");
    let ended = with_stdout(command, full).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("the verdict was"), "{ended:?}");

    let mut command = crate::support::process::small_rehearsal();
    let dir = tempfile::tempdir().unwrap();
    let Some(device) = crate::support::process::full_device(dir.path()) else {
        return;
    };
    command.arg("--out").arg(&device);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("/full could not be written: No space left"),
        "{ended:?}"
    );
    let shown: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(shown["verdict"].is_string());
}

#[tokio::test]
async fn a_server_with_a_full_or_closed_standard_output_serves_and_counts_lost_lines() {
    for full in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = concertctl();
        let stdout: Stdio = match full {
            true => File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into(),
            false => std::io::pipe().unwrap().1.into(),
        };
        let server = ServerProcess::with_stdout(
            {
                command.env("RUST_BACKTRACE", "0");
                command
            },
            dir.path(),
            &["--log", "debug"],
            stdout,
        )
        .await;
        let dropped = crate::support::eventually("losses are counted", || async {
            let text = crate::support::User::new(&server.ops_url, 0)
                .get("/metrics")
                .await
                .text;
            let line = text
                .lines()
                .find(|line| line.starts_with("concert_log_dropped_total"));
            line.filter(|line| !line.ends_with(" 0"))
                .map(ToOwned::to_owned)
        })
        .await;
        assert!(!dropped.is_empty());
        server.terminate();
        assert!(server.exited().await.success());
    }
}

#[tokio::test]
async fn progress_on_standard_output_is_json_lines_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let stderr = tempfile::NamedTempFile::new().unwrap();
    let mut command = concertctl();
    command.args(["drill", "--suite", "--progress", "-"]);
    command.env("TMPDIR", dir.path());
    command.env("CONCERTCTL_DATA_DIR", dir.path().join("data"));
    command.stdout(Stdio::piped());
    command.stderr(stderr.reopen().unwrap());
    let mut child = crate::support::process::Guard(command.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let read = tokio::task::spawn_blocking(move || {
        let first = lines.next().unwrap().unwrap();
        // The suite ends after this drill, with its matrix.
        rustix::process::kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
        let rest = lines.map(Result::unwrap);
        let all: Vec<String> = std::iter::once(first).chain(rest).collect();
        (all, child.0.wait().unwrap().code())
    });
    let (lines, code) = read.await.unwrap();
    assert_eq!(code, Some(3), "{lines:#?}");
    for line in lines {
        let parsed = serde_json::from_str::<serde_json::Value>(&line);
        assert!(parsed.is_ok(), "{line}");
    }
    let text = std::fs::read_to_string(stderr.path()).unwrap();
    assert!(text.contains("1 drills: 1 inconclusive"), "{text}");
}

#[test]
fn only_these_files_write_to_standard_output() {
    const ALLOWED: &[&str] = &[
        "cli/stdout.rs",
        // The guard writes events over a pipe to the drill that started it.
        "drill/guard.rs",
        "tui/terminal.rs",
        "telemetry/logs/writer.rs",
    ];
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut wrong = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&src).unwrap().display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("io::stdout()") && !ALLOWED.contains(&name.as_str()) {
                wrong.push(name);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these files must print through cli::stdout: {wrong:?}"
    );
}
