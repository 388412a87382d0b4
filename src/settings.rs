//! The settings of a server, with their defaults. Secrets are redacted in `Debug`.
//!
//! Also owns the default data directory, and the files of a data directory that hold secrets.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::alerting::Timing;
use crate::booking::Rules;
use crate::clock::Clock;
use crate::domain::token::TokenKey;
use crate::files::{self, Access};
use crate::http::Limits;
use crate::http::cors::Origin;
use crate::http::listener::Bounds;
use crate::secret::Secret;
use crate::store::sqlite::Options;
use crate::telemetry::Otlp;
use crate::tls::ServerTlsFiles;

/// The default address of the ticketing API.
pub const API_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The default address of the operations API.
pub const OPS_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// The default number of connections to PostgreSQL or MySQL.
pub const DATABASE_CONNECTIONS: u16 = 16;

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// The address of the ticketing API.
    pub api_addr: SocketAddr,
    /// The address of the operations API.
    pub ops_addr: SocketAddr,
    /// Origins whose web pages may call the ticketing API.
    pub cors_origins: Vec<Origin>,
    /// Host names, besides those of loopback, that an operations listener on loopback answers to.
    pub ops_hosts: Vec<String>,
    /// The certificate of both listeners; `None`: they speak http.
    pub tls: Option<ServerTlsFiles>,
    /// The directory of datasets and secrets.
    pub data_dir: PathBuf,
    /// The rules of the sale.
    pub rules: Rules,
    /// Limits of a request.
    pub limits: Limits,
    /// Limits of a listener.
    pub bounds: Bounds,
    /// The embedded database.
    pub store: Options,
    /// The address of PostgreSQL or MySQL; `None`: the embedded database.
    pub database_url: Option<Secret>,
    /// The number of connections to PostgreSQL or MySQL.
    pub database_connections: usize,
    /// The addresses of Redis, one node or several of a cluster; `None`: coordination within this process.
    pub redis_url: Option<Secret>,
    /// The file with the key that signs tokens. `None` means that the database or the data directory holds the key.
    pub token_key_file: Option<PathBuf>,
    /// A collector that receives the telemetry in addition to the embedded stores.
    pub otlp: Option<Otlp>,
    /// The embedded telemetry stores.
    pub embedded: EmbeddedSettings,
    /// Rules and notifications.
    pub alerting: AlertingSettings,
    /// The service's time.
    pub clock: Clock,
}

/// Alert rules and the receivers of notifications.
#[derive(Clone, Debug)]
pub struct AlertingSettings {
    /// Rule files that replace the shipped one.
    pub rules: Vec<PathBuf>,
    /// The pause between two evaluations of a rule group that names no interval.
    pub evaluation_interval: Duration,
    /// The address at which people reach the operations API, for the links in notifications; `None`: its own address.
    pub external_url: Option<String>,
    /// Another Alertmanager, which receives every alert.
    pub alertmanager_url: Option<Secret>,
    /// Addresses that receive messages in the format of Alertmanager's webhook.
    pub webhooks: Vec<Secret>,
    /// Addresses that receive messages for people, in Slack's format.
    pub slack_webhooks: Vec<Secret>,
    /// The times at which notifications are sent and repeated.
    pub timing: Timing,
}

impl Default for AlertingSettings {
    fn default() -> Self {
        AlertingSettings {
            rules: Vec::new(),
            evaluation_interval: Duration::from_secs(1),
            external_url: None,
            alertmanager_url: None,
            webhooks: Vec::new(),
            slack_webhooks: Vec::new(),
            timing: Timing::default(),
        }
    }
}

/// The limits of the embedded telemetry stores.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedSettings {
    /// The pause between two scrapes.
    pub scrape_interval: Duration,
    /// The most bytes of samples.
    pub metrics_bytes: usize,
    /// The most bytes of log lines.
    pub logs_bytes: usize,
    /// The most bytes of traces.
    pub traces_bytes: usize,
    /// The age at which entries are dropped.
    pub retention: Duration,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        EmbeddedSettings {
            scrape_interval: Duration::from_secs(1),
            metrics_bytes: 64 * 1024 * 1024,
            logs_bytes: 64 * 1024 * 1024,
            traces_bytes: 64 * 1024 * 1024,
            retention: Duration::from_secs(6 * 3600),
        }
    }
}

