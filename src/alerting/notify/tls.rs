//! One request over TLS. Receivers of messages are the only ones that are reached like this, and a message
//! now and then needs no pool: each has a connection of its own.

use std::sync::Arc;

use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use reqwest::header::{HOST, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The certificates that are trusted: the system's, or those that `SSL_CERT_FILE` names.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// # Errors
    /// Why nobody can be trusted.
    pub(super) fn of_the_system() -> Result<Tls, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        if taken == 0 {
            let why = found.errors.first().map(|error| format!(": {error}"));
            let why = why.unwrap_or_default();
            return Err(format!(
                "https needs the system's root certificates, and there are none (Debian: \
                 ca-certificates; or SSL_CERT_FILE){why}"
            ));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }

    /// Sends a request, gives the head of the answer. Ends when the caller's time-out says so.
    pub(super) async fn execute(
        &self,
        request: reqwest::Request,
    ) -> Result<(StatusCode, HeaderMap), Error> {
        let url = request.url().clone();
        let host = url.host_str().unwrap_or_default();
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let tcp = TcpStream::connect((bare.as_str(), port)).await?;
        let stream = self.0.connect(ServerName::try_from(bare)?, tcp).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let request = in_origin_form(request, &url)?;
        tokio::select! {
            answer = sender.send_request(request) => {
                let answer = answer?;
                Ok((answer.status(), answer.headers().clone()))
            }
            ended = connection => {
                ended?;
                Err("the connection was closed before an answer".into())
            }
        }
    }
}

/// As servers get it: the path alone, the host in a header.
fn in_origin_form(
    request: reqwest::Request,
    url: &Url,
) -> Result<http::Request<reqwest::Body>, Error> {
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request: http::Request<reqwest::Body> = request.try_into()?;
    *request.uri_mut() = path.parse()?;
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_str(&host)?);
    Ok(request)
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
