//! Features of all commands: finding a server, the user's own files, the configuration file, and errors of directories.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::eventually;
use crate::support::process::{
    AT_ANY_SPEED, Ended, Running, ServerProcess, concertctl, finish, run, small_rehearsal,
};

/// A profile of 40 seats whose users can pay.
const HALL: &str = "\
name: hall
concerts: 1
dates_per_concert: 2
seats_per_date: 20
users: 60
balance: 500000
on_sale: { concert: 1, popular_share: 0.5 }
prices: [{ up_to: 20, price: 1000 }]
";

/// A scenario that sells the hall. No user charges an account.
const EVENING: &str = "\
title: an evening
dataset: hall.yaml
users: 30
admission: { batch: 30, every: 200ms }
contention: { choice: map, attempts: 50 }
pay: { charge: 0 }
generator: { lag_p99: 60s }
http: { request_timeout: 60s }
thresholds:
  pay: { p90: 1m, p99.9: 1m, requests: 20 }
  oversold: 0
  double_charges: 0
  audit_violations: 0
  lost: 0
";

fn write_evening(dir: &Path) -> String {
    std::fs::write(dir.join("hall.yaml"), HALL).unwrap();
    let scenario = dir.join("evening.yaml");
    std::fs::write(&scenario, EVENING).unwrap();
    scenario.display().to_string()
}

/// Runs `load` on the server of `dir`, with output as JSON.
async fn load(dir: &Path, args: &[&str]) -> Ended {
    let mut command = concertctl();
    command.args(["load", "--json", "--data-dir"]).arg(dir);
    command.args(args);
    finish(command).await
}

fn summary(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn load_finds_the_server_of_a_directory_and_seeds_it_if_it_has_no_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    let small = [
        "onsale-short",
        "--set",
        "users=50",
        "--set",
        "admission.every=200ms",
    ];
    let small = [&small[..], &AT_ANY_SPEED].concat();
    let first = load(dir.path(), &small).await;
    let status = server.ops.status().await.unwrap();
    assert_eq!(summary(&first)["target"], server.api, "{first:?}");
    assert_eq!(status.queue.registered, 50);
    let named = format!("target: {}, operations API {}", server.api, server.ops_url);
    assert!(first.stderr.contains(&named), "{first:?}");
    assert!(
        first.stderr.contains(&dir.path().display().to_string()),
        "{first:?}"
    );

    let again = load(dir.path(), &[&small[..], &["--quiet"]].concat()).await;
    again.failed_with(1, &["has been used", "--reseed replaces it"]);
}

#[tokio::test]
async fn a_server_that_cannot_serve_users_is_named_before_the_run() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let seeded = ServerProcess::start(dirs[0].path(), &[]).await;
    let empty = ServerProcess::start(dirs[1].path(), &[]).await;
    let targets = format!("{},{}", seeded.api, empty.api);
    let args = ["onsale-short", "--quiet", "--target", &targets];
    let before = seeded.ops.status().await.unwrap().admission;
    let args = [&args[..], &["--ops-url", &seeded.ops_url]].concat();
    let refused = load(dirs[0].path(), &args).await;
    refused.failed_with(1, &[&empty.api, "dataset: none is loaded"]);
    let after = seeded.ops.status().await.unwrap().admission;
    assert_eq!(
        (after.batch, after.every_ms),
        (before.batch, before.every_ms)
    );
    assert_eq!(seeded.ops.status().await.unwrap().queue.registered, 0);
}

#[tokio::test]
async fn a_target_alone_is_enough_if_its_directory_names_the_operations_api() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    let small = ["onsale-short", "--set", "users=20"];
    let target = ["--target", &server.api];
    let found = load(dir.path(), &[&small[..], &AT_ANY_SPEED, &target].concat()).await;
    summary(&found);
    assert!(
        found.stderr.contains("from the data directory"),
        "{found:?}"
    );

    // No data directory records a server with this port.
    let elsewhere = run(&["load", "--target", "http://127.0.0.1:1"]).await;
    elsewhere.failed_with(2, &["--ops-url http://HOST:8081", "--data-dir"]);
}

