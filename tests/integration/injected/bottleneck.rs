//! Finds a bottleneck by the steps of `docs/find-the-bottleneck.md`: the alert, the log line, the trace with the wait.

use std::time::Duration;

use concertctl::api::ops::Fault;
use concertctl::clients::tempo::{Span, Tempo, Trace};
use serde_json::{Value, json};

use super::LONG;
use crate::needs;
use crate::support::backend::{Backend, Embedded, PostgresEmbedded};
use crate::support::server::Server;
use crate::support::{User, eventually, guarded_source};

/// The firing alert with this name.
async fn alert<B: Backend>(server: &Server<B>, name: &str) -> Option<Value> {
    let answer = User::new(&server.ops_url, 0).get("/api/v1/alerts").await;
    let alerts = answer.json()["data"]["alerts"].as_array()?.clone();
    alerts
        .into_iter()
        .find(|it| it["labels"]["alertname"] == name && it["state"] == "firing")
}

/// The trace that a log line names.
async fn trace_of<B: Backend>(server: &Server<B>, line: &Value) -> Trace {
    let tempo = Tempo::new(guarded_source(&server.ops_url, &server.ops_token));
    let id = line["trace_id"].as_str().unwrap();
    eventually("the trace is kept", || async {
        tempo.trace(id).await.unwrap()
    })
    .await
}

/// The span in which the request spent its time.
fn longest(trace: &Trace) -> &Span {
    let children = trace.spans.iter().filter(|span| span.parent.is_some());
    children.max_by_key(|span| span.duration_ns).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_log_line_and_trace_lead_to_a_slow_statement() {
    let server = Server::<Embedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    let slow = Fault::SlowStatement {
        delay: Duration::from_millis(400),
        statement: Some("account.charge".to_owned()),
    };
    server.inject(LONG, slow).await;
    let alert = eventually("the alert fires", || async {
        assert_eq!(user.charge(json!(100)).await.status, 200);
        alert(&server, "SlowStatements").await
    })
    .await;
    assert_eq!(
        alert["labels"]["db_operation_name"], "account.charge",
        "{alert}"
    );
    let line = server.logged(&["slow query", "account.charge"]).await;
    let trace = trace_of(&server, &line).await;
    let waited = longest(&trace);
    assert_eq!(waited.name, "account.charge", "{trace:?}");
    assert!(waited.duration_ns >= 400_000_000, "{trace:?}");
    assert_eq!(line["span_id"], waited.id.as_str(), "{line}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_log_line_and_trace_lead_to_an_exhausted_pool() {
    needs!(Server<PostgresEmbedded>);
    let server = Server::<PostgresEmbedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    let all = Fault::PoolExhaustion { connections: None };
    server.inject(LONG, all).await;
    let most = server.metric("db_client_connection_max").await;
    eventually("the connections are taken", || async {
        let used = server.metric("db_client_connection_count{state=\"used\"}");
        (used.await >= most).then_some(())
    })
    .await;
    let refused = user.charge(json!(100)).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    let line = server.logged(&["failed with 503", "/charge"]).await;
    assert_eq!(line["level"], "ERROR", "{line}");
    let trace = trace_of(&server, &line).await;
    let waited = longest(&trace);
    assert_eq!(waited.name, "db.acquire", "{trace:?}");
    assert!(
        waited.duration_ns >= Duration::from_secs(1).as_nanos() as u64,
        "{trace:?}"
    );
    let found = alert_within_a_minute(&server, "ConnectionPoolExhausted").await;
    assert_eq!(found["labels"]["severity"], "critical", "{found}");
    server.stop().await;
}

/// Waits for an alert whose condition looks back over 20 s, longer than other waits of the tests.
async fn alert_within_a_minute<B: Backend>(server: &Server<B>, name: &str) -> Value {
    for _ in 0..600 {
        if let Some(alert) = alert(server, name).await {
            return alert;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} does not fire");
}
