//! Korean text in a dataset, an alert and a filter does not move any border. Files are chosen by their path. Times are
//! in the chosen time zone.

use std::path::Path;

use crate::support::TestServer;
use crate::terminal::Console;

const PROFILE: &str = "name: 아이유 앙코르 서울\nconcerts: 2\ndates_per_concert: 2\nseats_per_date: 50\n\
    users: 20\non_sale:\n  concert: 1\n  popular_share: 0.2\nprices:\n  - { up_to: 50, price: 90000 }\n";
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/onsale-short.yaml");
const SUMMARY: &str = "아이유 콘서트 👨‍👩‍👧 결제가 멈췄습니다, 대기열은 그대로입니다";

/// The lines of the screen whose frame is not in the first and the last column.
fn broken_frames(console: &Console) -> Vec<String> {
    let screen = console.screen.lock();
    let screen = screen.screen();
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let at = |row, column| {
        screen
            .cell(row, column)
            .map_or("", vt100::Cell::contents)
            .to_owned()
    };
    let is_edge = |text: &str| "│╭╮╰╯├┤".contains(text) && !text.is_empty();
    // Header and footer have no frame.
    let lines =
        (2..rows - 2).filter(|row| !is_edge(&at(*row, 0)) || !is_edge(&at(*row, columns - 1)));
    lines
        .map(|row| (0..columns).map(|column| at(row, column)).collect())
        .collect()
}

fn intact(console: &Console, what: &str) {
    console.until(&format!("every frame whole: {what}"), |_| {
        broken_frames(console).is_empty()
    });
}

fn walk(url: &str, token: &str, home: &Path, size: (u16, u16)) {
    let profile = home.join("공연.yaml");
    std::fs::write(&profile, PROFILE).unwrap();
    let dir = home.to_str().unwrap();
    let args = [
        "--data-dir",
        dir,
        "--timezone",
        "Asia/Seoul",
        "--as",
        "김지은",
    ];
    let mut console = Console::start_with(url, token, &args, size);
    console.see("press s to seed demo data");
    console.see(" +09");
    console.press("sjj\r");
    console.see("A dataset profile in YAML");
    console.press("/nowhere/profile.yaml\r");
    console.see("/nowhere/profile.yaml cannot be read");
    // Replaces the text by a pasted line, which ends with a line break.
    console.press("\x15");
    console.press(&format!("\x1b[200~{}\n\x1b[201~", profile.display()));
    console.press("\r");
    console.see("아이유 앙코르");
    console.see("sale open");
    console.press("a");
    console.press(&format!("{SUMMARY}\r"));
    console.see("raised");
    for (key, seen) in [
        ("1", "OperatorAlert"),
        ("2", "Instances"),
        ("3", "all levels"),
    ] {
        console.press(key);
        console.see(seen);
        intact(&console, seen);
    }
    console.press("/profile=아이유\r");
    console.see("with “profile=아이유”");
    intact(&console, "a filtered log");
    console.press("\x1b");
    console.until("the filter removed", |text| !text.contains("with “"));
    for (key, seen) in [
        ("4", "Traces: "),
        ("5", "Scenarios"),
        ("6", "아이유 콘서트"),
    ] {
        console.press(key);
        console.see(seen);
        intact(&console, seen);
    }
    console.press("6\r");
    console.see("Measured value");
    intact(&console, "the alert in full");
    console.press("H");
    console.see("What was done");
    console.see("(+09)");
    intact(&console, "the audit log");
    console.press("q");
    console.press("1s");
    console.see("Lost: 아이유 앙코르 서울");
    intact(&console, "a dialog");
    console.press("\x1b");
    console.until("the dialog closed", |text| !text.contains("Lost:"));
    console.press("q");
    assert!(console.ended_with_the_terminal_restored().0.success());
}

async fn walked(size: (u16, u16)) {
    let server = TestServer::empty().await;
    let (url, token) = (server.ops_url.clone(), server.ops_token.clone());
    tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().unwrap();
        walk(&url, &token, home.path(), size);
    })
    .await
    .unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn korean_names_do_not_move_frames_at_80x24() {
    walked((80, 24)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn korean_names_do_not_move_frames_at_120x40() {
    walked((120, 40)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_file_is_launched_by_its_path_and_a_mistake_is_shown_with_its_place() {
    let server = TestServer::empty().await;
    let (url, token) = (server.ops_url.clone(), server.ops_token.clone());
    tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("short.yaml");
        let shipped = std::fs::read_to_string(SHIPPED).unwrap();
        std::fs::write(&path, &shipped).unwrap();
        let wrong = home.path().join("wrong.yaml");
        std::fs::write(&wrong, shipped.replace("users:", "usres:")).unwrap();
        let dir = home.path().to_str().unwrap();
        let mut console = Console::start_with(&url, &token, &["--data-dir", dir], (120, 40));
        console.see("press s to seed demo data");
        console.press("l\x1b[F\r");
        console.see("A scenario in YAML");
        console.press(&format!("{}\r", wrong.display()));
        console.see("usres");
        console.press(&format!("\x15{}\r", path.display()));
        console.see("all phases, one after the other");
        console.press("\x1b[B\r");
        console.see("short, only register");
        console.press("y");
        console.see("short, register alone");
        console.see("thresholds held");
        console.press("q");
        assert!(console.ended_with_the_terminal_restored().0.success());
    })
    .await
    .unwrap();
    server.stop().await;
}

/// A profile of 40 seats whose users can pay.
const HALL: &str = "name: hall\nconcerts: 1\ndates_per_concert: 2\nseats_per_date: 20\nusers: 60\nbalance: 500000\n\
    on_sale: { concert: 1, popular_share: 0.5 }\nprices: [{ up_to: 20, price: 1000 }]\n";
/// A scenario that sells the hall, whose profile is beside the scenario.
const EVENING: &str = "title: an evening\ndataset: hall.yaml\nusers: 30\nadmission: { batch: 30, every: 200ms }\n\
    contention: { choice: map, attempts: 50 }\npay: { charge: 0 }\ngenerator: { lag_p99: 60s }\n\
    thresholds: { pay: { requests: 20 }, oversold: 0, double_charges: 0, lost: 0 }\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_users_own_files_are_seeded_and_launched_by_typed_paths() {
    let server = TestServer::empty().await;
    let (url, token) = (server.ops_url.clone(), server.ops_token.clone());
    let ops = server.ops.clone();
    tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().unwrap();
        let profile = home.path().join("hall.yaml");
        std::fs::write(&profile, HALL).unwrap();
        let scenario = home.path().join("evening.yaml");
        std::fs::write(&scenario, EVENING).unwrap();
        let dir = home.path().to_str().unwrap();
        let mut console = Console::start_with(&url, &token, &["--data-dir", dir], (120, 40));
        console.see("press s to seed demo data");
        console.press("sjj\r");
        console.see("A dataset profile in YAML");
        console.press(&format!("{}\r", profile.display()));
        console.see("hall");
        console.see("sale open");
        console.press("l\x1b[F\r");
        console.see("A scenario in YAML");
        console.press(&format!("{}\r", scenario.display()));
        console.see("all phases, one after the other");
        console.press("\r");
        console.see("an evening");
        console.press("y");
        console.see("thresholds held");
        console.press("q");
        assert!(console.ended_with_the_terminal_restored().0.success());
    })
    .await
    .unwrap();
    let dataset = ops.status().await.unwrap().dataset.unwrap();
    assert_eq!((dataset.profile.as_str(), dataset.seats), ("hall", 40));
    let audit = ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
    server.stop().await;
}
