//! The cost of telemetry for the service, as polls per second of three servers that are measured in turn: one without
//! flags (log to a file, metrics, traces at the default ratio, embedded stores), one that also exports everything over
//! OTLP, and one without telemetry: `cargo bench --bench overhead`. Needs wrk.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "what fails here has nothing to measure")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use concertctl::api::ops::SeedRequest;
use concertctl::clients::ops::Ops;
use concertctl::clients::{HttpSource, Secret};
use concertctl::settings::ServeSettings;
use concertctl::telemetry::{LogConfig, LogLimits, LogOutput, Otlp, TraceConfig, logs};

/// The allocator of the program, where threads free memory that other threads allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 7;
const SECONDS: u32 = 4;
const PROFILE: &str = "name: bench\nconcerts: 1\ndates_per_concert: 1\nseats_per_date: 10\nusers: 100\n\
                       on_sale: { concert: 1, popular_share: 0.2 }\nprices:\n  - { up_to: 10, price: 1000 }\n";

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("serve") => {
            let how = args.next().expect("off, on, or a collector's address");
            serve(&how);
        }
        _ => compare(),
    }
}

/// Runs a server in a process of its own, which prints its address and the token of a waiting user, and ends with its
/// input.
#[tokio::main]
async fn serve(how: &str) {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::File(dir.path().join("log")),
        filter: "info".to_owned(),
        queue: 65_536,
        limits: LogLimits::default(),
        traces: TraceConfig::default(),
    };
    let mut settings = ServeSettings::embedded(dir.path().join("data"));
    let logs = match how {
        // The log is built but not installed, so that nothing is logged or traced.
        "off" => logs::build(config).unwrap().1,
        "on" => logs::init(config).unwrap(),
        collector => {
            settings.otlp = Some(Otlp::at("the collector", collector).unwrap());
            logs::init(config).unwrap()
        }
    };
    let running = concertctl::serve::start(settings, &logs).await.unwrap();
    let source = HttpSource::new(&format!("http://{}/", running.ops_addr)).unwrap();
    let ops = Ops::new(source, Some(Secret::new(&running.ops_token)));
    let request = SeedRequest {
        profile: None,
        profile_yaml: Some(PROFILE.to_owned()),
        replace: true,
    };
    ops.seed(&request).await.unwrap();
    let queue = format!("http://{}/queue", running.api_addr);
    let token = loop {
        let call = concertctl::http_client::builder()
            .build()
            .unwrap()
            .post(&queue)
            .json(&serde_json::json!({ "userId": 1 }));
        let answer = call.send().await.unwrap();
        if let Some(token) = answer.headers().get("wait-token") {
            break token.to_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!("{queue} {token}");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
    running.stop().await.unwrap();
}

struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    queue: String,
    token: String,
    rates: Vec<f64>,
}

impl Server {
    fn start(how: &str) -> Server {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", how])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let (queue, token) = line.trim().split_once(' ').unwrap();
        Server {
            stdin: child.stdin.take(),
            queue: queue.to_owned(),
            token: token.to_owned(),
            child,
            rates: Vec::new(),
        }
    }

    fn round(&mut self) {
        let output = Command::new("wrk")
            .args(["-t1", "-c32", &format!("-d{SECONDS}s"), "-H"])
            .arg(format!("Wait-Token: {}", self.token))
            .arg(&self.queue)
            .output()
            .expect("wrk is needed: apt install wrk");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("Non-2xx"), "{text}");
        let rate = text
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"));
        self.rates.push(rate.unwrap().trim().parse().unwrap());
    }

    fn median(&mut self) -> f64 {
        self.rates.sort_by(f64::total_cmp);
        self.rates[self.rates.len() / 2]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn compare() {
    let sink = sink();
    let mut servers = ["off", "on", &sink].map(Server::start);
    for _ in 0..ROUNDS {
        servers.iter_mut().for_each(Server::round);
    }
    let [off, on, pushed] = servers.each_mut().map(Server::median);
    println!("polls a second, 32 connections, medians of {ROUNDS} rounds of {SECONDS} s by turns:");
    println!("  telemetry off        {off:>9.0}");
    println!("  telemetry on         {on:>9.0}   {:.2} of it", on / off);
    println!(
        "  on, and pushed       {pushed:>9.0}   {:.2} of it",
        pushed / off
    );
}

/// A collector that accepts everything and parses nothing, so that its own cost is small.
fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || swallow(stream));
        }
    });
    url
}

fn swallow(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().ok()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}
