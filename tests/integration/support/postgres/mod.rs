//! A private PostgreSQL with its own port and data. It ends with the test.

mod programs;
mod template;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use rustix::process::{Pid, Signal};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, ValueRef as _};
use tempfile::TempDir;

use self::programs::Programs;
use self::template::Template;
use super::kept::Kept;
use super::port::Port;
use super::{PATIENCE, skipped};

/// A small server that does not wait for the disk, unless a test asks for it.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("password_encryption", "scram-sha-256"),
    ("max_connections", "100"),
    ("shared_buffers", "16MB"),
    ("fsync", "off"),
    // Shared memory is in files of the data directory, which are removed however the server ends.
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
    /// A program that PostgreSQL needs here and that is not installed.
    pub fn missing() -> Option<&'static str> {
        Programs::missing()
    }

    /// A program of the same version, such as `pgbench`.
    pub fn program(name: &str) -> Option<PathBuf> {
        Programs::find()?.path(name)
    }

    /// Starts PostgreSQL; `None`, with a printed line, if it is not installed.
    pub async fn start() -> Option<Postgres> {
        Postgres::start_with(&[]).await
    }

    /// The same with other settings. With `("fsync", "on")` the data are on a disk.
    pub async fn start_with(settings: &[(&str, &str)]) -> Option<Postgres> {
        if Postgres::missing().is_some_and(skipped) {
            return None;
        }
        let programs = Programs::find()?;
        let dir = programs.private_dir(settings.contains(&("fsync", "on")));
        Some(Postgres::begin(programs, dir, settings).await)
    }

    /// The same with its data in a directory below `parent`, which the server's user must be able to access.
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
        // Another program may take the port between its choice and its use, so try again.
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

    /// The URL of the database for the user `concert`.
    pub fn url(&self) -> String {
        self.url_at(self.addr())
    }

    /// The same at another address, such as a proxy's.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        url(addr, "concert", &self.password, "concert")
    }

    /// The same with another user, password or database.
    pub fn url_with(&self, user: &str, password: &str, database: &str) -> String {
        url(self.addr(), user, password, database)
    }

    /// The password of the users `concert` and `postgres`.
    pub fn password(&self) -> &str {
        &self.password
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// The directory of its log and its data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's log.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The server and its children.
    pub fn processes(&mut self) -> Vec<Pid> {
        self.server.family()
    }

    /// Kills all its processes with SIGKILL, as a power cut would. Returns when they have ended.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops the server with SIGQUIT: sessions are aborted and nothing is written, so the next start recovers.
    pub fn stop_immediately(&mut self) {
        self.server.signal(Signal::QUIT);
        assert!(self.server.await_end(PATIENCE), "postgres does not stop");
    }

    /// Stops the server with SIGINT: sessions are ended, and the files are written.
    pub fn shut_down(&mut self) {
        self.server.signal(Signal::INT);
        assert!(self.server.await_end(PATIENCE), "postgres does not stop");
    }

    /// Starts the server again on the same port and data, after stopping a running one. Returns when it answers.
    pub async fn restart(&mut self) {
        self.stop_immediately();
        self.launch();
        assert!(
            self.answers().await,
            "postgres does not start again: {}",
            self.server.log()
        );
    }

    /// Starts a server again that has ended by itself. Returns when it answers.
    pub async fn revive(&mut self) {
        if self.server.is_running() && self.answers().await {
            return;
        }
        self.restart().await;
    }

    /// Stops all its processes with SIGSTOP: connections can still be made and stay open, but nothing answers.
    pub fn stall(&mut self) {
        self.server.stall();
    }

    /// Continues the server after [`Postgres::stall`].
    pub fn resume(&mut self) {
        self.server.resume();
    }

    /// Runs statements in the database `concert` as the superuser. Returns a line for each row, with columns separated
    /// by `|`, and nothing for NULL.
    pub async fn sql(&self, statements: &str) -> String {
        let answer = ask(&self.superuser(), statements).await;
        answer.unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Begins a transaction as the superuser, runs the statements in it, and leaves it open: their locks stay until the
    /// result is dropped.
    pub async fn hold(&self, statements: &str) -> Holding {
        let mut connection = connect(&self.superuser()).await.unwrap();
        let text = sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {statements}")));
        let held = text.execute(&mut connection).await;
        held.unwrap_or_else(|error| panic!("{statements}: {error}"));
        Holding { connection }
    }

    /// The URL of the database for the superuser.
    pub fn superuser(&self) -> String {
        self.url_with("postgres", &self.password, "concert")
    }

    fn launch(&mut self) {
        self.server = launch(&self.programs, &self.settings, &self.port, &self.dir);
    }

    /// Waits until the server answers; false if it ends before.
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
    connection: PgConnection,
}

impl Holding {
    pub async fn commit(&mut self) {
        let committing = sqlx::raw_sql("COMMIT");
        committing.execute(&mut self.connection).await.unwrap();
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // Dropping the connection ends the transaction, and with it the locks.
        let ended = matches!(self.connection.ping().now_or_never(), Some(Err(_)));
        assert!(!ended, "the connection with the locks was lost");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Stop it normally first, so that it frees its shared memory.
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

/// Runs statements over a new connection; see [`Postgres::sql`].
///
/// # Errors
/// The message of the server or of the connection. Without an answer within [`PATIENCE`], the error says so.
pub async fn ask(url: &str, statements: &str) -> Result<String, String> {
    let work = async {
        let mut connection = connect(url).await?;
        let text = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        let rows = text.fetch_all(&mut connection).await;
        connection.close().await.ok();
        rows
    };
    let answer = tokio::time::timeout(PATIENCE, work).await;
    let answer = answer.map_err(|_| "no answer".to_owned())?;
    let rows = answer.map_err(|error| match error.as_database_error() {
        Some(error) => error.to_string(),
        None => error.to_string(),
    })?;
    Ok(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

async fn connect(url: &str) -> sqlx::Result<PgConnection> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.disable_statement_logging();
    PgConnection::connect_with(&options).await
}

/// Statements that are not prepared have text in their rows.
fn line(row: &PgRow) -> String {
    let cell = |at| {
        let value = row.try_get_raw(at).unwrap();
        match value.is_null() {
            true => String::new(),
            false => value.as_str().unwrap().to_owned(),
        }
    };
    (0..row.len()).map(cell).collect::<Vec<_>>().join("|")
}
