//! A private Redis, or a cluster of three: on ports of their own, with data of their own, gone with
//! the test.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tempfile::TempDir;

use super::kept::{self, Kept, within};
use super::port::Port;
use super::process::Guard;
use super::{PATIENCE, eventually, on_path, skipped};

/// What was acknowledged is on disk.
const SETTINGS: &[&str] = &[
    "--bind",
    "127.0.0.1",
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--save",
    "",
    "--daemonize",
    "no",
];

/// A Redis that keeps what it was told.
pub struct Redis {
    server: Kept,
    settings: Vec<String>,
    password: Option<String>,
    port: Port,
    dir: TempDir,
}

impl Redis {
    /// What is needed and missing, in a word.
    pub fn missing() -> Option<&'static str> {
        let needed = ["redis-server", "redis-cli"].into_iter();
        let mut needed = needed.chain(kept::NEEDED);
        needed.find(|program| on_path(program).is_none())
    }

    /// `None`, said in a line, where Redis is not installed.
    pub async fn start() -> Option<Redis> {
        Redis::with(&[]).await
    }

    /// The same with more arguments of `redis-server`.
    pub async fn with(more: &[&str]) -> Option<Redis> {
        Redis::begin(more, None).await
    }

    /// The same where nobody may ask without the password.
    pub async fn with_password() -> Option<Redis> {
        let password = format!("{:032x}", rand::random::<u128>());
        Redis::begin(&[], Some(password)).await
    }

    async fn begin(more: &[&str], password: Option<String>) -> Option<Redis> {
        if Redis::missing().is_some_and(skipped) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let secret = password.iter().flat_map(|it| ["--requirepass", it]);
        let all = SETTINGS.iter().chain(more).copied().chain(secret);
        let settings: Vec<String> = all.map(str::to_owned).collect();
        let port = Port::claim();
        let mut redis = Redis {
            server: launch(&settings, &port, &dir),
            settings,
            password,
            port,
            dir,
        };
        // Between the choice of a port and its use another program may take it.
        for _ in 0..5 {
            if redis.answers().await {
                return Some(redis);
            }
            let log = redis.server.log();
            assert!(log.contains("in use"), "redis does not start: {log}");
            redis.port = Port::claim();
            redis.launch();
        }
        panic!("redis finds no free port");
    }

    pub fn url(&self) -> String {
        self.url_at(self.addr())
    }

    /// The same at another address, such as a proxy's.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@{addr}"),
            None => format!("redis://{addr}"),
        }
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Where its log and its data are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server and its children.
    pub fn processes(&mut self) -> Vec<Pid> {
        self.server.family()
    }

    /// SIGKILL. Returns when it is gone.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts again on the same port and data; a running one is killed first. Returns when it
    /// answers.
    pub async fn restart(&mut self) {
        self.kill();
        self.launch();
        let answers = self.answers().await;
        assert!(answers, "redis does not start again: {}", self.server.log());
    }

    /// The same without data.
    pub async fn restart_empty(&mut self) {
        self.kill();
        fs::remove_dir_all(self.dir.path().join("appendonlydir")).unwrap();
        self.restart().await;
    }

    /// SIGSTOP: connections stay open and can be made, nothing answers.
    pub fn stall(&mut self) {
        self.server.stall();
    }

    /// The end of [`Redis::stall`].
    pub fn resume(&mut self) {
        self.server.resume();
    }

    /// What `redis-cli` prints for a command, without the last line break; an error begins with its
    /// code, in capitals. Fails the test when there is no answer within 5 s.
    pub fn cli(&self, command: &[&str]) -> String {
        let mut output = tempfile::tempfile().unwrap();
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.port().to_string()]).args(command);
        match &self.password {
            Some(password) => cli.env("REDISCLI_AUTH", password),
            None => cli.env_remove("REDISCLI_AUTH"),
        };
        cli.stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output.try_clone().unwrap());
        let mut cli = Guard(cli.spawn().unwrap());
        let answered = || cli.0.try_wait().unwrap().is_some();
        assert!(
            within(Duration::from_secs(5), answered),
            "no answer: {command:?}"
        );
        let mut text = String::new();
        output.rewind().unwrap();
        output.read_to_string(&mut text).unwrap();
        text.trim_end().to_owned()
    }

    fn launch(&mut self) {
        self.server = launch(&self.settings, &self.port, &self.dir);
    }

    /// Whether it answers before it ends.
    async fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while self.server.is_running() {
            if self.cli(&["PING"]) == "PONG" {
                return true;
            }
            let log = self.server.log();
            assert!(begun.elapsed() < PATIENCE, "redis does not answer: {log}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

fn launch(settings: &[String], port: &Port, dir: &TempDir) -> Kept {
    let port = port.number().to_string();
    let own = ["redis-server", "--port", &port];
    let all = own.into_iter().chain(settings.iter().map(String::as_str));
    Kept::start(dir.path(), all)
}

/// Three Redis servers that divide the keys among them.
pub struct RedisCluster {
    nodes: [Redis; 3],
}

impl RedisCluster {
    /// `None`, said in a line, where Redis is not installed. Returns when every node takes part.
    pub async fn start() -> Option<RedisCluster> {
        let node = || Redis::with(&["--cluster-enabled", "yes"]);
        let nodes = [node().await?, node().await?, node().await?];
        let addrs = nodes.each_ref().map(|node| node.addr().to_string());
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addrs)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stdout);
        assert!(made.status.success(), "the cluster is not made: {said}");
        let cluster = RedisCluster { nodes };
        cluster.whole().await;
        Some(cluster)
    }

    /// One a node; any of them leads to all.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    pub fn nodes(&mut self) -> &mut [Redis; 3] {
        &mut self.nodes
    }

    /// Awaits that every node sees every other.
    pub async fn whole(&self) {
        eventually("the cluster is whole", || async {
            let info = self
                .nodes
                .each_ref()
                .map(|node| node.cli(&["CLUSTER", "INFO"]));
            let ok =
                |info: &String| info.contains("cluster_state:ok") && info.contains("known_nodes:3");
            info.iter().all(ok).then_some(())
        })
        .await;
    }
}
