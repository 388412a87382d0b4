//! A short soak: some faults on each backend, drawn from a fixed seed.

use crate::soak::service::Backend;
use crate::soak::traffic::Sale;
use crate::soak::{Length, Plan, run};

async fn soak(backend: Backend, steps: u32) {
    if backend.missing().is_some_and(crate::support::skipped) {
        return;
    }
    let plan = Plan {
        backend,
        seed: 20_261,
        length: Length::Steps(steps),
        sale: Sale {
            dates: 12,
            seats_per_date: 100,
            users: 4_000,
            buyers: 24,
        },
    };
    let outcome = run(plan).await;
    let kept = outcome.artefacts.display();
    assert!(
        outcome.violations.is_empty(),
        "kept in {kept}: {:#?}",
        outcome.violations
    );
    assert!(
        outcome.tally.acknowledged > 0,
        "the run must acknowledge writes"
    );
    assert!(
        outcome.tally.kinds() > 3,
        "the run must have several kinds of faults"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_every_promise_through_faults() {
    soak(Backend::Sqlite, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_and_redis_keep_every_promise_through_faults() {
    soak(Backend::MySqlRedis, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_and_redis_keep_every_promise_through_faults() {
    soak(Backend::PostgresRedis, 6).await;
}
