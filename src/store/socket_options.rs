//! Sets socket options on new connections to a database.
//!
//! - TCP_NODELAY, because sqlx 0.9.0 does not set it (its issue 4335). Without it, a request of several segments would
//!   wait about 40 ms for an acknowledgement.
//! - Keepalive and TCP_USER_TIMEOUT, so that a connection to a machine that is gone ends.
//!
//! sqlx neither gives access to the socket of a connection nor accepts one. But a process may duplicate its own
//! descriptors by number, and a duplicate shares the options of the socket. A new descriptor gets the lowest free
//! number, so the search begins there. Where the options cannot be set, connections work without them.

#[cfg(target_os = "linux")]
pub(super) use linux::Next;

/// Does nothing, because only Linux lists the descriptors of a process.
#[cfg(not(target_os = "linux"))]
pub(super) struct Next;

#[cfg(not(target_os = "linux"))]
impl Next {
    pub(super) fn descriptor() -> Next {
        Next
    }

    pub(super) async fn set(self, _port: u16) {}
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::net::SocketAddr;
    use std::os::fd::{AsRawFd, RawFd};
    use std::sync::Once;
    use std::time::Duration;

    use filedescriptor::OwnedHandle;
    use rustix::net::{getpeername, sockopt};

    /// If a peer does not acknowledge data for this long, in seconds, the connection ends.
    const GONE_AFTER: u32 = 10;
    /// The number of descriptors that are examined first. The lowest free number changes little while a connection is
    /// opened.
    const NEAR: RawFd = 64;

    /// The number that the next new descriptor of this process would get.
    pub(in crate::store) struct Next(RawFd);

    impl Next {
        /// Reads the number. Must be called before the connection is opened.
        pub(in crate::store) fn descriptor() -> Next {
            let lowest = std::fs::File::open("/proc/self/fd");
            Next(lowest.map_or(0, |file| file.as_raw_fd()))
        }

        /// Sets the options on the sockets of this process that are connected to `port` and lack them.
        pub(in crate::store) async fn set(self, port: u16) {
            let done = tokio::task::spawn_blocking(move || self.set_now(port)).await;
            if let Ok(Err(error)) = done {
                static WARNED: Once = Once::new();
                WARNED.call_once(|| {
                    tracing::warn!(%error, "socket options cannot be set on connections to the database: large requests may wait 40 ms longer");
                });
            }
        }

        fn set_now(&self, port: u16) -> io::Result<()> {
            if set_on(self.0..self.0 + NEAR, port)? > 0 {
                return Ok(());
            }
            // Descriptors were closed in the meantime, or the call for another connection set the options.
            let all = std::fs::read_dir("/proc/self/fd")?;
            let number = |entry: io::Result<std::fs::DirEntry>| {
                entry.ok()?.file_name().to_str()?.parse().ok()
            };
            set_on(all.filter_map(number), port).map(drop)
        }
    }

    /// Returns the number of sockets that lacked the options.
    fn set_on(numbers: impl Iterator<Item = RawFd>, port: u16) -> io::Result<u32> {
        let mut set = 0;
        for number in numbers {
            let Some(socket) = socket(number)? else {
                continue;
            };
            let peer = getpeername(&socket).ok().flatten();
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            let is_ours = peer.is_some_and(|peer| peer.port() == port);
            if is_ours && !sockopt::tcp_nodelay(&socket).unwrap_or(true) {
                set_options(&socket)?;
                set += 1;
            }
        }
        Ok(set)
    }

    /// A duplicate of the socket. `None` when the descriptor is not a socket. Only sockets are duplicated, because the
    /// end of a duplicate releases the locks of a file.
    fn socket(number: RawFd) -> io::Result<Option<OwnedHandle>> {
        let is_socket = std::fs::read_link(format!("/proc/self/fd/{number}"))
            .is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        if !is_socket {
            return Ok(None);
        }
        match OwnedHandle::dup(&Number(number)) {
            Ok(copy) => Ok(Some(copy)),
            Err(filedescriptor::Error::Dup { source, .. })
                if source.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error()) =>
            {
                // The descriptor was closed in the meantime.
                Ok(None)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    struct Number(RawFd);

    impl AsRawFd for Number {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    fn set_options(socket: &OwnedHandle) -> io::Result<()> {
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, Duration::from_secs(GONE_AFTER.into()))?;
        sockopt::set_tcp_keepintvl(socket, Duration::from_secs(3))?;
        sockopt::set_tcp_keepcnt(socket, 3)?;
        sockopt::set_tcp_user_timeout(socket, GONE_AFTER * 1_000)?;
        // Set last, because it shows that the other options are set.
        Ok(sockopt::set_tcp_nodelay(socket, true)?)
    }

    #[cfg(test)]
    mod tests {
        use std::net::{Ipv4Addr, TcpListener, TcpStream};

        use super::*;

        fn listen() -> TcpListener {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
        }

        fn connect(to: &TcpListener) -> TcpStream {
            TcpStream::connect(to.local_addr().unwrap()).unwrap()
        }

        #[tokio::test]
        async fn a_connection_to_the_port_gets_the_options_and_no_other() {
            let (database, other) = (listen(), listen());
            let next = Next::descriptor();
            let (asked, untouched) = (connect(&database), connect(&other));
            next.set(database.local_addr().unwrap().port()).await;
            assert!(asked.nodelay().unwrap());
            assert!(!untouched.nodelay().unwrap());
        }

        #[tokio::test]
        async fn a_connection_far_from_the_expected_number_is_found() {
            let database = listen();
            let asked = connect(&database);
            let next = Next(asked.as_raw_fd() + 1);
            next.set(database.local_addr().unwrap().port()).await;
            assert!(asked.nodelay().unwrap());
        }

        /// A new connection to the database must not be slow because the process has many other descriptors.
        #[test]
        fn only_descriptors_near_the_expected_number_are_examined() {
            let database = listen();
            let port = database.local_addr().unwrap().port();
            let far = connect(&database);
            let next = Next::descriptor();
            let near = connect(&database);
            // The far descriptor comes first in the list of all descriptors.
            next.set_now(port).unwrap();
            assert!(near.nodelay().unwrap());
            assert!(!far.nodelay().unwrap());
        }

        #[test]
        fn files_are_not_duplicated() {
            let file = tempfile::tempfile().unwrap();
            assert!(socket(file.as_raw_fd()).unwrap().is_none());
            assert!(socket(RawFd::MAX).unwrap().is_none());
        }
    }
}
