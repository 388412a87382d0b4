//! The memory of the load generator per waiting user.

use std::path::Path;

use serde_json::Value;

use crate::support::port::Port;
use crate::support::process::{Running, ServerProcess, concertctl};
use crate::support::{eventually, profile, seed, token_of};

/// The bytes per waiting user, including some 10 MB that the process takes for other purposes in the same time. A user
/// that waits in a separate task takes more than 12,000.
const MOST_BYTES: u64 = 5_000;
const USERS: u64 = 5_000;

/// Runs `users` users who wait, until half of them have polled. Returns the peak memory of the generator in bytes.
async fn peak_memory(users: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(2, 100, users as u32)).await;
    let (port, token) = (Port::claim(), token_of(dir.path()));
    let running = Running::start(command(dir.path(), users, &server, &port, &token));
    let (url, client) = (
        format!("http://{}/ops/v1/load", port.addr()),
        crate::support::client(),
    );
    eventually("half of the users have polled", || async {
        let answer = client.get(&url).send().await.ok()?;
        let progress: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        (progress["requests"].as_u64()? > users + users / 2).then_some(())
    })
    .await;
    let stop = client.post(format!("{url}/stop")).bearer_auth(&token);
    assert_eq!(stop.send().await.unwrap().status(), 200);
    let ended = running.ended().await;
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    let waiting = summary["users"]["waiting"].as_u64().unwrap();
    assert_eq!(waiting, users - 1, "only one user is admitted");
    summary["generator"]["memory"].as_u64().unwrap()
}

fn command(
    dir: &Path,
    users: u64,
    server: &ServerProcess,
    port: &Port,
    token: &str,
) -> std::process::Command {
    let scenario = dir.join("wait.yaml");
    let text = format!(
        "{{ title: wait, dataset: test, users: {users}, admission: {{ batch: 1, every: 1h }}, \
         http: {{ connections: 64, request_timeout: 60s }} }}"
    );
    std::fs::write(&scenario, text).unwrap();
    let mut command = concertctl();
    command
        .args(["load", scenario.to_str().unwrap(), "--quiet", "--json"])
        .args(["--target", &server.api, "--ops-url", &server.ops_url])
        .args(["--metrics-addr", &port.addr().to_string()])
        .env("CONCERTCTL_OPS_TOKEN", token);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_user_takes_few_bytes_of_the_generator() {
    let few = peak_memory(100).await;
    let many = peak_memory(USERS).await;
    let each = many.saturating_sub(few) / (USERS - 100);
    assert!(each <= MOST_BYTES, "{each} bytes: {few} to {many}");
}
