//! The initial data directory of every private PostgreSQL: made once per build, then copied.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::programs::Programs;

/// The arguments of `initdb` beside the directory and the password file. All connections need a password.
const INITDB: &[&str] = &[
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--no-locale",
    "--no-sync",
    // Segments of 1 MB instead of 16 MB are faster to copy.
    "--wal-segsize=1",
];

/// A cluster with the database `concert`, which belongs to the user `concert`. The superuser is
/// `postgres`; both have the same password.
pub(super) struct Template {
    dir: PathBuf,
}

impl Template {
    /// The template of this build, which is made if it is missing.
    pub(super) fn of(programs: &Programs) -> Template {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(kept).unwrap();
        let mut key = DefaultHasher::new();
        (programs.version(), INITDB, SQL, programs.owner()).hash(&mut key);
        let dir = kept.join(format!("postgres-{:016x}", key.finish()));
        let lock = File::create(kept.join("postgres.lock")).unwrap();
        lock.lock().unwrap();
        if !dir.exists() {
            make(programs, &dir);
        }
        Template { dir }
    }

    pub(super) fn password(&self) -> String {
        fs::read_to_string(self.dir.join("password")).unwrap()
    }

    /// Copies the data directory to `to`, which must not exist.
    pub(super) fn copy_to(&self, to: &Path) {
        copy(&self.dir.join("data"), to);
    }
}

/// The statements that turn a new cluster into the template, one per line.
const SQL: &str = "CREATE ROLE concert LOGIN PASSWORD 'SECRET';\n\
                   CREATE DATABASE concert OWNER concert;\n";

/// Makes the template in a temporary directory, because the owner may not be able to access the target directory, and
/// moves it there when it is complete.
fn make(programs: &Programs, dir: &Path) {
    let place = programs.private_dir(true);
    let data = place.path().join("data");
    let password = format!("{:032x}", rand::random::<u128>());
    let secret = place.path().join("password");
    fs::write(&secret, &password).unwrap();
    programs.give(&secret);

    let initdb = programs
        .command("initdb")
        .args(INITDB)
        .arg("--pgdata")
        .arg(&data)
        .arg("--pwfile")
        .arg(&secret)
        .current_dir(place.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&initdb.stderr);
    assert!(initdb.status.success(), "initdb: {errors}");

    let mut single = programs
        .command("postgres")
        .args(["--single", "-c", "password_encryption=scram-sha-256", "-D"])
        .arg(&data)
        .arg("postgres")
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(File::create(place.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let statements = SQL.replace("SECRET", &password);
    let mut input = single.stdin.take().expect("standard input is piped");
    input.write_all(statements.as_bytes()).unwrap();
    drop(input);
    let ended = single.wait().unwrap();
    let log = fs::read_to_string(place.path().join("log")).unwrap();
    assert!(
        ended.success() && !log.contains("ERROR"),
        "postgres --single: {log}"
    );

    let unfinished = dir.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).unwrap();
    }
    copy(place.path(), &unfinished);
    fs::rename(&unfinished, dir).unwrap();
}

/// Copies a directory with its owners; shares blocks if the file system supports it.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-Rp").args([from, to]).output();
    let copied = copied.unwrap();
    let errors = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "cp: {errors}");
}
