//! The write-ahead log of the embedded database. A clean stop removes it. The next start detects a log that is missing,
//! truncated, damaged, or older than the acknowledged writes.

use std::path::{Path, PathBuf};

use concertctl::api::ops::{AdmissionChange, Opening};
use concertctl::clients::ops::Ops;

use crate::support::process::{Ended, ServerProcess, run};
use crate::support::{User, profile, seed};

/// The files of a dataset after a server was stopped or killed.
struct Left {
    dir: tempfile::TempDir,
    user: User,
}

impl Left {
    /// The files of a server that gave 30 places and was killed.
    async fn by_kill() -> Left {
        let (left, server) = Left::begin().await;
        server.signal_kill();
        left
    }

    async fn begin() -> (Left, ServerProcess) {
        let dir = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(dir.path(), &[]).await;
        seed(&server.ops, &profile(1, 10, 200)).await;
        close_the_sale(&server.ops).await;
        let mut last = server.user(1);
        for id in 1..=30 {
            last = server.user(id);
            assert_eq!(last.register().await.status, 201);
        }
        let left = Left { dir, user: last };
        (left, server)
    }

    fn dataset(&self) -> PathBuf {
        dataset_of(self.dir.path())
    }

    fn log(&self) -> PathBuf {
        PathBuf::from(format!("{}-wal", self.dataset().display()))
    }

    async fn serve(&self, more: &[&str]) -> Ended {
        let dir = self.dir.path().to_str().unwrap();
        let mut args = vec!["serve", "--data-dir", dir, "--log", "warn"];
        args.extend(["--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0"]);
        args.extend(more);
        run(&args).await
    }

    /// Checks that a start is refused with the file and advice, and changes neither database nor log.
    async fn is_refused(&self, what: &str) {
        let read = |path: &Path| std::fs::read(path).ok().filter(|bytes| !bytes.is_empty());
        let before = (read(&self.dataset()), read(&self.log()));
        let ended = self.serve(&[]).await;
        println!("{what}: {}", ended.stderr);
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        let named = [
            self.dataset().to_str().unwrap().to_owned(),
            "backup".to_owned(),
        ];
        for part in &named {
            assert!(
                ended.stderr.contains(part),
                "{what}: no {part} in {ended:?}"
            );
        }
        let after = (read(&self.dataset()), read(&self.log()));
        assert!(before == after, "{what}: the files were changed");
    }

    /// Checks that the last place is present and that the next one is higher.
    async fn is_whole(&self, what: &str) {
        let server = ServerProcess::start(self.dir.path(), &[]).await;
        let entry = server.user_with(&self.user).poll().await.json();
        assert_eq!(
            entry["positionInQueue"].as_u64(),
            Some(30),
            "{what}: {entry}"
        );
        let mut next = server.user(100);
        assert_eq!(next.register().await.status, 201, "{what}");
        assert!(next.place > 30, "{what}: place {} again", next.place);
    }
}

async fn close_the_sale(ops: &Ops) {
    let closed = AdmissionChange {
        opening: Some(Opening::Closed),
        ..AdmissionChange::default()
    };
    ops.set_admission(&closed).await.unwrap();
}

fn dataset_of(dir: &Path) -> PathBuf {
    let name = std::fs::read_to_string(dir.join("CURRENT")).unwrap();
    dir.join("datasets").join(format!("{}.db", name.trim()))
}

#[tokio::test]
async fn after_a_clean_stop_the_database_file_alone_contains_the_sale() {
    let (left, server) = Left::begin().await;
    server.terminate();
    assert_eq!(server.exited().await.code(), Some(0));
    assert!(!left.log().exists(), "the log was not copied");
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("datasets")).unwrap();
    for file in ["CURRENT", "token-key"] {
        std::fs::copy(left.dir.path().join(file), copy.path().join(file)).unwrap();
    }
    std::fs::copy(left.dataset(), dataset_of(copy.path())).unwrap();
    let copied = Left {
        dir: copy,
        user: left.user.clone(),
    };
    copied.is_whole("a copy of three files").await;
}

