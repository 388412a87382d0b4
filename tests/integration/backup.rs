//! `concertctl backup`: the copy holds every acknowledged place, whether a server runs or not.

use std::path::Path;

use crate::support::process::{Ended, ServerProcess, run};
use crate::support::{User, profile, seed};

async fn back_up(from: &Path, to: &Path) -> Ended {
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    run(&["backup", to, "--data-dir", from]).await
}

async fn with_thirty_places(dir: &Path) -> (ServerProcess, User) {
    let server = ServerProcess::start(dir, &[]).await;
    seed(&server.ops, &profile(1, 10, 200)).await;
    let mut last = server.user(1);
    for id in 1..=30 {
        last = server.user(id);
        assert_eq!(last.register().await.status, 201);
    }
    (server, last)
}

/// A server on `copy` knows the old token, and hands out a higher place next.
async fn serves_all_places(copy: &Path, last: &User) {
    let server = ServerProcess::start(copy, &[]).await;
    assert_eq!(server.user_with(last).poll().await.status, 200);
    let mut next = server.user(100);
    assert_eq!(next.register().await.status, 201);
    assert!(next.place > last.place, "place {} again", next.place);
}

#[tokio::test]
async fn a_backup_beside_a_running_server_holds_every_acknowledged_place() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    let data = dir.path().join("data");
    let (server, last) = with_thirty_places(&data).await;
    let ended = back_up(&data, &copy).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        server.user(31).register().await.status,
        201,
        "server goes on"
    );
    serves_all_places(&copy, &last).await;
}

#[tokio::test]
async fn a_backup_after_a_kill_holds_every_acknowledged_place() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, last) = with_thirty_places(&data).await;
    server.signal_kill();
    assert!(!server.exited().await.success());
    let ended = back_up(&data, &copy).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serves_all_places(&copy, &last).await;
}

#[tokio::test]
async fn a_backup_into_a_directory_with_files_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, _) = with_thirty_places(&data).await;
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

/// The directories below `dir` that `restore` kept.
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
    let (server, last) = with_thirty_places(&data).await;
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
    serves_all_places(&data, &last).await;

    // What was replaced is whole: it knows the later place.
    let kept = kept_in(&data);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let server = ServerProcess::start(&kept[0], &[]).await;
    assert_eq!(server.user_with(&later).poll().await.status, 200);
}

#[tokio::test]
async fn a_backup_is_restored_into_a_new_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, last) = with_thirty_places(&data).await;
    assert_eq!(back_up(&data, &copy).await.code, Some(0));
    drop(server);
    let new = dir.path().join("new");
    let restored = restore(&copy, &new, &[]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    serves_all_places(&new, &last).await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, data) = (dir.path().join("copy"), dir.path().join("data"));
    let (server, last) = with_thirty_places(&data).await;
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
    serves_all_places(&data, &last).await;
}
