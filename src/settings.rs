//! Validated settings; secrets are redacted in `Debug`.
//!
//! Owns where things are kept by default and the files of a data directory that hold secrets.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::booking::Rules;
use crate::domain::token::TokenKey;
use crate::http::Limits;
use crate::http::listener::Bounds;
use crate::store::data_dir::write_atomically;
use crate::store::sqlite::Options;

/// Where the ticketing API listens by default.
pub const API_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where the operations API listens by default.
pub const OPS_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// How a server runs.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// The ticketing API.
    pub api_addr: SocketAddr,
    /// The operations API.
    pub ops_addr: SocketAddr,
    /// Datasets and secrets.
    pub data_dir: PathBuf,
    /// The rules of the sale.
    pub rules: Rules,
    /// Bounds of a request.
    pub limits: Limits,
    /// Bounds of a listener.
    pub bounds: Bounds,
    /// The database.
    pub store: Options,
    /// The embedded telemetry stores.
    pub embedded: EmbeddedSettings,
}

/// How much the embedded telemetry stores keep.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedSettings {
    /// Between two scrapes.
    pub scrape_interval: Duration,
    /// Bytes of samples.
    pub metrics_bytes: usize,
    /// Bytes of log lines.
    pub logs_bytes: usize,
    /// How far back either goes.
    pub retention: Duration,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        EmbeddedSettings {
            scrape_interval: Duration::from_secs(1),
            metrics_bytes: 64 * 1024 * 1024,
            logs_bytes: 64 * 1024 * 1024,
            retention: Duration::from_secs(6 * 3600),
        }
    }
}

impl ServeSettings {
    /// A server on the default addresses.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> ServeSettings {
        ServeSettings {
            api_addr: API_ADDR,
            ops_addr: OPS_ADDR,
            data_dir,
            rules: Rules::default(),
            limits: Limits::default(),
            bounds: Bounds::default(),
            store: Options::default(),
            embedded: EmbeddedSettings::default(),
        }
    }

    /// A server on free loopback ports, for the one who starts it.
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

/// The platform's place for data that should stay: `$XDG_DATA_HOME`, `~/.local/share`,
/// `~/Library/Application Support`, `%LOCALAPPDATA%`.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    let var = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Application Support"))
    } else if cfg!(windows) {
        var("LOCALAPPDATA")
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
///
/// # Errors
/// What the file system says.
pub fn ops_token(data_dir: &Path) -> io::Result<String> {
    secret(&ops_token_file(data_dir))
}

/// The key that tokens are signed with, made on first use, readable by its owner only.
///
/// # Errors
/// What the file system says, or that the file holds no secret.
pub fn token_key(data_dir: &Path) -> io::Result<TokenKey> {
    let secret = secret(&data_dir.join("token-key"))?;
    TokenKey::new(secret.as_bytes()).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// 256 random bits in hex.
fn secret(file: &Path) -> io::Result<String> {
    let name = file.display();
    let unfit = |why: &str| {
        let why = format!("{name} {why}: remove it to have a new one made");
        io::Error::new(io::ErrorKind::InvalidData, why)
    };
    match std::fs::read_to_string(file) {
        // An empty or cut file must not become a secret that anybody guesses.
        Ok(text) if text.trim().len() < TokenKey::MIN_BYTES => {
            let least = TokenKey::MIN_BYTES;
            Err(unfit(&format!("holds fewer than {least} characters")))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(unfit("is not text")),
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes: [u8; 32] = rand::random();
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write_atomically(file, text.as_bytes())?;
            Ok(text)
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
    }
}
