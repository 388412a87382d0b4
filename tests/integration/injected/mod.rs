//! Faults that are injected into a running server over its operations API: each has its effect, and ends without
//! traces.

mod bottleneck;
mod clock;
mod command_line;
mod connections;
mod disk;
mod requests;
mod settings;
mod statements;
mod telemetry;

use std::time::Duration;

use concertctl::api::ops::{Fault, FaultKind};
use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::server::Server;
use crate::support::{User, eventually};

/// A duration longer than any test.
const LONG: Duration = Duration::from_secs(120);

/// Access to the faults of a server and to their effects.
impl<B: Backend> Server<B> {
    async fn inject(&self, length: Duration, fault: Fault) {
        let injected = self.ops.inject_fault(&fault, length, Some("a test"));
        injected.await.unwrap();
    }

    /// The value of the first sample whose name and labels begin with `begins`.
    async fn metric(&self, begins: &str) -> Option<f64> {
        let text = User::new(&self.ops_url, 0).get("/metrics").await.text;
        let mut lines = text.lines().filter(|line| line.starts_with(begins));
        lines.next()?.rsplit(' ').next()?.parse().ok()
    }

    async fn is_active(&self, kind: FaultKind) -> bool {
        let name = format!("concert_fault_active{{fault=\"{}\"}}", kind.as_str());
        self.metric(&name)
            .await
            .expect("the metric exists from the start")
            == 1.0
    }

    /// Checks that neither the API nor the metrics report an active fault.
    async fn assert_no_faults(&self) {
        assert!(self.ops.faults().await.unwrap().faults.is_empty());
        for kind in FaultKind::injectable() {
            assert!(!self.is_active(kind).await, "{kind:?}");
        }
    }

    /// Waits for log lines that contain all of `words`; returns the fields of the last one.
    async fn logged(&self, words: &[&str]) -> Value {
        let mut query = r#"{service_name="concertctl-api"}"#.to_owned();
        for word in words {
            query.push_str(&format!(" |= `{word}`"));
        }
        let url = format!("{}/loki/api/v1/query_range", self.ops_url);
        let client = crate::support::client();
        eventually(&format!("it is logged: {words:?}"), || async {
            let asked = client.get(&url).bearer_auth(&self.ops_token);
            let asked = asked.query(&[("query", query.as_str()), ("limit", "1")]);
            let asked = asked.send();
            let found: Value = asked.await.unwrap().json().await.unwrap();
            let line = found["data"]["result"][0]["values"][0][1].as_str()?;
            Some(serde_json::from_str(line).unwrap())
        })
        .await
    }
}
