//! A session is recorded, and played later without any source.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::fake_sources::{Fake, demo};
use crate::terminal::Console;

fn replay(file: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concertctl"));
    command
        .args(["tui", "--once", "--replay"])
        .arg(file)
        .args(more);
    command.env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).output().unwrap()
}

fn printed(file: &Path, screen: &str) -> String {
    let output = replay(file, &["--screen", screen]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    text
}

fn refused(file: &Path) -> String {
    let output = replay(file, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn recorded(fake: Fake) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sale.jsonl");
    let path = file.to_str().unwrap();
    let mut console = Console::start(&fake.url(), &["--record", path]);
    console.see("REC 0.");
    console.see("42 /s");
    fake.facts.lock().tps = 1_234.0;
    console.see("1,234 /s");
    console.press("q");
    console.ended_with_the_terminal_restored();
    let target = fake.addr.to_string();
    // The replay has no sources, because they have ended.
    drop(fake);

    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "logs may hold personal data");
    let overview = printed(&file, "overview");
    assert!(overview.starts_with(" REPLAY end"), "{overview}");
    assert!(overview.contains("1,234 /s"), "{overview}");
    assert!(
        overview.contains(&format!("recorded at {target}")),
        "{overview}"
    );
    let logs = printed(&file, "logs");
    assert!(
        logs.contains("first words"),
        "a recording has the data of every screen: {logs}"
    );

    let mut console = Console::run(&["--replay", path], &[], (80, 24));
    console.see("REPLAY 1x");
    console.press("s");
    console.see("read-only: cannot seed a dataset");
    console.press("}");
    console.see("REPLAY 2x");
    console.see("1,234 /s");
    console.see("REPLAY end");
    console.press("q");
    let (status, _) = console.ended_with_the_terminal_restored();
    assert!(status.success());

    let again = Command::new(env!("CARGO_BIN_EXE_concertctl"))
        .args(["tui", "--once", "--replay", path, "--record", path])
        .output();
    assert_eq!(
        again.unwrap().status.code(),
        Some(2),
        "--record and --replay exclude each other"
    );
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 7]).unwrap();
    let cut = printed(&file, "overview");
    assert!(
        cut.starts_with(" REPLAY end") && cut.contains("42 /s") || cut.contains("1,234 /s"),
        "{cut}"
    );
    std::fs::write(&file, "hello\n").unwrap();
    let error = refused(&file);
    assert!(error.contains("line 1: this is not a recording"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_played_without_a_server_and_a_broken_file_is_reported() {
    let fake = Fake::start().await;
    fake.facts.lock().dataset = Some(demo());
    let at = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    let line = r#"{"level":"WARN","message":"first words"}"#;
    fake.facts.lock().lines.push((at, line.into()));
    let blocking = tokio::task::spawn_blocking(move || recorded(fake));
    blocking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_file_is_not_overwritten_by_a_recording() {
    let fake = Fake::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sale.jsonl");
    std::fs::write(&file, "precious").unwrap();
    let path = file.to_str().unwrap().to_owned();
    let run = move || {
        let console = Console::start(&fake.url(), &["--record", &path]);
        console.ended_with_the_terminal_restored()
    };
    let (status, error) = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(status.exit_code(), 1);
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}
