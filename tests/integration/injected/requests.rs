//! The faults `errors` and `latency`.

use std::time::{Duration, Instant};

use concertctl::api::ops::{Fault, FaultKind};

use super::LONG;
use crate::assert_refused;
use crate::support::{TestServer, User, eventually, profile, seed};

fn errors(share: f64) -> Fault {
    Fault::Errors {
        share,
        status: 500,
        routes: None,
    }
}

fn latency(delay_ms: u64, route: &str) -> Fault {
    Fault::Latency {
        share: 1.0,
        delay: Duration::from_millis(delay_ms),
        routes: Some(vec![route.to_owned()]),
    }
}

#[tokio::test]
async fn errors_answer_the_steps_of_buying_without_effect_until_they_end() {
    let server = TestServer::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    server.assert_no_faults().await;
    server.inject(LONG, errors(1.0)).await;
    assert!(server.is_active(FaultKind::Errors).await);
    assert_refused!(user.reserve(1).await, 500, "service.internal");
    assert_refused!(user.get("/concerts").await, 500, "service.internal");
    assert_eq!(
        user.poll().await.status,
        200,
        "a poll is not a step of buying"
    );
    assert_eq!(user.get("/health/ready").await.status, 200);
    assert_eq!(server.audit().await.reservations, 0);
    let began = server.logged(&["a fault is injected: errors"]).await;
    assert_eq!(began["level"], "WARN");
    assert_eq!(began["additional_data"]["by"], "a test");
    let failed = r#"http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="500",http_route="/reservations"}"#;
    assert_eq!(server.metric(failed).await, Some(1.0));

    server
        .ops
        .end_faults(Some(FaultKind::Errors))
        .await
        .unwrap();
    server.assert_no_faults().await;
    user.reserved(1).await;
    let ended = server
        .logged(&["an injected fault has ended: errors"])
        .await;
    assert_eq!(ended["level"], "WARN");
    server.stop().await;
}

#[tokio::test]
async fn errors_of_another_status_replace_the_earlier_ones_on_the_named_routes() {
    let server = TestServer::seeded(1, 10, 10).await;
    server.inject(LONG, errors(1.0)).await;
    let overloaded = Fault::Errors {
        share: 1.0,
        status: 503,
        routes: Some(vec!["POST /queue".to_owned()]),
    };
    server.inject(LONG, overloaded).await;
    let mut user = server.stranger(1);
    let refused = user.register().await;
    assert_refused!(&refused, 503, "service.overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        user.get("/concerts").await.status,
        200,
        "the earlier fault was replaced"
    );
    let on = server.ops.faults().await.unwrap().faults;
    assert_eq!(on.len(), 1, "{on:?}");
    assert_eq!(on[0].fault.settings()["status"], 503);
    server.logged(&["errors", "it is replaced"]).await;
    server.ops.end_faults(None).await.unwrap();
    assert_eq!(user.register().await.status, 201);
    server.assert_no_faults().await;
    server.stop().await;
}

#[tokio::test]
async fn a_share_of_the_requests_fails_and_the_others_are_served() {
    let server = TestServer::seeded(1, 10, 10).await;
    server.inject(LONG, errors(0.5)).await;
    let user = server.stranger(1);
    let mut failed = 0;
    for _ in 0..200 {
        failed += u32::from(user.get("/concerts").await.status == 500);
    }
    // The bounds are five standard deviations from the mean.
    assert!((65..=135).contains(&failed), "{failed} of 200");
    server.stop().await;
}

#[tokio::test]
async fn a_fault_ends_by_itself_when_its_time_is_over() {
    let server = TestServer::seeded(1, 10, 10).await;
    let user = server.stranger(1);
    let begun = Instant::now();
    server.inject(Duration::from_millis(700), errors(1.0)).await;
    let on = server.ops.faults().await.unwrap().faults;
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let length = time(&on[0].ends_at) - time(&on[0].started_at);
    assert!((699..=701).contains(&length), "{on:?}");
    assert_eq!(user.get("/concerts").await.status, 500);
    eventually("it is over", || async {
        (user.get("/concerts").await.status == 200).then_some(())
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(699));
    server.logged(&["errors", "its time is over"]).await;
    server.assert_no_faults().await;
    server.stop().await;
}

#[tokio::test]
async fn latency_delays_the_named_routes_only() {
    let server = TestServer::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    let slow = latency(400, "GET /concerts");
    server.inject(LONG, slow).await;
    let asked = Instant::now();
    assert_eq!(user.get("/concerts").await.status, 200);
    assert!(asked.elapsed() >= Duration::from_millis(400));
    user.get("/concerts/1/performanceDates").await;
    let sum = r#"http_server_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",http_route="/concerts"#;
    let sum = |rest: &str| format!("{sum}{rest}");
    assert!(server.metric(&sum("\"}")).await.unwrap() >= 0.4);
    let other = sum("/{concertId}/performanceDates\"}");
    assert!(server.metric(&other).await.unwrap() < 0.4);
    server.ops.end_faults(None).await.unwrap();
    server.assert_no_faults().await;
    server.stop().await;
}

#[tokio::test]
async fn latency_stays_within_the_time_out_of_a_request() {
    let server = TestServer::with(|settings| {
        settings.limits.request_timeout = Duration::from_millis(500);
    })
    .await;
    let slow = latency(30_000, "GET /health/live");
    server.inject(LONG, slow).await;
    let late = server.stranger(1).get("/health/live").await;
    assert_refused!(&late, 503, "service.timeout");
    server.stop().await;
}

#[tokio::test]
async fn a_delayed_request_continues_when_the_fault_ends_or_its_server_stops() {
    let mut server = TestServer::empty().await;
    seed(&server.ops, &profile(1, 10, 10)).await;
    for by_stopping in [false, true] {
        // Longer than the time-out of a request, so that only an early end of the delay gives an answer.
        let slow = latency(30_000, "GET /concerts");
        server.inject(LONG, slow).await;
        let waiting = User::new(&server.api, 1);
        let waiting = tokio::spawn(async move { waiting.get("/concerts").await.status });
        eventually("the request waits", || async {
            (server.active_requests().await == 1).then_some(())
        })
        .await;
        match by_stopping {
            true => server.halt().await,
            false => drop(server.ops.end_faults(None).await.unwrap()),
        }
        assert_eq!(waiting.await.unwrap(), 200);
    }
}
