//! `serve --admission-batch` and `--admission-interval` apply to a dataset until its admission is changed. A change
//! survives a restart of the server.

use std::path::Path;

use concertctl::api::ops::AdmissionChange;

use crate::support::process::ServerProcess;
use crate::support::{Redis, eventually, profile, seed};

async fn serve(dir: &Path, more: &[&str], flags: &[&str]) -> ServerProcess {
    ServerProcess::start(dir, &[more, flags].concat()).await
}

/// Waits until the server admits this batch at this interval in milliseconds.
async fn admits(server: &ServerProcess, wanted: (u64, u64)) {
    eventually("admission is set", || async {
        let admission = server.ops.status().await.unwrap().admission;
        ((admission.batch, admission.every_ms) == wanted).then_some(())
    })
    .await;
}

async fn flags_hold_until_the_admission_is_changed(more: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--admission-batch", "7", "--admission-interval", "1m30s"];
    let server = serve(dir.path(), more, &flags).await;
    seed(&server.ops, &profile(2, 50, 20)).await;
    admits(&server, (7, 90_000)).await;

    // Nothing has changed the settings, so new flags apply.
    drop(server);
    let server = serve(dir.path(), more, &["--admission-batch", "8"]).await;
    admits(&server, (8, 15_000)).await;

    let change = AdmissionChange {
        every_ms: Some(3_000),
        ..AdmissionChange::default()
    };
    server.ops.set_admission(&change).await.unwrap();
    drop(server);
    let server = serve(dir.path(), more, &flags).await;
    admits(&server, (8, 3_000)).await;

    // The change belonged to the earlier dataset.
    seed(&server.ops, &profile(2, 50, 20)).await;
    admits(&server, (7, 90_000)).await;
}

#[tokio::test]
async fn admission_flags_apply_until_the_admission_of_the_dataset_is_changed() {
    flags_hold_until_the_admission_is_changed(&[]).await;
}

#[tokio::test]
async fn admission_flags_apply_in_the_same_way_with_the_queue_in_redis() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    flags_hold_until_the_admission_is_changed(&["--redis-url", &redis.url()]).await;
}
