//! `concertctl backup` and `restore`, and `pg_dump` and `pg_restore` as in docs/backup.md: the copy contains every
//! acknowledged write, with or without a running server.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use concertctl::api::ops::{
    AdmissionChange, ChargeFact, LookupRequest, PlaceFact, ReservationFact,
};
use serde_json::json;

use crate::support::process::{Ended, ServerProcess, concertctl, run};
use crate::support::{Postgres, User, profile, seed};

async fn back_up(from: &Path, to: &Path) -> Ended {
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    run(&["backup", to, "--data-dir", from]).await
}

/// The acknowledged writes of a sale.
struct Sale {
    facts: LookupRequest,
    /// The user who registered last.
    last: User,
}

/// Registers thirty users. The first buys seat 1, the second holds seat 2.
async fn sell(server: &ServerProcess) -> Sale {
    seed(&server.ops, &profile(1, 10, 200)).await;
    let mut users = Vec::new();
    for id in 1..=30 {
        let mut user = server.user(id);
        assert_eq!(user.register().await.status, 201);
        users.push(user);
    }
    let everybody = AdmissionChange {
        batch: Some(1_000),
        every_ms: Some(100),
        ..AdmissionChange::default()
    };
    server.ops.set_admission(&everybody).await.unwrap();
    let mut held = Vec::new();
    for user in &users[..2] {
        user.until_active().await;
        held.push(user.reserved(user.id).await);
    }
    assert_eq!(users[0].charge(json!(500_000)).await.status, 200);
    assert_eq!(users[0].pay(held[0]).await.status, 200);
    let place = |user: &User| PlaceFact {
        place: user.place,
        user_id: user.id,
    };
    let reservation = |(user, &reservation_id): (&User, &i64)| ReservationFact {
        reservation_id,
        user_id: user.id,
        seat_id: user.id,
    };
    let facts = LookupRequest {
        places: users.iter().map(place).collect(),
        reservations: users.iter().zip(&held).map(reservation).collect(),
        payments: vec![held[0]],
        charges: vec![ChargeFact {
            user_id: 1,
            at_least: 500_000,
        }],
        keys: Vec::new(),
    };
    let last = users.pop().unwrap();
    Sale { facts, last }
}

async fn under_way(dir: &Path) -> (ServerProcess, Sale) {
    let server = ServerProcess::start(dir, &[]).await;
    let sale = sell(&server).await;
    (server, sale)
}

/// Checks that a server on `copy` has every acknowledged write and continues the sale.
async fn serves_the_sale(copy: &Path, sale: &Sale) {
    let server = ServerProcess::start(copy, &[]).await;
    goes_on_with(&server, sale).await;
}

async fn goes_on_with(server: &ServerProcess, sale: &Sale) {
    let found = server.ops.lookup(&sale.facts).await.unwrap();
    assert_eq!(found.missing, 0, "{found:?}");
    assert_eq!(server.ops.audit().await.unwrap().violations(), 0);
    let last = server.user_with(&sale.last);
    assert_eq!(last.poll().await.status, 200);
    for (seat, status) in [(1, "UNAVAILABLE"), (2, "PENDING"), (3, "AVAILABLE")] {
        assert_eq!(last.seat_status(1, seat).await, status, "seat {seat}");
    }
    let mut next = server.user(100);
    assert_eq!(next.register().await.status, 201);
    assert!(next.place > last.place, "place {} again", next.place);
}

#[tokio::test]
async fn a_backup_beside_a_running_server_holds_every_acknowledged_place() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    let data = dir.path().join("data");
    let (server, sale) = under_way(&data).await;
    let ended = back_up(&data, &copy).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        server.user(31).register().await.status,
        201,
        "the server continues"
    );
    serves_the_sale(&copy, &sale).await;
}

#[tokio::test]
async fn a_backup_after_a_kill_holds_every_acknowledged_place() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    server.signal_kill();
    assert!(!server.exited().await.success());
    let ended = back_up(&data, &copy).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serves_the_sale(&copy, &sale).await;
}

#[tokio::test]
async fn a_backup_into_a_directory_with_files_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, _) = under_way(&data).await;
    std::fs::create_dir(&copy).unwrap();
    std::fs::write(copy.join("mine"), "mine").unwrap();
    let ended = back_up(&data, &copy).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("not empty"), "{ended:?}");
    assert_eq!(std::fs::read_dir(&copy).unwrap().count(), 1);
    drop(server);
}

