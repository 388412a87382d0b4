//! Starts that must fail: the error says what, where and what to do in one line, and nothing is changed. And the stop:
//! requests in flight are finished.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use concertctl::api::ops::SeedRequest;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soak::disk::SmallDisk;
use crate::support::process::{Ended, Running, ServerProcess, concertctl, run};
use crate::support::{eventually, profile, seed};

/// Runs `serve` on free ports and waits until it ends by itself.
async fn serve(dir: &Path, more: &[&str]) -> Ended {
    let mut args = vec!["serve", "--data-dir", dir.to_str().unwrap()];
    if !more.contains(&"--api-addr") {
        args.extend(["--api-addr", "127.0.0.1:0"]);
    }
    if !more.contains(&"--ops-addr") {
        args.extend(["--ops-addr", "127.0.0.1:0"]);
    }
    args.extend(more);
    run(&args).await
}

/// Every file below `dir` with a hash of its content.
fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.clone(), hash(&std::fs::read(&path).unwrap()))),
            }
        }
    }
    found
}

fn hash(content: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// A directory with a small dataset, and the file of the dataset.
async fn seeded() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("profile.yaml");
    std::fs::write(&file, profile(2, 50, 20)).unwrap();
    let (file, data) = (file.to_str().unwrap(), dir.path().join("data"));
    let ended = run(&["seed", file, "--data-dir", data.to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let dataset = dataset_of(&data);
    (dir, dataset)
}

fn dataset_of(data: &Path) -> PathBuf {
    let name = std::fs::read_to_string(data.join("CURRENT")).unwrap();
    data.join("datasets").join(format!("{}.db", name.trim()))
}

#[tokio::test]
async fn an_unusable_data_directory_is_reported_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "mine").unwrap();
    let taken = dir.path().join("taken");
    std::fs::create_dir_all(taken.join("lock")).unwrap();
    let odd = dir.path().join("odd");
    std::fs::create_dir_all(&odd).unwrap();
    std::fs::write(odd.join("datasets"), "mine too").unwrap();
    let before = files(dir.path());
    for bad in [
        file.clone(),
        file.join("below"),
        taken,
        odd,
        "/proc/none".into(),
    ] {
        let ended = serve(&bad, &[]).await;
        ended.failed_with(1, &[bad.to_str().unwrap(), "cannot be used", "--data-dir"]);
        let args = ["seed", "demo", "--data-dir", bad.to_str().unwrap()];
        let ended = run(&args).await;
        ended.failed_with(1, &[bad.to_str().unwrap(), "cannot be used", "--data-dir"]);
    }
    assert_eq!(files(dir.path()), before);
}

#[tokio::test]
async fn a_server_warns_about_a_data_directory_that_others_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data").display().to_string();
    std::fs::create_dir(&path).unwrap();
    let log = dir.path().join("log");
    let more = ["--log-file", log.to_str().unwrap()];
    for (mode, warned) in [(0o750, true), (0o700, false)] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let server = ServerProcess::start(Path::new(&path), &more).await;
        server.terminate();
        assert!(server.exited().await.success());
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let warning = format!("(mode 0750): close it with `chmod 700 {path}`");
        assert_eq!(text.contains(&warning), warned, "{mode:o}: {text}");
        assert_eq!(text.contains("\"WARN\""), warned, "{mode:o}: {text}");
        std::fs::write(&log, "").unwrap();
    }
}