/// An address of this machine that no other test uses, so that its port 8081 is free.
const OURS: &str = "127.81.0.1";
const STRANGERS: &str = "127.81.0.2";

#[tokio::test]
async fn with_a_target_alone_port_8081_is_tried_and_another_server_there_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = concertctl();
    command.args(["serve", "--api-addr", &format!("{OURS}:0")]);
    command.args(["--ops-addr", &format!("{OURS}:8081"), "--log", "error"]);
    command.arg("--data-dir").arg(dir.path());
    let _server = Running::start(command);
    let addresses: Value = eventually("the server is up", || async {
        let text = std::fs::read(dir.path().join("server.json")).ok()?;
        serde_json::from_slice(&text).ok()
    })
    .await;
    let target = format!("http://{}", addresses["api_addr"].as_str().unwrap());
    let token = dir.path().join("ops-token").display().to_string();
    let mut small = small_rehearsal();
    small.args(["--target", &target, "--ops-token-file", &token]);
    let found = finish(small).await;
    assert_eq!(summary(&found)["target"], target, "{found:?}");
    let found_elsewhere = run(&["load", "--target", &target, "--set", "users=20"]).await;
    let how = format!("target: {target}, operations API http://{OURS}:8081 (asked on port 8081)");
    assert!(found_elsewhere.stderr.contains(&how), "{found_elsewhere:?}");

    let advice = ["--ops-url http://HOST:8081", "--data-dir"];
    let other_api = format!("http://{OURS}:1");
    let refused = run(&["load", "--target", &other_api]).await;
    refused.failed_with(2, &advice);
    let stranger = std::net::TcpListener::bind((STRANGERS, 8081)).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut client, _) = stranger.accept().unwrap();
        let page = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        // Read the request first, because closing a connection with unread data resets it.
        drop(client.read(&mut [0; 4096]));
        client.write_all(page.as_bytes()).unwrap();
    });
    let page = format!("http://{STRANGERS}:80");
    let refused = run(&["load", "--target", &page]).await;
    refused.failed_with(2, &advice);
    answering.join().unwrap();

    let holder = std::net::TcpListener::bind((STRANGERS, 0)).unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let args = ["load", "--embedded", "--quiet", "--metrics-addr", &taken];
    let refused = run(&args).await;
    refused.failed_with(1, &["--metrics-addr", &taken, "choose another one"]);
}

#[tokio::test]
async fn a_directory_without_a_server_is_an_error_and_no_other_server_gets_load() {
    let dir = tempfile::tempdir().unwrap();
    let without_server = load(dir.path(), &[]).await;
    without_server.failed_with(1, &["no server runs on", "concertctl serve --data-dir"]);
    let server = ServerProcess::start(dir.path(), &[]).await;
    let left = std::fs::read_to_string(dir.path().join("server.json")).unwrap();
    server.signal_kill();
    let killed = load(dir.path(), &[]).await;
    killed.failed_with(1, &["no server runs on"]);
    // Another server listens at the recorded port now, with another API.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = ServerProcess::start(elsewhere.path(), &[]).await;
    let mut left: Value = serde_json::from_str(&left).unwrap();
    left["ops_addr"] = other.ops_url.strip_prefix("http://").unwrap().into();
    std::fs::write(dir.path().join("server.json"), left.to_string()).unwrap();
    let taken = load(dir.path(), &[]).await;
    taken.failed_with(1, &["no server runs on"]);
}

#[tokio::test]
async fn a_scenario_with_a_profile_file_runs_embedded_and_on_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = write_evening(dir.path());
    let embedded = run(&["load", "--json", "--quiet", "--embedded", &scenario]).await;
    let embedded = summary(&embedded);
    assert_eq!(embedded["dataset"]["profile"], "hall", "{embedded}");
    assert_eq!(embedded["dataset"]["seats"], 40);
    let names: Vec<&str> = embedded["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|judged| judged["name"].as_str())
        .collect();
    assert!(
        names.contains(&"pay.p99.9") && names.contains(&"pay.p90"),
        "{names:?}"
    );

    let data = dir.path().join("data");
    let server = ServerProcess::start(&data, &[]).await;
    summary(&load(&data, &["--quiet", &scenario]).await);
    // The balances are the initial ones minus the payments, which the audit checks.
    let audit = server.ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");

    std::fs::write(
        dir.path().join("hall.yaml"),
        HALL.replace("users: 60", "users: 61"),
    )
    .unwrap();
    let changed = load(&data, &["--quiet", &scenario]).await;
    changed.failed_with(1, &["60 users", "now says", "--reseed"]);
    summary(&load(&data, &["--quiet", "--reseed", &scenario]).await);
}

