//! The fault `telemetry_gone`: the metrics are unavailable and no export is sent.

use concertctl::api::ops::{Fault, FaultKind, LinkCut};
use serde_json::Value;

use super::LONG;
use crate::support::backend::Embedded;
use crate::support::server::Server;
use crate::support::{User, client, eventually};

/// `up` of the server in its own metrics store.
async fn is_up(server: &Server<Embedded>, value: &str) {
    let url = format!("{}/api/v1/query?query=up", server.ops_url);
    let what = format!("up is {value}");
    eventually(&what, || async {
        let answer: Value = client().get(&url).send().await.ok()?.json().await.ok()?;
        let sample = &answer["data"]["result"][0]["value"][1];
        (sample == value).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_telemetry_is_down_to_its_metrics_store_and_serves_on() {
    let server = Server::<Embedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    for how in [LinkCut::Refuse, LinkCut::Hang] {
        is_up(&server, "1").await;
        server.inject(LONG, Fault::TelemetryGone { how }).await;
        is_up(&server, "0").await;
        assert_eq!(user.get("/accounts/1").await.status, 200);
        let faults = server.ops.faults().await.unwrap().faults;
        assert_eq!(faults[0].fault.kind(), FaultKind::TelemetryGone);
        let asked = async { User::new(&server.ops_url, 0).get("/metrics").await };
        let ended = server.ops.end_faults(None);
        match how {
            LinkCut::Refuse => {
                assert_eq!(asked.await.problem().0, 503);
                ended.await.unwrap();
            }
            // The answer waits for the end of the fault.
            LinkCut::Hang => {
                let mut asked = std::pin::pin!(asked);
                let answered = futures_util::poll!(&mut asked);
                assert!(answered.is_pending());
                let (answer, ended) = tokio::join!(asked, ended);
                ended.unwrap();
                assert!([200, 503].contains(&answer.status), "{}", answer.text);
            }
        }
    }
    is_up(&server, "1").await;
    server.assert_no_faults().await;
    server.stop().await;
}
