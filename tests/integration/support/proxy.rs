//! A proxy before a server. It can be slow, silent or closed while the server itself works.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::port::Port;

/// How a proxy treats bytes.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// Whether bytes are forwarded.
    passes: bool,
    /// The delay of the server's answers.
    delay: Duration,
    /// The number of a connection that forwards nothing.
    silent: Option<usize>,
}

/// A TCP proxy on its own port, which stays reserved while the proxy refuses connections.
pub struct Proxy {
    to: SocketAddr,
    port: Port,
    manner: watch::Sender<Manner>,
    /// The task that accepts connections; `None` while they are refused.
    listener: Option<JoinHandle<()>>,
    connections: TaskTracker,
    accepted: Arc<AtomicUsize>,
    cut: CancellationToken,
}

impl Proxy {
    /// A proxy that forwards everything at once.
    pub async fn to(addr: SocketAddr) -> Proxy {
        let manner = Manner {
            passes: true,
            delay: Duration::ZERO,
            silent: None,
        };
        let mut proxy = Proxy {
            to: addr,
            port: Port::claim(),
            manner: watch::Sender::new(manner),
            listener: None,
            connections: TaskTracker::new(),
            accepted: Arc::default(),
            cut: CancellationToken::new(),
        };
        proxy.listen().await;
        proxy
    }

    /// The address of the proxy.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Delays answers from now on, also on existing connections.
    pub fn delay(&self, delay: Duration) {
        self.manner.send_modify(|manner| manner.delay = delay);
    }

    /// The number of connections that were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Forwards nothing more on one connection. Connections are numbered from 0, as they were accepted.
    pub fn silence(&self, number: usize) {
        self.manner
            .send_modify(|manner| manner.silent = Some(number));
    }

    /// Closes all connections and refuses new ones. Returns when this is done.
    pub async fn cut(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
            let _ = listener.await;
        }
        self.cut.cancel();
        self.connections.close();
        self.connections.wait().await;
        self.connections.reopen();
        self.cut = CancellationToken::new();
    }

    /// Accepts connections and bytes and forwards nothing, like a network that loses every packet. The bytes are
    /// forwarded once the proxy is open again, like packets that TCP sends again.
    pub async fn blackhole(&mut self) {
        self.manner.send_modify(|manner| manner.passes = false);
        self.listen().await;
    }

    /// Forwards everything again; the delay stays.
    pub async fn open(&mut self) {
        self.manner.send_modify(|manner| manner.passes = true);
        self.listen().await;
    }

    async fn listen(&mut self) {
        if self.listener.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.addr()).await.unwrap();
        let (to, manner) = (self.to, self.manner.subscribe());
        let (connections, cut) = (self.connections.clone(), self.cut.clone());
        let accepted = Arc::clone(&self.accepted);
        self.listener = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = accepted.fetch_add(1, Ordering::Relaxed);
                let connection = connect(number, client, to, manner.clone());
                let cut = cut.clone();
                connections.spawn(async move {
                    // After an end or an error, both sides are closed.
                    let _ = cut.run_until_cancelled(connection).await;
                });
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
        }
        self.cut.cancel();
    }
}

/// Forwards a connection until its end.
async fn connect(
    number: usize,
    client: TcpStream,
    to: SocketAddr,
    mut manner: watch::Receiver<Manner>,
) -> io::Result<()> {
    open(number, &mut manner).await?;
    let server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let at_once = |_: Manner| Duration::ZERO;
    let delayed = |manner: Manner| manner.delay;
    tokio::try_join!(
        pass(number, from_client, to_server, manner.clone(), at_once),
        pass(number, from_server, to_client, manner.clone(), delayed),
    )?;
    Ok(())
}

/// Forwards the bytes of one side until it closes. The bytes that wait are bounded.
async fn pass(
    number: usize,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut manner: watch::Receiver<Manner>,
    delay: impl Fn(Manner) -> Duration,
) -> io::Result<()> {
    let (waiting, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let take = async {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let length = from.read(&mut bytes).await?;
            if length == 0
                || waiting
                    .send((Instant::now(), bytes[..length].into()))
                    .await
                    .is_err()
            {
                drop(waiting);
                return Ok(());
            }
        }
    };
    let give = async {
        while let Some((came, bytes)) = due.recv().await {
            open(number, &mut manner).await?;
            let delay = delay(*manner.borrow());
            tokio::time::sleep_until(came + delay).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(take, give)?;
    Ok(())
}

/// Waits until bytes are forwarded.
async fn open(number: usize, manner: &mut watch::Receiver<Manner>) -> io::Result<()> {
    let passes = |manner: &Manner| manner.passes && manner.silent != Some(number);
    let opened = manner.wait_for(passes).await;
    opened
        .map(drop)
        .map_err(|_| io::ErrorKind::BrokenPipe.into())
}
