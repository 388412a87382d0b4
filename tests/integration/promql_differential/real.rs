//! A real Prometheus over a history, on loopback. It ends when it is dropped.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::history::History;

pub(super) struct Prometheus {
    pub(super) url: String,
    process: Child,
    _data: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints that Prometheus is not installed. With `CI` set this is a failure.
pub(super) fn skipped() {
    assert!(
        std::env::var_os("CI").is_none(),
        "prometheus and promtool 2.42 are not installed (Debian 12: apt install prometheus)"
    );
    eprintln!("skipped: no prometheus");
}

/// Returns whether the program is installed in the version that the tests compare with.
fn installed(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("version 2.42."))
}

impl Prometheus {
    /// Starts Prometheus; `None` if it is not installed.
    pub(super) async fn start(history: &History) -> Option<Self> {
        if !installed("prometheus") || !installed("promtool") {
            return None;
        }
        let data = tempfile::tempdir().unwrap();
        create_blocks(history, data.path());
        let mut problem = String::new();
        // Another process may take the port between its choice and its use, so try again.
        for _ in 0..5 {
            match launch(data.path()).await {
                Ok((url, process)) => {
                    return Some(Self {
                        url,
                        process,
                        _data: data,
                    });
                }
                Err(p) => problem = p,
            }
        }
        panic!("prometheus does not start: {problem}");
    }
}

fn create_blocks(history: &History, dir: &Path) {
    let file = dir.join("history.om");
    std::fs::write(&file, history.openmetrics()).unwrap();
    let output = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, &dir.join("data")])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool: {errors}");
}

async fn launch(dir: &Path) -> Result<(String, Child), String> {
    let config = dir.join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut process = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.join("data").display()
        ))
        .arg("--storage.tsdb.retention.time=100y")
        .arg("--web.enable-remote-write-receiver")
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=error")
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let url = format!("http://{address}");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(Some(status)) = process.try_wait() {
            let mut errors = String::new();
            if let Some(mut stderr) = process.stderr.take() {
                let _ = stderr.read_to_string(&mut errors);
            }
            return Err(format!("{status}: {errors}"));
        }
        let ready = crate::support::client()
            .get(format!("{url}/-/ready"))
            .send()
            .await;
        if ready.is_ok_and(|r| r.status().is_success()) {
            return Ok((url, process));
        }
        if Instant::now() > deadline {
            let _ = process.kill();
            let _ = process.wait();
            return Err("not ready within 30 s".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