#[tokio::test]
async fn one_mebibyte_suffices_for_a_small_dataset_and_a_full_disk_is_reported() {
    let Some(disk) = SmallDisk::mount(1) else {
        eprintln!("skipped: no right to mount");
        return;
    };
    let data = disk.path().join("data");
    let path = data.to_str().unwrap();
    disk.fill();
    let full = serve(&data, &[]).await;
    full.failed_with(1, &[path, "the disk is full", "make room"]);
    run(&["seed", "demo", "--data-dir", path])
        .await
        .failed_with(1, &[path, "the disk is full", "make room"]);

    disk.free();
    let server = ServerProcess::start(&data, &[]).await;
    seed(&server.ops, &profile(2, 50, 20)).await;
    let large = disk.path().join("large.yaml");
    std::fs::write(&large, profile(20, 2_000, 20_000)).unwrap();
    let args = ["seed", large.to_str().unwrap(), "--replace", "--quiet"];
    let refused = run(&[&args[..], &["--data-dir", path]].concat()).await;
    refused.failed_with(1, &["the disk is full", "nothing was changed"]);
    let mut user = server.user(1);
    assert_eq!(user.register().await.status, 201, "the dataset stays");
}

#[tokio::test]
async fn a_directory_or_port_of_another_server_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(1, 5, 5)).await;
    let ended = serve(dir.path(), &[]).await;
    ended.failed_with(1, &[dir.path().to_str().unwrap(), "in use", "--data-dir"]);

    let elsewhere = tempfile::tempdir().unwrap();
    let address = server.api.strip_prefix("http://").unwrap();
    for flag in ["--api-addr", "--ops-addr"] {
        let ended = serve(elsewhere.path(), &[flag, address]).await;
        ended.failed_with(1, &[address, "in use", flag]);
    }
    let mut user = server.user(1);
    assert_eq!(
        user.register().await.status,
        201,
        "the first server continues"
    );
    assert!(!elsewhere.path().join("server.json").exists());
}

#[tokio::test]
async fn an_address_of_another_machine_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let ended = serve(dir.path(), &["--api-addr", "192.0.2.1:8080"]).await;
    ended.failed_with(1, &["192.0.2.1:8080", "--api-addr"]);
}

#[tokio::test]
async fn a_damaged_or_foreign_database_is_reported_and_not_changed() {
    let (dir, dataset) = seeded().await;
    let data = dir.path().join("data");
    let good = std::fs::read(&dataset).unwrap();
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other)
        .and_then(|other| {
            other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        })
        .unwrap();
    let newer = dir.path().join("newer.db");
    std::fs::write(&newer, &good).unwrap();
    rusqlite::Connection::open(&newer)
        .and_then(|newer| newer.pragma_update(None, "user_version", 99))
        .unwrap();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "seed --replace"),
        (
            "truncated in the middle",
            good[..good.len() / 2].to_vec(),
            "seed --replace",
        ),
        (
            "without its last page",
            good[..good.len() - 4_096].to_vec(),
            "seed --replace",
        ),
        ("a cut header", good[..50].to_vec(), "seed --replace"),
        ("garbage", vec![0xa5; 40_000], "seed --replace"),
        (
            "of another program",
            std::fs::read(&other).unwrap(),
            "seed --replace",
        ),
        (
            "of a newer program",
            std::fs::read(&newer).unwrap(),
            "newer concertctl",
        ),
    ];
    for (what, content, hint) in cases {
        std::fs::write(&dataset, &content).unwrap();
        // A start sweeps such a leftover, but not before it has recognized the dataset.
        std::fs::write(data.join("datasets/00000000000000aa.db"), "left over").unwrap();
        let first = serve(&data, &[]).await;
        first.failed_with(1, &[dataset.to_str().unwrap(), hint]);
        let before = files(&data);
        assert_eq!(before[&dataset], hash(&content), "{what}: was changed");
        serve(&data, &[]).await.failed_with(1, &[hint]);
        assert_eq!(files(&data), before, "{what}: something was changed");
        assert!(
            before.len() >= 6,
            "{what}: something was removed: {:?}",
            before.keys()
        );
    }
    std::fs::write(&dataset, &good).unwrap();
    let server = ServerProcess::start(&data, &[]).await;
    assert_eq!(
        server.ops.status().await.unwrap().dataset.unwrap().seats,
        200
    );
}

