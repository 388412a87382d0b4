//! The server that a drill starts for itself: a process of its own, so that it can be killed, on a data
//! directory that goes with the drill.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

use super::file::{Fault, Kind};
use super::guard::{Event, Order, Server};
use super::run::{DrillError, Options};
use super::{Moment, now};
use crate::clients::alertmanager::Alertmanager;
use crate::clients::ops::Ops;
use crate::clients::prometheus::Prometheus;
use crate::clients::{HttpSource, Secret};
use crate::load::Target;
use crate::serve::ServerFile;
use crate::settings;

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// How long the guard may take to carry an order out.
const ORDER: Duration = Duration::from_secs(10);
/// How long the guard may take to end.
const END: Duration = Duration::from_secs(10);

/// A server with the process that guards it.
#[derive(Debug)]
pub(super) struct Embedded {
    guard: Mutex<Guard>,
    dir: PathBuf,
    file: ServerFile,
    token: String,
    webhook: String,
    rules: Vec<PathBuf>,
}

#[derive(Debug)]
struct Guard {
    child: Child,
    orders: ChildStdin,
    /// Lines that the guard wrote.
    events: mpsc::Receiver<String>,
}

impl Guard {
    fn start(options: &Options) -> std::io::Result<Guard> {
        let mut child = Command::new(&options.program)
            .args(["drill", "--guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || std::io::Error::other("the guard has no pipes");
        let orders = child.stdin.take().ok_or_else(missing)?;
        let written = child.stdout.take().ok_or_else(missing)?;
        let (sender, events) = mpsc::channel(16);
        // It ends with the guard's output, or when nobody listens any more.
        std::thread::spawn(move || {
            let lines = BufReader::new(written).lines();
            for line in lines.map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Guard {
            child,
            orders,
            events,
        })
    }

    /// Has an order carried out, and gives what came of it.
    async fn order(&mut self, order: &Order) -> Result<Event, String> {
        let carried_out = async {
            let line = serde_json::to_string(order).map_err(|error| error.to_string())?;
            // A short line, which the pipe always has room for.
            let sent = self.orders.write_all(format!("{line}\n").as_bytes());
            sent.map_err(|error| format!("the guard is gone: {error}"))?;
            loop {
                let line = self.events.recv().await.ok_or("the guard is gone")?;
                match serde_json::from_str(&line) {
                    // Of an earlier fault.
                    Ok(Event::Ended(_)) => {}
                    Ok(Event::Failed(why)) => return Err(why),
                    Ok(event) => return Ok(event),
                    Err(error) => return Err(format!("the guard wrote {line:?}: {error}")),
                }
            }
        };
        let late = || Err("the guard does not answer".to_owned());
        tokio::time::timeout(ORDER, carried_out)
            .await
            .unwrap_or_else(|_| late())
    }
}

impl Embedded {
    pub(super) async fn start(options: &Options, webhook: &str) -> Result<Embedded, DrillError> {
        let dir = scratch().map_err(|error| {
            let temp = std::env::temp_dir();
            DrillError::Server(format!(
                "no place for its data in {}: {error}; set TMPDIR to another directory",
                temp.display()
            ))
        })?;
        let server = |problem: String| DrillError::Server(problem);
        let guard = Guard::start(options).map_err(|error| server(error.to_string()))?;
        let mut embedded = Embedded {
            guard: Mutex::new(guard),
            file: ServerFile {
                api_addr: ([127, 0, 0, 1], 0).into(),
                ops_addr: ([127, 0, 0, 1], 0).into(),
            },
            token: String::new(),
            webhook: webhook.to_owned(),
            rules: options.rules.clone(),
            dir,
        };
        let order = Order::Start(Server {
            program: options.program.clone(),
            args: embedded.args(),
            dir: embedded.dir.clone(),
        });
        let started = embedded.guard.get_mut().order(&order).await;
        started.map_err(server)?;
        embedded.find().await.map_err(server)?;
        Ok(embedded)
    }

    /// The arguments of a start, on the ports that the first start got.
    fn args(&self) -> Vec<String> {
        let mut args = vec![
            "serve".to_owned(),
            "--data-dir".to_owned(),
            self.dir.display().to_string(),
            "--api-addr".to_owned(),
            self.file.api_addr.to_string(),
            "--ops-addr".to_owned(),
            self.file.ops_addr.to_string(),
            "--webhook".to_owned(),
            self.webhook.clone(),
        ];
        for rules in &self.rules {
            args.extend(["--rules".to_owned(), rules.display().to_string()]);
        }
        args
    }

    /// Awaits the server, and takes its addresses and token over.
    async fn find(&mut self) -> Result<(), String> {
        let found = async {
            loop {
                if let Some(found) = self.look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(START, found).await;
        let (file, token) = found.map_err(|_| {
            let log = std::fs::read_to_string(self.dir.join("server.stderr"));
            let last = log.unwrap_or_default();
            let last = last
                .lines()
                .last()
                .unwrap_or("it wrote no reason")
                .to_owned();
            format!("it does not start within {} s: {last}", START.as_secs())
        })?;
        (self.file, self.token) = (file, token);
        Ok(())
    }

    async fn look(&self) -> Option<(ServerFile, String)> {
        let bytes = std::fs::read(self.dir.join(ServerFile::NAME)).ok()?;
        let file: ServerFile = serde_json::from_slice(&bytes).ok()?;
        let token = std::fs::read_to_string(settings::ops_token_file(&self.dir)).ok()?;
        let source = HttpSource::new(&url(file.ops_addr)).ok()?;
        Ops::new(source, None).status().await.ok()?;
        Some((file, token.trim().to_owned()))
    }

    pub(super) fn target(&self) -> Target {
        Target {
            api_urls: vec![url(self.file.api_addr)],
            ops_url: url(self.file.ops_addr),
            ops_token: Some(self.token.clone()),
        }
    }

    /// What answers as Prometheus and as Alertmanager.
    pub(super) fn alert_sources(&self) -> Result<(Prometheus, Alertmanager), DrillError> {
        let source = HttpSource::new(&url(self.file.ops_addr));
        let source = source.map_err(|error| DrillError::Server(error.to_string()))?;
        let token = Some(Secret::new(&self.token));
        Ok((
            Prometheus::new(source.clone()),
            Alertmanager::new(source, token),
        ))
    }

    /// Injects a fault; its beginning, by whoever carried it out. It ends by itself.
    pub(super) async fn inject(&self, fault: &Fault, drill: &str) -> Result<Moment, String> {
        let for_ms = u64::try_from(fault.length.0.as_millis()).unwrap_or(u64::MAX);
        let order = match fault.kind {
            Kind::KillServer => Order::Kill {
                for_ms,
                args: self.args(),
            },
            Kind::FreezeServer => Order::Freeze { for_ms },
            _ => return self.inject_by_operations(fault, drill).await,
        };
        match self.guard.lock().await.order(&order).await? {
            Event::Began(at) => Ok(at),
            other => Err(format!("the guard reported {other:?}")),
        }
    }

    async fn inject_by_operations(&self, fault: &Fault, drill: &str) -> Result<Moment, String> {
        let by = format!("drill {drill}");
        let injected = fault.injected()?;
        let source =
            HttpSource::new(&url(self.file.ops_addr)).map_err(|error| error.to_string())?;
        let ops = Ops::new(source, Some(Secret::new(&self.token)));
        let active = ops.inject_fault(&injected, fault.length.0, Some(&by)).await;
        let active = active.map_err(|error| error.to_string())?;
        let began = active.started_at.parse::<jiff::Timestamp>();
        Ok(began.map_or_else(|_| now(), |began| began.as_millisecond()))
    }

    /// Ends the server, with its data.
    pub(super) async fn end(self) {
        let Guard {
            mut child, orders, ..
        } = self.guard.into_inner();
        // The end of the guard's input is the order to end.
        drop(orders);
        let waiting = tokio::task::spawn_blocking(move || child.wait());
        // A guard that hangs is left alone: it ends when its server does.
        drop(tokio::time::timeout(END, waiting).await);
    }
}

fn url(addr: SocketAddr) -> String {
    format!("http://{addr}")
}

/// A new directory that only this user can read: the database is in there, and the tokens' key.
fn scratch() -> std::io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let (process, random) = (std::process::id(), rand::random::<u64>());
    let name = format!("concertctl-drill-{process}-{random:016x}");
    let path = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}
