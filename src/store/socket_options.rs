//! Sets socket options on new connections to a database.
//!
//! - TCP_NODELAY, because sqlx 0.9.0 does not (its issue 4335): a request of several segments would wait about 40 ms for
//!   an acknowledgement.
//! - Keepalive and TCP_USER_TIMEOUT, so that a connection to a machine that is gone ends.
//!
//! sqlx gives no access to the socket of a connection. Linux lets a process duplicate its own descriptors by number, and
//! a duplicate shares the options of the socket. Where that is not possible, connections work without the options.

/// A peer that does not acknowledge data for so long is gone, in seconds.
#[cfg(target_os = "linux")]
const GONE_AFTER: u32 = 10;

/// Sets the options on every socket of this process that is connected to `port` and lacks them.
#[cfg(target_os = "linux")]
pub(super) async fn set(port: u16) {
    let done = tokio::task::spawn_blocking(move || of_this_process(port)).await;
    if let Ok(Err(error)) = done {
        tracing::debug!(%error, "socket options cannot be set on connections to the database");
    }
}

/// Does nothing: only Linux duplicates descriptors by number.
#[cfg(not(target_os = "linux"))]
pub(super) async fn set(_port: u16) {}

#[cfg(target_os = "linux")]
fn of_this_process(port: u16) -> std::io::Result<()> {
    use std::net::TcpStream;

    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_socket = std::fs::read_link(entry.path())
            .is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let (true, Some(number)) = (is_socket, number) else {
            continue;
        };
        // It may have been closed meanwhile.
        let Ok(copy) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else {
            continue;
        };
        let stream = TcpStream::from(copy);
        let is_ours = stream.peer_addr().is_ok_and(|peer| peer.port() == port);
        if is_ours && !stream.nodelay().unwrap_or(true) {
            set_options(&stream)?;
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn set_options(stream: &std::net::TcpStream) -> std::io::Result<()> {
    use std::time::Duration;

    use rustix::net::sockopt;

    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(GONE_AFTER.into()))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(3))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_tcp_user_timeout(stream, GONE_AFTER * 1_000)?;
    // Last, because it shows that the others are set.
    stream.set_nodelay(true)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    #[tokio::test]
    async fn a_connection_to_the_port_gets_the_options_and_no_other() {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (database, other) = (listen(), listen());
        let connect = |to: &TcpListener| TcpStream::connect(to.local_addr().unwrap()).unwrap();
        let (asked, untouched) = (connect(&database), connect(&other));
        super::set(database.local_addr().unwrap().port()).await;
        assert!(asked.nodelay().unwrap());
        assert!(!untouched.nodelay().unwrap());
    }
}