impl ServeSettings {
    /// The settings of a server on the default addresses.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> ServeSettings {
        ServeSettings {
            api_addr: API_ADDR,
            ops_addr: OPS_ADDR,
            cors_origins: Vec::new(),
            ops_hosts: Vec::new(),
            tls: None,
            data_dir,
            rules: Rules::default(),
            limits: Limits::default(),
            bounds: Bounds::default(),
            store: Options::default(),
            database_url: None,
            database_connections: DATABASE_CONNECTIONS.into(),
            redis_url: None,
            token_key_file: None,
            otlp: None,
            embedded: EmbeddedSettings::default(),
            alerting: AlertingSettings::default(),
            clock: Clock::default(),
        }
    }

    /// The settings of a server on free loopback ports, for the process that starts it.
    #[must_use]
    pub fn embedded(data_dir: PathBuf) -> ServeSettings {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        ServeSettings {
            api_addr: free,
            ops_addr: free,
            ..ServeSettings::new(data_dir)
        }
    }
}

/// The value of an environment variable of this program. An empty one counts as not set.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The data directory of a command without `--data-dir`: `CONCERTCTL_DATA_DIR`, else the platform's place.
#[must_use]
pub fn data_dir() -> PathBuf {
    variable("CONCERTCTL_DATA_DIR").map_or_else(default_data_dir, PathBuf::from)
}

/// The platform's place for application data: `$XDG_DATA_HOME`, `~/.local/share` or
/// `~/Library/Application Support`.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    let var = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        var("XDG_DATA_HOME").or_else(|| var("HOME").map(|home| home.join(".local/share")))
    };
    base.map_or_else(
        || PathBuf::from("concertctl-data"),
        |base| base.join("concertctl"),
    )
}

/// The file of a data directory that holds the operations token.
#[must_use]
pub fn ops_token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("ops-token")
}

/// The operations token of a data directory, made on first use, readable by its owner only.
pub fn ops_token(data_dir: &Path) -> io::Result<String> {
    Ok(secret(&ops_token_file(data_dir))?.0)
}

/// The key that signs tokens, made on first use, readable by its owner only. Also returns whether it was made now.
pub fn token_key(data_dir: &Path) -> io::Result<(TokenKey, bool)> {
    let (secret, is_new) = secret(&data_dir.join("token-key"))?;
    let key = TokenKey::new(secret.as_bytes());
    let key = key.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((key, is_new))
}

/// The key in a file that the operator names. The file must exist.
pub fn given_token_key(file: &Path) -> io::Result<TokenKey> {
    let name = file.display();
    let text = files::read_text(file, MAX_SECRET)
        .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    TokenKey::new(text.trim().as_bytes()).ok_or_else(|| {
        let least = TokenKey::MIN_BYTES;
        let why =
            format!("{name} holds fewer than {least} characters: write a longer secret there");
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

/// 256 random bits in hex.
#[must_use]
pub fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// The largest file of a secret, in bytes.
const MAX_SECRET: u64 = 4096;

/// The secret in `file`, made on first use, and whether it was made now.
fn secret(file: &Path) -> io::Result<(String, bool)> {
    let name = file.display();
    let unfit = |why: &str| {
        let why = format!("{name} {why}: remove it to have a new one made");
        io::Error::new(io::ErrorKind::InvalidData, why)
    };
    match files::read_text(file, MAX_SECRET) {
        // An empty or truncated file must not become a secret that can be guessed.
        Ok(text) if text.trim().len() < TokenKey::MIN_BYTES => {
            let least = TokenKey::MIN_BYTES;
            Err(unfit(&format!("holds fewer than {least} characters")))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(unfit("is not text")),
        Ok(text) => Ok((text.trim().to_owned(), false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = new_secret();
            let written = files::replace(file, text.as_bytes(), Access::Owner);
            written.map_err(|error| {
                let advice = files::advice(&error);
                let why = format!("{name} cannot be written: {error}; {advice}");
                io::Error::new(error.kind(), why)
            })?;
            Ok((text, true))
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
    }
}
