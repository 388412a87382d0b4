//! The real Prometheus and Alertmanager on free loopback ports. They end when they are dropped.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Client;
use serde_json::Value;

use crate::support::port::Port;
use crate::support::process::Guard;
use crate::support::{eventually, on_path, skipped};

/// A program that serves HTTP.
pub(super) struct Program {
    pub(super) url: String,
    client: Client,
    _process: Guard,
    _port: Port,
}

/// Returns whether one of `programs` is not installed, and then prints that the test is skipped.
pub(super) fn missing(programs: &[&'static str]) -> bool {
    let missing = programs.iter().find(|program| on_path(program).is_none());
    missing.is_some_and(|program| skipped(program))
}

/// Prometheus with `config` in `dir`; it accepts remote writes, and reloads its configuration on request.
pub(super) async fn prometheus(dir: &Path, config: &str) -> Program {
    std::fs::write(dir.join("prometheus.yml"), config).unwrap();
    let args = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.enable-remote-write-receiver",
        "--web.enable-lifecycle",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ];
    Program::start("prometheus", "--web.listen-address=", dir, &args).await
}

/// Alertmanager with `config` in `dir`.
pub(super) async fn alertmanager(dir: &Path, config: &str) -> Program {
    std::fs::write(dir.join("alertmanager.yml"), config).unwrap();
    let args = [
        "--config.file=alertmanager.yml",
        "--storage.path=alertmanager",
        "--cluster.listen-address=",
        "--log.level=warn",
    ];
    Program::start(
        "prometheus-alertmanager",
        "--web.listen-address=",
        dir,
        &args,
    )
    .await
}

impl Program {
    async fn start(program: &str, listen: &str, dir: &Path, args: &[&str]) -> Program {
        let port = Port::claim();
        let address = format!("127.0.0.1:{}", port.number());
        let log = dir.join(format!("{program}.log"));
        let process = Command::new(program)
            .args(args)
            .arg(format!("{listen}{address}"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut process = Guard(process);
        let url = format!("http://{address}");
        let client = crate::support::client();
        eventually("the program is ready", || {
            let ended = process.0.try_wait().unwrap();
            let output = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "{program} ended: {output}");
            let request = client.get(format!("{url}/-/ready")).send();
            async move { request.await.ok().filter(|r| r.status().is_success()) }
        })
        .await;
        Program {
            url,
            client,
            _process: process,
            _port: port,
        }
    }

    /// The JSON answer to a GET request.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.url);
        let response = self.client.get(url).query(query).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// Makes the program reload its configuration.
    pub(super) async fn reload(&self) {
        let url = format!("{}/-/reload", self.url);
        let response = self.client.post(url).send().await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert!(status.is_success(), "{body}");
    }
}
