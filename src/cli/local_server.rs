//! The server of a data directory: its addresses and its operations token.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::api::ops::Status;
use crate::clients::HttpSource;
use crate::clients::ops::Ops;
use crate::secret::Secret;
use crate::serve::{ServerFile, reachable};
use crate::settings;
use crate::store::data_dir::is_held;

/// The server that wrote `server.json` into a data directory. It runs, or it was killed: a clean stop removes the file.
#[derive(Debug)]
pub(super) struct LocalServer {
    dir: PathBuf,
    file: ServerFile,
}

impl LocalServer {
    /// The server of `dir`; `None` when `dir` has no readable `server.json`.
    pub(super) fn of(dir: &Path) -> Option<LocalServer> {
        let file = ServerFile::read(dir)?;
        let dir = dir.to_owned();
        Some(LocalServer { dir, file })
    }

    /// The data directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The address at which this machine reaches its ticketing API.
    pub(super) fn api_addr(&self) -> SocketAddr {
        reachable(self.file.api_addr)
    }

    /// The address at which this machine reaches its operations API.
    pub(super) fn ops_addr(&self) -> SocketAddr {
        reachable(self.file.ops_addr)
    }

    /// The URL of its ticketing API.
    pub(super) fn api_url(&self) -> String {
        self.file.api_url()
    }

    /// The URL of its operations API.
    pub(super) fn ops_url(&self) -> String {
        self.file.ops_url()
    }

    /// Returns whether `ops_url` is its operations API. Its token must be sent nowhere else.
    pub(super) fn is_at(&self, ops_url: &str) -> bool {
        let authority = HttpSource::new(ops_url).map(|source| source.authority());
        authority.is_ok_and(|authority| {
            authority == self.file.ops_addr.to_string() || authority == self.ops_addr().to_string()
        })
    }

    /// Its operations token. Without a process that holds the directory, another program may listen at the address of
    /// the server, so the token is not given.
    ///
    /// # Errors
    /// No process holds the directory, or the file cannot be read.
    pub(super) fn token(&self) -> anyhow::Result<Secret> {
        if !is_held(&self.dir) {
            let (dir, addr) = (self.dir.display(), self.file.ops_addr);
            anyhow::bail!(
                "no server runs on {dir}, so the program at {addr} does not get its token: start one with `concertctl serve --data-dir {dir}`"
            );
        }
        let path = settings::ops_token_file(&self.dir);
        let text = std::fs::read_to_string(&path);
        let text =
            text.with_context(|| format!("cannot read the token file {}", path.display()))?;
        Ok(Secret::new(&text))
    }

    /// Returns whether it runs. A killed server leaves `server.json` behind, and another server may now use its
    /// operations address. So the answer must name the same ticketing API.
    pub(super) async fn runs(&self) -> bool {
        let status = status(&self.ops_url()).await;
        status.is_some_and(|status| status.api_addr == self.file.api_addr.to_string())
    }
}

/// The status of the operations API at `ops_url`, if it answers.
pub(super) async fn status(ops_url: &str) -> Option<Status> {
    let source = HttpSource::new(ops_url).ok()?;
    Ops::new(source, None).status().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::data_dir::DataDir;

    fn server(ops: &str) -> (tempfile::TempDir, LocalServer) {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(r#"{{"api_addr":"0.0.0.0:8080","ops_addr":"{ops}"}}"#);
        std::fs::write(dir.path().join(ServerFile::NAME), text).unwrap();
        let server = LocalServer::of(dir.path()).unwrap();
        (dir, server)
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_over_loopback() {
        let (_dir, server) = server("[::]:9");
        assert_eq!(server.api_addr().to_string(), "127.0.0.1:8080");
        assert_eq!(server.ops_url(), "http://[::1]:9");
    }

    #[test]
    fn only_its_own_address_gets_its_token() {
        let (_dir, server) = server("127.0.0.1:8081");
        assert!(server.is_at("http://127.0.0.1:8081/"));
        assert!(!server.is_at("http://127.0.0.1:8082"));
        assert!(!server.is_at("http://tickets.example:8081"));
        assert!(!server.is_at("nonsense"));
    }

    #[test]
    fn only_a_directory_that_a_process_holds_gives_its_token() {
        let (dir, server) = server("127.0.0.1:8081");
        std::fs::write(settings::ops_token_file(dir.path()), "secret").unwrap();
        let refused = server.token().unwrap_err().to_string();
        assert!(refused.contains("no server runs on"), "{refused}");
        let held = DataDir::open(dir.path()).unwrap();
        assert_eq!(server.token().unwrap().expose(), "secret");
        drop(held);
        assert!(server.token().is_err());
    }

    #[test]
    fn a_directory_without_a_server_has_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalServer::of(dir.path()).is_none());
        std::fs::write(dir.path().join(ServerFile::NAME), "{").unwrap();
        assert!(LocalServer::of(dir.path()).is_none());
    }
}
