//! Faults that begin and end by the user's own commands.

use super::{drill, run, stderr};
use crate::support::eventually;

#[test]
fn a_command_is_run_only_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill(
        "{ kind: command, run: 'true', undo: 'true', for: 2s }",
        "{ recovered: 30s }",
    );
    let (output, _) = run(dir.path(), &text, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("--allow-commands"),
        "{}",
        stderr(&output)
    );
    let (output, _) = run(dir.path(), &text, &["--allow-commands"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_command_that_fails_is_inconclusive_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    let undone = dir.path().join("undone");
    let text = drill(
        &format!(
            "{{ kind: command, run: 'exit 7', undo: 'touch {}', for: 2s }}",
            undone.display()
        ),
        "{ recovered: 30s }",
    );
    let (output, reports) = run(dir.path(), &text, &["--allow-commands"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let reason = reports[0]["reasons"].to_string();
    assert!(reason.contains("exit status: 7"), "{reason}");
    assert!(undone.exists());
}

#[test]
fn a_command_that_hangs_is_killed_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    let undone = dir.path().join("undone");
    let text = drill(
        &format!(
            "{{ kind: command, run: 'exec sleep 600', undo: 'touch {}', for: 2s }}",
            undone.display()
        ),
        "{ recovered: 30s }",
    );
    let (output, reports) = run(dir.path(), &text, &["--allow-commands"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let reason = reports[0]["reasons"].to_string();
    assert!(reason.contains("did not end within 8 s"), "{reason}");
    assert!(undone.exists());
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let id = dir.path().join("id");
    // The command must not write to the drill's standard error, because this test reads that to its end.
    let text = drill(
        &format!(
            "{{ kind: command, run: 'sleep 600 2>/dev/null & echo $! >{}; wait', undo: 'true', for: 2s }}",
            id.display()
        ),
        "{ recovered: 30s }",
    );
    let (output, reports) = run(dir.path(), &text, &["--allow-commands"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let reason = reports[0]["reasons"].to_string();
    assert!(reason.contains("did not end within 8 s"), "{reason}");
    let id = std::fs::read_to_string(id).unwrap();
    // A process that has ended has no command line, even if its parent has not waited for it yet.
    let line = format!("/proc/{}/cmdline", id.trim());
    eventually("what it started is killed", || async {
        let line = std::fs::read_to_string(&line).unwrap_or_default();
        (!line.contains("sleep")).then_some(())
    })
    .await;
}
