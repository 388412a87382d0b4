//! The client of the console against the embedded Tempo and against a whole server.

use std::sync::Arc;

use concertctl::clients::ClientError;
use concertctl::clients::tempo::{Kind, Status, Tempo, TraceSearch};
use concertctl::embedded::tempo::TempoConfig;

use super::{MS, SECOND, Server, request};

use crate::support::process::ServerProcess;
use crate::support::{eventually, guarded_source, profile, seed};

#[tokio::test]
async fn the_client_finds_traces_and_reads_one() {
    let server = Server::with_traces().await;
    let tempo = server.tempo();
    let second = server.t0 / SECOND;
    let mut search = TraceSearch {
        limit: 10,
        ..TraceSearch::default()
    };
    let ids = async |search: &TraceSearch| -> Vec<String> {
        let found = tempo.search(search).await.unwrap();
        assert!(found.is_whole);
        found
            .traces
            .into_iter()
            .map(|it| it.id[30..].to_owned())
            .collect()
    };
    assert_eq!(ids(&search).await, ["a3", "a2", "a1"]);
    search.failed = true;
    assert_eq!(ids(&search).await, ["a2"]);
    search.failed = false;
    search.min_ms = Some(600);
    assert_eq!(ids(&search).await, ["a3"]);
    search.max_ms = Some(600);
    assert_eq!(ids(&search).await, [""; 0]);
    search.max_ms = None;
    search.tags = vec![("http.route".into(), "/queue".into())];
    search.min_ms = Some(100);
    assert_eq!(ids(&search).await, ["a3"]);
    search.max_ms = Some(600);
    assert_eq!(ids(&search).await, [""; 0]);
    search = TraceSearch {
        tags: vec![("name".into(), "say \"x\" \\".into())],
        ..search
    };
    assert_eq!(ids(&search).await, [""; 0]);
    search = TraceSearch {
        window: Some((second + 1, second + 1)),
        limit: 10,
        ..TraceSearch::default()
    };
    let found = tempo.search(&search).await.unwrap().traces;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "/reservations");
    assert_eq!(
        (found[0].service.as_str(), found[0].duration_ms),
        ("concertctl-api", 100)
    );
    assert_eq!(
        (found[0].start_ns, found[0].errors),
        (server.t0 + SECOND, Some(1))
    );

    let trace = tempo.trace(&found[0].id).await.unwrap().unwrap();
    assert_eq!(
        (trace.start_ns, trace.duration_ns),
        (server.t0 + SECOND, 100 * MS)
    );
    let [root, wait] = &trace.spans[..] else {
        panic!("{trace:?}");
    };
    assert_eq!(root.status, Status::Error("the pool is exhausted".into()));
    assert_eq!((root.kind, wait.kind), (Kind::Server, Kind::Client));
    assert_eq!(
        (root.parent.as_ref(), wait.parent.as_ref()),
        (None, Some(&root.id))
    );
    assert_eq!((wait.offset_ns, wait.duration_ns), (MS, 50 * MS));
    assert_eq!(root.attributes["http.response.status_code"], "503");
    assert_eq!(wait.service, "concertctl-api");
    assert_eq!(tempo.trace("a9").await.unwrap(), None);
}

#[tokio::test]
async fn the_client_returns_tempos_refusals_and_sends_no_unsafe_path() {
    let server = Server::with_traces().await;
    let tempo = server.tempo();
    let search = TraceSearch {
        limit: 5_000,
        ..TraceSearch::default()
    };
    let refused = tempo.search(&search).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "refused (400): invalid limit: 5000 exceeds the maximum of 1000"
    );
    let refused = tempo.trace(&"a".repeat(40)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "refused (400): trace IDs can't be larger than 128 bits"
    );
    for odd in ["", "../echo", "a1?start=1", "é"] {
        let error = tempo.trace(odd).await.unwrap_err();
        assert!(matches!(error, ClientError::Malformed(_)), "{odd}: {error}");
    }
}

#[tokio::test]
async fn the_operations_listener_has_the_trace_of_a_request_by_the_id_in_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &["--trace-ratio", "1"]).await;
    seed(&server.ops, &profile(1, 10, 10)).await;
    let answer = server.user(1).register().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.header("x-trace-id").unwrap();
    let tempo = Tempo::new(guarded_source(&server.ops_url, &server.ops_token));
    let trace = eventually("the trace is kept", || async {
        tempo.trace(id).await.unwrap()
    })
    .await;
    let root = &trace.spans[0];
    assert_eq!(
        (root.name.as_str(), root.kind),
        ("POST /queue", Kind::Server)
    );
    assert_eq!(root.service, "concertctl-api");
    assert!(
        trace.spans.len() > 1,
        "the trace must have the steps that the request waited for: {trace:?}"
    );
    let search = TraceSearch {
        tags: vec![
            ("name".into(), "POST /queue".into()),
            ("http.response.status_code".into(), "201".into()),
        ],
        limit: 10,
        ..TraceSearch::default()
    };
    let found = tempo.search(&search).await.unwrap().traces;
    assert_eq!((found.len(), found[0].id.as_str()), (1, id), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_finds_the_slowest_traces_behind_a_thousand_fast_polls() {
    let server = Server::start(TempoConfig::default()).await;
    for n in 0..3u64 {
        let start = server.t0 + n * SECOND;
        let slow = request(
            0xb0 + u128::from(n),
            "/reservations",
            start,
            3_000 + n * 100,
            true,
        );
        server.store.push(&Arc::new(slow));
    }
    for n in 0..1_000u64 {
        let start = server.t0 + 20 * SECOND + n * MS;
        server.store.push(&Arc::new(request(
            0x1000 + u128::from(n),
            "/queue",
            start,
            0,
            false,
        )));
    }
    let mut command = crate::support::process::concertctl();
    command.args([
        "tui",
        "--once",
        "--screen",
        "4",
        "--tempo-url",
        &server.base,
    ]);
    command.args(["--ops-url", &server.base]);
    let shown = tokio::task::spawn_blocking(move || command.output());
    let shown = shown.await.unwrap().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let rows: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("/reservations"))
        .collect();
    assert_eq!(rows.len(), 3, "{shown}");
    assert!(
        rows[0].contains("3.20 s") && rows[0].contains('✖'),
        "{shown}"
    );
    assert!(shown.contains("200 traces, all from "), "{shown}");
}