#[tokio::test]
async fn a_pointer_without_a_dataset_is_reported_and_nothing_is_swept() {
    let (dir, dataset) = seeded().await;
    let data = dir.path().join("data");
    for bad in ["", "\n", "zz", "../../etc/passwd", "00000000000000ff00"] {
        std::fs::write(data.join("CURRENT"), bad).unwrap();
        let ended = serve(&data, &[]).await;
        ended.failed_with(1, &["CURRENT", "concertctl seed"]);
        assert!(dataset.exists(), "{bad:?}");
    }
    std::fs::write(data.join("CURRENT"), [0xff, 0xfe]).unwrap();
    serve(&data, &[]).await.failed_with(1, &["CURRENT"]);
    // The pointer names a missing dataset. Nothing is swept, because the pointer may be wrong and the rest right.
    std::fs::write(data.join("CURRENT"), "00000000000000ff\n").unwrap();
    let ended = serve(&data, &[]).await;
    ended.failed_with(1, &["00000000000000ff.db", "seed --replace"]);
    assert!(dataset.exists(), "the dataset was swept");
}

#[tokio::test]
async fn a_dataset_whose_pointer_is_missing_is_named_and_never_swept() {
    let (dir, dataset) = seeded().await;
    let data = dir.path().join("data");
    let path = data.to_str().unwrap();
    let name = dataset.file_stem().unwrap().to_str().unwrap().to_owned();
    // First a dataset that no server has used yet, then a sale.
    for sold in [0, 1] {
        std::fs::remove_file(data.join("CURRENT")).unwrap();
        let write = format!("CURRENT is missing: write {name} there");
        let named = [dataset.to_str().unwrap(), &write, "seed --replace"];
        serve(&data, &[]).await.failed_with(1, &named);
        let seeded = run(&["seed", "demo", "--data-dir", path]).await;
        seeded.failed_with(1, &named);

        std::fs::write(data.join("CURRENT"), format!("{name}\n")).unwrap();
        let server = ServerProcess::start(&data, &[]).await;
        let registered = server.ops.status().await.unwrap().queue.registered;
        assert_eq!(registered, sold);
        assert_eq!(server.user(1 + sold as i64).register().await.status, 201);
        server.terminate();
        assert!(server.exited().await.success());
    }
    std::fs::remove_file(data.join("CURRENT")).unwrap();
    let replace = ["seed", "demo", "--replace", "--data-dir", path];
    assert_eq!(run(&replace).await.code, Some(0));
    assert!(!dataset.exists(), "it was replaced on request");
    ServerProcess::start(&data, &[]).await;
}

