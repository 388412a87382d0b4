//! The Resources screen and dashboards, with a running server.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::process::ServerProcess;
use crate::terminal::Console;

/// Prints one screen as text with the real binary.
fn once(url: &str, args: &[&str], lines: &str) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_concertctl"));
    command.args(["tui", "--once", "--ops-url", url]).args(args);
    command.env("LC_ALL", "C.UTF-8");
    command.env("COLUMNS", "120").env("LINES", lines);
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

/// Repeats this until the screen shows all of `wanted`, because the server's store needs some seconds to fill.
pub(crate) async fn until(url: &str, args: &[&str], lines: &str, wanted: &[&str]) -> String {
    let begun = Instant::now();
    loop {
        let (url, lines) = (url.to_owned(), lines.to_owned());
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let asked = tokio::task::spawn_blocking(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            once(&url, &args, &lines)
        });
        let output = asked.await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        if wanted.iter().all(|wanted| text.contains(wanted)) {
            return text;
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let late = begun.elapsed() > Duration::from_secs(60);
        assert!(!late, "{wanted:?} in\n{text}{errors}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

pub(crate) fn file(dir: &Path, json: &Value) -> String {
    let path = dir.join("board.json");
    std::fs::write(&path, json.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn panel(kind: &str, title: &str, y: u32, expr: &str) -> Value {
    json!({
        "type": kind, "title": title,
        "gridPos": { "x": 0, "y": y, "w": 12, "h": 5 },
        "datasource": { "type": "prometheus", "uid": "prometheus" },
        "targets": [{ "expr": expr, "legendFormat": "{{instance}}" }],
        "fieldConfig": { "defaults": { "unit": "suffix:people" } },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dashboard_file_shows_the_numbers_of_a_running_server() {
    let server = TestServer::empty().await;
    let dashboard = json!({
        "title": "Mine", "schemaVersion": 41,
        "templating": { "list": [{
            "name": "job", "type": "query", "query": "label_values(http_server_active_requests, job)",
            "current": { "value": "of another place" },
        }] },
        "panels": [
            panel("stat", "A number", 0, "41 + count(http_server_active_requests{job=~\"$job\"})"),
            panel("timeseries", "Wrong", 5, "max(concert_admission_batch"),
            panel("geomap", "A map", 10, "up"),
        ],
    });
    let path = file(server.dir.path(), &dashboard);
    let wanted = [
        "Mine",
        "42 people",
        "parse error",
        "no panels of type geomap",
    ];
    let args = ["--screen", "8", "--dashboard", &path];
    let text = until(&server.ops_url, &args, "40", &wanted).await;
    assert!(
        text.contains("job=concertctl"),
        "the existing value is chosen: {text}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panel_shows_the_numbers_of_a_log_query() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &["--log", "info"]).await;
    let lines = "sum(count_over_time({service_name=~\".+\"} | json [1h]))";
    let mut panels = vec![
        panel("stat", "Lines", 0, &format!("count({lines})")),
        panel("stat", "Wrong", 5, "sum(rate({service_name=~\".+\"}"),
        panel("stat", "Metrics go on", 10, "23 + 0 * count(up)"),
    ];
    for panel in &mut panels[..2] {
        panel["datasource"] = json!({ "type": "loki", "uid": "loki" });
    }
    let dashboard = json!({ "title": "Logs", "schemaVersion": 41, "panels": panels });
    let path = file(dir.path(), &dashboard);
    let wanted = ["1 people", "Loki: ", "23 people"];
    let token = dir.path().join("ops-token");
    let token = token.to_str().unwrap();
    let args = [
        "--screen",
        "board",
        "--dashboard",
        &path,
        "--ops-token-file",
        token,
    ];
    until(&server.ops_url, &args, "40", &wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_and_the_shipped_board_show_host_and_store_of_a_running_server() {
    let server = TestServer::empty().await;
    let instance = server.ops_url.trim_start_matches("http://");
    let wanted = ["INSTANCE", instance, "busy", "used", "%"];
    let text = until(&server.ops_url, &["--screen", "2"], "40", &wanted).await;
    let row = text.lines().find(|line| line.contains(instance)).unwrap();
    let figures = row
        .split_whitespace()
        .filter(|word| word.contains('%'))
        .count();
    assert!(figures >= 3, "CPU, memory and disk: {row}");
    let wanted = ["On-sale", "Waiting", "Error budget left", "job=concertctl"];
    until(&server.ops_url, &["--screen", "board"], "40", &wanted).await;
    server.stop().await;
}

#[test]
fn a_dashboard_with_a_mistake_is_reported_with_its_place_before_any_request() {
    let dir = tempfile::tempdir().unwrap();
    let error_of = |content: &[u8]| {
        let path = dir.path().join("bad.json");
        std::fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap();
        let output = once("127.0.0.1:9", &["--dashboard", path], "24");
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains("bad.json") && text.lines().count() == 1,
            "{text}"
        );
        text
    };
    assert!(error_of(b"{\n  \"panels\": nothing }").contains("line 2, column"));
    let wrong = error_of(br#"{"panels": [{}, {"type": "stat", "targets": 7}]}"#);
    assert!(
        wrong.contains("$.panels[1].targets") && wrong.contains("from Grafana"),
        "{wrong}"
    );
    assert!(error_of(&vec![b' '; 8 * 1024 * 1024 + 1]).contains("larger than 8 MiB"));
    assert!(error_of(b"\xff\xfe").contains("not UTF-8"));
    let folder = dir.path().to_str().unwrap();
    let output = once("127.0.0.1:9", &["--dashboard", folder], "24");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("is not a file")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_choose_enlarge_and_close_panels() {
    let server = TestServer::empty().await;
    let url = server.ops_url.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let mut console = Console::start_sized(&url, &["--screen", "8"], (120, 40));
        console.see("Error budget left");
        console.press("jjj\r");
        console.see("Esc: all panels");
        console.until("only the chosen panel", |text| {
            text.contains("Waiting") && !text.contains("Error budget left")
        });
        console.press("\x1b");
        console.see("Error budget left");
        console.press("2");
        console.see("INSTANCE");
        console.press("\r");
        console.see("last");
        console.press("q");
        console.ended_with_the_terminal_restored();
    });
    looked.await.unwrap();
    server.stop().await;
}
