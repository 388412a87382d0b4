//! A private MariaDB with its own port and data. It ends with the test.

mod dialect;
mod template;

use std::ffi::OsString;
use std::io::{Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;

use self::template::Template;
use super::kept::{self, Kept};
use super::port::Port;
use super::{PATIENCE, on_path, skipped};

/// The free bytes in memory from which on data are kept there.
const ROOM: u64 = 4 << 30;

/// A MariaDB with an empty database `concert` for the user `concert`.
pub struct MariaDb {
    server: Kept,
    settings: Vec<OsString>,
    password: String,
    port: Port,
    dir: TempDir,
}

impl MariaDb {
    /// A program that MariaDB needs here and that is not installed.
    pub fn missing() -> Option<&'static str> {
        if program().is_none() {
            return Some("mariadbd");
        }
        let programs = ["mariadb-install-db", "mariadb"].into_iter();
        let mut needed = programs.chain(kept::NEEDED);
        needed.find(|program| on_path(program).is_none())
    }

    /// Starts MariaDB; `None`, with a printed line, if it is not installed.
    pub async fn start() -> Option<MariaDb> {
        MariaDb::start_with(&[]).await
    }

    /// The same with more arguments of `mariadbd`. With `--innodb-flush-log-at-trx-commit=1` the data are on a disk.
    pub async fn start_with(more: &[&str]) -> Option<MariaDb> {
        let durable = more.iter().any(|it| it.ends_with("trx-commit=1"));
        MariaDb::begin(|| private_dir(durable), more).await
    }

    /// The same with its data in a directory below `parent`.
    pub async fn start_below(parent: &Path) -> Option<MariaDb> {
        MariaDb::begin(|| tempfile::tempdir_in(parent).unwrap(), &[]).await
    }

    async fn begin(dir: impl FnOnce() -> TempDir, more: &[&str]) -> Option<MariaDb> {
        if MariaDb::missing().is_some_and(skipped) {
            return None;
        }
        let (program, dir) = (program()?, dir());
        let template = Template::of(&program);
        template.copy_to(&dir.path().join("data"));
        let mut settings = vec![program.into_os_string()];
        let [config, data] = template::arguments(dir.path());
        settings.extend([config, data]);
        settings.extend(["--bind-address=127.0.0.1", "--socket=mariadb.sock"].map(OsString::from));
        settings.extend(more.iter().map(OsString::from));
        let port = Port::claim();
        let mut mysql = MariaDb {
            server: launch(&settings, &port, &dir),
            settings,
            password: template.password(),
            port,
            dir,
        };
        // Another program may take the port between its choice and its use, so try again.
        for _ in 0..5 {
            if mysql.answers().await {
                return Some(mysql);
            }
            let log = mysql.server.log();
            assert!(log.contains("Bind on TCP/IP port"), "no start: {log}");
            mysql.port = Port::claim();
            mysql.launch();
        }
        panic!("mariadbd finds no free port");
    }

    /// The URL of the database for the user `concert`.
    pub fn url(&self) -> String {
        self.url_at(self.addr())
    }

    /// The same at another address, such as a proxy's.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        format!("mysql://concert:{}@{addr}/concert", self.password)
    }

    /// The same with another user, password or database.
    pub fn url_with(&self, user: &str, password: &str, database: &str) -> String {
        format!("mysql://{user}:{password}@{}/{database}", self.addr())
    }

    /// The password of the users `concert` and `super`.
    pub fn password(&self) -> &str {
        &self.password
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Kills it with SIGKILL. Returns when it has ended.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops it with SIGTERM: it closes all connections and its files.
    pub fn shut_down(&mut self) {
        self.server.signal(Signal::TERM);
        assert!(self.server.await_end(PATIENCE), "mariadbd does not stop");
    }

    /// Starts it again on the same port and data, killing a running one. Returns when it answers.
    pub async fn restart(&mut self) {
        self.kill();
        self.launch();
        let answers = self.answers().await;
        assert!(answers, "no start: {}", self.server.log());
    }

    /// Starts it again if it has ended by itself. Returns when it answers.
    pub async fn revive(&mut self) {
        if !(self.server.is_running() && self.answers().await) {
            self.restart().await;
        }
    }

    /// Stops it with SIGSTOP: connections can still be made and stay open, but nothing answers.
    pub fn stall(&mut self) {
        self.server.stall();
    }

    /// Continues it after [`MariaDb::stall`].
    pub fn resume(&mut self) {
        self.server.resume();
    }

    /// Runs statements as a user with all rights. Returns a line for each row, with columns separated by `|`.
    pub async fn sql(&self, statements: &str) -> String {
        let answer = ask(&self.superuser(), statements).await;
        answer.unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Runs a script as the user `concert` with the program `mariadb`, which knows `DELIMITER`. Returns its output. An
    /// error is the text that the program reported.
    pub fn client(&self, database: &str, script: &str) -> Result<String, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        file.rewind().unwrap();
        let ran = Command::new("mariadb")
            .args([
                "--no-defaults",
                "--batch",
                "--protocol=tcp",
                "--host=127.0.0.1",
            ])
            .args([&format!("--port={}", self.port.number()), "--user=concert"])
            .arg(database)
            .env("MYSQL_PWD", &self.password)
            .stdin(file)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        match ran.status.success() {
            true => Ok(text(&ran.stdout)),
            false => Err(text(&ran.stderr)),
        }
    }

    /// Runs the statements of a test for all stores in a dataset's database. An error is the server's message.
    pub async fn tamper(&self, database: &str, statements: &str) -> Result<String, String> {
        let statements = dialect::of_mysql(statements);
        ask(&self.all_rights(database), &statements).await
    }

    /// Begins a transaction with all rights, runs the statements in it, and leaves it open: their locks stay until the
    /// result is dropped.
    pub async fn hold(&self, statements: &str) -> Holding {
        let url = self.superuser();
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        let statements = format!("START TRANSACTION; {statements}");
        let held = sqlx::raw_sql(AssertSqlSafe(statements));
        held.execute(&mut connection).await.unwrap();
        Holding { connection }
    }

    /// The URL of the database for the user with all rights.
    pub fn superuser(&self) -> String {
        self.all_rights("concert")
    }

    fn all_rights(&self, database: &str) -> String {
        self.url_with("super", &self.password, database)
    }

    fn launch(&mut self) {
        self.server = launch(&self.settings, &self.port, &self.dir);
    }

    /// Waits until it answers; false if it ends before.
    async fn answers(&mut self) -> bool {
        let begun = std::time::Instant::now();
        let url = self.superuser();
        while self.server.is_running() {
            if ask(&url, "SELECT 1").await.is_ok() {
                return true;
            }
            let log = self.server.log();
            assert!(begun.elapsed() < PATIENCE, "no answer: {log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

/// An open transaction; see [`MariaDb::hold`].
pub struct Holding {
    connection: MySqlConnection,
}

impl Holding {
    pub async fn commit(&mut self) {
        let committing = sqlx::raw_sql("COMMIT");
        committing.execute(&mut self.connection).await.unwrap();
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.server.resume();
        self.server.signal(Signal::KILL);
    }
}

/// `mariadbd` is often outside the PATH of users.
fn program() -> Option<PathBuf> {
    let outside = [
        "/usr/sbin/mariadbd",
        "/usr/local/sbin/mariadbd",
        "/usr/libexec/mariadbd",
    ];
    let outside = outside.map(PathBuf::from);
    on_path("mariadbd").or_else(|| outside.into_iter().find(|path| path.is_file()))
}

/// A temporary directory: in memory if there is room, unless it must be on a disk.
fn private_dir(on_disk: bool) -> TempDir {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |at| at.f_bavail * at.f_bsize);
    match !on_disk && room >= ROOM {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

fn launch(settings: &[OsString], port: &Port, dir: &TempDir) -> Kept {
    let mut line = settings.to_vec();
    line.push(format!("--port={}", port.number()).into());
    Kept::start(dir.path(), line)
}

/// Runs statements over a new connection; see [`MariaDb::sql`].
///
/// # Errors
/// The message of the server or of the connection. Without an answer within [`PATIENCE`], the error says so.
pub async fn ask(url: &str, statements: &str) -> Result<String, String> {
    let work = async {
        let mut connection = MySqlConnection::connect(url).await?;
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        let rows = statements.fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    };
    let answer = tokio::time::timeout(PATIENCE, work).await;
    let answer: Result<_, sqlx::Error> = answer.map_err(|_| "no answer".to_owned())?;
    let rows = answer.map_err(|error| message(&error))?;
    let cell = |row: &sqlx::mysql::MySqlRow, at| {
        let text: Option<String> = row.try_get_unchecked(at).unwrap_or_default();
        text.unwrap_or_default()
    };
    let line = |row: &sqlx::mysql::MySqlRow| {
        let cells = (0..row.len()).map(|at| cell(row, at));
        cells.collect::<Vec<_>>().join("|")
    };
    Ok(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn message(error: &sqlx::Error) -> String {
    let database = error.as_database_error();
    match database {
        // The other databases use this term.
        Some(violation) if violation.is_unique_violation() => {
            format!("unique index violated: {violation}")
        }
        _ => error.to_string(),
    }
}
