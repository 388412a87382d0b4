//! PEM files: certificates and private keys. Each error names the file and says what to do.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file that is read, in bytes. The authorities of a system take some 200 KiB.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The certificates in a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates =
        certificates.map_err(|error| format!("{shown} is not a PEM file: {error}"))?;
    if certificates.is_empty() {
        return Err(format!(
            "{shown} holds no certificate: it should begin with -----BEGIN CERTIFICATE-----"
        ));
    }
    Ok(certificates)
}

/// The certificates of authorities in a file, at least one.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = certificates(path)?;
    roots(&certificates)
        .map_err(|error| format!("{} holds an unusable certificate: {error}", path.display()))?;
    Ok(certificates)
}

/// A store of exactly these certificates.
pub(super) fn roots(
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone())?;
    }
    Ok(roots)
}

/// The private key in a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let shown = path.display();
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => format!(
            "{shown} holds no private key: it should begin with -----BEGIN PRIVATE KEY-----, and a key with a \
             passphrase must be decrypted first"
        ),
        error => format!("{shown} is not a PEM file: {error}"),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let unread = |error: io::Error| format!("{shown} cannot be read: {error}");
    let file = File::open(path).map_err(unread)?;
    let mut bytes = Vec::new();
    let length = file.take(LONGEST + 1).read_to_end(&mut bytes);
    match length.map_err(unread)? as u64 {
        ..=LONGEST => Ok(bytes),
        _ => Err(format!(
            "{shown} is longer than 4 MiB, so it is no file of certificates or keys"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_checked_before_a_server_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let error = || authorities(&path).unwrap_err();
        assert!(error().contains("cannot be read"), "{}", error());
        std::fs::write(&path, "hello").unwrap();
        assert!(error().contains("holds no certificate"), "{}", error());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(error().contains("unusable certificate"), "{}", error());
        let good = include_str!("../../tests/integration/alerting/localhost.pem");
        std::fs::write(&path, good).unwrap();
        assert_eq!(authorities(&path).unwrap().len(), 1);
        let no_key = private_key(&path).unwrap_err();
        let endless = authorities(Path::new("/dev/zero")).unwrap_err();
        assert!(endless.contains("longer than 4 MiB"), "{endless}");
        assert!(no_key.contains("holds no private key"), "{no_key}");
    }
}