#[tokio::test]
async fn a_configuration_file_sets_flags_and_a_mistake_in_it_is_reported_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("concertctl.toml");
    let text = format!(
        "data-dir = \"{}\"\n[serve]\nhold = \"1m30s\"\n",
        data.display()
    );
    std::fs::write(&file, &text).unwrap();
    let path = file.display().to_string();
    let seeded = run(&["seed", "demo", "--quiet", "--config", &path]).await;
    assert_eq!(seeded.code, Some(0), "{seeded:?}");
    assert!(data.join("CURRENT").exists());
    // The environment has precedence over the file, and a flag over both.
    let mut command = concertctl();
    command.args(["seed", "demo", "--quiet"]);
    command.env("CONCERTCTL_CONFIG", &path);
    command.env("CONCERTCTL_DATA_DIR", dir.path().join("other"));
    assert_eq!(finish(command).await.code, Some(0));
    assert!(dir.path().join("other/CURRENT").exists());

    std::fs::write(&file, text.replace("hold", "hodl")).unwrap();
    let wrong = run(&["serve", "--config", &path]).await;
    wrong.failed_with(
        2,
        &["concertctl.toml:3:1: serve.hodl: ", "did you mean `hold`?"],
    );
    let missing = run(&["serve", "--config", "/no/such/file.toml"]).await;
    missing.failed_with(
        2,
        &["/no/such/file.toml: the configuration file cannot be read"],
    );
    std::fs::write(&file, b"\xff\xfe").unwrap();
    let wrong = run(&["serve", "--config", &path]).await;
    wrong.failed_with(2, &["cannot be read: it is not UTF-8 text"]);
}

#[tokio::test]
async fn help_version_completions_and_manuals_need_no_settings() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("concertctl.toml"), "[serve\n").unwrap();
    let within = |args: &[&str]| {
        let mut command = concertctl();
        command.current_dir(dir.path()).args(args);
        // The certificate of clients is a setting too.
        command.env("CONCERTCTL_CA", "/no/such/ca.pem");
        finish(command)
    };
    let cases: &[(&[&str], &str)] = &[
        (&["--help"], "Usage: concertctl"),
        (&["--version"], "concertctl "),
        (&["help", "serve"], "--token-rate"),
        (&["fault", "errors", "--help"], "--share"),
        (&["completions", "bash"], "complete -F"),
        (&["man"], "concertctl"),
        (
            &["man", "load", "--config", "/no/such/file.toml"],
            "scenario",
        ),
    ];
    for (args, expected) in cases {
        let ended = within(args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        assert!(ended.stdout.contains(expected), "{args:?}: {ended:?}");
    }
    for args in [&["serve"][..], &["load", "--list"], &["fault", "errors"]] {
        let ended = within(args).await;
        ended.failed_with(2, &["concertctl.toml:1:7: is not TOML"]);
    }
}

