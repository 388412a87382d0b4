//! Which database is meant: the URL, read and checked, and how a connection to it is set up.
//!
//! The password is in the driver's configuration only, which is never shown: errors and logs name the
//! database by [`Target::name`].

use std::fmt;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::task::AbortOnDropHandle;

use super::PgOptions;
use super::fault::{self, Fault};
use crate::store::StoreError;

/// Sent data that is not acknowledged for so long means that the peer is gone.
const DEAD_AFTER: Duration = Duration::from_secs(10);
/// A transaction that waits for its client for so long is rolled back.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// A database that was named by a URL.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    name: String,
    connect_timeout: Duration,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Short statements by keys.
    Statements,
    /// Loading, sweeping, holding locks: takes as long as it takes.
    Long,
}

/// A connection of its own, outside any pool; closed when dropped.
pub(super) struct Session {
    pub(super) client: Client,
    connection: AbortOnDropHandle<()>,
}

impl Session {
    /// Resolves when the connection is lost.
    pub(super) async fn ended(&mut self) {
        // It ends without a panic or not at all.
        drop((&mut self.connection).await);
    }
}

impl Target {
    /// Reads a URL.
    pub(super) fn parse(url: &str, options: &PgOptions) -> Result<Target, StoreError> {
        let unusable = |why: &str| StoreError::Unavailable(why.to_owned());
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(unusable(
                "its URL must begin with postgres://, as in postgres://USER:PASSWORD@HOST:5432/DATABASE",
            ));
        }
        // What the driver says of a URL may repeat a part of it, and a part may be the password.
        let mut config: Config = url.parse().map_err(|_| {
            unusable(
                "its URL cannot be read: write postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password percent-encoded (@ as %40, / as %2F)",
            )
        })?;
        if config.get_hosts().is_empty() {
            return Err(unusable(
                "its URL names no host: write postgres://USER:PASSWORD@HOST:5432/DATABASE",
            ));
        }
        let odd = |host: &Host| matches!(host, Host::Tcp(name) if name.contains(['@', ':']) && name.parse::<std::net::Ipv6Addr>().is_err());
        if config.get_hosts().iter().any(odd) {
            return Err(unusable(
                "its URL has an @ or : where the host should be: percent-encode special characters of the password (@ as %40, : as %3A)",
            ));
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(unusable(
                "its URL asks for sslmode=require, and this program has no TLS: use sslmode=prefer over a network you trust, or a tunnel",
            ));
        }
        set_up(&mut config, options);
        Ok(Target {
            name: name_of(&config),
            config,
            connect_timeout: options.connect_timeout,
        })
    }

    /// `host:port/database`, as errors and logs name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The database's own name.
    pub(super) fn database(&self) -> &str {
        let user = self.config.get_user().unwrap_or("postgres");
        self.config.get_dbname().unwrap_or(user)
    }

    /// The role that connects.
    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or("the system's user")
    }

    /// How connections that look for their tables in `schema` are made.
    pub(super) fn config_for(&self, schema: &str, purpose: Purpose, options: &PgOptions) -> Config {
        let mut settings = self.config.get_options().unwrap_or_default().to_owned();
        let mut set = |name: &str, value: &str| {
            settings.push_str(&format!(" -c {name}={value}"));
        };
        let millis = |duration: Duration| duration.as_millis().to_string();
        set("search_path", schema);
        // An acknowledged write is on disk, whatever the server's own default.
        set("synchronous_commit", "on");
        match purpose {
            Purpose::Statements => {
                set("statement_timeout", &millis(options.statement_timeout));
                set("lock_timeout", &millis(options.statement_timeout / 2));
                set(
                    "idle_in_transaction_session_timeout",
                    &millis(IDLE_IN_TRANSACTION),
                );
                // Every statement goes by a key. A plan made while the tables are small must stay
                // right when they have grown, and is made once a connection.
                set("enable_seqscan", "off");
                set("plan_cache_mode", "force_generic_plan");
                set("jit", "off");
            }
            Purpose::Long => {
                set("statement_timeout", "0");
                set("idle_in_transaction_session_timeout", "0");
            }
        }
        let mut config = self.config.clone();
        config.options(settings);
        config
    }

    /// A connection of its own.
    pub(super) async fn session(
        &self,
        schema: &str,
        purpose: Purpose,
        options: &PgOptions,
    ) -> Result<Session, Fault> {
        let config = self.config_for(schema, purpose, options);
        let connecting = tokio::time::timeout(self.connect_timeout, config.connect(NoTls));
        let (client, connection) = connecting
            .await
            .map_err(|_| fault::no_connection_within(self, self.connect_timeout))?
            .map_err(|error| fault::of_connecting(&error, self))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Whoever uses the connection is told of its end by the statement that fails.
            drop(connection.await);
        }));
        Ok(Session { client, connection })
    }
}

/// What holds for every connection.
fn set_up(config: &mut Config, options: &PgOptions) {
    config
        .application_name("concertctl")
        .connect_timeout(options.connect_timeout)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(3))
        .keepalives_retries(3)
        .tcp_user_timeout(DEAD_AFTER);
    if config.get_hosts().len() > 1 {
        // Several hosts are a primary and its standbys, whichever is which at the moment.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
}

fn name_of(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}:{port}", path.display()),
            }
        })
        .collect();
    let user = config.get_user().unwrap_or_default();
    format!(
        "{}/{}",
        hosts.join(","),
        config.get_dbname().unwrap_or(user)
    )
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}
