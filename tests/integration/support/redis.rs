//! A private Redis, or a cluster of three, with their own ports and data. They end with the test.

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

/// The settings of a Redis that writes to disk before it answers.
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

/// A Redis whose acknowledged writes are durable.
pub struct Redis {
    server: Kept,
    settings: Vec<String>,
    password: Option<String>,
    port: Port,
    dir: TempDir,
}

impl Redis {
    /// A program that Redis needs here and that is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = ["redis-server", "redis-cli"].into_iter();
        let mut needed = needed.chain(kept::NEEDED);
        needed.find(|program| on_path(program).is_none())
    }

    /// Starts Redis; `None`, with a printed line, if it is not installed.
    pub async fn start() -> Option<Redis> {
        Redis::with(&[]).await
    }

    /// The same with more arguments of `redis-server`.
    pub async fn with(more: &[&str]) -> Option<Redis> {
        Redis::begin(more, None).await
    }

    /// The same with a required password.
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
        // Another program may take the port between its choice and its use, so try again.
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

    /// The directory of its log and its data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server and its children.
    pub fn processes(&mut self) -> Vec<Pid> {
        self.server.family()
    }

    /// Kills the server with SIGKILL. Returns when it has ended.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts the server again on the same port and data, after killing a running one. Returns when it answers.
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

    /// Stops the server with SIGSTOP: connections can still be made and stay open, but nothing answers.
    pub fn stall(&mut self) {
        self.server.stall();
    }

    /// Continues the server after [`Redis::stall`].
    pub fn resume(&mut self) {
        self.server.resume();
    }

    /// The output of `redis-cli` for a command, without the last line break. An error begins with its code in capitals.
    /// Fails the test without an answer within 5 s.
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

    /// Waits until the server answers; false if it ends before.
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
    /// Starts a cluster; `None`, with a printed line, if Redis is not installed. Returns when every node has joined.
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
        let output = String::from_utf8_lossy(&made.stdout);
        assert!(
            made.status.success(),
            "the cluster was not created: {output}"
        );
        let cluster = RedisCluster { nodes };
        cluster.whole().await;
        Some(cluster)
    }

    /// A URL for each node. Each of them gives access to the whole cluster.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    pub fn nodes(&mut self) -> &mut [Redis; 3] {
        &mut self.nodes
    }

    /// Waits until every node sees every other node.
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
