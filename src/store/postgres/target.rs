//! The database that a URL names, and how a connection to it is set up.
//!
//! The password is only in the driver's options, which are never shown. Errors and logs use the name.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::PgOptions;
use super::url::{Url, unusable};
use crate::store::server::Purpose;
use crate::store::{StoreError, socket_options};

/// The server rolls back a transaction that waits for its client for this long.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);
/// The number of cached prepared statements, larger than the number of statements of the store: each is prepared once
/// per connection.
const STATEMENTS: usize = 256;
/// During a statement the server checks at this interval, in milliseconds, whether its client is still connected.
/// Without the check, the statement of a closed connection runs to its end and keeps its locks.
const STOP_WITHOUT_CLIENT: &str = "SET client_connection_check_interval = 1000";
/// The first version with that setting.
const CHECKS_CLIENT: u32 = 140_000;

/// A database that a URL names.
#[derive(Clone)]
pub struct Target {
    /// The options for each host. Several hosts are a primary and its standbys.
    hosts: Vec<PgConnectOptions>,
    must_accept_writes: bool,
    pub(super) name: String,
    user: String,
    database: String,
    connect_timeout: Duration,
}

impl Target {
    /// Parses a URL.
    pub(super) fn of_url(url: &str, options: &PgOptions) -> Result<Target, StoreError> {
        let url = Url::parse(url)?;
        let mut driver = PgConnectOptions::new_without_pgpass()
            .application_name("concertctl")
            .statement_cache_capacity(STATEMENTS)
            // Poolers refuse this parameter, and no statement reads a float.
            .extra_float_digits(None)
            .disable_statement_logging();
        if let Some(user) = &url.user {
            driver = driver.username(user);
        }
        if let Some(password) = &url.password {
            driver = driver.password(password);
        }
        let user = driver.get_username().to_owned();
        let database = url.database.clone().unwrap_or_else(|| user.clone());
        let mut driver = driver.database(&database);
        for (name, value) in &url.parameters {
            driver = with_parameter(driver, name, value)?;
        }
        let driver = with_tls(driver, &url)?;
        let hosts: Vec<PgConnectOptions> = url
            .hosts
            .iter()
            .map(|(host, port)| driver.clone().host(host).port(*port))
            .collect();
        let names = url
            .hosts
            .iter()
            .map(|(host, port)| format!("{host}:{port}"));
        Ok(Target {
            name: format!("{}/{database}", names.collect::<Vec<_>>().join(",")),
            must_accept_writes: must_accept_writes(&url)?,
            hosts,
            user,
            database,
            connect_timeout: options.connect_timeout,
        })
    }

    /// The name of the database, without the server.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// The role that connects.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The same database, for connections that use the tables in `schema`.
    pub(super) fn in_schema(&self, schema: &str, purpose: Purpose, options: &PgOptions) -> Target {
        let settings = settings(schema, purpose, options);
        let hosts = self.hosts.iter().cloned();
        Target {
            hosts: hosts.map(|host| host.options(settings.clone())).collect(),
            ..self.clone()
        }
    }

    /// Opens a connection to the first host that accepts one. If there are several hosts, or the URL
    /// asks for it, the host must also accept writes. The caller bounds the time.
    pub(super) async fn connect_to_first(&self) -> Result<PgConnection, sqlx::Error> {
        let hosts = u32::try_from(self.hosts.len()).unwrap_or(1).max(1);
        let mut failed = None;
        for host in &self.hosts {
            let connecting = self.connect_to(host);
            match tokio::time::timeout(self.connect_timeout / hosts, connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("its URL names no host").into()))
    }

