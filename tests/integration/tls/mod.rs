//! TLS of the server and of every client, with certificates that the tests issue.

mod clients;
mod failures;
mod listener;
mod postgres;
mod redis;
mod renewal;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use concertctl::clients::Trust;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::eventually;
use crate::support::process::{Ended, Guard, concertctl, finish};

/// An authority that issues certificates into a directory.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub ca: PathBuf,
}

/// The files of a certificate and of its key.
#[derive(Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let name = format!("test authority {}", rand::random::<u32>());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            dir,
            ca,
        }
    }

    /// Issues a certificate for these names.
    pub fn issue(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_until(file, names, 4_000)
    }

    /// The same, for a certificate that was valid until the end of 2020.
    pub fn issue_expired(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_until(file, names, 2_020)
    }

    fn issue_until(&self, file: &str, names: &[&str], year: i32) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pair = Pair {
            certificate: self.dir.path().join(format!("{file}.pem")),
            key: self.dir.path().join(format!("{file}.key.pem")),
        };
        std::fs::write(&pair.certificate, certificate.pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }

    /// A client that trusts this authority.
    pub fn client(&self) -> reqwest::Client {
        let trust = Trust::with_file(&self.ca).unwrap();
        let builder = concertctl::http_client::builder_for(&trust).unwrap();
        builder
            .timeout(std::time::Duration::from_secs(30))
            .build()
            .unwrap()
    }

    pub fn ca(&self) -> &str {
        self.ca.to_str().unwrap()
    }
}

impl Pair {
    /// The flags of a server.
    pub fn flags(&self) -> [String; 4] {
        let text = |path: &Path| path.display().to_string();
        let (certificate, key) = (text(&self.certificate), text(&self.key));
        [
            "--tls-cert".to_owned(),
            certificate,
            "--tls-key".to_owned(),
            key,
        ]
    }

    /// Replaces these files by those of `other`, as a renewal does.
    pub fn replace_by(&self, other: &Pair) {
        for (from, to) in [
            (&other.certificate, &self.certificate),
            (&other.key, &self.key),
        ] {
            let new = to.with_extension("new");
            std::fs::copy(from, &new).unwrap();
            std::fs::rename(&new, to).unwrap();
        }
    }

    /// A TLS server that is not concertctl.
    pub fn acceptor(&self) -> TlsAcceptor {
        let chain = CertificateDer::from_pem_file(&self.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

/// `concertctl serve` over TLS on free ports.
pub struct Secured {
    child: Guard,
    pub data: TempDir,
    pub api_port: u16,
    pub ops_port: u16,
}

impl Secured {
    pub async fn start(pair: &Pair, more: &[&str]) -> Secured {
        Secured::with(concertctl(), pair, more).await
    }

    pub async fn with(mut command: Command, pair: &Pair, more: &[&str]) -> Secured {
        let data = tempfile::tempdir().unwrap();
        command.args(["serve", "--api-addr", "127.0.0.1:0", "--ops-addr"]);
        command.args(["127.0.0.1:0", "--data-dir"]).arg(data.path());
        command.args(pair.flags()).args(more);
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let mut child = Guard(command.spawn().unwrap());
        let file: serde_json::Value = eventually("the server is up", || {
            assert!(child.0.try_wait().unwrap().is_none(), "it ended at once");
            let text = std::fs::read(data.path().join("server.json")).ok();
            async move { text.and_then(|text| serde_json::from_slice(&text).ok()) }
        })
        .await;
        let port = |name: &str| {
            let addr: std::net::SocketAddr = file[name].as_str().unwrap().parse().unwrap();
            addr.port()
        };
        let server = Secured {
            api_port: port("api_addr"),
            ops_port: port("ops_addr"),
            child,
            data,
        };
        eventually("the server accepts", || async {
            let at = ("127.0.0.1", server.api_port);
            tokio::net::TcpStream::connect(at).await.ok()
        })
        .await;
        server
    }

    /// The ticketing API by the name that the certificates of most tests have.
    pub fn api(&self) -> String {
        format!("https://localhost:{}", self.api_port)
    }

    pub fn ops(&self) -> String {
        format!("https://localhost:{}", self.ops_port)
    }

    pub fn dir(&self) -> &str {
        self.data.path().to_str().unwrap()
    }

    pub fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(&self.child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// The values of an instant query at the embedded Prometheus.
    pub async fn query(&self, client: &reqwest::Client, query: &str) -> Vec<f64> {
        let url = format!("{}/api/v1/query", self.ops());
        let answer = client.get(url).query(&[("query", query)]).send().await;
        let answer: serde_json::Value = answer.unwrap().json().await.unwrap();
        let found = answer["data"]["result"].as_array().unwrap();
        let value = |it: &serde_json::Value| it["value"][1].as_str().unwrap().parse().unwrap();
        found.iter().map(value).collect()
    }
}

/// Runs the program to its end.
pub async fn run(args: &[&str]) -> Ended {
    let mut command = concertctl();
    command.args(args);
    finish(command).await
}

/// A server that answers every request with an empty 200, and sends the head of each to the test.
pub async fn sink(acceptor: TlsAcceptor) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let (sender, heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(tcp).await else {
                    return;
                };
                let mut chunk = vec![0; 65_536];
                while let Ok(1..) = stream.read(&mut chunk).await {
                    let text = String::from_utf8_lossy(&chunk).into_owned();
                    let head = text.split("\r\n\r\n").next().unwrap().to_owned();
                    let _ = sender.send(head);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    (port, heads)
}

#[test]
fn ring_is_the_only_crypto_provider_and_rustls_has_one_version() {
    let lock = include_str!("../../../Cargo.lock");
    let names: Vec<&str> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = "))
        .collect();
    for banned in ["\"aws-lc-rs\"", "\"aws-lc-sys\"", "\"openssl-sys\""] {
        assert!(!names.contains(&banned), "{banned} is in Cargo.lock");
    }
    let rustls = names.iter().filter(|name| **name == "\"rustls\"").count();
    assert_eq!(rustls, 1);
}

/// Only modules in `src/tls` make a configuration of rustls.
#[test]
fn no_other_module_makes_a_configuration_of_tls() {
    fn walk(dir: &Path, wrong: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, wrong);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let makes = [
                "ClientConfig::builder",
                "ServerConfig::builder",
                "use rustls",
            ];
            if makes.iter().any(|part| text.contains(part)) && !path.starts_with("src/tls") {
                wrong.push(path);
            }
        }
    }
    let mut wrong = Vec::new();
    walk(Path::new("src"), &mut wrong);
    assert_eq!(wrong, Vec::<PathBuf>::new());
}
