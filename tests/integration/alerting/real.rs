//! Real programs of the stack, on free loopback ports, gone when dropped.

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

/// Whether one of the programs is missing that the tests here need; said in a line.
pub(super) fn missing(programs: &[&'static str]) -> bool {
    let missing = programs.iter().find(|program| on_path(program).is_none());
    missing.is_some_and(|program| skipped(program))
}

/// Prometheus with `config` in `dir`; it takes remote writes, and reads its configuration anew when
/// asked to.
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
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "{program} ended: {said}");
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

    /// The answer to a question in JSON.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.url);
        let response = self.client.get(url).query(query).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// Has the configuration read anew.
    pub(super) async fn reload(&self) {
        let url = format!("{}/-/reload", self.url);
        let response = self.client.post(url).send().await.unwrap();
        let status = response.status();
        let said = response.text().await.unwrap();
        assert!(status.is_success(), "{said}");
    }
}
