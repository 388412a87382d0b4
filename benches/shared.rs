//! Compares the service on PostgreSQL, MariaDB and Redis with the best possible result: `cargo bench --bench shared`,
//! or a part of it: `cargo bench --bench shared -- reservations|seeding|polls`.
//!
//! It starts private servers. The compared programs run in turn on the same machine, so read the ratios, not the
//! absolute figures.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "what fails here has nothing to measure")]
#![allow(unreachable_pub, reason = "one program: everything is reachable")]

#[path = "../tests/integration/support/mod.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "the language of the tests, of which a benchmark speaks a part"
)]
mod support;

#[path = "shared/client.rs"]
mod client;
#[path = "shared/polls.rs"]
mod polls;
#[path = "shared/reservations.rs"]
mod reservations;
#[path = "shared/seeding.rs"]
mod seeding;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|wish| wish == name);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if chosen("polls") {
            Box::pin(polls::run()).await;
        }
        if chosen("reservations") {
            reservations::run().await;
        }
        if chosen("seeding") {
            seeding::run().await;
        }
    });
}

/// The median.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
