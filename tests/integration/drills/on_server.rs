//! A drill on a running server, which continues after the drill.

use std::process::Command;

use tempfile::TempDir;

use super::command;
use crate::support::port::Port;
use crate::support::process::ServerProcess;

/// The server, and the address for its notifications.
pub(super) struct OnServer {
    pub(super) dir: TempDir,
    pub(super) server: ServerProcess,
    notified_at: Port,
}

impl OnServer {
    pub(super) async fn start() -> OnServer {
        let (dir, notified_at) = (tempfile::tempdir().unwrap(), Port::claim());
        let webhook = format!("http://{}/", notified_at.addr());
        let data = dir.path().join("server");
        let server = ServerProcess::start(&data, &["--webhook", &webhook]).await;
        std::fs::write(dir.path().join("token"), &server.ops_token).unwrap();
        OnServer {
            dir,
            server,
            notified_at,
        }
    }

    pub(super) fn drill(&self, text: &str) -> Command {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        std::fs::write(path("drill.yaml"), text).unwrap();
        let mut command = command(self.dir.path(), &[&path("drill.yaml"), "--reseed"]);
        command.args(["--target", &self.server.api]);
        command.args(["--ops-url", &self.server.ops_url]);
        command.args(["--ops-token-file", &path("token")]);
        command.args(["--notified-at", &self.notified_at.addr().to_string()]);
        command.args(["--report", &path("report.json")]);
        command
    }

    /// The number of active faults; `None` if the server does not answer in time.
    pub(super) async fn faults(&self) -> Option<usize> {
        let answer = self.server.ops.faults().await;
        answer.ok().map(|answer| answer.faults.len())
    }
}