#[tokio::test]
async fn an_empty_variable_counts_as_not_set() {
    let dir = tempfile::tempdir().unwrap();
    let empty = [
        "CONCERTCTL_ALERTMANAGER_URL",
        "CONCERTCTL_CA",
        "CONCERTCTL_CLIENT_CERT",
        "CONCERTCTL_CLIENT_KEY",
        "CONCERTCTL_CONFIG",
        "CONCERTCTL_DATABASE_URL",
        "CONCERTCTL_EVALUATION_INTERVAL",
        "CONCERTCTL_GROUP_INTERVAL",
        "CONCERTCTL_GROUP_WAIT",
        "CONCERTCTL_LOG",
        "CONCERTCTL_OPS_TOKEN",
        "CONCERTCTL_REDIS_URL",
        "CONCERTCTL_REPEAT_INTERVAL",
        "CONCERTCTL_RULES",
        "CONCERTCTL_SLACK_WEBHOOK",
        "CONCERTCTL_TLS_CERT",
        "CONCERTCTL_TLS_CLIENT_CA",
        "CONCERTCTL_TLS_KEY",
        "CONCERTCTL_TOKEN_KEY_FILE",
        "CONCERTCTL_WEBHOOK",
        "CONCERTCTL_WEB_EXTERNAL_URL",
    ];
    let mut command = concertctl();
    command.envs(empty.map(|name| (name, "")));
    let server = ServerProcess::with(command, dir.path(), &[]).await;
    assert!(server.ops.status().await.is_ok());
    // A source's address and time-out are settings of the console.
    let mut command = concertctl();
    command.args(["tui", "--once", "--ops-url", &server.ops_url]);
    command.arg("--data-dir").arg(dir.path());
    for name in [
        "PROMETHEUS_URL",
        "LOKI_URL",
        "TEMPO_URL",
        "ALERTMANAGER_URL",
        "SOURCE_TIMEOUT",
        "SOURCE_HEADERS",
        "PROMETHEUS_TOKEN",
    ] {
        command.env(format!("CONCERTCTL_{name}"), "");
    }
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn required_flags_of_a_fault_may_come_from_the_configuration_file() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(&dir.path().join("data"), &[]).await;
    let file = dir.path().join("concertctl.toml");
    let text = "[fault.latency]\ndelay = \"200ms\"\nfor = \"5s\"\n";
    std::fs::write(&file, text).unwrap();
    let data = dir.path().join("data").display().to_string();
    let mut command = concertctl();
    command.current_dir(dir.path());
    command.args(["fault", "latency", "--data-dir", &data]);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("\"delayMs\":200"), "{ended:?}");
    drop(server);
}

#[tokio::test]
async fn an_invalid_value_is_refused_with_the_expected_form() {
    for (args, message) in [
        (["serve", "--api-addr", "8080"], "such as 127.0.0.1:8080"),
        (
            ["serve", "--database-connections", "many"],
            "must be a whole number from 2 to 1000",
        ),
        (
            ["serve", "--hold", "15"],
            "is not a duration such as 15s, 1m30s or 250ms",
        ),
        (
            ["serve", "--cors-origin", "shop.example/"],
            "such as https://shop.example",
        ),
        (
            ["load", "--set", "users=many"],
            "`many` is not a whole number such as 20",
        ),
        (
            ["load", "--noise", "x"],
            "must be a whole number from 0 to 100",
        ),
        (["drill", "--seed", "x"], "must be a whole number from 0 to"),
        (["serve", "--hold", "-5m"], "must be from 1s to 24h"),
        (["serve", "--log", "warning"], "did you mean warn?"),
        (
            ["serve", "--cors-origin", "https://*.example"],
            "a wildcard matches none",
        ),
        (
            ["serve", "--token-rate", "-1"],
            "must be a whole number from 0 to 100000",
        ),
        (
            ["fault", "pool-exhaustion", "--connections=x"],
            "must be a whole number from 1 to 1000",
        ),
    ] {
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(message), "{args:?}: {ended:?}");
        assert!(
            !ended.stderr.contains("invalid digit") && !ended.stderr.contains("u32"),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn an_unusable_directory_is_reported_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let taken = taken.display().to_string();
    let taken = taken.as_str();
    for command in [
        &[
            "serve",
            "--api-addr",
            "127.0.0.1:0",
            "--ops-addr",
            "127.0.0.1:0",
            "--data-dir",
        ][..],
        &["seed", "demo", "--data-dir"],
    ] {
        let ended = run(&[command, &[taken]].concat()).await;
        ended.failed_with(
            1,
            &[
                taken,
                "a file stands where a directory is needed",
                "--data-dir",
            ],
        );
    }
    let mut command = concertctl();
    command
        .args(["load", "--embedded", "--quiet"])
        .env("TMPDIR", taken);
    finish(command).await.failed_with(1, &[taken, "TMPDIR"]);
    let out = format!("{taken}/x.json");
    run(&["load", "--out", &out])
        .await
        .failed_with(2, &["--out", taken]);
}

#[tokio::test]
async fn a_data_directory_that_others_can_read_gets_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let set = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path(), mode).unwrap();
    };
    let path = dir.path().display().to_string();
    set(0o755);
    let open = run(&["seed", "demo", "--data-dir", &path]).await;
    assert!(
        open.stderr.contains(&format!("chmod 700 {path}")),
        "{open:?}"
    );
    assert_eq!(open.code, Some(0), "{open:?}");
    set(0o700);
    let closed = run(&["seed", "demo", "--replace", "--data-dir", &path]).await;
    assert!(!closed.stderr.contains("chmod"), "{closed:?}");
}