async fn restore(from: &Path, to: &Path, more: &[&str]) -> Ended {
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    run(&[&["restore", from, "--data-dir", to], more].concat()).await
}

/// The replaced datasets that `restore` kept below `dir`.
fn kept_in(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    let is_kept = |path: &std::path::PathBuf| path.to_string_lossy().contains("/replaced-");
    paths.filter(is_kept).collect()
}

#[tokio::test]
async fn a_backup_is_restored_over_a_later_state_which_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    assert_eq!(back_up(&data, &copy).await.code, Some(0));
    let mut later = server.user(31);
    assert_eq!(later.register().await.status, 201);

    let in_use = restore(&copy, &data, &["--replace"]).await;
    assert_eq!(in_use.code, Some(1), "{in_use:?}");
    assert!(in_use.stderr.contains("in use"), "{in_use:?}");
    server.terminate();
    assert!(server.exited().await.success());

    let occupied = restore(&copy, &data, &[]).await;
    assert_eq!(occupied.code, Some(1), "{occupied:?}");
    assert!(occupied.stderr.contains("give --replace"), "{occupied:?}");
    let restored = restore(&copy, &data, &["--replace"]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    serves_the_sale(&data, &sale).await;

    // The replaced dataset is complete: it contains the later place.
    let kept = kept_in(&data);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let server = ServerProcess::start(&kept[0], &[]).await;
    assert_eq!(server.user_with(&later).poll().await.status, 200);
}

#[tokio::test]
async fn a_backup_is_restored_into_a_new_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    assert_eq!(back_up(&data, &copy).await.code, Some(0));
    drop(server);
    let new = dir.path().join("new");
    let restored = restore(&copy, &new, &[]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(kept_in(&new).is_empty(), "{:?}", kept_in(&new));
    serves_the_sale(&new, &sale).await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    assert_eq!(back_up(&data, &copy).await.code, Some(0));
    server.terminate();
    assert!(server.exited().await.success());
    let file = std::fs::read_dir(copy.join("datasets")).unwrap().next();
    let file = file.unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let refused = restore(&copy, &data, &["--replace"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("cannot restore"), "{refused:?}");
    let nothing = restore(&dir.path().join("none"), &data, &["--replace"]).await;
    assert!(nothing.stderr.contains("is no backup"), "{nothing:?}");
    assert_eq!(kept_in(&data), Vec::<std::path::PathBuf>::new());
    serves_the_sale(&data, &sale).await;
}

#[tokio::test]
async fn a_copy_by_hand_without_its_log_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    std::fs::create_dir_all(copy.join("datasets")).unwrap();
    for name in ["CURRENT", "token-key"] {
        std::fs::copy(data.join(name), copy.join(name)).unwrap();
    }
    for entry in std::fs::read_dir(data.join("datasets")).unwrap() {
        let path = entry.unwrap().path();
        let end = path.extension().unwrap();
        if end == "db" || end == "commit" {
            let name = path.file_name().unwrap();
            std::fs::copy(&path, copy.join("datasets").join(name)).unwrap();
        }
    }
    server.terminate();
    assert!(server.exited().await.success());
    let refused = restore(&copy, &data, &["--replace"]).await;
    refused.failed_with(1, &["lacks acknowledged writes"]);
    assert_eq!(kept_in(&data), Vec::<std::path::PathBuf>::new());
    serves_the_sale(&data, &sale).await;
}

#[tokio::test]
async fn a_directory_with_a_damaged_or_missing_pointer_is_restored_and_its_dataset_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    assert_eq!(back_up(&data, &copy).await.code, Some(0));
    server.terminate();
    assert!(server.exited().await.success());
    for damage in [Some("zz"), None] {
        match damage {
            Some(text) => std::fs::write(data.join("CURRENT"), text).unwrap(),
            None => std::fs::remove_file(data.join("CURRENT")).unwrap(),
        }
        let occupied = restore(&copy, &data, &[]).await;
        occupied.failed_with(1, &["give --replace"]);
        let before = kept_in(&data).len();
        let restored = restore(&copy, &data, &["--replace"]).await;
        assert_eq!(restored.code, Some(0), "{restored:?}");
        assert_eq!(kept_in(&data).len(), before + 1);
    }
    serves_the_sale(&data, &sale).await;
}

