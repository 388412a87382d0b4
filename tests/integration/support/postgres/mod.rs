//! A private PostgreSQL: on a port of its own, with data of its own, gone with the test.

mod programs;
mod template;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use self::programs::Programs;
use self::template::Template;
use super::kept::Kept;
use super::port::Port;
use super::{PATIENCE, skipped};

/// Small, and without the waits that only a machine's failure would need; a test may ask otherwise.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("password_encryption", "scram-sha-256"),
    ("max_connections", "100"),
    ("shared_buffers", "16MB"),
    ("fsync", "off"),
    // In files of the data directory: whatever ends it, they go with it.
    ("dynamic_shared_memory_type", "mmap"),
];

/// A PostgreSQL with an empty database `concert` that belongs to the user `concert`.
pub struct Postgres {
    server: Kept,
    programs: Programs,
    settings: Vec<OsString>,
    password: String,
    port: Port,
    dir: TempDir,
}

impl Postgres {
    /// What is needed and missing, in a word.
    pub fn missing() -> Option<&'static str> {
        Programs::missing()
    }

    /// A program of the same version, such as `pgbench`.
    pub fn program(name: &str) -> Option<PathBuf> {
        Programs::find()?.path(name)
    }

    /// `None`, said in a line, where PostgreSQL is not installed.
    pub async fn start() -> Option<Postgres> {
        Postgres::start_with(&[]).await
    }

    /// The same with other settings; with `("fsync", "on")` the data are on a disk.
    pub async fn start_with(settings: &[(&str, &str)]) -> Option<Postgres> {
        if Postgres::missing().is_some_and(skipped) {
            return None;
        }
        let programs = Programs::find()?;
        let dir = programs.private_dir(settings.contains(&("fsync", "on")));
        Some(Postgres::begin(programs, dir, settings).await)
    }

    /// The same with its data in a directory below `parent`, which its user must be able to reach.
    pub async fn start_below(parent: &Path, settings: &[(&str, &str)]) -> Option<Postgres> {
        if Postgres::missing().is_some_and(skipped) {
            return None;
        }
        let programs = Programs::find()?;
        let dir = programs.private_dir_below(parent);
        Some(Postgres::begin(programs, dir, settings).await)
    }

    async fn begin(programs: Programs, dir: TempDir, settings: &[(&str, &str)]) -> Postgres {
        let template = Template::of(&programs);
        template.copy_to(&dir.path().join("data"));
        let all = SETTINGS.iter().chain(settings);
        let settings =
            all.flat_map(|(name, value)| ["-c".into(), format!("{name}={value}").into()]);
        let settings: Vec<OsString> = settings.collect();
        let port = Port::claim();
        let mut postgres = Postgres {
            server: launch(&programs, &settings, &port, &dir),
            programs,
            settings,
            password: template.password(),
            port,
            dir,
        };
        // Between the choice of a port and its use another program may take it.
        for _ in 0..5 {
            if postgres.answers().await {
                return postgres;
            }
            let log = postgres.server.log();
            assert!(
                log.contains("could not bind"),
                "postgres does not start: {log}"
            );
            postgres.port = Port::claim();
            postgres.launch();
        }
        panic!("postgres finds no free port");
    }

    /// Where the server's own user finds its database.
    pub fn url(&self) -> String {
        self.url_at(self.addr())
    }

    /// The same at another address, such as a proxy's.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        url(addr, "concert", &self.password, "concert")
    }

    /// Another user, password or database, right or wrong.
    pub fn url_with(&self, user: &str, password: &str, database: &str) -> String {
        url(self.addr(), user, password, database)
    }

    /// Of the users `concert` and `postgres`.
    pub fn password(&self) -> &str {
        &self.password
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Where its log and its data are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The server and its children.
    pub fn processes(&mut self) -> Vec<Pid> {
        self.server.family()
    }

    /// SIGKILL to all of it, as a power cut would end it. Returns when it is gone.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// SIGQUIT: sessions are broken off and nothing is written; the next start recovers.
    pub fn stop_immediately(&mut self) {
        self.server.signal(Signal::QUIT);
        assert!(self.server.await_end(PATIENCE), "it does not stop");
    }

    /// Starts again on the same port and data; a running one is stopped first. Returns when it
    /// answers.
    pub async fn restart(&mut self) {
        self.stop_immediately();
        self.launch();
        assert!(
            self.answers().await,
            "postgres does not start again: {}",
            self.server.log()
        );
    }

    /// Starts a server again that ended by itself; returns when it answers.
    pub async fn revive(&mut self) {
        if self.server.is_running() && self.answers().await {
            return;
        }
        self.restart().await;
    }

    /// SIGSTOP to all of it: connections stay open and can be made, nothing answers.
    pub fn stall(&mut self) {
        self.server.stall();
    }

    /// The end of [`Postgres::stall`].
    pub fn resume(&mut self) {
        self.server.resume();
    }

    /// Runs statements in the database `concert` as the superuser, to look and to break things.
    /// Answers a line a row, the columns divided by `|`, NULL as nothing.
    pub async fn sql(&self, statements: &str) -> String {
        let answer = ask(&self.superuser(), statements).await;
        answer.unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Begins a transaction as the superuser, runs the statements in it, and leaves it open: what they
    /// locked stays locked until the answer is dropped.
    pub async fn hold(&self, statements: &str) -> Holding {
        let (client, connection) = tokio_postgres::connect(&self.superuser(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let held = client.batch_execute(&format!("BEGIN; {statements}")).await;
        held.unwrap_or_else(|error| panic!("{statements}: {error}"));
        Holding { client }
    }

    /// Where whoever may do anything finds the same database.
    pub fn superuser(&self) -> String {
        self.url_with("postgres", &self.password, "concert")
    }

    fn launch(&mut self) {
        self.server = launch(&self.programs, &self.settings, &self.port, &self.dir);
    }

    /// Whether it answers before it ends.
    async fn answers(&mut self) -> bool {
        let begun = std::time::Instant::now();
        let superuser = self.superuser();
        while self.server.is_running() {
            if ask(&superuser, "SELECT 1").await.is_ok() {
                return true;
            }
            let log = self.server.log();
            assert!(
                begun.elapsed() < PATIENCE,
                "postgres does not answer: {log}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

/// An open transaction; see [`Postgres::hold`].
pub struct Holding {
    client: tokio_postgres::Client,
}

impl Drop for Holding {
    fn drop(&mut self) {
        // The connection ends with its client, and the locks with the connection.
        assert!(!self.client.is_closed(), "what was held was lost before");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // In its own way first, in which it gives back its shared memory.
        self.server.resume();
        self.server.signal(Signal::QUIT);
        self.server.await_end(Duration::from_secs(3));
    }
}

fn launch(programs: &Programs, settings: &[OsString], port: &Port, dir: &TempDir) -> Kept {
    let mut line = programs.command_line("postgres");
    line.push("-D".into());
    line.push(dir.path().join("data").into());
    line.push("-p".into());
    line.push(port.number().to_string().into());
    line.extend_from_slice(settings);
    Kept::start(dir.path(), line)
}

fn url(addr: SocketAddr, user: &str, password: &str, database: &str) -> String {
    let mut url = reqwest::Url::parse(&format!("postgres://{addr}/{database}")).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}

/// Runs statements over a connection of their own; see [`Postgres::sql`].
///
/// # Errors
/// What the server or the connection says, after [`PATIENCE`] that there was no answer.
pub async fn ask(url: &str, statements: &str) -> Result<String, String> {
    let work = async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(statements).await;
        drop(client);
        let _ = connection.await;
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, work).await;
    let answer = answer.map_err(|_| "no answer".to_owned())?;
    let lines = answer.map_err(|error| match error.as_db_error() {
        Some(said) => said.to_string(),
        None => error.to_string(),
    })?;
    let rows = lines.iter().filter_map(|line| match line {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let lines = rows.map(|row| {
        let cells = (0..row.len()).map(|at| row.get(at).unwrap_or_default());
        cells.collect::<Vec<_>>().join("|")
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
