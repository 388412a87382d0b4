//! Actions by keys alone, in a pseudo-terminal with a real server: a phase is launched, slowed, paused and stopped;
//! admission is changed; a seeding of ten million seats is cancelled; the audit log has every action.

use std::path::Path;

use concertctl::api::ops::SeedPhase;
use serde_json::Value;

use crate::support::{TestServer, eventually};
use crate::terminal::Console;

/// A console with its own data directory, attached to `server`.
fn beside(server: &TestServer, home: &Path, more: &[&str]) -> Console {
    let dir = ["--data-dir", home.to_str().unwrap()];
    let args: Vec<&str> = [&dir[..], more].concat();
    Console::start_with(&server.ops_url, &server.ops_token, &args, (80, 24))
}

/// The entries of the audit log: action, outcome and detail.
pub fn audit(home: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(home.join("console-audit.log")).unwrap();
    let read = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["who"], "mona", "{line}");
        let time = entry["time"].as_str().unwrap();
        time.parse::<jiff::Timestamp>().unwrap();
        assert!(entry["target"].as_str().unwrap().starts_with("127.0.0.1:"));
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        (text("action"), text("outcome"), text("detail"))
    };
    text.lines().map(read).collect()
}

fn actions(home: &Path) -> Vec<String> {
    audit(home).into_iter().map(|(action, ..)| action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_launch_slow_pause_resume_and_stop_a_phase_and_the_audit_log_has_every_action() {
    let server = TestServer::empty().await;
    let home = tempfile::tempdir().unwrap();
    let mut console = beside(&server, home.path(), &["--as", "mona"]);
    let dir = home.path().to_owned();
    tokio::task::spawn_blocking(move || {
        console.see("press s to seed demo data");
        console.press("l\rjj\r");
        console.see("onsale-short, only open");
        console.press("y");
        console.see("thresholds so far");
        console.press("<");
        console.see("×0.8");
        console.press("<");
        console.see("×0.64");
        console.press(">");
        console.until("faster again", |text| !text.contains("×0.64"));
        console.press(" ");
        console.see("paused, ×0.8");
        console.press("1");
        console.see("▲ paused");
        console.press("5 ");
        console.until("it goes on", |text| !text.contains("paused, ×0.8"));
        console.press("x");
        console.see("Stop the rehearsal?");
        console.press("y");
        console.see("inconclusive");
        console.see("summary: ");
        console.press("H");
        console.see("rehearsal paused");
        console.see("first: ended: inconclusive");
        console.press("qq");
        let (status, _) = console.ended_with_the_terminal_restored();
        assert!(status.success(), "{status:?}");
        assert_eq!(
            actions(&dir),
            [
                "rehearsal onsale-short, open alone, seeded first",
                "rehearsal a quarter slower",
                "rehearsal a quarter slower",
                "rehearsal a quarter faster",
                "rehearsal paused",
                "rehearsal resumed",
                "stop of the rehearsal",
                "rehearsal onsale-short, open alone, seeded first",
            ]
        );
        let (_, outcome, detail) = audit(&dir).pop().unwrap();
        assert_eq!(
            (outcome.as_str(), detail.as_str()),
            ("done", "ended: inconclusive")
        );
        let reports = std::fs::read_dir(dir.join("rehearsals")).unwrap();
        let mut kinds: Vec<String> = reports
            .map(|file| {
                file.unwrap()
                    .path()
                    .extension()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        kinds.sort();
        assert_eq!(kinds, ["html", "json"]);
    })
    .await
    .unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_admission_and_the_next_session_shows_who_did_it() {
    let server = TestServer::seeded(2, 50, 20).await;
    let home = tempfile::tempdir().unwrap();
    let mut console = beside(&server, home.path(), &["--as", "mona"]);
    let before = tokio::task::spawn_blocking(move || {
        console.see("sale open");
        console.press("b0\r");
        console.see("is not a number from 1 to 1,000,000");
        console.press("\x7f700\t7s\r");
        console.see("→ 700 every 7 s");
        console.press("y");
        console.see("admission set to 700 every 7 s");
        console.press("q");
        console.ended_with_the_terminal_restored();
    });
    before.await.unwrap();
    let admission = server.ops.status().await.unwrap().admission;
    assert_eq!((admission.batch, admission.every_ms), (700, 7_000));
    let mut console = beside(&server, home.path(), &["--read-only"]);
    let dir = home.path().to_owned();
    let after = tokio::task::spawn_blocking(move || {
        console.see("read-only");
        console.press("b");
        console.see("read-only: cannot");
        console.press("H");
        console.see("mona");
        console.see("admission set to 700 every 7 s");
        console.press("qq");
        console.ended_with_the_terminal_restored();
        assert_eq!(actions(&dir), ["admission set to 700 every 7 s"]);
    });
    after.await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seeding_of_ten_million_seats_shows_its_progress_and_cancelling_it_changes_nothing() {
    let server = TestServer::empty().await;
    let home = tempfile::tempdir().unwrap();
    let mut console = beside(&server, home.path(), &["--as", "mona"]);
    let mut console = tokio::task::spawn_blocking(move || {
        console.see("press s to seed demo data");
        console.press("s\r");
        console.see("demo is seeded");
        console
    })
    .await
    .unwrap();
    let before = server.ops.status().await.unwrap();
    let console = tokio::task::spawn_blocking(move || {
        console.press("sj\r");
        console.see("▲ Lost: demo");
        // Any other text than the name does nothing.
        console.press("onsal\r");
        console.see("onsal█");
        console.press("e\r");
        console.until("share, speed and time left", |text| {
            let line = text.lines().find(|line| line.contains("seeding onsale"));
            let line = line.unwrap_or_default();
            line.contains("of 10.") && line.contains("rows/s") && line.contains("left")
        });
        console.until("rows are written", |text| {
            text.lines()
                .any(|line| line.contains("seeding onsale") && !line.contains("  0 of"))
        });
        console.press("x");
        console.see("Cancel the seeding?");
        console.press("y");
        console.see("seeding cancelled; the dataset that was there is in use");
        console
    })
    .await
    .unwrap();
    let ended = eventually("the seeding ends", || async {
        let at = server.ops.seed_progress().await.unwrap();
        (at.phase != SeedPhase::Running).then_some(at)
    })
    .await;
    assert_eq!(ended.phase, SeedPhase::Cancelled);
    assert!(ended.rows_total > 10_000_000 && ended.rows_done < ended.rows_total);
    let after = server.ops.status().await.unwrap();
    assert_eq!(after.dataset, before.dataset);
    assert_eq!(after.queue, before.queue);
    // No partial dataset is left: only the earlier one exists.
    let datasets = std::fs::read_dir(server.dir.path().join("datasets"));
    let datasets = datasets.map(|files| {
        files
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".db"))
            .collect::<Vec<_>>()
    });
    assert_eq!(datasets.unwrap().len(), 1);
    drop(console);
    let written = audit(home.path());
    let written: Vec<_> = written
        .iter()
        .map(|(a, _, d)| format!("{a}: {d}"))
        .collect();
    assert_eq!(
        written,
        [
            "seeding demo: began",
            "seeding onsale: began",
            "cancelling the seeding: asked"
        ]
    );
    server.stop().await;
}
