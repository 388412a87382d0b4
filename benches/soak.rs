//! Mixed traffic with faults for a given time: `scripts/soak --minutes 30`.
#![allow(clippy::print_stdout, reason = "it prints a line a step")]
#![allow(clippy::unwrap_used, reason = "what fails here is a failed run")]
#![allow(unreachable_pub, reason = "one program: everything is reachable")]

#[path = "../tests/integration/soak/mod.rs"]
#[allow(
    missing_docs,
    dead_code,
    reason = "the code of a test, of which this runs the long form"
)]
mod soak;
#[path = "../tests/integration/support/mod.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "the language of the tests, of which this speaks a part"
)]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use soak::service::Backend;
use soak::traffic::Sale;
use soak::{Length, Plan};

const HELP: &str = "\
Runs mixed traffic against real servers while faults come and go, and compares what clients were
answered with the database after every fault. Exit code 1, with the seed, on any violation.

  scripts/soak [--minutes N] [--steps N] [--seed N] [--backend sqlite|postgres-redis|mysql-redis|all]

  --minutes N   how long, in all; shared by the backends   [default: 30]
  --steps N     so many steps on each backend instead
  --seed N      draws the same faults again                [default: random, printed]
  --backend B   sqlite: one server; the others: two        [default: all]";

/// The largest dataset of a run, which is sold out after some hours.
const SALE: Sale = Sale {
    dates: 100,
    seats_per_date: 300,
    users: 20_000,
    buyers: 32,
};

struct Arguments {
    minutes: u64,
    steps: Option<u32>,
    seed: u64,
    backends: Vec<Backend>,
}

/// Parses the arguments. An error describes the mistake.
fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        minutes: 30,
        steps: None,
        seed: u64::from(rand::random::<u32>()),
        backends: Backend::ALL.to_vec(),
    };
    while let Some(name) = given.next() {
        // Cargo adds this argument.
        if name == "--bench" {
            continue;
        }
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        let number = || {
            let number = value.parse::<u64>();
            number.map_err(|_| format!("{name}: {value} is not a whole number"))
        };
        match name.as_str() {
            "--minutes" => arguments.minutes = number()?,
            "--steps" => arguments.steps = Some(number()?.try_into().unwrap_or(u32::MAX)),
            "--seed" => arguments.seed = number()?,
            "--backend" if value == "all" => arguments.backends = Backend::ALL.to_vec(),
            "--backend" => {
                let found = Backend::ALL.into_iter().find(|it| it.name() == value);
                let found = found.ok_or_else(|| {
                    let names = Backend::ALL.map(Backend::name).join(", ");
                    format!("--backend: {value} must be one of {names}, or all")
                })?;
                arguments.backends = vec![found];
            }
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("soak: {wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let held = runtime.block_on(async {
        tokio::select! {
            held = all(&arguments) => held,
            _ = tokio::signal::ctrl_c() => {
                println!("interrupted; seed {}", arguments.seed);
                false
            }
        }
    });
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs each backend. Returns whether all invariants held.
async fn all(arguments: &Arguments) -> bool {
    let backends = &arguments.backends;
    let share = Duration::from_secs(arguments.minutes * 60 / backends.len() as u64);
    for backend in backends {
        if let Some(program) = backend.missing() {
            println!("{}: {program} is not installed", backend.name());
            return false;
        }
        let plan = Plan {
            backend: *backend,
            seed: arguments.seed,
            length: arguments.steps.map_or(Length::Time(share), Length::Steps),
            sale: SALE,
        };
        // A panic counts as a failed run, so that its seed is printed.
        let Ok(outcome) = tokio::spawn(soak::run(plan)).await else {
            println!("the run broke off; seed {}", arguments.seed);
            return false;
        };
        if !outcome.violations.is_empty() {
            return false;
        }
    }
    true
}
