//! Seeding with the real program: with and without `--replace`, interrupted in every way, through a server that uses
//! the directory, on a full disk. The result is the new dataset, the previous one or none, never a partial one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use concertctl::api::ops::{AdmissionChange, SeedPhase, SeedProgress, SeedRequest};
use concertctl::clients::ClientError;
use concertctl::clients::ops::Ops;
use rustix::process::Signal;

use crate::assert_refused;
use crate::support::process::{Ended, Running, ServerProcess, concertctl, finish, run};
use crate::support::{eventually, profile};

/// A data directory, and profile files beside it.
struct Place {
    _dir: tempfile::TempDir,
    data: PathBuf,
    small: String,
    large: String,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        };
        Place {
            data: dir.path().join("data"),
            small: write("small.yaml", profile(2, 10, 20)),
            // The large profile takes seconds, so that a test can interrupt the seeding.
            large: write("large.yaml", large()),
            _dir: dir,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = concertctl();
        command.args(args).arg("--data-dir").arg(&self.data);
        command
    }

    async fn run(&self, args: &[&str]) -> Ended {
        finish(self.command(args)).await
    }

    /// The names of all datasets, complete or not.
    fn datasets(&self) -> BTreeSet<String> {
        let Ok(entries) = std::fs::read_dir(self.data.join("datasets")) else {
            return BTreeSet::new();
        };
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    }

    /// A running seeding of the large profile that has written a part of it.
    async fn in_the_middle(&self) -> Running {
        let before = self.datasets();
        let seeding = Running::start(self.command(&["seed", &self.large, "--replace"]));
        eventually("the seeding is in its middle", || async {
            let new = self.datasets().difference(&before).next().cloned()?;
            let file = self.data.join(format!("datasets/{new}.db"));
            (file.metadata().ok()?.len() > 4_000_000).then_some(())
        })
        .await;
        assert!(seeding.is_running(), "the seeding ended too soon");
        seeding
    }

    /// A dataset with a place, a charge and a reservation.
    async fn sold(&self) -> Sold {
        let ended = self.run(&["seed", &self.small]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let server = ServerProcess::start(&self.data, &[]).await;
        let quick = AdmissionChange {
            every_ms: Some(100),
            ..AdmissionChange::default()
        };
        server.ops.set_admission(&quick).await.unwrap();
        let mut user = server.user(1);
        assert_eq!(user.register().await.status, 201);
        user.until_active().await;
        assert_eq!(user.charge(5_000.into()).await.status, 200);
        user.reserved(3).await;
        server.terminate();
        assert_eq!(server.exited().await.code(), Some(0));
        Sold {
            token: user.token.unwrap(),
            datasets: self.datasets(),
        }
    }

    /// Checks that a server serves the complete dataset of [`Place::sold`], and that no other dataset is left.
    async fn still_has(&self, sold: &Sold) {
        let server = ServerProcess::start(&self.data, &[]).await;
        server_still_has(&server, sold).await;
        assert_eq!(self.datasets(), sold.datasets, "leftovers are swept");
    }
}

struct Sold {
    token: String,
    datasets: BTreeSet<String>,
}

async fn server_still_has(server: &ServerProcess, sold: &Sold) {
    let status = server.ops.status().await.unwrap();
    let dataset = status.dataset.expect("the previous dataset");
    assert_eq!((dataset.seats, dataset.users), (40, 20));
    assert_eq!(status.queue.registered, 1);
    let audit = server.ops.audit().await.unwrap();
    assert_eq!(
        (audit.violations(), audit.reservations, audit.places),
        (0, 1, 1)
    );
    let mut user = server.user(1);
    user.token = Some(sold.token.clone());
    assert_eq!(user.get("/accounts/1").await.json()["balance"], 5_000);
    assert_eq!(user.seat_status(1, 3).await, "PENDING");
}