    async fn connect_to(&self, host: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
        let next = socket_options::Next::descriptor();
        let mut connection = eagerly(PgConnection::connect_with(host)).await?;
        next.set(host.get_port()).await;
        if connection.server_version_num() >= Some(CHECKS_CLIENT) {
            match connection.execute(STOP_WITHOUT_CLIENT).await {
                // Some operating systems cannot check. There, the statement time-out ends the statement.
                Ok(_) | Err(sqlx::Error::Database(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if self.must_accept_writes {
            let row = connection.fetch_one("SHOW transaction_read_only").await?;
            if row.try_get::<&str, _>(0)? == "on" {
                return Err(io::Error::other("none of its hosts accepts writes").into());
            }
        }
        Ok(connection)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}

/// Polls `future` several times in a row instead of yielding each time. While sqlx hashes the password, it yields about
/// 800 times. On a busy server each yield lasts a whole round of the scheduler, and a connection would take seconds.
async fn eagerly<T>(future: impl Future<Output = T>) -> T {
    /// 64 rounds of hashing take well under a millisecond.
    const POLLS_IN_A_ROW: usize = 64;
    let mut future = pin!(future);
    poll_fn(|context| {
        let mut polls = (0..POLLS_IN_A_ROW).map(|_| future.as_mut().poll(context));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// The settings of a session.
fn settings(schema: &str, purpose: Purpose, options: &PgOptions) -> Vec<(&'static str, String)> {
    let millis = |duration: Duration| duration.as_millis().to_string();
    let mut settings = vec![
        ("search_path", schema.to_owned()),
        // An acknowledged write is on disk, whatever the server's own default.
        ("synchronous_commit", "on".to_owned()),
    ];
    settings.extend(match purpose {
        Purpose::Statements => vec![
            ("statement_timeout", millis(options.statement_timeout)),
            ("lock_timeout", millis(options.statement_timeout / 2)),
            (
                "idle_in_transaction_session_timeout",
                millis(IDLE_IN_TRANSACTION),
            ),
            // Every statement uses a key. A plan is made once per connection, perhaps while the tables are small, and
            // must still be right when they have grown.
            ("enable_seqscan", "off".to_owned()),
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("jit", "off".to_owned()),
        ],
        Purpose::Long => vec![
            ("statement_timeout", "0".to_owned()),
            ("idle_in_transaction_session_timeout", "0".to_owned()),
        ],
    });
    settings
}

fn must_accept_writes(url: &Url) -> Result<bool, StoreError> {
    match url.get("target_session_attrs") {
        None | Some("any") => Ok(url.hosts.len() > 1),
        Some("read-write" | "primary") => Ok(true),
        Some(other) => Err(unusable(format!(
            "its URL has target_session_attrs={other}: use any or read-write"
        ))),
    }
}

fn with_parameter(
    driver: PgConnectOptions,
    name: &str,
    value: &str,
) -> Result<PgConnectOptions, StoreError> {
    Ok(match name {
        "sslmode" => driver.ssl_mode(ssl_mode(value)?),
        "sslrootcert" => driver.ssl_root_cert(readable(name, value)?),
        "sslcert" => driver.ssl_client_cert(readable(name, value)?),
        "sslkey" => driver.ssl_client_key(readable(name, value)?),
        "options" => driver.options(server_settings(value)?),
        // The program sets the first two itself, and the caller reads the third.
        "application_name" | "connect_timeout" | "target_session_attrs" => driver,
        name if name.starts_with("keepalives") || name == "tcp_user_timeout" => driver,
        _ => {
            return Err(unusable(format!(
                "its URL has the parameter {name:?}, and there are sslmode, sslrootcert, sslcert, sslkey, options and target_session_attrs"
            )));
        }
    })
}

fn ssl_mode(value: &str) -> Result<PgSslMode, StoreError> {
    Ok(match value {
        "disable" => PgSslMode::Disable,
        "prefer" => PgSslMode::Prefer,
        "require" => PgSslMode::Require,
        "verify-ca" => PgSslMode::VerifyCa,
        "verify-full" => PgSslMode::VerifyFull,
        _ => {
            return Err(unusable(format!(
                "its URL has sslmode={value}: use disable, prefer, require, verify-ca or verify-full"
            )));
        }
    })
}

/// `require` with `sslrootcert` verifies the authority, as in libpq.
fn with_tls(driver: PgConnectOptions, url: &Url) -> Result<PgConnectOptions, StoreError> {
    if url.get("sslcert").is_some() != url.get("sslkey").is_some() {
        return Err(unusable(
            "its URL names one of sslcert and sslkey: name both, or none",
        ));
    }
    let is_require = matches!(driver.get_ssl_mode(), PgSslMode::Require);
    Ok(match is_require && url.get("sslrootcert").is_some() {
        true => driver.ssl_mode(PgSslMode::VerifyCa),
        false => driver,
    })
}

/// The driver reads the file again for each connection, so a renewed certificate is used without a restart.
fn readable<'a>(name: &str, file: &'a str) -> Result<&'a Path, StoreError> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(Path::new(file)),
        Err(error) => Err(unusable(format!("its URL has {name}={file}: {error}"))),
    }
}

/// Parses a text such as `-c geqo=off --jit=off`.
fn server_settings(text: &str) -> Result<Vec<(&str, &str)>, StoreError> {
    let words = text.split_whitespace().filter(|word| *word != "-c");
    words
        .map(|word| {
            let setting = word.strip_prefix("--").or(word.strip_prefix("-c"));
            setting.unwrap_or(word).split_once('=')
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| unusable("its URL has options that are not of the form -c NAME=VALUE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_that_yields_often_ends_in_few_polls() {
        let yields = async {
            for _ in 0..800 {
                tokio::task::yield_now().await;
            }
        };
        let (mut polls, mut eager) = (0, pin!(eagerly(yields)));
        poll_fn(|context| {
            polls += 1;
            eager.as_mut().poll(context)
        })
        .await;
        assert!(polls <= 14, "{polls} polls");
    }

    fn parse(url: &str) -> Result<Target, StoreError> {
        Target::of_url(url, &PgOptions::default())
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_its_password() {
        for (url, named) in [
            ("postgres://u:secret@/db", "names no host"),
            ("postgres://u:sec@secret@h/db", "%40"),
            ("postgres://u:1/secret@h/db", "%40"),
            ("postgres://u:secret@h:x/db", "cannot be read"),
            ("postgres://u:secret@h/db?sslmode=on", "sslmode=on"),
            ("postgres://u:secret@h/db?sslmod=off", "\"sslmod\""),
            ("postgres://u:secret@h/db?sslrootcert=/none", "/none"),
            ("postgres://u:secret@h/db?sslcert=/dev/null", "sslkey"),
            ("postgres://u:secret@h/db?options=jit", "-c NAME=VALUE"),
            ("redis://u:secret@h/db", "postgres://"),
        ] {
            let refused = parse(url).unwrap_err().to_string();
            assert!(refused.contains(named), "{url}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_target_is_named_without_user_and_password() {
        for (url, name) in [
            (
                "postgres://u:se%40cret@[::1]:5433/db?sslmode=require",
                "::1:5433/db",
            ),
            ("postgresql://u@h", "h:5432/u"),
            ("postgres://u:p@a,b:5433/db", "a:5432,b:5433/db"),
            ("postgres://u@/db?host=a,b&port=1,2", "a:1,b:2/db"),
        ] {
            let target = parse(url).unwrap();
            assert_eq!(target.name, name);
            assert_eq!(target.user(), "u");
            assert_eq!(format!("{target:?}"), format!("Target({name:?})"));
        }
    }

    #[test]
    fn the_driver_gets_the_parts_decoded() {
        let target = parse("postgres://u:p@h/d%2Fb?options=-c%20geqo%3Doff%20--jit=on").unwrap();
        assert_eq!(target.database(), "d/b");
        let options = PgOptions::default();
        let target = target.in_schema("s", Purpose::Long, &options);
        let settings = target.hosts[0].get_options().unwrap();
        assert!(settings.starts_with("-c geqo=off -c jit=on -c search_path=s"));
    }

    #[test]
    fn several_hosts_must_accept_writes() {
        for (url, must) in [
            ("postgres://h/db", false),
            ("postgres://h,i/db", true),
            ("postgres://h/db?target_session_attrs=read-write", true),
        ] {
            assert_eq!(parse(url).unwrap().must_accept_writes, must, "{url}");
        }
    }
}
