//! The server that `load` starts itself when there is no target. Its data directory is new and is removed after the
//! run.

use std::path::{Path, PathBuf};

use crate::files;
use crate::load::Target;
use crate::serve::Running;
use crate::settings::ServeSettings;
use crate::telemetry::{Logs, Otlp};

/// A running embedded server.
pub(super) struct Embedded {
    target: Target,
    running: Running,
    _data: Scratch,
}

/// Starts one on free loopback ports.
pub(super) async fn start(logs: &Logs, collector: Option<Otlp>) -> anyhow::Result<Embedded> {
    let data = Scratch::new().map_err(|error| {
        let (dir, advice) = (std::env::temp_dir(), files::advice(&error));
        let dir = dir.display();
        anyhow::anyhow!(
            "the embedded server has no place for its data in {dir}: {error}; {advice}, or set TMPDIR to another directory"
        )
    })?;
    let settings = ServeSettings {
        otlp: collector,
        ..ServeSettings::embedded(data.path().to_owned())
    };
    let running = crate::serve::start(settings, logs).await?;
    let target = Target {
        api_urls: vec![running.api_url()],
        ops_url: running.ops_url(),
        ops_token: Some(running.ops_token.clone()),
    };
    Ok(Embedded {
        target,
        running,
        _data: data,
    })
}

impl Embedded {
    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }

    pub(super) async fn stop(self) {
        self.running.stop().await;
    }
}

/// A private temporary directory, removed when dropped.
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
        // Other users must not read it, because it contains the database and the key of the tokens.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The system cleans its temporary directory eventually.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
