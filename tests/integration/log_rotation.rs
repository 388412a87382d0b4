//! The log of a long-running server: bounded, rotated, reopened, sampled.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::process::{ServerProcess, after};
use crate::support::{User, eventually, profile, seed};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|one| one.unwrap().path())
        .collect();
    found.sort();
    found
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn server(dir: &Path, log: &Path, more: &[&str]) -> ServerProcess {
    let log = ["--log", "info", "--log-file", log.to_str().unwrap()];
    ServerProcess::start(&dir.join("data"), &[&log[..], more].concat()).await
}

#[tokio::test]
async fn a_log_never_exceeds_its_bound_and_loses_only_the_oldest_lines() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let log = logs.join("server.log");
    let bounds = [
        "--log-max-size",
        "8KiB",
        "--log-keep",
        "3",
        "--access-log-rate",
        "all",
    ];
    let server = server(dir.path(), &log, &bounds).await;
    let user = server.user(1);
    for _ in 0..300 {
        assert_eq!(user.get("/nowhere").await.status, 404);
        let found = files(&logs);
        let sizes: Vec<u64> = found
            .iter()
            .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
            .collect();
        assert!(
            sizes.len() <= 4 && sizes.iter().all(|size| *size <= 8_192),
            "{found:?} {sizes:?}"
        );
    }
    server.terminate();
    assert!(server.exited().await.success());
    let found = files(&logs);
    assert_eq!(found.len(), 4, "{found:?}");
    for file in &found {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }
    // The files together have all lines in order, and no partial line.
    let mut all = Vec::new();
    for name in ["server.log.3", "server.log.2", "server.log.1", "server.log"] {
        all.extend(lines(&logs.join(name)));
    }
    let times: Vec<&str> = all
        .iter()
        .filter_map(|line| line["timestamp"].as_str())
        .collect();
    assert!(times.len() > 40 && times.is_sorted());
    assert_eq!(all.last().unwrap()["message"], "stopped");
}

#[tokio::test]
async fn a_log_that_was_renamed_or_removed_is_reopened_on_sighup() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("server.log");
    let server = server(dir.path(), &log, &[]).await;
    let logged = |path: &Path| {
        lines(path)
            .iter()
            .any(|line| line["additional_data"]["status"] == 404)
    };

    let renamed = dir.path().join("renamed.log");
    fs::rename(&log, &renamed).unwrap();
    server.hang_up();
    eventually("the log is back", || async { log.exists().then_some(()) }).await;
    assert_eq!(server.user(1).get("/nowhere").await.status, 404);
    eventually("it is written to", || async { logged(&log).then_some(()) }).await;
    assert!(!logged(&renamed));

    fs::remove_file(&log).unwrap();
    server.hang_up();
    eventually("the log is back", || async { log.exists().then_some(()) }).await;
    assert_eq!(fs::metadata(&log).unwrap().mode() & 0o777, 0o600);
    assert_eq!(server.user(1).get("/nowhere").await.status, 404);
    eventually("it is written to", || async { logged(&log).then_some(()) }).await;
    server.terminate();
    assert!(server.exited().await.success());
}

#[tokio::test]
async fn a_full_disk_loses_only_records_which_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("full.log");
    let Some(device) = crate::support::process::full_device(dir.path()) else {
        return;
    };
    std::os::unix::fs::symlink(device, &log).unwrap();
    let server = server(dir.path(), &log, &[]).await;
    let dropped = || async {
        let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
        let line = text
            .lines()
            .find(|line| line.starts_with("concert_log_dropped_total"))?
            .to_owned();
        line.rsplit(' ')
            .next()?
            .parse::<f64>()
            .ok()
            .filter(|count| *count > 0.0)
    };
    eventually("losses are counted", dropped).await;
    // The link leads to another file, so there is space again.
    fs::remove_file(&log).unwrap();
    server.hang_up();
    eventually("writing resumes", || async {
        assert_eq!(server.user(1).get("/nowhere").await.status, 404);
        (!lines_so_far(&log).is_empty()).then_some(())
    })
    .await;
}

/// The complete lines of a file that is being written.
fn lines_so_far(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.rfind('\n')
        .map(|end| text[..end].to_owned())
        .unwrap_or_default()
}

#[tokio::test]
async fn fast_reads_are_sampled_with_weights_that_add_up_and_failures_and_writes_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("server.log");
    // With this flag no request counts as slow, however busy the machine is.
    let flags = [
        "--access-log-rate",
        "1",
        "--slow-trace",
        "1h",
        "--slow-query",
        "1h",
    ];
    let server = server(dir.path(), &log, &flags).await;
    seed(&server.ops, &profile(1, 10, 20)).await;
    let mut user = server.user(1);
    assert_eq!(user.register().await.status, 201);
    const EACH: u64 = 400;
    for _ in 0..EACH {
        assert_eq!(user.get("/concerts").await.status, 200);
        assert_eq!(user.get("/nowhere").await.status, 404);
    }
    server.terminate();
    assert!(server.exited().await.success());
    let all = lines(&log);
    let of = |message: &str| -> Vec<u64> {
        let found = all.iter().filter(|line| line["message"] == message);
        found
            .map(|line| line["additional_data"]["weight"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(
        of("GET unmatched 404").len() as u64,
        EACH,
        "failures are kept"
    );
    assert_eq!(of("POST /queue 201"), [1], "writes are kept");
    let reads = of("GET /concerts 200");
    assert!((reads.len() as u64) < EACH / 2, "{reads:?}");
    let (sum, largest) = (reads.iter().sum::<u64>(), reads.iter().max().unwrap());
    // No record counts the requests after the last kept one.
    assert!(sum <= EACH && sum + 2 * largest >= EACH, "{reads:?}");
}

#[tokio::test]
async fn an_unusable_log_file_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/such/log");
    let missing = missing.to_str().unwrap();
    let data = dir.path().join("data");
    let args = ["serve", "--data-dir", data.to_str().unwrap(), "--log-file"];
    let start =
        async |more: &[&str]| crate::support::process::run(&[&args[..], more].concat()).await;
    start(&[missing]).await.failed_with(1, &[missing]);
    let fine = dir.path().join("log");
    let fine = fine.to_str().unwrap();
    for bad in [
        ["--log-max-size", "many"],
        ["--log-keep", "-1"],
        ["--access-log-rate", "some"],
    ] {
        let ended = start(&[&[fine][..], &bad].concat()).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_leaves_no_partial_line() {
    const LIMIT_KIB: u32 = 64;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("server.log");
    let settings = ["--log", "info", "--log-max-size", "0", "--log-file"];
    let settings = [&settings[..], &[log.to_str().unwrap()]].concat();
    let limited = after(&format!("ulimit -f {LIMIT_KIB}"));
    let server = ServerProcess::with(limited, &dir.path().join("data"), &settings).await;
    let user = server.user(1);
    let full = u64::from(LIMIT_KIB) * 1_024 - 2_000;
    eventually("the log has no room left", || async {
        assert_eq!(user.get("/nowhere").await.status, 404);
        (fs::metadata(&log).unwrap().len() > full).then_some(())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(user.get("/nowhere").await.status, 404);
    }
    server.terminate();
    assert!(server.exited().await.success());
    // Each line is complete, including the last one.
    assert!(lines(&log).len() > 20);
    assert!(fs::read(&log).unwrap().ends_with(b"\n"));
}
