//! Drills and faults in the console: the real binary, a real drill in a process of its own, a real server.

use std::path::Path;

use crate::fake_sources::{Fake, TOKEN};
use crate::support::TestServer;
use crate::terminal::Console;

/// A short drill whose expectations hold even on a busy machine.
const SHORT: &str = "title: Half of the requests fail\nload: onsale-short\n\
    set: { users: 300, admission.batch: 5, admission.every: 1s, limits.duration: 3m, generator.lag_p99: 60s }\n\
    hypothesis: { buying.p95: 60s, buying.error_rate: 0.001, for: 1s }\n\
    injects:\n  - at: 1s\n    fault: { kind: errors, share: 0.5, for: 8s }\n\
    \x20   cause: { component: c, mechanism: m }\n\
    \x20   expect: { fires: { HighErrorRate: 10s }, may_fire: [ErrorBudgetBurnFast, ErrorBudgetBurnSlow], recovered: 20s }\n";

/// Starts a console in `dir`, which contains the drill files, the data of the console, and all files of the drills.
fn console(dir: &Path, url: &str) -> Console {
    let script = "cd \"$1\" && export TMPDIR=\"$1\" CONCERTCTL_OPS_TOKEN=\"$3\" && \
        exec \"$0\" tui --data-dir \"$1/data\" --screen drills --ops-url \"$2\"";
    let args = [dir.to_str().unwrap(), url, TOKEN].map(str::to_owned);
    Console::script(script, &args, (120, 40))
}

/// The number of data directories of drills in `dir`, and of kept reports.
fn left(dir: &Path) -> (usize, usize) {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let servers = names.filter(|name| name.starts_with("concertctl-drill-"));
    let kept = std::fs::read_dir(dir.join("data/drills"));
    (servers.count(), kept.map_or(0, Iterator::count))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_file_runs_to_its_verdict_and_another_is_stopped_by_keys_alone() {
    let fake = Fake::start().await;
    let test = move || {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("scenarios")).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join("scenarios").join(name), text).unwrap();
        };
        write("drill-short.yaml", SHORT);
        write("drill-wrong.yaml", "title: Wrong\nload: nowhere\n");
        let mut console = console(dir.path(), &fake.url());
        console.see("drill-short (file)");
        console.press("\x1b[B".repeat(40).as_str());
        console.see("no such scenario");
        console.press("k\r");
        console.see("worst case by rule and settings");
        console.press("s");
        console.see("Start the drill?");
        console.press("y");
        console.see("the fault lasts");
        console.press("1");
        console.see("drill scenarios/drill-short.yaml: the fault is there");
        console.press("7");
        console.see("the fault is over");
        // The time of the alert does not matter here, because other tests may slow down the machine.
        console.until("a verdict", |text| {
            ["passed", "failed", "is inconclusive"]
                .iter()
                .any(|word| text.contains(&format!("drill scenarios/drill-short.yaml {word}")))
        });
        console.see("report: ");
        assert_eq!(left(dir.path()), (0, 1));
        console.press("sy");
        // This step takes long enough to be seen, even on a busy machine.
        console.see("the sale is to open");
        console.press("xy");
        console.see("inconclusive: stopped");
        assert_eq!(left(dir.path()), (0, 2));
        console.press("q");
        let (status, _) = console.ended_with_the_terminal_restored();
        assert!(status.success(), "{status:?}");
    };
    tokio::task::spawn_blocking(test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_injected_seen_and_ended_by_keys_alone() {
    let server = TestServer::empty().await;
    let (url, token) = (server.ops_url.clone(), server.ops_token.clone());
    let test = move || {
        for size in [(80, 24), (120, 40)] {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().to_str().unwrap();
            let mut console = Console::start_with(&url, &token, &["--data-dir", dir], size);
            console.see("press s to seed demo data");
            console.press("!");
            console.see("Faults of the server");
            console.press("\r");
            console.see("Inject errors");
            console.press("7\r");
            console.see("0 to 1");
            console.press("\x7f0.5\r");
            console.see("errors for 30s: share 0.5");
            console.press("y");
            console.see("▼ ");
            console.press("!");
            console.see("left: ");
            console.press("c");
            console.until("the fault ended", |text| {
                !text.contains("left: ") && !text.contains("▼ ")
            });
            console.press("\x1b");
            console.until("the dialog closed", |text| {
                !text.contains("Faults of the server")
            });
            console.press("q");
            console.ended_with_the_terminal_restored();
        }
    };
    tokio::task::spawn_blocking(test).await.unwrap();
    server.stop().await;
}
