//! PostgreSQL's programs, and the user who runs them, because they refuse to run as root.

use std::ffi::OsString;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{kept, on_path};

/// The free bytes in memory from which on data are kept there. Each start makes over a thousand small files, and other
/// tests measure the disk.
const ROOM: u64 = 4 << 30;

/// The programs of one version, run as a user that they accept.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    bin: PathBuf,
    /// The user and group who run them, if they differ from those of the test.
    owner: Option<(u32, u32)>,
}

impl Programs {
    /// A program that is needed and not installed.
    pub(super) fn missing() -> Option<&'static str> {
        if bin().is_none() {
            return Some("postgres");
        }
        let more = kept::NEEDED
            .into_iter()
            .chain(is_root().then_some("setpriv"));
        more.into_iter().find(|program| on_path(program).is_none())
    }

    /// The newest installed version.
    pub(super) fn find() -> Option<Programs> {
        let owner = is_root().then(|| {
            let found = ["postgres", "nobody"].into_iter().find_map(user);
            found.expect(
                "no user to run PostgreSQL: it refuses root, and the users postgres and nobody do not exist",
            )
        });
        Some(Programs { bin: bin()?, owner })
    }

    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        self.owner
    }

    /// The version as the program prints it.
    pub(super) fn version(&self) -> String {
        let output = Command::new(self.bin.join("postgres")).arg("-V").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    /// The command line of a program, with the prefix that changes the user.
    pub(super) fn command_line(&self, program: &str) -> Vec<OsString> {
        let mut line: Vec<OsString> = Vec::new();
        if let Some((user, group)) = self.owner {
            let (user, group) = (user.to_string(), group.to_string());
            let become_owner = [
                "setpriv",
                "--reuid",
                &user,
                "--regid",
                &group,
                "--clear-groups",
            ];
            line.extend(become_owner.map(OsString::from));
        }
        line.push(self.bin.join(program).into());
        line
    }

    /// The path of a program. Client programs may be in another directory than the server.
    pub(super) fn path(&self, program: &str) -> Option<PathBuf> {
        let beside = Some(self.bin.join(program)).filter(|path| path.is_file());
        beside.or_else(|| on_path(program))
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let line = self.command_line(program);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        command
    }

    /// A temporary directory that only the owner can access: in memory if there is enough, unless it must be `on_disk`.
    pub(super) fn private_dir(&self, on_disk: bool) -> TempDir {
        let memory = Path::new("/dev/shm");
        let room = rustix::fs::statvfs(memory).map_or(0, |at| at.f_bavail * at.f_bsize);
        if !on_disk && room >= ROOM {
            return self.private_dir_below(memory);
        }
        self.private_dir_below(&std::env::temp_dir())
    }

    /// The same below `parent`.
    pub(super) fn private_dir_below(&self, parent: &Path) -> TempDir {
        let dir = tempfile::tempdir_in(parent).unwrap();
        self.give(dir.path());
        dir
    }

    /// Gives a file to the owner.
    pub(super) fn give(&self, path: &Path) {
        if let Some((user, group)) = self.owner {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }
}

/// The directory of the programs: on PATH, Debian's directory, or that of `pg_config`.
fn bin() -> Option<PathBuf> {
    let folder = |program: PathBuf| Some(program.canonicalize().ok()?.parent()?.to_owned());
    let found = on_path("postgres").and_then(folder);
    let found = found.or_else(debian).or_else(|| {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().into())
    });
    found.filter(|bin| {
        ["postgres", "initdb"]
            .iter()
            .all(|program| bin.join(program).exists())
    })
}

/// The newest of /usr/lib/postgresql/*/bin.
fn debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let newest = versions
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(version);
    newest.map(|path| path.join("bin"))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group ids of a user.
fn user(name: &str) -> Option<(u32, u32)> {
    let ask = |what: &str| -> Option<u32> {
        let output = Command::new("id").args([what, name]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some((ask("-u")?, ask("-g")?))
}
