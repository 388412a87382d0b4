//! The server that `load` starts itself when there is no target. Its data directory is new and is removed after the
//! run.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

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

/// Starts a server on free loopback ports.
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
        // The directory is removed next, whether the dataset was closed cleanly or not.
        drop(self.running.stop().await);
    }
}

/// The prefix of the names of temporary directories. The id of their process follows.
const PREFIX: &str = "concertctl-load-";

/// A private temporary directory, removed when dropped. A run that was killed leaves it, and a later run removes it.
struct Scratch {
    path: PathBuf,
    /// Locked as long as the process lives.
    _lock: File,
}

impl Scratch {
    fn new() -> std::io::Result<Scratch> {
        use std::os::unix::fs::DirBuilderExt as _;
        let temp = std::env::temp_dir();
        remove_left(&temp);
        let (process, random) = (std::process::id(), rand::random::<u64>());
        let path = temp.join(format!("{PREFIX}{process}-{random:016x}"));
        // Other users must not read it, because it contains the database and the key of the tokens.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::open(&path)?;
        // If the file system has no locks, only the process id shows whether the process lives.
        let _ = lock.try_lock();
        Ok(Scratch { path, _lock: lock })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The system cleans its temporary directory eventually.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes the directories in `temp` whose process was killed.
fn remove_left(temp: &Path) {
    let entries = std::fs::read_dir(temp).into_iter().flatten().flatten();
    let left = entries.filter(|entry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let process = entry.file_name().to_str().and_then(process_of);
        is_dir && process.is_some_and(is_gone) && is_unlocked(&entry.path())
    });
    for entry in left {
        // The directory of another user cannot be removed and stays.
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

/// The process whose temporary directory has this name.
fn process_of(name: &str) -> Option<Pid> {
    let (process, _random) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Pid::from_raw(process.parse().ok()?)
}

fn is_gone(process: Pid) -> bool {
    test_kill_process(process) == Err(Errno::SRCH)
}

/// Returns whether no process has locked the directory. A process in another container may hold the lock although its
/// id does not exist here.
fn is_unlocked(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|dir| dir.try_lock().is_ok())
}
