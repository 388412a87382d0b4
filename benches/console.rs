//! The processor time and the memory of a console that is attached to a running server, in a real pseudo-terminal:
//! `cargo bench --bench console`. Linux only, because it reads `/proc`.
//!
//! Goals: under 2 % of a core, under 60 MB, the first screen within 300 ms.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "what fails here has nothing to measure")]

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use concertctl::api::ops::SeedRequest;
use concertctl::clients::ops::Ops;
use concertctl::clients::{HttpSource, Secret};
use concertctl::settings::ServeSettings;
use concertctl::telemetry::{LogConfig, LogLimits, LogOutput, TraceConfig, logs};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// The time over which processor time is measured.
const OVER: Duration = Duration::from_secs(20);
/// The number of starts that are measured; the median counts.
const STARTS: usize = 7;
/// A text of the first frame, and a text that appears once all sources have answered.
const SEEN: [&str; 2] = ["1 Overview", "● server  ● metrics  ● logs  ● alerts"];
/// Clock ticks per second in `/proc`: the same on every Linux.
const TICKS: f64 = 100.0;

/// Runs the server in another process, so that its processor time is not counted as the console's.
fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("serve") => serve(),
        _ => measure(),
    }
}

#[tokio::main]
async fn serve() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: "info".to_owned(),
        queue: 65_536,
        limits: LogLimits::default(),
        traces: TraceConfig::default(),
    };
    let logs = logs::init(config).unwrap();
    let settings = ServeSettings::embedded(dir.path().join("data"));
    let running = concertctl::serve::start(settings, &logs).await.unwrap();
    let source = HttpSource::new(&format!("http://{}/", running.ops_addr)).unwrap();
    let ops = Ops::new(source, Some(Secret::new(&running.ops_token)));
    let request = SeedRequest {
        profile: Some("demo".to_owned()),
        profile_yaml: None,
        replace: true,
    };
    ops.seed(&request).await.unwrap();
    while ops.status().await.unwrap().dataset.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("http://{}", running.ops_addr);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
    running.stop().await.unwrap();
}

/// A console in a pseudo-terminal.
struct Console {
    child: Box<dyn Child + Send + Sync>,
    _terminal: Box<dyn MasterPty + Send>,
    bytes: Arc<AtomicU64>,
    /// The time from the start to the first frame, and to the first frame with the answers of all sources.
    took: [Duration; 2],
}

impl Console {
    fn start(url: &str, screen: &str, (cols, rows): (u16, u16)) -> Console {
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_concertctl"));
        command.args(["tui", "--ops-url", url, "--screen", screen]);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut parser = vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0);
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let (sender, seen) = mpsc::channel();
        let began = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        thread::spawn(move || {
            let mut wanted = SEEN.iter();
            let mut next = wanted.next();
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                count.fetch_add(length as u64, Ordering::Relaxed);
                if next.is_none() {
                    continue;
                }
                parser.process(&chunk[..length]);
                let text = parser.screen().contents();
                while next.is_some_and(|wanted| text.contains(wanted)) {
                    let _ = sender.send(began.elapsed());
                    next = wanted.next();
                }
            }
        });
        let took = SEEN.map(|wanted| {
            let seen = seen.recv_timeout(Duration::from_secs(60));
            seen.unwrap_or_else(|_| panic!("never saw {wanted:?}"))
        });
        Console {
            child,
            _terminal: pair.master,
            bytes,
            took,
        }
    }

    fn id(&self) -> u32 {
        self.child.process_id().unwrap()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time so far, user and system, in seconds.
fn processor(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name of the process, in parentheses, may contain anything; the times come after it.
    let rest = stat.rsplit_once(')').unwrap().1;
    let ticks: Vec<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    ticks.iter().sum::<f64>() / TICKS
}

/// The resident memory, and the part of it that is not backed by the program's file, in megabytes.
fn memory(id: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: f64 = line
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        kib * 1024.0 / 1e6
    };
    (of("VmRSS:"), of("RssAnon:"))
}

fn measure() {
    let mut server = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    let output = server.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut url).unwrap();
    let url = url.trim();

    let starts: Vec<_> = (0..STARTS)
        .map(|_| Console::start(url, "overview", (120, 40)).took)
        .collect();
    for (index, what) in ["first screen", "first screen with data"]
        .iter()
        .enumerate()
    {
        let mut took: Vec<_> = starts.iter().map(|took| took[index].as_millis()).collect();
        took.sort_unstable();
        let (median, worst) = (took[STARTS / 2], took[STARTS - 1]);
        println!("{what}: {median} ms, at worst {worst} ms of {STARTS}");
    }
    println!(
        "over {} s, every source asked each second or two:",
        OVER.as_secs()
    );
    for (screen, size) in [
        ("overview", (80, 24)),
        ("overview", (120, 40)),
        ("overview", (200, 60)),
        ("logs", (120, 40)),
        ("alerts", (120, 40)),
    ] {
        idle(url, screen, size);
    }
    drop(server.stdin.take());
    server.wait().unwrap();
}

fn idle(url: &str, screen: &str, size: (u16, u16)) {
    let console = Console::start(url, screen, size);
    thread::sleep(Duration::from_secs(3));
    let written = || console.bytes.load(Ordering::Relaxed);
    let (before, bytes, began) = (processor(console.id()), written(), Instant::now());
    thread::sleep(OVER);
    let over = began.elapsed().as_secs_f64();
    let used = (processor(console.id()) - before) / over * 100.0;
    let kilobytes = (written() - bytes) as f64 / 1e3 / over;
    let (resident, own) = memory(console.id());
    println!(
        "  {screen:<8} {:>3}x{}  {used:.2} % of a core  {resident:.1} MB resident, {own:.1} of its own  \
         {kilobytes:.1} kB/s to the terminal",
        size.0, size.1,
    );
}
