//! Code that all HTTP clients of this program share: TLS, `Retry-After`, the cause of a failure.
//!
//! TLS is reqwest's, with rustls and ring. Only the configuration is made here, because reqwest's default reads the
//! system's certificates for each client, even for http alone. For the console's five clients the default takes 17 ms
//! and 0.7 MB. These clients take 0.5 ms and 0.05 MB, or 6 ms and 0.4 MB with https.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The value of `User-Agent`.
pub(crate) const AGENT: &str = concat!("concertctl/", env!("CARGO_PKG_VERSION"));

/// Builds a client for http. It trusts no certificate, so https fails.
///
/// No client uses a proxy, because a proxy for browsers must not stand between this program and its servers.
pub fn builder() -> reqwest::ClientBuilder {
    let tls = tls(RootCertStore::empty());
    reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
}

/// Like [`builder`], for threads without an async runtime.
pub(crate) fn blocking_builder() -> reqwest::blocking::ClientBuilder {
    let tls = tls(RootCertStore::empty());
    reqwest::blocking::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
}

/// The certificates that https trusts: those of the system (or of `SSL_CERT_FILE`), and those of a file.
#[derive(Clone, Default)]
pub struct Trust {
    extra: Arc<[CertificateDer<'static>]>,
    /// Clones share it. Reading the system's certificates takes some 10 ms, so it happens at the first https address.
    config: Arc<OnceLock<Result<ClientConfig, String>>>,
}

impl Trust {
    /// Also trusts the certificates in that PEM file.
    ///
    /// # Errors
    /// The reason why the file cannot be used.
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
            extra: certificates.into(),
            config: Arc::default(),
        })
    }

    /// Builds a client for http and https.
    ///
    /// # Errors
    /// There is no certificate to trust.
    pub(crate) fn builder(&self) -> Result<reqwest::ClientBuilder, String> {
        let tls = self.config.get_or_init(|| tls_trusting(&self.extra));
        Ok(builder().tls_backend_preconfigured(tls.clone()?))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust(the system's and {} more)", self.extra.len())
    }
}

fn tls_trusting(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.certs);
    roots.add_parsable_certificates(extra.iter().cloned());
    if roots.is_empty() {
        let why = system.errors.first().map(|error| format!(": {error}"));
        return Err(format!(
            "https needs root certificates, and the system has none{}: install ca-certificates, or name a \
             file of certificates in SSL_CERT_FILE",
            why.unwrap_or_default()
        ));
    }
    Ok(tls(roots))
}

fn tls(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The pause that a server asks for, in seconds or until a date. A date in the past means no pause.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// The innermost cause, which says what happened ("connection refused"). The outer errors only name the address,
/// which may contain a password.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_checked_before_anybody_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let error = || Trust::with_file(&path).unwrap_err();
        assert!(error().contains("cannot be read"), "{}", error());
        std::fs::write(&path, "hello").unwrap();
        assert!(error().contains("holds no certificate"), "{}", error());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(error().contains("unusable certificate"), "{}", error());
        let good = include_str!("../tests/integration/alerting/localhost.pem");
        std::fs::write(&path, good).unwrap();
        assert!(Trust::with_file(&path).unwrap().builder().is_ok());
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(asked(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            asked("Thu, 01 Jan 2026 00:01:00 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(asked("Wed, 31 Dec 2025 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
