//! The two listeners of a server: the ticketing API and the operations API.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::file_budget::FileBudget;
use crate::files::{self, Access};
use crate::http::listener::{Bounds, listen};
use crate::settings::ServeSettings;
use crate::tls::{self, ServerTls};

/// The largest number of connections to the operations listener from one address.
const OPS_PER_ADDRESS: usize = 64;
/// The largest number of bytes of unfinished headers and bodies over all connections to the operations listener. It is
/// several times the largest body with the token, so that bodies without the token do not end one.
const OPS_UNFINISHED_HEADERS: usize = 16 * 1024 * 1024;
/// The longest time for which the operations listener drains at a stop.
const OPS_DRAIN: Duration = Duration::from_secs(2);

/// The addresses of a running server, for other commands on the same data directory (`server.json`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerFile {
    /// The address of the ticketing API.
    pub api_addr: SocketAddr,
    /// The address of the operations API.
    pub ops_addr: SocketAddr,
    /// The certificate of both listeners, in base64; absent without TLS. Only the owner of the data directory can write
    /// it, so commands that may read it trust it, whatever name and authority it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

impl ServerFile {
    /// The file's name in the data directory.
    pub const NAME: &str = "server.json";

    /// The file of a server at these addresses.
    #[must_use]
    pub fn new(api_addr: SocketAddr, ops_addr: SocketAddr, tls: Option<&ServerTls>) -> ServerFile {
        let mut file = ServerFile {
            api_addr,
            ops_addr,
            certificate: None,
        };
        file.set_certificate(tls);
        file
    }

    pub(super) fn set_certificate(&mut self, tls: Option<&ServerTls>) {
        self.certificate = tls.map(|tls| STANDARD.encode(tls.certificate()));
    }

    /// The file in `data_dir`; `None` if there is none that can be read. The clients of this process trust the server's
    /// certificate from now on.
    #[must_use]
    pub fn read(data_dir: &Path) -> Option<ServerFile> {
        let path = data_dir.join(ServerFile::NAME);
        let file = ServerFile::parse(&path)?;
        if file.certificate.is_some() {
            for addr in [file.api_addr, file.ops_addr] {
                let name = path.clone();
                tls::client::trust_local(reachable(addr).ip(), &path, move || {
                    let certificate = ServerFile::parse(&name)?.certificate?;
                    STANDARD.decode(certificate).ok()
                });
            }
        }
        Some(file)
    }

    fn parse(path: &Path) -> Option<ServerFile> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// The URL at which this machine reaches the ticketing API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}://{}", self.scheme(), reachable(self.api_addr))
    }

    /// The URL at which this machine reaches the operations API.
    #[must_use]
    pub fn ops_url(&self) -> String {
        format!("{}://{}", self.scheme(), reachable(self.ops_addr))
    }

    fn scheme(&self) -> &'static str {
        scheme(self.certificate.is_some())
    }

    /// Removes the file. A link stays, and its target is removed.
    pub(super) fn remove(data_dir: &Path) {
        let removed = fs::canonicalize(data_dir.join(ServerFile::NAME)).and_then(fs::remove_file);
        // Without the file, for example because the directory was removed, nothing is to be done.
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "{} was not removed", ServerFile::NAME);
        }
    }

    pub(super) fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(ServerFile::NAME);
        files::replace(&path, &serde_json::to_vec(self)?, Access::Owner).map_err(|error| {
            let (path, advice) = (path.display(), files::advice(&error));
            anyhow::anyhow!("{path} cannot be written: {error}; {advice}")
        })
    }
}

/// `https` or `http`.
pub(super) fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https" } else { "http" }
}

/// The address to connect to. A listener on all addresses is reached over loopback.
#[must_use]
pub fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// A bound socket that does not accept connections yet.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// The address. If the setting has port 0, this holds the port that the system chose.
    pub(super) addr: SocketAddr,
}

pub(super) struct Listeners {
    pub(super) api: Listener,
    pub(super) ops: Listener,
}

impl Listeners {
    pub(super) fn bind(settings: &ServeSettings) -> anyhow::Result<Listeners> {
        Ok(Listeners {
            api: bind(settings.api_addr, "--api-addr")?,
            ops: bind(settings.ops_addr, "--ops-addr")?,
        })
    }
}

fn bind(addr: SocketAddr, flag: &str) -> anyhow::Result<Listener> {
    let socket = listen(addr).map_err(|error| not_bound(addr, flag, &error))?;
    let addr = socket.local_addr()?;
    Ok(Listener { socket, addr })
}

/// The reason why there is no listener on `addr`, and what to do.
fn not_bound(addr: SocketAddr, flag: &str, error: &std::io::Error) -> anyhow::Error {
    let too_many = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    match error.raw_os_error() {
        Some(code) if too_many.contains(&code) => anyhow::anyhow!(
            "cannot listen on {addr}: too many files are open: raise the limit (ulimit -n)"
        ),
        _ if error.kind() == std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{addr} is in use: is a server running already? Choose another with {flag}"
        ),
        _ => anyhow::anyhow!("cannot listen on {addr}: {error}; choose another with {flag}"),
    }
}

/// The bounds of both listeners under the current limit of open files, the ticketing API first.
pub(super) fn bounds(settings: &ServeSettings) -> (Bounds, Bounds) {
    let files = FileBudget::now(settings.bounds.connections, settings.database_connections);
    files.report();
    let api = Bounds {
        connections: files.api,
        ..settings.bounds
    };
    let ops = Bounds {
        connections: files.operations,
        per_address: OPS_PER_ADDRESS,
        unfinished_headers: OPS_UNFINISHED_HEADERS,
        drain: OPS_DRAIN,
        ..settings.bounds
    };
    (api, ops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_cannot_be_made_comes_with_the_advice_that_helps() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 8080));
        let said = |errno: Errno| not_bound(addr, "--api-addr", &errno.into()).to_string();
        assert_eq!(
            said(Errno::MFILE),
            "cannot listen on 127.0.0.1:8080: too many files are open: raise the limit (ulimit -n)"
        );
        for errno in [Errno::ADDRINUSE, Errno::ACCESS] {
            assert!(
                said(errno).ends_with("hoose another with --api-addr"),
                "{}",
                said(errno)
            );
        }
    }
}
