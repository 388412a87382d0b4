//! While a fault is withheld, no answer that a player can get names it. When it is shown again, the same requests find
//! it.

use std::path::Path;
use std::time::Duration;

use concertctl::api::faults::{Fault, FaultKind, SEAL_HEADER, Site};
use concertctl::clients::ClientError;
use serde_json::Value;

use crate::support::process::{ServerProcess, concertctl};
use crate::support::{client, eventually, profile, seed};

const LONG: Duration = Duration::from_secs(120);

/// The answer of the faults API without an active fault.
const NONE: &str = r#"{"faults":[]}"#;

/// The lines of `text` that name a fault. Help texts and gauges at 0 are in every exposition, so they do not count.
pub(super) fn naming(text: &str) -> Vec<String> {
    let kinds = FaultKind::ALL.iter().map(|kind| kind.as_str());
    let kinds: Vec<&str> = kinds.filter(|name| name.contains('_')).collect();
    let names = |line: &str| {
        let line = line.to_lowercase().replace("default", "");
        let words = ["fault", "inject"];
        words.iter().chain(&kinds).any(|word| line.contains(word))
    };
    let is_neutral = |line: &str| {
        let zero = line.ends_with(" 0") || line.ends_with(" 0.0");
        let is_page_fault = line.starts_with("node_");
        // The metric of the clock step itself is the symptom that the player has to find.
        let is_symptom = line.starts_with("concert_clock_steps_total");
        zero || line.starts_with('#') || is_page_fault || is_symptom || line == NONE
    };
    let lines = text.lines().filter(|line| names(line) && !is_neutral(line));
    lines.map(str::to_owned).collect()
}

/// Everything that a player can get from a server, as text: the address or the file, and the answer.
pub(super) async fn everything(server: &ServerProcess, dir: &Path) -> Vec<(String, String)> {
    let (ops, token) = (&server.ops_url, &server.ops_token);
    let mut all = Vec::new();
    let ask = async |url: String, accept: &str| {
        let request = client()
            .get(&url)
            .bearer_auth(token)
            .header("accept", accept);
        let text = request.send().await.unwrap().text().await.unwrap();
        (url, text)
    };
    let loki = "loki/api/v1/query_range?query=%7Bservice_name%3D~%22.%2B%22%7D&limit=5000";
    // The log is read first, because it records these requests too.
    for path in [
        loki,
        "metrics",
        "api/v1/alerts",
        "api/v2/alerts",
        "ops/v1/faults",
        "ops/v1/audit",
        "ops/v1/status",
        "api/v1/query?query=max_over_time(concert_fault_active%5B5m%5D)%20%3E%200",
        "api/search?limit=100",
    ] {
        all.push(ask(format!("{ops}/{path}"), "text/plain").await);
    }
    all.push(ask(format!("{ops}/metrics"), "application/openmetrics-text").await);
    let found: Value = serde_json::from_str(&all[8].1).unwrap();
    let traces = found["traces"].as_array().cloned().unwrap_or_default();
    for trace in traces.iter().filter_map(|trace| trace["traceID"].as_str()) {
        all.push(ask(format!("{ops}/api/traces/{trace}"), "application/json").await);
    }
    for path in ["concerts", "accounts/1"] {
        all.push(ask(format!("{}/{path}", server.api), "application/json").await);
    }
    all.extend(of_process(server.pid().as_raw_nonzero().get()));
    all.extend(file_names(dir));
    all
}

/// Command line, environment and thread names of a process, from `/proc`.
pub(super) fn of_process(pid: i32) -> Vec<(String, String)> {
    let proc = Path::new("/proc").join(pid.to_string());
    let tasks = std::fs::read_dir(proc.join("task")).into_iter().flatten();
    let tasks = tasks.flatten().map(|task| task.path().join("comm"));
    let files = ["cmdline", "environ"].map(|name| proc.join(name));
    let files = files.into_iter().chain(tasks);
    files
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).replace('\0', "\n");
            (path.display().to_string(), text)
        })
        .collect()
}

fn file_names(dir: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let mut names = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => file_names(&entry.path()),
                false => Vec::new(),
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            names.push((entry.path().display().to_string(), name));
            names
        })
        .collect()
}

/// The places that name a fault, with the lines that name it.
fn leaks(all: &[(String, String)]) -> Vec<(String, String)> {
    let found = all.iter().flat_map(|(place, text)| {
        let lines = naming(text).into_iter();
        lines.map(move |line| (place.clone(), line))
    });
    found.collect()
}

/// A weak fault of each kind that this server can inject. With all of them the server must still answer, including its
/// metrics.
fn faults() -> Vec<Fault> {
    let routes = |route: &str| Some(vec![route.to_owned()]);
    FaultKind::injectable()
        .filter(|kind| kind.site() != Site::Redis && *kind != FaultKind::TelemetryGone)
        .map(|kind| match kind {
            FaultKind::Errors => Fault::Errors {
                share: 1.0,
                status: 500,
                routes: routes("GET /concerts"),
            },
            FaultKind::Latency => Fault::Latency {
                delay: Duration::from_millis(1),
                share: 1.0,
                routes: routes("GET /concerts"),
            },
            FaultKind::SlowStatement => Fault::SlowStatement {
                delay: Duration::from_millis(300),
                statement: Some("account.read".to_owned()),
            },
            FaultKind::PoolExhaustion => Fault::PoolExhaustion {
                connections: Some(1),
            },
            FaultKind::ClockStep => Fault::ClockStep { seconds: 3 },
            kind => Fault::with_settings(kind, serde_json::Map::new()).unwrap(),
        })
        .collect()
}

