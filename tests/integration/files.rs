//! Files that the program writes: a link, a device or a pipe stays one. The devices are private ones in a temporary
//! directory; without the right to make a device, that case is skipped.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::process::{Ended, ServerProcess, concertctl, finish, small_rehearsal};

fn made(program: &str, args: &[&str], dir: &Path) -> bool {
    let status = Command::new(program).args(args).current_dir(dir).status();
    status.unwrap().success()
}

/// Writes a summary with `merge`, which is the fastest command with `--out` and `--html`.
async fn merge(dir: &Path, args: &[&str]) -> Ended {
    let mut command = concertctl();
    command
        .args(["load", "merge", "summary.json"])
        .args(args)
        .current_dir(dir);
    finish(command).await
}

async fn dir_with_summary() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut command = small_rehearsal();
    command
        .args(["--out", "summary.json"])
        .current_dir(dir.path());
    let ended = finish(command).await;
    assert!(dir.path().join("summary.json").exists(), "{ended:?}");
    dir
}

fn is_summary(path: &Path) -> bool {
    let json: Option<Value> = serde_json::from_slice(&fs::read(path).unwrap()).ok();
    json.is_some_and(|json| json["verdict"].is_string())
}

#[tokio::test]
async fn links_devices_and_pipes_stay_and_get_the_report() {
    let dir = dir_with_summary().await;
    let at = |name: &str| dir.path().join(name);
    fs::write(at("target.json"), "old").unwrap();
    symlink("target.json", at("latest.json")).unwrap();
    symlink("new.json", at("dangling.json")).unwrap();
    merge(dir.path(), &["--out", "latest.json"]).await;
    merge(dir.path(), &["--out", "dangling.json"]).await;
    assert!(at("latest.json").is_symlink() && at("dangling.json").is_symlink());
    assert!(is_summary(&at("target.json")) && is_summary(&at("new.json")));

    if made("mknod", &["null", "c", "1", "3"], dir.path()) {
        merge(dir.path(), &["--out", "null", "--html", "null"]).await;
        assert!(
            fs::metadata(at("null"))
                .unwrap()
                .file_type()
                .is_char_device()
        );
    }

    assert!(made("mkfifo", &["pipe"], dir.path()));
    let pipe = at("pipe");
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let mut pipe = fs::File::open(pipe).unwrap();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let ended = merge(dir.path(), &["--out", "pipe"]).await;
    let text = reading.await.unwrap().unwrap();
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
    assert!(json["verdict"].is_string());
    assert!(fs::metadata(at("pipe")).unwrap().file_type().is_fifo());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert!(
        left.iter()
            .all(|one| !one.path().to_string_lossy().ends_with(".part"))
    );
}

#[tokio::test]
async fn a_pipe_without_a_reader_is_an_error_in_bounded_time_and_the_report_is_printed() {
    let dir = dir_with_summary().await;
    assert!(made("mkfifo", &["pipe"], dir.path()));
    let ended = merge(dir.path(), &["--out", "pipe"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("nothing reads this named pipe"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("verdict"), "{ended:?}");
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_refused_before_the_run() {
    let dir = dir_with_summary().await;
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    let cases = [
        ("socket", "is a socket"),
        ("loop", "leads back to itself"),
        (".", "is a directory"),
        ("no/such/file", "there is no directory"),
    ];
    for flag in ["--out", "--html"] {
        for (path, why) in cases {
            let ended = merge(dir.path(), &[flag, path]).await;
            ended.failed_with(2, &[flag, path, why]);
        }
    }
    symlink("both", dir.path().join("link")).unwrap();
    for html in ["both", "./both", "link"] {
        let ended = merge(dir.path(), &["--out", "both", "--html", html]).await;
        ended.failed_with(2, &["--out and --html lead to one file, both"]);
        assert!(!dir.path().join("both").exists());
    }
}

#[tokio::test]
async fn a_file_keeps_its_mode_and_its_owner() {
    let dir = dir_with_summary().await;
    let file = dir.path().join("report.html");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    // Only root can give the file to another user.
    let given = std::os::unix::fs::chown(&file, Some(12_345), Some(12_346)).is_ok();
    merge(dir.path(), &["--html", "report.html"]).await;
    let found = fs::metadata(&file).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o640);
    assert!(!given || (found.uid(), found.gid()) == (12_345, 12_346));
    assert!(fs::read_to_string(&file).unwrap().contains("<html"));
}

#[tokio::test]
async fn standard_output_takes_one_document_under_any_of_its_names() {
    let dir = dir_with_summary().await;
    for name in ["-", "/dev/stdout", "/proc/self/fd/1"] {
        let ended = merge(dir.path(), &["--out", name]).await;
        let json: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert!(json["verdict"].is_string(), "{name}");
    }
    assert!(!dir.path().join("-").exists());
    let ended = merge(dir.path(), &["--html", "-"]).await;
    assert!(ended.stdout.trim_end().ends_with("</html>"));
    let ended = merge(dir.path(), &["--out", "-", "--html", "/dev/stdout"]).await;
    ended.failed_with(2, &["takes one document"]);
}

#[tokio::test]
async fn only_the_owner_can_read_the_files_of_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("made/data");
    let log = dir.path().join("log");
    fs::create_dir_all(dir.path().join("elsewhere")).unwrap();
    let log_name = log.to_str().unwrap();
    let server = ServerProcess::start(&data, &["--log-file", log_name]).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for file in ["server.json", "ops-token", "token-key"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    assert_eq!(
        (mode(&log), mode(&data), mode(&dir.path().join("made"))),
        (0o600, 0o700, 0o700)
    );
    server.terminate();
    assert!(server.exited().await.success());
    assert!(
        !data.join("server.json").exists(),
        "a clean stop removes it"
    );

    // Make server.json a link.
    fs::write(dir.path().join("elsewhere/server.json"), "").unwrap();
    symlink("../../elsewhere/server.json", data.join("server.json")).unwrap();
    let before = fs::read_to_string(dir.path().join("elsewhere/server.json")).unwrap();
    let mut command = concertctl();
    command.args([
        "serve",
        "--api-addr",
        "127.0.0.1:0",
        "--ops-addr",
        "127.0.0.1:0",
    ]);
    command
        .args(["--log-file", log_name, "--data-dir"])
        .arg(&data);
    let running = crate::support::process::Running::start(command);
    crate::support::eventually("server.json is written", || async {
        let text = fs::read_to_string(dir.path().join("elsewhere/server.json")).unwrap();
        (text != before).then_some(())
    })
    .await;
    assert!(data.join("server.json").is_symlink());
    running.kill_9();
}
