//! Connections without any HTTP of their own.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A connection without any HTTP of its own.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn to(url: &str) -> Raw {
        let address = url.strip_prefix("http://").unwrap();
        Raw(TcpStream::connect(address).await.unwrap())
    }

    /// Connects and sends. A server that hangs up meanwhile is no error here.
    pub async fn sending(url: &str, bytes: &[u8]) -> Raw {
        let mut raw = Raw::to(url).await;
        let _ = raw.0.write_all(bytes).await;
        raw
    }

    /// All that comes until the server closes or resets, within `patience`.
    pub async fn rest(&mut self, patience: Duration) -> Option<String> {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        let ended = tokio::time::timeout(patience, read).await.is_ok();
        ended.then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The next answer's status, header and body, by its content length.
    pub async fn answer(&mut self) -> (u16, String, String) {
        let read = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.expect("an answer"));
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.unwrap();
            (status(&head), head, String::from_utf8(body).unwrap())
        };
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("an answer in time")
    }
}

pub fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1);
    status
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// Each connection of a test takes a file of this process.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
}