fn large() -> String {
    profile(100, 30_000, 20_000).replace("name: test", "name: large")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_is_replaced_only_on_request_and_otherwise_described() {
    let place = Place::new();
    let first = place.run(&["seed"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stderr.contains("demo: 12025 rows"), "{first:?}");
    assert_eq!(first.stdout, "");
    let there = place.datasets();

    let again = place.run(&["seed", &place.small]).await;
    again.failed_with(1, &["demo", "10000 seats", "2000 users", "--replace"]);
    assert_eq!(place.datasets(), there);

    let replaced = place
        .run(&["seed", &place.small, "--replace", "--quiet"])
        .await;
    assert_eq!((replaced.code, replaced.stderr.as_str()), (Some(0), ""));
    let now = place.datasets();
    assert!(now.len() == 1 && now.is_disjoint(&there), "{now:?}");
    let server = ServerProcess::start(&place.data, &[]).await;
    let dataset = server.ops.status().await.unwrap().dataset.unwrap();
    assert_eq!((dataset.profile.as_str(), dataset.seats), ("test", 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_seeding_leaves_the_previous_dataset_complete() {
    let place = Place::new();
    let sold = place.sold().await;
    place.in_the_middle().await.kill_9();
    assert_eq!(place.datasets().len(), 2, "killed in the middle");
    place.still_has(&sold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_the_first_seeding_leaves_no_dataset_and_the_next_one_works() {
    let place = Place::new();
    place.in_the_middle().await.kill_9();
    {
        let server = ServerProcess::start(&place.data, &[]).await;
        assert!(server.ops.status().await.unwrap().dataset.is_none());
        assert_refused!(server.user(1).register().await, 503, "dataset.missing");
        assert!(place.datasets().is_empty(), "leftovers are swept");
    }
    let next = place.run(&["seed", &place.small]).await;
    assert_eq!(next.code, Some(0), "{next:?}");
    assert_eq!(place.datasets().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_cancels_the_seeding_and_changes_nothing() {
    let place = Place::new();
    let sold = place.sold().await;
    for which in [Signal::INT, Signal::TERM] {
        let seeding = place.in_the_middle().await;
        seeding.signal(which);
        let ended = seeding.ended().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let line = ended.stderr.lines().last().unwrap_or_default();
        assert!(line.contains("cancelled; nothing was changed"), "{ended:?}");
        assert_eq!(place.datasets(), sold.datasets, "nothing is left over");
    }
    place.still_has(&sold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_in_use_is_seeded_through_its_server() {
    let place = Place::new();
    let sold = place.sold().await;
    let server = ServerProcess::start(&place.data, &[]).await;
    let refused = place.run(&["seed", &place.small]).await;
    refused.failed_with(1, &["test", "40 seats", "replace"]);
    server_still_has(&server, &sold).await;

    let ended = place.run(&["seed", &place.large, "--replace"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(lines.len() >= 2, "progress, then the end: {lines:?}");
    assert!(
        lines[0].contains("rows/s") && lines[0].contains(" left"),
        "{lines:?}"
    );
    assert!(lines.last().unwrap().starts_with("large: "), "{lines:?}");

    let status = server.ops.status().await.unwrap();
    let dataset = status.dataset.unwrap();
    assert_eq!(
        (dataset.profile.as_str(), dataset.seats),
        ("large", 6_000_000)
    );
    assert_eq!(status.queue.registered, 0);
    let mut user = server.user(1);
    user.token = Some(sold.token.clone());
    assert_refused!(user.poll().await, 404, "token.unknown");
    assert_refused!(user.get("/accounts/1").await, 403, "token.refused");
    assert_eq!(user.register().await.status, 201, "a new sale");
    assert_eq!(place.datasets().len(), 1, "the earlier dataset is removed");
}

async fn begin(ops: &Ops) -> Result<SeedProgress, ClientError> {
    let request = SeedRequest {
        profile: None,
        profile_yaml: Some(large()),
        replace: true,
    };
    ops.seed(&request).await
}

async fn until_ended(ops: &Ops) -> SeedProgress {
    eventually("the seeding ends", || async {
        let at = ops.seed_progress().await.unwrap();
        (at.phase != SeedPhase::Running).then_some(at)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seeding_of_a_server_can_be_cancelled_and_excludes_others() {
    let place = Place::new();
    let sold = place.sold().await;
    let server = ServerProcess::start(&place.data, &[]).await;
    let ops = &server.ops;
    begin(ops).await.unwrap();
    let second = begin(ops).await.unwrap_err().to_string();
    assert!(
        second.contains("409") && second.contains("under way"),
        "{second}"
    );
    eventually("rows are written", || async {
        (ops.seed_progress().await.unwrap().rows_done > 100_000).then_some(())
    })
    .await;
    server_still_has(&server, &sold).await;
    ops.cancel_seed().await.unwrap();
    assert_eq!(until_ended(ops).await.phase, SeedPhase::Cancelled);
    server_still_has(&server, &sold).await;
    assert_eq!(place.datasets(), sold.datasets);

    // A command that seeds through a server cancels the seeding when it is interrupted.
    let command = place.command(&["seed", &place.large, "--replace"]);
    let seeding = Running::start(command);
    eventually("it is under way", || async {
        (ops.seed_progress().await.unwrap().phase == SeedPhase::Running).then_some(())
    })
    .await;
    seeding.signal(Signal::INT);
    let ended = seeding.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("cancelled; nothing was changed"),
        "{ended:?}"
    );
    assert_eq!(until_ended(ops).await.phase, SeedPhase::Cancelled);
    server_still_has(&server, &sold).await;

    // A stop of the server does not wait for the seeding.
    begin(ops).await.unwrap();
    server.terminate();
    assert_eq!(server.exited().await.code(), Some(0));
    place.still_has(&sold).await;
}

#[tokio::test]
async fn a_bad_profile_is_refused_with_line_and_field_before_anything_is_made() {
    let place = Place::new();
    let good = profile(2, 10, 20);
    let cases = [
        (good.replace("users: 20", "users: -1"), ":5:", "users"),
        (
            good.replace("users: 20", "users: 99999999999"),
            ":5:",
            "users",
        ),
        (good.replace("users: 20", "usres: 20"), ":5:", "usres"),
        (
            good.replace("concerts: 2", "concerts: two"),
            ":2:",
            "concerts",
        ),
        (
            good.replace("popular_share: 0.2", "popular_share: 7"),
            ":6",
            "popular_share",
        ),
        (good.replace("price: 1000", "price: -1"), "prices", "price"),
        (
            good.replace("seats_per_date: 10", "seats_per_date: 4000000000"),
            ":4",
            "seats_per_date",
        ),
        ("{".to_owned(), "bad.yaml", "bad.yaml"),
        (String::new(), "bad.yaml", "bad.yaml"),
        ("a: &a [*a, *a]\n".repeat(50), "bad.yaml", "bad.yaml"),
        ("x".repeat(70_000), "bad.yaml", "65536"),
    ];
    let file = place.data.with_file_name("bad.yaml");
    for (text, line, field) in cases {
        std::fs::write(&file, &text).unwrap();
        let ended = place.run(&["seed", file.to_str().unwrap()]).await;
        ended.failed_with(2, &[file.to_str().unwrap(), line, field]);
    }
    std::fs::write(&file, [0xff, 0xfe, 0]).unwrap();
    for bad in [file.to_str().unwrap(), "no-such-profile", "/", "/proc/none"] {
        place.run(&["seed", bad]).await.failed_with(2, &[bad]);
    }
    assert!(!place.data.exists(), "nothing was made");
}

/// `command` with a limit on the size of files, in kibibytes: a write beyond it fails as on a full disk.
fn on_a_full_disk(command: &Command, kibibytes: u32) -> Command {
    let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$@\"");
    let mut limited = Command::new("bash");
    limited.args(["-c", &script, "limited"]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.stdin(Stdio::null());
    limited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_seeding_with_a_clear_error_and_changes_nothing() {
    let place = Place::new();
    let sold = place.sold().await;
    let command = place.command(&["seed", &place.large, "--replace", "--quiet"]);
    let ended = finish(on_a_full_disk(&command, 2_048)).await;
    ended.failed_with(1, &["could not be written", "disk", "nothing was changed"]);
    let reported = ended.stderr.matches("cannot be written").count();
    assert_eq!(
        reported, 1,
        "the error must be reported once: {}",
        ended.stderr
    );
    assert_eq!(place.datasets(), sold.datasets);

    let server = ServerProcess::start_limited(&place.data, 2_048).await;
    begin(&server.ops).await.unwrap();
    let ended = until_ended(&server.ops).await;
    let error = ended.error.unwrap_or_default();
    assert_eq!(ended.phase, SeedPhase::Failed);
    assert!(error.contains("nothing was changed"), "{error}");
    server_still_has(&server, &sold).await;
    let through = place
        .run(&["seed", &place.large, "--replace", "--quiet"])
        .await;
    through.failed_with(1, &["could not be written", "nothing was changed"]);
    assert_eq!(place.datasets(), sold.datasets);
    drop(server);
    place.still_has(&sold).await;
}

#[tokio::test]
async fn a_user_of_the_directory_without_an_address_is_reported() {
    let place = Place::new();
    std::fs::create_dir_all(&place.data).unwrap();
    let lock = std::fs::File::create(place.data.join("lock")).unwrap();
    lock.lock().unwrap();
    let ended = run(&["seed", "--data-dir", as_text(&place.data)]).await;
    ended.failed_with(1, &[as_text(&place.data), "in use by another process"]);
    // The server left an address at which no server answers any more.
    let address = r#"{"api_addr":"127.0.0.1:1","ops_addr":"127.0.0.1:1"}"#;
    std::fs::write(place.data.join("server.json"), address).unwrap();
    let ended = run(&["seed", "--data-dir", as_text(&place.data)]).await;
    ended.failed_with(1, &["127.0.0.1:1"]);
}

fn as_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
