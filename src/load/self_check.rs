//! Checks the generator's clock with a server that stalls for a known time. All requests that had to wait for the
//! stall must show that wait.
//!
//! The check uses one connection and 500 arrivals a second. During the stall one request is in flight and the others
//! wait for the connection. Measured from the sending, only one of 2,000 requests is slow. Measured from the due
//! time, as here, a quarter of them are (Gil Tene, "How NOT to Measure Latency", on coordinated omission).

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::model::{Class, Operation};
use super::traffic_only::measure_traffic;
use super::{LoadError, RunOptions, Scenario};

/// The duration of the stall.
const STALL: Duration = Duration::from_secs(1);
/// The time before the stall.
const AFTER: Duration = Duration::from_millis(1_500);
const RATE: u32 = 500;
const SECONDS: u32 = 4;

const SCENARIO: &str = "\
title: Self-check
dataset: none
users: 0
admission: { batch: 1, every: 1s }
http: { connections: 1 }
generator: { workers: 1 }
limits: { duration: 30s }
traffic:
  arrivals:
    executor: open
    users: 2000
    arrival: { shape: constant, rate: 500 }
    lasts: 4s
    journeys: [{ steps: [{ call: concerts }] }]
";

/// The measurements of the check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfCheck {
    /// The duration of the stall.
    pub stall: Duration,
    /// The number of planned arrivals.
    pub planned: u64,
    /// The number of answered requests.
    pub answered: u64,
    /// The p99 latency from the due time.
    pub latency_p99: Duration,
    /// The largest latency.
    pub latency_max: Duration,
    /// The p99 from the sending. A tool that waits for each answer before the next request shows this value.
    pub service_p99: Duration,
}

impl SelfCheck {
    /// The problems of the clock. The list is empty if the clock is correct.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.answered != self.planned {
            let (answered, planned) = (self.answered, self.planned);
            problems.push(format!(
                "{answered} of {planned} planned requests were answered"
            ));
        }
        // 25 % of the arrivals fall evenly into the stall, so 1 % of all arrivals wait for at least 96 % of it.
        if self.latency_p99 < self.stall.mul_f64(0.9) {
            problems.push(format!(
                "the server stood still for {:?}, and p99 shows {:?}: those who had to wait are not seen",
                self.stall, self.latency_p99
            ));
        }
        if self.latency_max > self.stall * 10 {
            problems.push(format!(
                "the longest wait is {:?}: the machine is too busy for this check",
                self.latency_max
            ));
        }
        problems
    }
}

/// Runs the check, which takes four seconds.
///
/// # Errors
/// The check cannot run at all.
pub async fn self_check() -> Result<SelfCheck, LoadError> {
    let could_not = |error: std::io::Error| LoadError::Generator(error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(could_not)?;
    let url = format!("http://{}", listener.local_addr().map_err(could_not)?);
    let server = AbortOnDropHandle::new(tokio::spawn(serve(listener)));
    let scenario = Scenario::parse("self-check", SCENARIO, &[]);
    let scenario = scenario.map_err(|error| LoadError::Generator(error.to_string()))?;
    let measured = measure_traffic(&url, &RunOptions::new(scenario)).await?;
    drop(server);
    let cell = measured.frame.cell(1, Operation::Concerts, Class::Ok);
    let at = |of: fn(&super::recorder::Cell) -> u64| Duration::from_micros(cell.map_or(0, of));
    Ok(SelfCheck {
        stall: STALL,
        planned: u64::from(RATE * SECONDS),
        answered: cell.map_or(0, |cell| cell.latency.len()),
        latency_p99: at(|cell| cell.latency.value_at_quantile(0.99)),
        latency_max: at(|cell| cell.latency.max()),
        service_p99: at(|cell| cell.service.value_at_quantile(0.99)),
    })
}

/// Answers every request in the same way, except during the stall.
async fn serve(listener: TcpListener) {
    // The clock of the stall begins with the first connection.
    let mut begun: Option<Instant> = None;
    let mut connections = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        let begun = *begun.get_or_insert_with(Instant::now);
        connections.push(AbortOnDropHandle::new(tokio::spawn(answer(stream, begun))));
    }
}

async fn answer(mut stream: TcpStream, begun: Instant) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let _ = stream.set_nodelay(true);
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => read.extend_from_slice(&buffer[..length]),
        }
        while let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            read.drain(..end + 4);
            let passed = begun.elapsed();
            if (AFTER..AFTER + STALL).contains(&passed) {
                tokio::time::sleep(AFTER + STALL - passed).await;
            }
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: SelfCheck = SelfCheck {
        stall: STALL,
        planned: 2_000,
        answered: 2_000,
        latency_p99: Duration::from_millis(960),
        latency_max: Duration::from_millis(1_001),
        service_p99: Duration::from_millis(1),
    };

    #[test]
    fn a_clock_that_counts_from_sending_does_not_pass() {
        assert!(HONEST.problems().is_empty());
        let uncorrected = SelfCheck {
            latency_p99: HONEST.service_p99,
            ..HONEST
        };
        let problems = uncorrected.problems();
        assert!(problems[0].contains("not seen"), "{problems:?}");
        let lazy = SelfCheck {
            answered: 1_500,
            ..HONEST
        };
        assert!(lazy.problems()[0].contains("1500 of 2000"));
    }
}