#[tokio::test]
async fn a_log_that_lacks_acknowledged_commits_is_detected_and_not_changed() {
    let left = Left::by_kill().await;
    let whole = std::fs::read(left.log()).unwrap();
    std::fs::remove_file(left.log()).unwrap();
    left.is_refused("deleted").await;
    let length = whole.len();
    for cut in [0, 1, 32, 56, 32 + 4_120, length / 2, length - 1] {
        std::fs::write(left.log(), &whole[..cut]).unwrap();
        left.is_refused(&format!("cut to {cut} of {length} bytes"))
            .await;
    }
    std::fs::write(left.log(), vec![0; length]).unwrap();
    left.is_refused("zeroed").await;
    for at in [5, 20, 40, 100, length / 3, length - 10] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(left.log(), &flipped).unwrap();
        left.is_refused(&format!("byte {at} of {length} flipped"))
            .await;
    }
    // The first process that opens the database builds this file again from the log.
    std::fs::write(left.log(), &whole).unwrap();
    let shared = PathBuf::from(format!("{}-shm", left.dataset().display()));
    std::fs::remove_file(shared).unwrap();
    left.is_whole("shared memory deleted").await;
}

#[tokio::test]
async fn an_older_log_or_database_file_is_detected() {
    let (left, server) = Left::begin().await;
    server.signal_kill();
    let (old_log, old_file) = (
        std::fs::read(left.log()).unwrap(),
        std::fs::read(left.dataset()).unwrap(),
    );
    let server = ServerProcess::start(left.dir.path(), &[]).await;
    assert_eq!(server.user(31).register().await.status, 201);
    server.signal_kill();
    let (log, file) = (
        std::fs::read(left.log()).unwrap(),
        std::fs::read(left.dataset()).unwrap(),
    );
    assert!(file != old_file, "the second start copied the log");

    std::fs::write(left.log(), &old_log).unwrap();
    left.is_refused("an older log").await;
    std::fs::write(left.log(), &log).unwrap();
    std::fs::write(left.dataset(), &old_file).unwrap();
    left.is_refused("an older database file with the newer log")
        .await;
    std::fs::write(left.log(), &old_log).unwrap();
    left.is_refused("an older log and database file").await;
    std::fs::write(left.log(), &log).unwrap();
    std::fs::write(left.dataset(), &file[..file.len() - 4_096]).unwrap();
    left.is_refused("a database file without its last page")
        .await;

    std::fs::write(left.dataset(), &file).unwrap();
    left.is_whole("everything put back").await;
}

#[tokio::test]
async fn a_missing_log_is_detected_even_without_the_commit_record() {
    let left = Left::by_kill().await;
    let record = left.dataset().with_extension("commit");
    std::fs::remove_file(&record).unwrap();
    let log = std::fs::read(left.log()).unwrap();
    std::fs::remove_file(left.log()).unwrap();
    left.is_refused("record and log deleted").await;
    std::fs::write(left.log(), &log).unwrap();
    left.is_whole("record deleted").await;
}

#[tokio::test]
async fn a_loss_is_accepted_once_on_request() {
    let left = Left::by_kill().await;
    std::fs::remove_file(left.log()).unwrap();
    left.is_refused("deleted").await;
    let server = ServerProcess::start(left.dir.path(), &["--accept-data-loss"]).await;
    assert_eq!(server.ops.status().await.unwrap().queue.registered, 0);
    assert_eq!(server.user(1).register().await.status, 201);
    server.terminate();
    assert_eq!(server.exited().await.code(), Some(0));
    let again = ServerProcess::start(left.dir.path(), &[]).await;
    assert_eq!(again.ops.status().await.unwrap().queue.registered, 1);
}

#[tokio::test]
async fn only_the_owner_can_access_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = ServerProcess::start(&data, &[]).await;
    seed(&server.ops, &profile(1, 10, 20)).await;
    assert_eq!(server.user(1).register().await.status, 201);
    let mut folders = vec![data];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            seen += 1;
        }
    }
    assert!(
        seen >= 8,
        "database, log, shared memory, record and more: {seen}"
    );
}