#[tokio::test]
async fn a_restore_that_cannot_exchange_the_datasets_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    assert_eq!(back_up(&data, &copy).await.code, Some(0));
    server.terminate();
    assert!(server.exited().await.success());

    let (datasets, elsewhere) = (data.join("datasets"), dir.path().join("elsewhere"));
    std::fs::rename(&datasets, &elsewhere).unwrap();
    std::os::unix::fs::symlink("../elsewhere", &datasets).unwrap();
    let link = restore(&copy, &data, &["--replace"]).await;
    link.failed_with(1, &["datasets is a link", "--data-dir"]);
    std::fs::remove_file(&datasets).unwrap();
    std::fs::rename(&elsewhere, &datasets).unwrap();

    // A directory that is mounted on itself has the device of its parent, and cannot be renamed.
    let at = datasets.to_str().unwrap();
    let mount = |program: &str, args: &[&str]| {
        let done = Command::new(program).args(args).output();
        done.is_ok_and(|done| done.status.success())
    };
    match mount("mount", &["--bind", at, at]) {
        true => {
            let busy = restore(&copy, &data, &["--replace"]).await;
            assert!(mount("umount", &["-l", at]));
            busy.failed_with(1, &["cannot move", at]);
        }
        false => eprintln!("skipped: no right to mount"),
    }
    assert_eq!(kept_in(&data), Vec::<std::path::PathBuf>::new());
    serves_the_sale(&data, &sale).await;
}

#[tokio::test]
async fn a_restore_that_was_killed_between_its_renames_is_named_and_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, sale) = under_way(&data).await;
    assert_eq!(back_up(&data, &copy).await.code, Some(0));
    server.terminate();
    assert!(server.exited().await.success());
    // The earlier files have left, and the new ones have not come.
    let (staged, before) = (data.join("restoring"), data.join("restoring/before"));
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&copy)
        .arg(&staged)
        .status();
    assert!(copied.unwrap().success());
    std::fs::create_dir(&before).unwrap();
    for part in ["CURRENT", "token-key", "datasets"] {
        std::fs::rename(data.join(part), before.join(part)).unwrap();
    }
    let path = data.to_str().unwrap();
    let free = ["--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0"];
    for args in [&["serve"][..], &["seed", "demo"]] {
        let more: &[&str] = if args == ["serve"] { &free } else { &[] };
        let refused = run(&[args, more, &["--data-dir", path]].concat()).await;
        refused.failed_with(1, &["was interrupted", "concertctl restore --replace"]);
    }
    let restored = restore(&copy, &data, &["--replace"]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    serves_the_sale(&data, &sale).await;
    let kept = kept_in(&data);
    assert_eq!(kept.len(), 1, "{kept:?}");
    serves_the_sale(&kept[0], &sale).await;
}

/// Starts a server whose environment gives the database, as for a URL with a password.
async fn serve_on(database: &str, dir: &Path) -> ServerProcess {
    let mut command = concertctl();
    command.env("CONCERTCTL_DATABASE_URL", database);
    ServerProcess::with(command, dir, &[]).await
}

fn run_program<A: AsRef<OsStr>>(name: &str, args: &[A]) {
    let program = Postgres::program(name).expect("the program is installed with PostgreSQL");
    let output = Command::new(program).args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
}

#[tokio::test]
async fn a_dump_of_postgres_beside_a_running_server_is_restored_elsewhere() {
    let (Some(here), Some(elsewhere)) = (Postgres::start().await, Postgres::start().await) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = serve_on(&here.url(), &dir.path().join("here")).await;
    let sale = sell(&server).await;

    let dump = dir.path().join("concert.dump");
    let file = format!("--file={}", dump.display());
    run_program("pg_dump", &["--format=custom", &file, &here.url()]);
    assert_eq!(
        server.user(31).register().await.status,
        201,
        "the server continues"
    );
    let database = format!("--dbname={}", elsewhere.url());
    run_program(
        "pg_restore",
        &[&database, "--no-owner", dump.to_str().unwrap()],
    );

    let restored = serve_on(&elsewhere.url(), &dir.path().join("elsewhere")).await;
    goes_on_with(&restored, &sale).await;
    assert_eq!(
        restored.user(31).register().await.status,
        201,
        "the write came after the dump"
    );
}
