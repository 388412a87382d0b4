//! The fault `clock_step`.

use concertctl::api::ops::Fault;

use super::LONG;
use crate::support::backend::Embedded;
use crate::support::eventually;
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_the_clock_is_reported_and_ends_no_hold_and_no_admission() {
    let server = Server::<Embedded>::seeded(1, 10, 10).await;
    let before = server.admitted(1).await;
    assert_eq!(before.reserve(1).await.status, 201);
    let forward = Fault::ClockStep { seconds: 7_200 };
    server.inject(LONG, forward).await;
    let steps = async |direction: &str| {
        let name = format!("concert_clock_steps_total{{direction=\"{direction}\"}}");
        server.metric(&name).await
    };
    eventually("the step is counted", || async {
        (steps("forward").await == Some(1.0)).then_some(())
    })
    .await;
    let offset = server.metric("concert_clock_offset_seconds").await.unwrap();
    assert!((7_190.0..=7_200.5).contains(&offset), "{offset}");
    server.logged(&["clock was set forward"]).await;
    let meanwhile = server.admitted(2).await;
    assert_eq!(meanwhile.reserve(2).await.status, 201);
    assert_eq!(before.queue_status().await, "ACTIVE");

    server.ops.end_faults(None).await.unwrap();
    eventually("the clock is right again", || async {
        (steps("back").await == Some(1.0)).then_some(())
    })
    .await;
    let offset = server.metric("concert_clock_offset_seconds").await.unwrap();
    assert!((-2.0..=0.5).contains(&offset), "{offset}");
    let after = server.admitted(3).await;
    for (user, seat) in [(&before, 1), (&meanwhile, 2)] {
        assert_eq!(user.queue_status().await, "ACTIVE");
        assert_eq!(after.reserve(seat).await.status, 409, "the hold lasts");
    }
    server.assert_no_faults().await;
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}
