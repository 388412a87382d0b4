//! Sources by https. The HTTP client itself is built without TLS, so that nobody else who uses it
//! needs a crypto provider; requests to https go over connections that are made here.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::http::CONNECT_TIMEOUT;

/// Keeps a few connections open, each over TLS.
pub(super) type TlsClient = Client<Connector, reqwest::Body>;

/// Whose certificates are trusted: those whom the system trusts (or `SSL_CERT_FILE` names), and
/// those of a file.
#[derive(Clone, Default)]
pub struct Trust {
    more: Arc<[CertificateDer<'static>]>,
    /// Made when it is first needed: reading the system's takes a while.
    config: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl Trust {
    /// Trusts the certificates of that PEM file as well.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn with_file(path: &Path) -> Result<Trust, String> {
        let shown = path.display();
        let pem =
            std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates =
            certificates.map_err(|error| format!("{shown} is not a PEM file: {error}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("{shown} holds an unusable certificate: {error}"))?;
        }
        if certificates.is_empty() {
            return Err(format!(
                "{shown} holds no certificate: it should begin with -----BEGIN CERTIFICATE-----"
            ));
        }
        Ok(Trust {
            more: certificates.into(),
            config: Arc::default(),
        })
    }

    /// A client that trusts so.
    ///
    /// # Errors
    /// Why nobody can be trusted.
    pub(super) fn client(&self) -> Result<TlsClient, String> {
        let config = self.config.get_or_init(|| config(&self.more)).clone()?;
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_timer(TokioTimer::new())
            .build(Connector(TlsConnector::from(config)));
        Ok(client)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust(the system's and {} more)", self.more.len())
    }
}

fn config(more: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    let (given, _) = roots.add_parsable_certificates(more.iter().cloned());
    if taken + given == 0 {
        return Err(
            "https needs root certificates, and the system has none (Debian: ca-certificates; \
             or name a file: --source-ca, SSL_CERT_FILE)"
                .into(),
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector(TlsConnector);

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let made = connect(self.0.clone(), to);
        Box::pin(async move {
            let made = tokio::time::timeout(CONNECT_TIMEOUT, made).await;
            made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }
}

async fn connect(tls: TlsConnector, to: Uri) -> io::Result<Stream> {
    let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let tcp = TcpStream::connect((host, to.port_u16().unwrap_or(443))).await?;
    tcp.set_nodelay(true)?;
    Ok(Stream(TokioIo::new(tls.connect(name, tcp).await?)))
}

/// A connection.
pub(super) struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_checked_before_anybody_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let said = || Trust::with_file(&path).unwrap_err();
        assert!(said().contains("cannot be read"), "{}", said());
        std::fs::write(&path, "hello").unwrap();
        assert!(said().contains("holds no certificate"), "{}", said());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(said().contains("unusable certificate"), "{}", said());
        let good = include_str!("../../tests/integration/alerting/localhost.pem");
        std::fs::write(&path, good).unwrap();
        assert!(Trust::with_file(&path).unwrap().client().is_ok());
    }
}
