//! The server that `load` starts for itself when no target is named: on a fresh data directory that
//! goes away with the run.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::load::Target;

/// A running embedded server.
pub(super) struct Embedded {
    target: Target,
    _data: Scratch,
}

/// Starts one on loopback ports of its own.
pub(super) async fn start() -> anyhow::Result<Embedded> {
    let data = Scratch::new().context("no temporary directory for the embedded server")?;
    serve(data.path())?;
    let target = Target {
        api_url: String::new(),
        ops_url: String::new(),
        ops_token: None,
    };
    Ok(Embedded {
        target,
        _data: data,
    })
}

/// Where the server is plugged in.
fn serve(_data_dir: &Path) -> anyhow::Result<()> {
    anyhow::bail!("the embedded server is not wired yet: give --target and --ops-url")
}

impl Embedded {
    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }

    #[allow(clippy::unused_async, reason = "the server's own stop is awaited here")]
    pub(super) async fn stop(self) {}
}

/// A directory of its own that is removed with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Scratch> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!(
            "concertctl-load-{}-{:016x}",
            std::process::id(),
            rand::random::<u64>()
        );
        let path = std::env::temp_dir().join(name);
        // Not for others to read: the database is in there, and the tokens' key.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
