//! The initial data directory of every private MariaDB: made once per build, then copied.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small server that does not wait for the disk, unless a test asks for it. A kill loses nothing.
const CONFIG: &str = "[mariadbd]
innodb_log_file_size = 8M
innodb_data_file_path = ibdata1:10M:autoextend
innodb_temp_data_file_path = ibtmp1:3M:autoextend
innodb_buffer_pool_size = 32M
innodb_flush_log_at_trx_commit = 2
aria_pagecache_buffer_size = 2M
key_buffer_size = 1M
performance_schema = OFF
skip_name_resolve = ON
max_connections = 200
";

/// The users, one statement per line. `super` has all rights.
const SQL: &str = "FLUSH PRIVILEGES;
CREATE USER 'super'@'%' IDENTIFIED BY 'SECRET';
GRANT ALL ON *.* TO 'super'@'%' WITH GRANT OPTION;
CREATE USER 'concert'@'%' IDENTIFIED BY 'SECRET';
GRANT ALL ON `concert%`.* TO 'concert'@'%';
CREATE DATABASE concert;
";

/// A data directory with the database `concert`.
pub(super) struct Template {
    dir: PathBuf,
}

/// The configuration and the data of the server in `dir`. Servers run as the user of the test.
pub(super) fn arguments(dir: &Path) -> [OsString; 2] {
    let user = match rustix::process::geteuid().is_root() {
        true => "user = root\n",
        false => "",
    };
    let config = dir.join("my.cnf");
    fs::write(&config, format!("{CONFIG}{user}")).unwrap();
    let named = |name: &str, path: &Path| {
        let mut argument = OsString::from(name);
        argument.push(path);
        argument
    };
    [
        named("--defaults-file=", &config),
        named("--datadir=", &dir.join("data")),
    ]
}

impl Template {
    /// The template of this build, which is made if it is missing.
    pub(super) fn of(program: &Path) -> Template {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(kept).unwrap();
        let version = Command::new(program).arg("--version").output().unwrap();
        let mut key = DefaultHasher::new();
        (version.stdout, CONFIG, SQL).hash(&mut key);
        let dir = kept.join(format!("mariadb-{:016x}", key.finish()));
        let lock = File::create(kept.join("mariadb.lock")).unwrap();
        lock.lock().unwrap();
        if !dir.exists() {
            make(program, &dir);
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

/// Makes the template in a temporary directory, and moves it when it is complete.
fn make(program: &Path, dir: &Path) {
    let place = tempfile::tempdir().unwrap();
    let password = format!("{:032x}", rand::random::<u128>());
    fs::write(place.path().join("password"), &password).unwrap();
    let arguments = arguments(place.path());
    let installed = Command::new("mariadb-install-db")
        .args(&arguments)
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&installed.stderr);
    assert!(installed.status.success(), "mariadb-install-db: {errors}");

    let mut bootstrap = Command::new(program)
        .args(&arguments)
        .arg("--bootstrap")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(File::create(place.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut input = bootstrap.stdin.take().expect("standard input is piped");
    let statements = SQL.replace("SECRET", &password);
    input.write_all(statements.as_bytes()).unwrap();
    drop(input);
    let ended = bootstrap.wait().unwrap();
    let log = fs::read_to_string(place.path().join("log")).unwrap();
    assert!(
        ended.success() && !log.contains("ERROR"),
        "bootstrap: {log}"
    );

    let unfinished = dir.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).unwrap();
    }
    copy(place.path(), &unfinished);
    fs::rename(&unfinished, dir).unwrap();
}

/// Copies a directory; shares blocks if the file system supports it.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-Rp").args([from, to]).output();
    let copied = copied.unwrap();
    let errors = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "cp: {errors}");
}
