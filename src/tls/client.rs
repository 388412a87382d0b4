//! Decides which servers clients trust, and explains the failures of TLS.
//!
//! Every client of the process trusts the system's authorities and those of `--ca`, and shows the certificate of
//! `--client-cert`. Both are set once, before the first client. If the user may read the data directory of a server on
//! this machine, clients trust that server by the certificate in its `server.json`, so commands need no flag and no
//! matching name.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use parking_lot::RwLock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, HandshakeKind,
    InvalidMessage, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::server::{ServerTls, not_own};
use super::{ALPN, pem, provider};

/// The files that all clients of the process use.
#[derive(Clone, Debug, Default)]
pub struct ClientFiles {
    /// Authorities to trust besides those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate that clients show, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// The contents of the files.
#[derive(Default)]
struct Process {
    authorities: Vec<CertificateDer<'static>>,
    own: Option<Arc<CertifiedKey>>,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

/// Reads the files for all clients of the process. It must be called before the first client is built.
///
/// # Errors
/// The wrong file, the mistake, and what to do.
pub fn configure(files: &ClientFiles) -> Result<(), String> {
    let authorities = match &files.ca {
        Some(path) => pem::authorities(path).map_err(|why| format!("--ca: {why}"))?,
        None => Vec::new(),
    };
    let own = match &files.certificate {
        Some((certificate, key)) => Some(own_certificate(certificate, key)?),
        None => None,
    };
    PROCESS
        .set(Process { authorities, own })
        .map_err(|_| "the certificates of clients are already in use".to_owned())
}

fn own_certificate(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, String> {
    let chain = pem::certificates(certificate).map_err(|why| format!("--client-cert: {why}"))?;
    let der = pem::private_key(key).map_err(|why| format!("--client-key: {why}"))?;
    let pair = CertifiedKey::from_der(chain, der, &provider()).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        format!(
            "--client-cert {certificate} and --client-key {key} cannot be used together: {error}"
        )
    })?;
    Ok(Arc::new(pair))
}

fn process() -> &'static Process {
    PROCESS.get_or_init(Process::default)
}

/// A server on this machine.
struct Local {
    ip: IpAddr,
    file: PathBuf,
    /// The certificate that `server.json` holds now. The server writes another one when its certificate is replaced.
    read: Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>,
}

static LOCAL: RwLock<Vec<Local>> = RwLock::new(Vec::new());

/// Trusts the server at `ip` by its certificate, which `read` reads from `file`. Only a server that shows exactly this
/// certificate at this address, or at `localhost`, is trusted.
pub fn trust_local(
    ip: IpAddr,
    file: &Path,
    read: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static,
) {
    let mut local = LOCAL.write();
    if !local
        .iter()
        .any(|known| known.ip == ip && known.file == file)
    {
        local.push(Local {
            ip,
            file: file.to_owned(),
            read: Box::new(read),
        });
    }
}

/// Returns whether `certificate` is the one of a server on this machine with that name.
fn is_local(name: &ServerName<'_>, certificate: &CertificateDer<'_>) -> bool {
    let named = |local: &&Local| match name {
        ServerName::IpAddress(ip) => IpAddr::from(*ip) == local.ip,
        ServerName::DnsName(name) => name.as_ref() == "localhost" && local.ip.is_loopback(),
        _ => false,
    };
    let local = LOCAL.read();
    let mut at_name = local.iter().filter(named);
    at_name.any(|local| (local.read)().is_some_and(|own| own == certificate.as_ref()))
}

/// The certificates that https trusts: those of the system (or of `SSL_CERT_FILE`), those of `--ca`, and those of a
/// file.
#[derive(Clone)]
pub struct Trust {
    extra: Arc<[CertificateDer<'static>]>,
    /// Clones share the configuration. Reading the system's certificates takes some 10 ms, so it happens at the first
    /// https address.
    config: Arc<OnceLock<Result<ClientConfig, String>>>,
}

impl Default for Trust {
    /// All values share one configuration, and its sessions.
    fn default() -> Trust {
        static SHARED: OnceLock<Trust> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Trust {
            extra: Arc::default(),
            config: Arc::default(),
        });
        shared.clone()
    }
}

impl Trust {
    /// Also trusts the certificates in that PEM file.
    ///
    /// # Errors
    /// The reason why the file cannot be used.
    pub fn with_file(path: &Path) -> Result<Trust, String> {
        Ok(Trust {
            extra: pem::authorities(path)?.into(),
            config: Arc::default(),
        })
    }

