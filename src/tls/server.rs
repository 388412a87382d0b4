//! The certificate of a server, which can be replaced while the server runs.
//!
//! A pair of certificate and key is checked completely before it is used. A bad pair never replaces a good one:
//!
//! ```text
//!   files change, or SIGHUP ──▶ read ──▶ check ──▶ current     every new handshake uses the current pair;
//!                                 │        │                   open connections keep theirs
//!                                 └────────┴──▶ refused, one line in the log; the current pair stays
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, InconsistentKeys, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::TlsAcceptor;

use super::validity::Validity;
use super::{ALPN, pem, provider};

/// The files of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsFiles {
    /// The certificate, followed by those of intermediate authorities.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities whose clients may connect; `None`: clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

impl ServerTlsFiles {
    fn all(&self) -> impl Iterator<Item = &Path> {
        let ca = self.client_ca.as_deref();
        [self.certificate.as_path(), &self.key]
            .into_iter()
            .chain(ca)
    }

    /// The state of the files, which changes when one of them is written or replaced.
    #[must_use]
    pub fn stamps(&self) -> Stamps {
        Stamps(self.all().map(|path| stamp(path).ok()).collect())
    }
}

/// The state of the files at one moment. Two values are equal if no file was written or replaced in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamps(Vec<Option<Stamp>>);

/// Device, inode, size, and the time of the last change in seconds and nanoseconds. Changes of owner and mode count: a
/// key that could not be read may be readable after one.
type Stamp = (u64, u64, u64, i64, i64);

fn stamp(path: &Path) -> io::Result<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    // It follows links, because a mounted secret is replaced by a link to another directory.
    let data = std::fs::metadata(path)?;
    let (dev, ino) = (data.dev(), data.ino());
    Ok((dev, ino, data.len(), data.ctime(), data.ctime_nsec()))
}

/// The certificate that a server shows.
pub struct ServerTls {
    files: ServerTlsFiles,
    current: ArcSwap<Pair>,
}

/// A checked pair of certificate and key.
pub(super) struct Pair {
    config: Arc<ServerConfig>,
    pub(super) key: Arc<CertifiedKey>,
    expires: Timestamp,
    /// The state of the files just before they were read.
    stamps: Stamps,
}

impl Pair {
    /// The certificate of the server itself.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.key.cert[0]
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// The wrong file, the mistake, and what to do.
    pub fn open(files: ServerTlsFiles) -> Result<Arc<ServerTls>, String> {
        let pair = read(&files, Timestamp::now())?;
        Ok(Arc::new(ServerTls {
            files,
            current: ArcSwap::from_pointee(pair),
        }))
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &ServerTlsFiles {
        &self.files
    }

    /// Reads the files again. A good pair serves all later handshakes. Returns whether the certificate is another one.
    ///
    /// # Errors
    /// As [`ServerTls::open`]. The pair in use stays.
    pub fn reload(&self) -> Result<bool, String> {
        let pair = read(&self.files, Timestamp::now())?;
        let is_new = pair.certificate() != self.current.load().certificate();
        // A new authority for clients counts too, so the pair is replaced even if the certificate is the same.
        self.current.store(Arc::new(pair));
        Ok(is_new)
    }

    /// The state of the files when the current pair was read.
    #[must_use]
    pub fn stamps(&self) -> Stamps {
        self.current.load().stamps.clone()
    }

    /// Handles the next handshake, with the current pair.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }

    /// The time at which the first certificate of the chain expires.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.current.load().expires
    }

    /// The DER encoding of the current certificate.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        self.current.load().certificate().to_vec()
    }

    pub(super) fn pair(&self) -> Arc<Pair> {
        self.current.load_full()
    }
}

fn read(files: &ServerTlsFiles, now: Timestamp) -> Result<Pair, String> {
    let stamps = files.stamps();
    let chain = pem::certificates(&files.certificate)?;
    let expires = check_validity(&chain, &files.certificate, now)?;
    let key = pem::private_key(&files.key)?;
    let (certificate, key_file) = (files.certificate.display(), files.key.display());
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
            "the key in {key_file} does not belong to the certificate in {certificate}: install the key with which the \
             certificate was requested"
        ),
        error => format!("{certificate} and {key_file} cannot be used together: {error}"),
    })?;
    let key = Arc::new(key);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3");
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = ClientCertificates::new(path, key.cert[0].clone())?;
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Without tickets the server could resume only as many sessions as it remembers. A new pair has new keys for
    // tickets, so a client that the new authority does not know cannot resume an old session.
    config.ticketer =
        Ticketer::new().map_err(|error| format!("no keys for session tickets: {error}"))?;
    Ok(Pair {
        config: Arc::new(config),
        key,
        expires,
        stamps,
    })
}

/// The end of the validity of the whole chain, which must be valid now.
fn check_validity(
    chain: &[CertificateDer<'static>],
    path: &Path,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let shown = path.display();
    let mut expires = Timestamp::MAX;
    for (at, der) in chain.iter().enumerate() {
        let which = match at {
            0 => "the certificate".to_owned(),
            n => format!("certificate {} of the chain", n + 1),
        };
        let validity = Validity::of(der).ok_or_else(|| {
            format!("{which} in {shown} cannot be read: write it in PEM as issued")
        })?;
        let second = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        if validity.until <= now {
            let until = second(validity.until);
            return Err(format!("{which} in {shown} expired at {until}: renew it"));
        }
        if validity.from > now {
            let from = second(validity.from);
            return Err(format!(
                "{which} in {shown} is valid only from {from}: check the clock of this machine, or wait"
            ));
        }
        expires = expires.min(validity.until);
    }
    Ok(expires)
}

/// Accepts clients with a certificate of the given authorities, and the server itself, which scrapes its own metrics
/// and shows its own certificate.
#[derive(Debug)]
struct ClientCertificates {
    issued: Arc<dyn ClientCertVerifier>,
    own: CertificateDer<'static>,
}

impl ClientCertificates {
    fn new(path: &Path, own: CertificateDer<'static>) -> Result<ClientCertificates, String> {
        let authorities = pem::authorities(path)?;
        let unusable = |error: String| format!("{}: {error}", path.display());
        let roots = pem::roots(&authorities).map_err(|error| unusable(error.to_string()))?;
        let issued = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(ClientCertificates { issued, own })
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.issued.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // The signature of the handshake proves that the client has the server's key.
        if certificate.as_ref() == self.own.as_ref() {
            return Ok(ClientCertVerified::assertion());
        }
        self.issued
            .verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

/// The error of a client whose certificate is not the one of this server.
pub(super) fn not_own() -> rustls::Error {
    CertificateError::ApplicationVerificationFailure.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_change_of_the_mode_is_a_change_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, "key").unwrap();
        let before = stamp(&path).unwrap();
        assert_eq!(stamp(&path).unwrap(), before);
        // The clock of a file system may have ticks of 10 ms.
        std::thread::sleep(Duration::from_millis(50));
        let mode = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(&path, mode).unwrap();
        assert_ne!(stamp(&path).unwrap(), before);
    }
}