#[tokio::test]
async fn a_stop_that_leaves_the_sale_in_the_log_exits_with_1() {
    let (dir, dataset) = seeded().await;
    let data = dir.path().join("data");
    let mut command = concertctl();
    command.args(["serve", "--api-addr", "127.0.0.1:0", "--log", "error"]);
    command.args(["--ops-addr", "127.0.0.1:0", "--data-dir"]);
    let server = Running::start({
        command.arg(&data);
        command
    });
    eventually("the server is up", || async {
        data.join("server.json").exists().then_some(())
    })
    .await;
    let reader = rusqlite::Connection::open(&dataset).unwrap();
    let read = "BEGIN; SELECT COUNT(*) FROM concerts";
    reader.execute_batch(read).unwrap();
    server.signal(Signal::TERM);
    let ended = server.ended().await;
    let log = format!("{}-wal", dataset.display());
    ended.failed_with(1, &["was not closed cleanly", "it is being read", &log]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_at_the_end_of_a_seeding_closes_every_dataset() {
    for _ in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(dir.path(), &[]).await;
        let request = SeedRequest {
            profile: None,
            profile_yaml: Some(profile(20, 20_000, 1_000)),
            replace: false,
        };
        server.ops.seed(&request).await.unwrap();
        eventually("all rows are written", || async {
            let at = server.ops.seed_progress().await.unwrap();
            (at.rows_done == at.rows_total).then_some(())
        })
        .await;
        server.terminate();
        assert_eq!(server.exited().await.code(), Some(0));
        let datasets = std::fs::read_dir(dir.path().join("datasets")).unwrap();
        for path in datasets.map(|entry| entry.unwrap().path()) {
            let name = path.display().to_string();
            assert!(!name.contains(".db-"), "{name} was left open");
        }
    }
}

#[tokio::test]
async fn a_token_key_made_anew_beside_a_sale_is_a_warning() {
    let (dir, _) = seeded().await;
    let data = dir.path().join("data");
    let log = dir.path().join("log");
    let more = ["--log-file", log.to_str().unwrap()];
    // The first key of a dataset without places is none.
    for warned in [false, true] {
        drop(std::fs::remove_file(data.join("token-key")));
        let server = ServerProcess::start(&data, &more).await;
        server.user(1).register().await;
        server.terminate();
        assert!(server.exited().await.success());
        let text = std::fs::read_to_string(&log).unwrap();
        let warning = "all tokens of the sale become unknown";
        assert_eq!(text.contains(warning), warned, "{text}");
    }
}

#[tokio::test]
async fn a_pipe_or_an_endless_device_holds_up_no_start() {
    let (dir, _) = seeded().await;
    let data = dir.path().join("data");
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let pipe = pipe.to_str().unwrap();
    for (flag, file) in [
        ("--token-key-file", pipe),
        ("--token-key-file", "/dev/zero"),
        ("--rules", pipe),
        ("--rules", "/dev/zero"),
    ] {
        let refused = serve(&data, &[flag, file]).await;
        refused.failed_with(1, &[file, "not a regular file"]);
    }
}

/// The owner of every file and directory below `dir`.
fn owners(dir: &Path) -> BTreeMap<PathBuf, u32> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.clone(), path.symlink_metadata().unwrap().uid());
            folders.extend(path.is_dir().then_some(path));
        }
    }
    found
}

#[tokio::test]
async fn what_root_seeds_and_restores_belongs_to_the_owner_of_the_directory() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    let belongs = |when: &str| {
        let owners = owners(&data);
        let wrong: Vec<_> = owners.iter().filter(|(_, uid)| **uid != NOBODY).collect();
        assert!(owners.len() > 3 && wrong.is_empty(), "{when}: {wrong:?}");
    };
    let (data, copy) = (data.to_str().unwrap(), copy.to_str().unwrap());
    for (when, args) in [
        ("seeded", &["seed", "demo", "--quiet"][..]),
        ("backed up", &["backup", copy]),
        ("restored", &["restore", copy, "--replace"]),
        ("seeded again", &["seed", "demo", "--replace", "--quiet"]),
    ] {
        let ended = run(&[args, &["--data-dir", data]].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        belongs(when);
    }
}

#[tokio::test]
async fn an_invalid_secret_is_reported_and_not_replaced() {
    let (dir, _) = seeded().await;
    let data = dir.path().join("data");
    for name in ["ops-token", "token-key"] {
        for bad in [&b""[..], b"short", b"\n\n\n", &[0xff; 64]] {
            std::fs::write(data.join(name), bad).unwrap();
            serve(&data, &[]).await.failed_with(1, &[name, "remove it"]);
            assert_eq!(std::fs::read(data.join(name)).unwrap(), bad);
        }
        std::fs::remove_file(data.join(name)).unwrap();
        std::fs::create_dir(data.join(name)).unwrap();
        serve(&data, &[]).await.failed_with(1, &[name]);
        std::fs::remove_dir(data.join(name)).unwrap();
    }
    let server = ServerProcess::start(&data, &[]).await;
    assert!(
        server.ops.status().await.is_ok(),
        "the server makes a new secret"
    );
}