    /// The configuration of a client.
    ///
    /// # Errors
    /// There is no certificate to trust. The message says what to do.
    pub fn config(&self) -> Result<ClientConfig, String> {
        self.config.get_or_init(|| trusting(&self.extra)).clone()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust(the system's and {} more)", self.extra.len())
    }
}

/// The configuration of a client for http only, which trusts no certificate.
pub(crate) fn trusting_none() -> ClientConfig {
    with_acceptance(Authorities(None), own_resolver())
}

fn trusting(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.certs);
    roots.add_parsable_certificates(process().authorities.iter().cloned());
    roots.add_parsable_certificates(extra.iter().cloned());
    if roots.is_empty() && LOCAL.read().is_empty() {
        let why = system.errors.first().map(|error| format!(": {error}"));
        return Err(format!(
            "https needs root certificates, and the system has none{}: install ca-certificates, name a file of \
             certificates with --ca, or in SSL_CERT_FILE",
            why.unwrap_or_default()
        ));
    }
    let issued = match roots.is_empty() {
        true => None,
        false => Some(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .map_err(|error| error.to_string())?,
        ),
    };
    Ok(with_acceptance(Authorities(issued), own_resolver()))
}

/// Shows the certificate of `--client-cert`.
fn own_resolver() -> Option<Arc<dyn ResolvesClientCert>> {
    let own = process().own.clone()?;
    Some(Arc::new(SingleCertAndKey::from(own)))
}

fn with_acceptance(
    acceptance: impl Acceptance + 'static,
    own: Option<Arc<dyn ResolvesClientCert>>,
) -> ClientConfig {
    let provider = provider();
    let verifier = Verifier {
        acceptance,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(own),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

/// The configuration with which a server reaches itself: it trusts exactly its own current certificate, under every
/// name, and shows it as a client.
pub fn of_itself(server: &Arc<ServerTls>) -> ClientConfig {
    let itself = Itself(Arc::clone(server));
    with_acceptance(itself.clone(), Some(Arc::new(itself)))
}

/// Decides which certificates of servers a client accepts.
trait Acceptance: fmt::Debug + Send + Sync {
    fn accept(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error>;
}

/// Verifies the signature of each handshake, which proves that the server has the key of an accepted certificate.
#[derive(Debug)]
struct Verifier<A> {
    acceptance: A,
    provider: Arc<CryptoProvider>,
}

impl<A: Acceptance> ServerCertVerifier for Verifier<A> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let acceptance = &self.acceptance;
        acceptance.accept(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Accepts certificates of trusted authorities, and those of servers on this machine.
#[derive(Debug)]
struct Authorities(Option<Arc<WebPkiServerVerifier>>);

impl Acceptance for Authorities {
    fn accept(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let issued = match &self.0 {
            Some(issued) => issued.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match issued {
            Err(_) if is_local(name, certificate) => Ok(ServerCertVerified::assertion()),
            issued => issued,
        }
    }
}

/// The server as its own client.
#[derive(Clone, Debug)]
struct Itself(Arc<ServerTls>);

impl Acceptance for Itself {
    fn accept(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.pair().certificate().as_ref() == certificate.as_ref() {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(not_own()),
        }
    }
}

impl ResolvesClientCert for Itself {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.pair().key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Connects over TLS to one server. Clones have sessions of their own.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector for the server with this host name or address.
    ///
    /// # Errors
    /// The name cannot be in a certificate, or there is no certificate to trust.
    pub fn new(host: &str) -> Result<Connector, String> {
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| format!("{host} is no name that a certificate can have"))?;
        let config = Arc::new(Trust::default().config()?);
        Ok(Connector { config, name })
    }

    /// A connector for a server that does not speak HTTP. Such a server may know the protocols of its own clients. It
    /// then refuses a client that offers only other protocols, and accepts a client that offers none (RFC 7301, section
    /// 3.2).
    #[must_use]
    pub fn without_http(self) -> Connector {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.clear();
        Connector {
            config: Arc::new(config),
            ..self
        }
    }

    /// A client that has no session yet, and resumes no session of another client.
    #[must_use]
    pub fn without_sessions(&self) -> Connector {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(1);
        Connector {
            config: Arc::new(config),
            name: self.name.clone(),
        }
    }

    /// Makes the handshake over `stream`.
    ///
    /// # Errors
    /// The handshake failed. [`explain`] describes the failure.
    pub async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(self.name.clone(), stream).await
    }
}

/// Returns whether the handshake of a connection resumed an earlier session.
#[must_use]
pub fn is_resumed(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Explains a failure of TLS and what to do, in one line without the server's name. `None` if TLS is not the cause.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    failure(error).map(meaning)
}

/// Returns whether the client does not trust the authority of the server's certificate, so that another authority could
/// help. Dates, names and uses of a certificate are other causes.
#[must_use]
pub fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    let Some(rustls::Error::InvalidCertificate(error)) = failure(error) else {
        return false;
    };
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
        | CertificateError::NotValidForName
        | CertificateError::NotValidForNameContext { .. } => false,
        error => !is_of_an_authority(error),
    }
}

/// Finds the failure of TLS behind an error.
fn failure<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // The source of such an error is the source of the error within it, so the error within would be skipped.
        if let Some(within) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            return failure(within);
        }
        // The Redis library shares its errors.
        if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            return failure(&**shared);
        }
        cause = error.source();
    }
    None
}