#[tokio::test]
async fn nothing_names_a_withheld_fault_and_everything_names_it_when_it_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = concertctl();
    // The environment of the user who runs the test may contain any name.
    command.env_clear();
    let server = ServerProcess::with(command, dir.path(), &["--log", "debug"]).await;
    seed(&server.ops, &profile(1, 10, 10)).await;
    let sealed = server.ops.seal(LONG).await.unwrap();
    for fault in faults() {
        sealed
            .inject_fault(&fault, LONG, Some("a drill"))
            .await
            .unwrap();
    }
    // The faults are active: users get errors.
    let refused = client()
        .get(format!("{}/concerts", server.api))
        .send()
        .await;
    assert_eq!(refused.unwrap().status(), 500);
    // After two scrapes and evaluations every metric and alert would have shown the faults.
    let scrapes = format!(
        "{}/api/v1/query?query=count_over_time(up[5m])%20%3E%203",
        server.ops_url
    );
    eventually("the gauge was scraped since", || async {
        let answer = client().get(&scrapes).send().await.unwrap();
        answer
            .text()
            .await
            .unwrap()
            .contains("concertctl")
            .then_some(())
    })
    .await;
    let withheld = leaks(&everything(&server, dir.path()).await);
    assert!(
        withheld.is_empty(),
        "a withheld fault is shown: {withheld:?}"
    );

    // Only the holder of the key can change faults or show them.
    for refused in [
        server.ops.end_faults(None).await,
        server.ops.end_faults(Some(FaultKind::Errors)).await,
        server.ops.unseal().await,
    ] {
        assert!(
            matches!(refused, Err(ClientError::Refused { status: 409, .. })),
            "{refused:?}"
        );
    }
    let again = server.ops.inject_fault(&faults()[0], LONG, None).await;
    assert!(matches!(
        again,
        Err(ClientError::Refused { status: 409, .. })
    ));

    let shown = sealed.unseal().await.unwrap();
    assert_eq!(shown.faults.len(), faults().len());
    for place in [
        "/metrics",
        "/api/v1/alerts",
        "/api/v2/alerts",
        "/ops/v1/faults",
        "/loki/",
        "max_over_time",
        "/concerts",
    ] {
        eventually(place, || async {
            let found = leaks(&everything(&server, dir.path()).await);
            found
                .iter()
                .any(|(found, _)| found.contains(place))
                .then_some(())
        })
        .await;
    }
    // Faults can be injected again without the key.
    server.ops.end_faults(None).await.unwrap();
}

#[tokio::test]
async fn a_seal_is_refused_while_a_fault_is_seen_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    let fault = &faults()[0];
    server.ops.inject_fault(fault, LONG, None).await.unwrap();
    let refused = server.ops.seal(LONG).await;
    assert!(matches!(
        refused,
        Err(ClientError::Refused { status: 409, .. })
    ));
    server.ops.end_faults(None).await.unwrap();
    let sealed = server.ops.seal(Duration::from_millis(200)).await.unwrap();
    sealed.inject_fault(fault, LONG, None).await.unwrap();
    eventually("the drill is gone, and the fault is shown", || async {
        let faults = server.ops.faults().await.unwrap().faults;
        (faults.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_the_right_key_hides_a_request_from_the_log_and_a_stop_logs_what_was_withheld() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("server.log");
    let more = ["--log", "debug", "--log-file", log.to_str().unwrap()];
    let server = ServerProcess::start(dir.path(), &more).await;
    let sealed = server.ops.seal(LONG).await.unwrap();
    sealed.inject_fault(&faults()[0], LONG, None).await.unwrap();
    // The key is checked before the name and the settings, so a refusal reveals neither.
    let url = format!("{}/ops/v1/faults", server.ops_url);
    for path in ["errors", "gremlins"] {
        let request = client().put(format!("{url}/{path}")).body("no JSON");
        let request = request.header(SEAL_HEADER, "guessed");
        let refused = request.bearer_auth(&server.ops_token).send().await.unwrap();
        assert_eq!(refused.status(), 409, "{path}");
    }
    let lines = || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let changes = |lines: &[String]| {
        let changes = lines
            .iter()
            .filter(|line| line.contains("PUT /ops/v1/faults"));
        changes.cloned().collect::<Vec<String>>()
    };
    eventually("both guesses are logged", || async {
        (changes(&lines()).len() == 2).then_some(())
    })
    .await;
    let names = |line: &String| line.contains("a fault is injected");
    assert!(!lines().iter().any(names), "it is withheld");

    server.terminate();
    assert!(server.exited().await.success());
    let lines = lines();
    let guesses = changes(&lines);
    assert!(guesses.len() == 2, "only the right key hides: {guesses:?}");
    assert!(guesses.iter().all(|line| line.contains("409")));
    for message in [
        "a fault is injected: errors",
        "an injected fault has ended: errors",
    ] {
        let record = lines.iter().find(|line| line.contains(message));
        let record: Value = serde_json::from_str(record.expect(message)).unwrap();
        assert!(record.to_string().contains("\"at\""), "{record}");
    }
}
