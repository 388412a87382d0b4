//! Readiness and `concert_database_up` show whether writes are durable.

use std::path::Path;

use concertctl::clients::tempo::{Tempo, TraceSearch};

use crate::assert_refused;
use crate::support::process::ServerProcess;
use crate::support::{User, eventually, guarded_source, profile, seed};

async fn database_up(server: &ServerProcess) -> Option<bool> {
    let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
    let line = text
        .lines()
        .find(|line| line.starts_with("concert_database_up"))?;
    Some(line.ends_with(" 1"))
}

async fn not_ready(server: &ServerProcess, reason: &str) {
    eventually("the server is not ready, and says why", || async {
        let answer = User::new(&server.api, 0).get("/health/ready").await;
        (answer.status == 503 && answer.text.contains(reason)).then_some(())
    })
    .await;
    eventually("the gauge says so", || async {
        (database_up(server).await == Some(false)).then_some(())
    })
    .await;
}

async fn ready(server: &ServerProcess) {
    eventually("the server is ready", || async {
        let answer = User::new(&server.api, 0).get("/health/ready").await;
        (answer.status == 200).then_some(())
    })
    .await;
    eventually("the gauge says so", || async {
        (database_up(server).await == Some(true)).then_some(())
    })
    .await;
}

async fn begun(dir: &Path) -> ServerProcess {
    let server = ServerProcess::start(dir, &[]).await;
    seed(&server.ops, &profile(1, 10, 20_000)).await;
    ready(&server).await;
    server
}

#[tokio::test]
async fn writes_to_a_moved_or_removed_data_directory_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, aside) = (dir.path().join("data"), dir.path().join("aside"));
    let server = begun(&data).await;
    let mut first = server.user(1);
    assert_eq!(first.register().await.status, 201);

    std::fs::rename(&data, &aside).unwrap();
    assert_refused!(
        server.user(2).register().await,
        503,
        "service.store-unavailable"
    );
    not_ready(&server, "removed or replaced").await;
    // Another server on the old path is independent of the first one.
    let second = ServerProcess::start(&data, &[]).await;
    assert_refused!(
        server.user(2).register().await,
        503,
        "service.store-unavailable"
    );
    not_ready(&server, "removed or replaced").await;
    second.terminate();
    second.exited().await;
    std::fs::remove_dir_all(&data).unwrap();

    std::fs::rename(&aside, &data).unwrap();
    ready(&server).await;
    assert_eq!(
        server.user(2).register().await.status,
        201,
        "writes succeed again"
    );

    std::fs::remove_dir_all(&data).unwrap();
    assert_refused!(
        server.user(3).register().await,
        503,
        "service.store-unavailable"
    );
    not_ready(&server, "removed or replaced").await;
    assert_eq!(first.poll().await.status, 200, "polls still work");
}

#[tokio::test]
async fn writes_without_log_lock_or_database_file_are_refused() {
    for suffix in [".db", ".db-wal", ".commit", "lock"] {
        let dir = tempfile::tempdir().unwrap();
        let server = begun(dir.path()).await;
        let name = std::fs::read_to_string(dir.path().join("CURRENT")).unwrap();
        let path = match suffix {
            "lock" => dir.path().join("lock"),
            _ => dir
                .path()
                .join("datasets")
                .join(format!("{}{suffix}", name.trim())),
        };
        std::fs::remove_file(&path).unwrap();
        assert_refused!(
            server.user(2).register().await,
            503,
            "service.store-unavailable"
        );
        not_ready(&server, "removed or replaced").await;
    }
}

#[tokio::test]
async fn a_full_disk_makes_the_server_not_ready_and_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    begun(dir.path()).await.signal_kill();
    let server = ServerProcess::start_limited(dir.path(), 1024).await;
    let mut refused = None;
    for id in 1..=20_000 {
        let answer = server.user(id).register().await;
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
    }
    assert_refused!(
        refused.expect("the limit is met"),
        503,
        "service.store-unavailable"
    );
    not_ready(&server, "full").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_writes_at_most_once_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let server = begun(dir.path()).await;
    let commits = || async {
        let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
        let pings = text.lines().filter(|line| {
            line.starts_with("db_client_operation_duration_seconds_count")
                && line.contains("db_operation_name=\"ping\"")
        });
        pings
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>()
    };
    let (from, before) = (std::time::Instant::now(), commits().await);
    let user = User::new(&server.api, 0);
    for _ in 0..500 {
        assert_eq!(user.get("/health/ready").await.status, 200);
    }
    let (written, seconds) = (commits().await - before, from.elapsed().as_secs_f64());
    assert!(written <= seconds + 2.0, "{written} rows in {seconds} s");
}

#[tokio::test]
async fn probes_and_the_openapi_document_do_not_count_as_traffic() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &["--trace-ratio", "1"]).await;
    let user = User::new(&server.api, 0);
    for _ in 0..6 {
        assert_eq!(
            user.get("/health/ready").await.status,
            503,
            "no dataset is loaded"
        );
        assert_eq!(user.get("/health/live").await.status, 200);
        assert_eq!(user.get("/openapi.json").await.status, 200);
    }
    // This request counts. When the metrics show it, they show all earlier requests.
    assert_eq!(user.get("/nowhere").await.status, 404);
    let metrics = eventually("the request is counted", || async {
        let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
        text.contains("http_route=\"unmatched\"").then_some(text)
    })
    .await;
    for path in ["/health", "/openapi.json"] {
        assert!(!metrics.contains(path), "{path}: {metrics}");
    }
    let tempo = Tempo::new(guarded_source(&server.ops_url, &server.ops_token));
    let all = TraceSearch {
        limit: 100,
        ..TraceSearch::default()
    };
    let traces = eventually("the request is traced", || async {
        let found = tempo.search(&all).await.unwrap();
        (!found.traces.is_empty()).then_some(found.traces)
    })
    .await;
    for path in ["health", "openapi"] {
        let traced = traces.iter().any(|it| it.name.contains(path));
        assert!(!traced, "{path}: {traces:?}");
    }
}