fn meaning(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS: use http:// in its address".to_owned()
        }
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            "it asks for a client certificate: name one with --client-cert and --client-key"
                .to_owned()
        }
        rustls::Error::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::DecryptError),
        ) => format!(
            "it refuses the client certificate ({alert:?}): name one of an authority that it trusts with --client-cert \
             and --client-key"
        ),
        error => format!("the TLS handshake failed: {error}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    let at = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    };
    match error {
        CertificateError::Expired => "its certificate has expired: renew it on the server".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired at {}: renew it on the server", at(not_after))
        }
        CertificateError::NotValidYet => {
            "its certificate is not valid yet: check the clock of this machine".to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "its certificate is valid only from {}: check the clock of this machine",
            at(not_before)
        ),
        // An authority with the name of a trusted one and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate comes from an authority that this machine does not trust: name the authority's \
             certificate with --ca FILE"
                .to_owned()
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name: use that name in the address".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            match names.is_empty() {
                true => format!(
                    "its certificate names no host: issue one whose subjectAltName has {expected}"
                ),
                false => format!(
                    "its certificate is for {}, not for {expected}: use a name of the certificate in the address, or \
                     issue one for {expected}",
                    names.join(", ")
                ),
            }
        }
        error if is_of_an_authority(error) => {
            "its certificate is that of an authority (CA:TRUE), which must not serve: issue a certificate for the server"
                .to_owned()
        }
        error => format!("its certificate cannot be accepted: {error}"),
    }
}

/// Returns whether the certificate is that of an authority. The library has no error of its own for this.
fn is_of_an_authority(error: &CertificateError) -> bool {
    error.to_string().contains("CaUsedAsEndEntity")
}

/// `DnsName("a.example")` without its kind.
fn plain(name: &str) -> &str {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(error: rustls::Error) -> String {
        // The error in the form in which tokio-rustls and hyper return it: inside an error of the operating system.
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        explain(&error).expect("TLS is the cause")
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let expected = ServerName::try_from("10.0.0.1").unwrap();
        let named = CertificateError::NotValidForNameContext {
            expected,
            presented: vec!["DnsName(\"a.example\")".to_owned()],
        };
        let not_after = UnixTime::since_unix_epoch(std::time::Duration::from_secs(86_400));
        let expired = CertificateError::ExpiredContext {
            time: UnixTime::now(),
            not_after,
        };
        for (error, parts) in [
            (named.into(), ["a.example, not for 10.0.0.1", "issue one"]),
            (expired.into(), ["1970-01-02 00:00:00 UTC", "renew it"]),
            (
                CertificateError::UnknownIssuer.into(),
                ["does not trust", "--ca FILE"],
            ),
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                ["does not speak TLS", "http://"],
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                ["client certificate", "--client-cert"],
            ),
        ] {
            let meaning = meant(error);
            for part in parts {
                assert!(meaning.contains(part), "{meaning}");
            }
            assert_eq!(meaning.lines().count(), 1, "{meaning}");
        }
    }

    #[test]
    fn a_server_that_does_not_speak_http_is_offered_no_protocol() {
        let connector = Connector {
            config: Arc::new(trusting_none()),
            name: ServerName::try_from("redis.example").unwrap(),
        };
        assert_eq!(connector.config.alpn_protocols, [ALPN]);
        let connector = connector.without_http();
        assert!(connector.config.alpn_protocols.is_empty());
    }

    #[test]
    fn a_certificate_with_a_wrong_date_or_name_is_not_distrusted() {
        let distrusts = |error: CertificateError| {
            let error = rustls::Error::from(error);
            is_distrust(&io::Error::new(io::ErrorKind::InvalidData, error))
        };
        assert!(distrusts(CertificateError::UnknownIssuer));
        assert!(distrusts(CertificateError::BadSignature));
        assert!(distrusts(CertificateError::UnhandledCriticalExtension));
        assert!(!distrusts(CertificateError::Expired));
        assert!(!distrusts(CertificateError::NotValidForName));
    }

    #[test]
    fn other_failures_have_no_meaning_here() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(explain(&refused), None);
        assert!(!is_distrust(&refused));
        assert_eq!(explain(&io::Error::other("no TLS")), None);
    }

    #[test]
    fn a_local_server_is_trusted_at_its_address_by_its_own_certificate_only() {
        trust_local([127, 0, 0, 9].into(), Path::new("x"), || {
            Some(vec![1, 2, 3])
        });
        let own = CertificateDer::from(vec![1, 2, 3]);
        let name = |text: &str| ServerName::try_from(text.to_owned()).unwrap();
        assert!(is_local(&name("127.0.0.9"), &own));
        assert!(is_local(&name("localhost"), &own));
        assert!(!is_local(&name("127.0.0.8"), &own));
        assert!(!is_local(&name("tickets.example"), &own));
        assert!(!is_local(
            &name("127.0.0.9"),
            &CertificateDer::from(vec![1, 2])
        ));
    }
}
