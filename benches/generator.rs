//! Compares the load generator with other tools, which run in turn against one minimal server on the same cores:
//! `cargo bench --bench generator`. Closed executor, keep-alive, the same number of connections for each.
//!
//! wrk (Debian package) and oha (`cargo install oha`) take part if they are on PATH.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "what fails here has nothing to measure")]

use std::process::{Command, Stdio};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use concertctl::load::model::{Class, Operation};
use concertctl::load::traffic_only::measure_traffic;
use concertctl::load::{RunOptions, Scenario};
use tokio::net::TcpListener;

const ROUNDS: usize = 5;
const SECONDS: u32 = 4;
const CONNECTIONS: u32 = 64;
/// A body as long as the answer to a poll.
const BODY: &str = r#"{"waitId":123456,"userId":4321,"positionInQueue":23456,"status":"WAIT","etaSeconds":705.0,"pollAfterMs":20000}"#;

/// A tool: its requests per second against the server at this port; `None` if it is not installed.
type Tool = fn(u16) -> Option<f64>;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = || async { ([(CONTENT_TYPE, "application/json")], BODY) };
    let app = Router::new().route("/concerts", get(answer));
    runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });

    let tools: [(&str, Tool); 3] = [("concertctl", ours), ("wrk", wrk), ("oha", oha)];
    let mut figures: Vec<Vec<f64>> = vec![Vec::new(); tools.len()];
    for _ in 0..ROUNDS {
        for ((_, tool), figures) in tools.iter().zip(&mut figures) {
            figures.extend(tool(port));
        }
    }
    println!(
        "requests a second, {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s by turns:"
    );
    let own = median(&mut figures[0].clone()).unwrap();
    for ((name, _), figures) in tools.iter().zip(&mut figures) {
        match median(figures) {
            Some(rate) => println!("  {name:<11} {rate:>9.0}   {:.2} of it", own / rate),
            None => println!("  {name:<11} is not installed"),
        }
    }
}

fn median(of: &mut [f64]) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

fn ours(port: u16) -> Option<f64> {
    let scenario = format!(
        "{{ title: closed, dataset: none, users: 0, admission: {{ batch: 1, every: 1s }}, \
         traffic: {{ crowd: {{ executor: closed, users: {CONNECTIONS}, lasts: {SECONDS}s, \
         journeys: [{{ steps: [{{ call: concerts, times: 1000000 }}] }}] }} }} }}"
    );
    let scenario = Scenario::parse("closed", &scenario, &[]).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let measured = runtime
        .block_on(measure_traffic(&url, &RunOptions::new(scenario)))
        .unwrap();
    let count = measured.frame.count(1, &[Operation::Concerts], Class::Ok);
    assert_eq!(measured.frame.statuses.none, 0);
    Some(count as f64 / f64::from(SECONDS))
}

fn wrk(port: u16) -> Option<f64> {
    let url = format!("http://127.0.0.1:{port}/concerts");
    let (threads, connections) = (format!("-t{}", cores()), format!("-c{CONNECTIONS}"));
    let text =
        output(Command::new("wrk").args([&threads, &connections, &format!("-d{SECONDS}s"), &url]))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))?;
    line.trim().parse().ok()
}

fn oha(port: u16) -> Option<f64> {
    let url = format!("http://127.0.0.1:{port}/concerts");
    let text = output(Command::new("oha").args([
        "--no-tui",
        "-c",
        &CONNECTIONS.to_string(),
        "-z",
        &format!("{SECONDS}s"),
        &url,
    ]))?;
    let line = text.lines().find(|line| line.contains("Requests/sec"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The output of a program; `None` if it is not installed.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