#[tokio::test]
async fn a_log_file_that_cannot_be_written_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let ended = serve(dir.path(), &["--log-file", "/proc/none/log"]).await;
    ended.failed_with(1, &["/proc/none/log"]);
    let ended = serve(dir.path(), &["--log", "a=b=c,,=="]).await;
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(
        ended.stderr.contains("--log") || ended.stderr.contains("filter"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_mistake_in_the_command_line_exits_with_2_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--hold", "soon"], "--hold"),
        (&["--hold=-5s"], "--hold"),
        (&["--active", "15"], "--active"),
        (&["--admission-batch", "0"], "--admission-batch"),
        (&["--admission-interval", "99ms"], "--admission-interval"),
        (&["--max-reservations", "0"], "--max-reservations"),
        (&["--max-reservations=-1"], "--max-reservations"),
        (&["--slow-query", ""], "--slow-query"),
        (&["--api-addr", "nowhere"], "--api-addr"),
        (&["--api-addr", "127.0.0.1:99999"], "--api-addr"),
        (&["--scrape-interval", "1e9y"], "--scrape-interval"),
        (&["--scrape-interval", "0s"], "--scrape-interval"),
        (&["--evaluation-interval", "0s"], "--evaluation-interval"),
        (&["--group-wait", "9000h"], "--group-wait"),
        (&["--group-interval", "1ms"], "--group-interval"),
        (&["--repeat-interval", "0s"], "--repeat-interval"),
        (&["--hold", "0s"], "--hold"),
        (&["--active", "9000h"], "--active"),
        (&["--commit-delay", "1h"], "--commit-delay"),
    ];
    for (more, named) in cases {
        let ended = serve(dir.path(), more).await;
        assert_eq!(ended.code, Some(2), "{more:?}: {ended:?}");
        let first = ended.stderr.lines().next().unwrap_or_default();
        assert!(first.contains(named), "{more:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
    let ended = run(&["sevre"]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("sevre") && ended.stderr.contains("serve"));
    assert_eq!(files(dir.path()).len(), 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_finishes_requests_in_flight_and_closes_the_port() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(1, 5, 50)).await;
    let address = server.api.strip_prefix("http://").unwrap().to_owned();
    let mut under_way = Vec::new();
    for id in 1..=20 {
        let body = json!({ "userId": id }).to_string();
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /queue HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        under_way.push((stream, body));
    }
    let idle = TcpStream::connect(&address).await.unwrap();
    eventually("all are under way", || async {
        (server.active_requests().await == 20).then_some(())
    })
    .await;

    server.terminate();
    eventually("the port is closed", || async {
        TcpStream::connect(&address).await.err()
    })
    .await;
    for (mut stream, body) in under_way {
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
    assert_eq!(server.exited().await.code(), Some(0));
    drop(idle);
    TcpListener::bind(&address).expect("the port is free");
    let again = ServerProcess::start(dir.path(), &[]).await;
    let registered = again.ops.status().await.unwrap().queue.registered;
    assert_eq!(
        registered, 20,
        "a write that was acknowledged during the stop is kept"
    );
}

#[tokio::test]
async fn the_health_command_prints_the_state_and_exits_accordingly() {
    let server = crate::support::TestServer::empty().await;
    let empty = run(&["health", &server.api]).await;
    assert_eq!(empty.code, Some(1), "{empty:?}");
    assert!(empty.stdout.contains("none is loaded"), "{empty:?}");
    assert_eq!(run(&["health", &server.api, "--live"]).await.code, Some(0));
    crate::support::seed(&server.ops, &crate::support::profile(1, 5, 5)).await;
    let well = run(&["health", &server.api]).await;
    assert_eq!(
        (well.code, well.stdout.contains(": ok")),
        (Some(0), true),
        "{well:?}"
    );
    let api = server.api.clone();
    server.stop().await;
    run(&["health", &api]).await.failed_with(1, &["127.0.0.1"]);
    run(&["health", "ftp://x"]).await.failed_with(2, &["ftp"]);
}