#[tokio::test]
async fn pages_of_another_site_may_call_the_api_only_if_the_operator_allows_it() {
    let origin = "https://shop.example";
    let client = crate::support::client();
    let preflight = |url: String| {
        let request = client.request(reqwest::Method::OPTIONS, url);
        request
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "wait-token,idempotency-key,content-type",
            )
            .send()
    };
    let allowed = |answer: &reqwest::Response| {
        let header = answer.headers().get("access-control-allow-origin");
        header.map(|value| value.to_str().unwrap().to_owned())
    };
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &["--cors-origin", origin]).await;
    let answer = preflight(format!("{}/reservations", server.api))
        .await
        .unwrap();
    assert_eq!(allowed(&answer).as_deref(), Some(origin));
    assert!(answer.status().is_success());
    // The page can also read a refusal.
    let refused = client
        .get(format!("{}/queue", server.api))
        .header("origin", origin);
    let refused = refused.send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), allowed(&refused).as_deref()),
        (400, Some(origin))
    );
    let stranger = client.get(format!("{}/health/live", server.api));
    let stranger = stranger
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert_ne!(allowed(&stranger).as_deref(), Some("https://evil.example"));
    let operations = preflight(format!("{}/ops/v1/admission", server.ops_url))
        .await
        .unwrap();
    assert_eq!(
        allowed(&operations),
        None,
        "never on the operations listener"
    );

    let closed = tempfile::tempdir().unwrap();
    let closed = ServerProcess::start(closed.path(), &[]).await;
    let answer = preflight(format!("{}/reservations", closed.api))
        .await
        .unwrap();
    assert_eq!(allowed(&answer), None, "off by default");
}

#[tokio::test]
async fn serve_prints_its_addresses_and_the_next_step_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_concertctl"));
    command.args([
        "serve",
        "--api-addr",
        "127.0.0.1:0",
        "--ops-addr",
        "127.0.0.1:0",
    ]);
    command.args(["--data-dir".as_ref(), data.as_os_str()]);
    command.args(["--log-file".as_ref(), dir.path().join("log").as_os_str()]);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut output = pair.master.try_clone_reader().unwrap();
    let printed = Arc::new(Mutex::new(String::new()));
    let written = Arc::clone(&printed);
    let reading = std::thread::spawn(move || {
        let mut piece = [0; 4096];
        // At the end of a terminal, `read` returns an error.
        while let Ok(length @ 1..) = output.read(&mut piece) {
            written
                .lock()
                .push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    });
    eventually("serve prints the next step", || async {
        printed.lock().contains("rehearse an on-sale").then_some(())
    })
    .await;
    let pid = Pid::from_raw(child.process_id().unwrap().cast_signed()).unwrap();
    let server = std::fs::read(data.join("server.json")).unwrap();
    let server: Value = serde_json::from_slice(&server).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    child.wait().unwrap();
    reading.join().unwrap();
    let printed = printed.lock().clone();
    let api = server["api_addr"].as_str().unwrap();
    for part in [
        format!("ticketing API    http://{api}"),
        "ops-token".to_owned(),
        format!("concertctl seed demo --data-dir {}", data.display()),
        "concertctl load".to_owned(),
    ] {
        assert!(printed.contains(&part), "no {part:?} in {printed}");
    }
}
