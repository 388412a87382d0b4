//! TCP connections on which a test writes raw bytes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A TCP connection on which a test writes raw bytes.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn to(url: &str) -> Raw {
        let address = url.strip_prefix("http://").unwrap();
        Raw(TcpStream::connect(address).await.unwrap())
    }

    /// Connects and sends. A server that closes the connection meanwhile is not an error here.
    pub async fn sending(url: &str, bytes: &[u8]) -> Raw {
        let mut raw = Raw::to(url).await;
        let _ = raw.0.write_all(bytes).await;
        raw
    }

    /// All bytes until the server closes or resets the connection; `None` if this takes longer than `time_out`.
    pub async fn rest(&mut self, time_out: Duration) -> Option<String> {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        let ended = tokio::time::timeout(time_out, read).await.is_ok();
        ended.then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The status, header and body of the next answer, by its content length.
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

/// Raises the limit of open files, because each connection of a test needs one.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
}
