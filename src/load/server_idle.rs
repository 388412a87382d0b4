//! Waits between the last request and the final audit. Requests that clients gave up may still run in the server, and
//! their writes belong to the run.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ops::Ops;

/// The longest wait. Other traffic may never end.
const MOST: Duration = Duration::from_secs(15);
/// The pause between two checks.
const EVERY: Duration = Duration::from_millis(100);
/// The number of consecutive checks that must find nothing, because a request may be between two gauges.
const QUIET: u32 = 2;
/// The gauges of the operations listener for active requests and for connections in use.
const GAUGES: [&str; 2] = [
    "http_server_active_requests",
    "db_client_connection_count{state=\"used\"}",
];

/// Waits until the server has no active requests, or until the longest wait is over.
pub(super) async fn wait_until_idle(ops: &Ops) {
    wait(ops, MOST).await;
}

async fn wait(ops: &Ops, most: Duration) {
    let until = Instant::now() + most;
    let mut quiet = 0;
    while quiet < QUIET && Instant::now() < until {
        // Without metrics there is nothing to wait for.
        let Ok(text) = ops.metrics().await else {
            return;
        };
        match under_way(&text) {
            None => return,
            Some(0) => quiet += 1,
            Some(_) => quiet = 0,
        }
        if quiet < QUIET {
            sleep(EVERY).await;
        }
    }
}

/// The number of requests and connections in use in an exposition. `None` when it has neither gauge.
fn under_way(exposition: &str) -> Option<u64> {
    let of_line = |line: &str| {
        let rest = GAUGES.iter().find_map(|gauge| line.strip_prefix(gauge))?;
        // A label or a blank may follow the name, but no other letter.
        let is_gauge = rest.starts_with([' ', '{']);
        let value: f64 = rest.rsplit(' ').next()?.parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count; `as` saturates on outside nonsense"
        )]
        is_gauge.then_some(value as u64)
    };
    let counts = exposition.lines().filter_map(of_line);
    counts.fold(None, |sum, count| {
        Some(sum.unwrap_or(0u64).saturating_add(count))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::routing::get;

    use super::*;

    #[test]
    fn requests_and_connections_in_use_are_under_way() {
        let text = "# TYPE http_server_active_requests gauge\nhttp_server_active_requests 3\n\
                    http_server_active_requests_other 9\ndb_client_connection_count{state=\"idle\"} 4\n\
                    db_client_connection_count{state=\"used\"} 2\n";
        assert_eq!(under_way(text), Some(5));
        assert_eq!(
            under_way("http_server_active_requests{job=\"a\"} 0\n"),
            Some(0)
        );
        assert_eq!(under_way("up 1\n"), None);
    }

    /// An operations listener with one active request less at each call.
    async fn server(requests: u64) -> (Ops, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let metrics = move || {
            let left = requests.saturating_sub(count.fetch_add(1, Ordering::SeqCst));
            async move { format!("http_server_active_requests {left}\n") }
        };
        let routes = axum::Router::new().route("/metrics", get(metrics));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (Ops::new(&url, None).unwrap(), asked)
    }

    #[tokio::test]
    async fn the_audit_waits_until_nothing_is_under_way() {
        let (ops, asked) = server(3).await;
        wait_until_idle(&ops).await;
        assert_eq!(asked.load(Ordering::SeqCst), 3 + u64::from(QUIET));
    }

    #[tokio::test]
    async fn traffic_that_never_ends_is_not_waited_for_for_ever() {
        let (ops, asked) = server(u64::MAX).await;
        wait(&ops, Duration::from_millis(300)).await;
        assert!(asked.load(Ordering::SeqCst) > 1);
    }
}
