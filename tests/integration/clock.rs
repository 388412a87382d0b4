//! A change of the system's clock during a sale: opening, admission and the ends of admissions follow the server's own
//! time.

use std::time::{Duration, SystemTime};

use concertctl::api::ops::{AdmissionChange, Opening};
use concertctl::clock::{Clock, Steppable};
use concertctl::settings::ServeSettings;

use crate::needs;
use crate::support::{Backend, Embedded, Server, SqliteRedis, User, eventually, profile, seed};

const HOUR: i64 = 3_600_000;

/// A server whose clock the test can set, with a dataset and this opening.
async fn server<B: Backend>(clock: &Steppable, opening: Opening) -> Server<B> {
    let change = |settings: &mut ServeSettings| settings.clock = Clock::new(clock.clone());
    let server = Server::with(change).await;
    seed(&server.ops, &profile(1, 10, 100)).await;
    let admission = AdmissionChange {
        batch: Some(1),
        every_ms: Some(100),
        opening: Some(opening),
        ..AdmissionChange::default()
    };
    server.admission(admission).await;
    server
}

fn wall_in(wait: Duration) -> i64 {
    let at = SystemTime::now() + wait;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

async fn metric<B: Backend>(server: &Server<B>, name: &str) -> f64 {
    let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {text}"))
        .trim()
        .parse()
        .unwrap()
}

async fn steps_are_counted<B: Backend>(server: &Server<B>, back: f64, forward: f64) {
    eventually("the steps are counted", || async {
        let name = |direction| format!("concert_clock_steps_total{{direction=\"{direction}\"}}");
        let counted = (
            metric(server, &name("back")).await,
            metric(server, &name("forward")).await,
        );
        (counted == (back, forward)).then_some(())
    })
    .await;
}

async fn set_back_before_the_opening_the_sale_still_opens<B: Backend>() {
    let clock = Steppable::default();
    let opening = Opening::At(wall_in(Duration::from_secs(2)));
    let server = server::<B>(&clock, opening).await;
    let user = server.registered(1).await;
    clock.step(-HOUR);
    user.until_active().await;
    steps_are_counted(&server, 1.0, 0.0).await;
    let offset = metric(&server, "concert_clock_offset_seconds").await;
    assert!((-3_600.0..-3_590.0).contains(&offset), "{offset}");
    assert!(server.status().await.admission.open);
    server.stop().await;
}

async fn set_back_while_the_sale_is_open_admission_goes_on<B: Backend>() {
    let clock = Steppable::default();
    let server = server::<B>(&clock, Opening::Now).await;
    let first = server.admitted(1).await;
    clock.step(-HOUR);
    steps_are_counted(&server, 1.0, 0.0).await;
    server.admitted(2).await;
    assert_eq!(first.queue_status().await, "ACTIVE");
    assert_eq!(first.reserve(1).await.status, 201);
    server.stop().await;
}

async fn set_forward_and_back_no_user_loses_an_admission_or_a_hold<B: Backend>() {
    let clock = Steppable::default();
    let server = server::<B>(&clock, Opening::Now).await;
    let before = server.admitted(1).await;
    assert_eq!(before.reserve(1).await.status, 201);
    clock.step(2 * HOUR);
    steps_are_counted(&server, 0.0, 1.0).await;
    let meanwhile = server.admitted(2).await;
    assert_eq!(before.queue_status().await, "ACTIVE");
    clock.step(-2 * HOUR);
    steps_are_counted(&server, 1.0, 1.0).await;
    let after = server.admitted(3).await;
    for user in [&before, &meanwhile, &after] {
        assert_eq!(user.queue_status().await, "ACTIVE");
    }
    let taken = after.reserve(1).await;
    assert_eq!(taken.status, 409, "the hold lasts: {}", taken.text);
    server.stop().await;
}

macro_rules! on_every_coordination {
    ($($scenario:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario::<super::Embedded>().await;
            })*
        }

        mod redis {
            use super::Server;
            use super::needs;

            $(#[tokio::test]
            async fn $scenario() {
                needs!(Server<super::SqliteRedis>);
                super::$scenario::<super::SqliteRedis>().await;
            })*
        }
    };
}

on_every_coordination!(
    set_back_before_the_opening_the_sale_still_opens,
    set_back_while_the_sale_is_open_admission_goes_on,
    set_forward_and_back_no_user_loses_an_admission_or_a_hold,
);

#[tokio::test]
async fn after_a_restart_with_a_clock_set_back_admitted_users_stay_admitted_and_the_sale_stays_open()
 {
    let clock = Steppable::default();
    clock.step(2 * HOUR);
    let server = server::<Embedded>(&clock, Opening::Now).await;
    let admitted = server.admitted(1).await;
    let waiting = server.registered(2).await;
    // The restarted server reads the system's clock, which is two hours behind.
    let server = server.restarted().await;
    assert_eq!(
        admitted.at(&server.api).queue_status().await,
        "ACTIVE",
        "the batch is durable"
    );
    waiting.at(&server.api).until_active().await;
    server.stop().await;
}

/// The times in Redis are an hour ahead of its clock, as after that clock was set back.
#[tokio::test]
async fn a_clock_of_redis_that_is_set_back_does_not_stop_admission() {
    needs!(Server<SqliteRedis>);
    let server = server::<SqliteRedis>(&Steppable::default(), Opening::Now).await;
    server.admitted(1).await;
    let redis = server.parts.redis.as_ref().unwrap();
    let keys = redis.cli(&["--scan", "--pattern", "{concertctl:*}:queue"]);
    let ahead = (wall_in(Duration::from_secs(3_600))).to_string();
    redis.cli(&[
        "HSET", &keys, "opens", &ahead, "opened", &ahead, "due", &ahead,
    ]);
    server.admitted(2).await;
    server.admitted(3).await;
    server.stop().await;
}
