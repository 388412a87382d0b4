//! Discovery: parses URLs, and connects to the node that holds the queue's keys.
//!
//! All keys of a queue have the same hash tag, so one node of a cluster holds them all, and a plain connection to it
//! is enough. When the node or the slot moves, the connection breaks or answers with an error, and discovery runs
//! again. No library redirects or repeats calls. So every call is sent at most once, and every loss of a connection
//! is noticed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, Value,
};
use tokio::net::TcpStream;

use crate::tls;
use crate::tls::client::Connector;

/// The oldest supported version. The scripts need effects replication, which exists since Redis 5. Versions before this
/// one no longer get fixes.
const OLDEST: (u32, u32) = (6, 2);

/// The largest number of calls that wait to be written. Each call has its own time-out.
const WAITING_TO_BE_WRITTEN: usize = 1_024;

/// The reason why there is no connection to Redis. No message contains a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisConnectError {
    /// A URL is invalid.
    #[error(
        "Redis URL number {which} cannot be used: {why}; it looks like redis://[[user]:password@]host[:port][/database], or rediss:// for TLS"
    )]
    Url {
        which: usize,
        /// The mistake in the URL.
        why: String,
    },
    /// TLS with the server failed.
    #[error("Redis at {at}: {why}")]
    Tls {
        at: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// No server listens there.
    #[error("Redis at {at} cannot be reached: {why}")]
    Unreachable { at: String, why: String },
    /// A server listens but does not answer.
    #[error("Redis at {at} did not answer within {} ms", within.as_millis())]
    TimedOut { at: String, within: Duration },
    /// The server requires a password, and none was given.
    #[error("Redis at {at} asks for a password: give it in the URL, redis://:password@host")]
    PasswordNeeded { at: String },
    /// The given password is wrong.
    #[error("Redis at {at} refuses the user or the password of the URL")]
    PasswordWrong { at: String },
    /// Several URLs were given, but the server is not part of a cluster.
    #[error(
        "Redis at {at} is not a node of a cluster, but several URLs were given; give one URL, or nodes of one cluster"
    )]
    NotACluster { at: String },
    /// No node of the cluster serves the slot.
    #[error("the Redis cluster of {at} has no node in charge of hash slot {slot}")]
    SlotUnserved {
        /// Host and port of the node that answered.
        at: String,
        /// The slot of the queue's keys.
        slot: u16,
    },
    /// The server is a Sentinel.
    #[error("{at} is a Redis Sentinel, which holds no data; give the address of Redis itself")]
    Sentinel { at: String },
    /// The server is a replica.
    #[error("Redis at {at} is a read-only replica; give the address of its master")]
    Replica { at: String },
    /// The version is too old.
    #[error("Redis at {at} is version {found}; {}.{} or later is needed", OLDEST.0, OLDEST.1)]
    TooOld { at: String, found: String },
    /// The server answers with an error.
    #[error("Redis at {at} answers: {error}")]
    Refused { at: String, error: String },
}

/// A connection, and a setting of its server that deserves a warning.
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    /// The eviction policy, if Redis evicts keys when its memory runs out.
    pub(super) evicts: Option<String>,
}

/// A node: its address, and whether its connection uses TLS. This program makes the TLS connection instead of the
/// library, so that TLS uses the program's own configuration.
#[derive(Clone, Debug)]
struct Node {
    info: ConnectionInfo,
    is_tls: bool,
}

/// The given nodes. Each of them leads to the node that holds the queue's keys.
#[derive(Debug)]
pub(super) struct Nodes {
    given: Vec<Node>,
    /// Any key of the queue, because all are in the same slot.
    key: String,
    within: Duration,
}

impl Nodes {
    /// Parses URLs that are separated by commas.
    pub(super) fn parse(
        urls: &str,
        key: String,
        within: Duration,
    ) -> Result<Nodes, RedisConnectError> {
        let given = urls.split(',').map(str::trim).enumerate();
        let given = given.map(|(at, url)| parse_url(at + 1, url));
        Ok(Nodes {
            given: given.collect::<Result<_, _>>()?,
            key,
            within,
        })
    }

    /// The addresses given, for messages.
    pub(super) fn name(&self) -> String {
        let addrs = self.given.iter().map(|node| node.info.addr().to_string());
        addrs.collect::<Vec<_>>().join(", ")
    }

    /// Connects to the node that holds the queue's keys.
    pub(super) async fn connect(&self) -> Result<Connected, RedisConnectError> {
        let tries = self.given.iter().map(|node| Box::pin(self.reach(node)));
        let (reached, _) = select_ok(tries).await?;
        Ok(reached)
    }

    /// Connects through `node` to the node that holds the queue's keys.
    async fn reach(&self, node: &Node) -> Result<Connected, RedisConnectError> {
        let at = node.info.addr().to_string();
        let (mut connection, info) = self.open(node).await?;
        if info.mode == "cluster" {
            let owner = self
                .within(&at, self.owner(&mut connection, &node.info))
                .await?;
            if owner != *node.info.addr() {
                let owner = Node {
                    info: node.info.clone().set_addr(owner),
                    is_tls: node.is_tls,
                };
                let (connection, info) = self.open(&owner).await?;
                return Ok(info.connected(connection));
            }
        } else if self.given.len() > 1 {
            return Err(RedisConnectError::NotACluster { at });
        } else if info.replica {
            return Err(RedisConnectError::Replica { at });
        }
        Ok(info.connected(connection))
    }

    async fn open(&self, node: &Node) -> Result<(MultiplexedConnection, Info), RedisConnectError> {
        let at = node.info.addr().to_string();
        let in_handshake = AtomicBool::new(false);
        let opening = async {
            // Each call has its own time-out.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                .set_pipeline_buffer_size(WAITING_TO_BE_WRITTEN);
            let mut connection = match node.is_tls {
                true => secured(&at, &node.info, config, &in_handshake).await?,
                false => {
                    let client = Client::open(node.info.clone());
                    let client = client.map_err(|error| explain(&at, &error))?;
                    let connecting = client.get_multiplexed_async_connection_with_config(&config);
                    connecting.await.map_err(|error| explain(&at, &error))?
                }
            };
            let info = redis::cmd("INFO").query_async(&mut connection).await;
            let info: String = info.map_err(|error| explain(&at, &error))?;
            Ok((connection, Info::parse(&at, &info)?))
        };
        match self.within(&at, opening).await {
            // A server without TLS takes the handshake for the beginning of a command, and waits for the rest.
            Err(RedisConnectError::TimedOut { at, within })
                if in_handshake.load(Ordering::Relaxed) =>
            {
                Err(RedisConnectError::Tls {
                    at,
                    why: format!(
                        "no answer over TLS within {} ms: check that this port speaks TLS",
                        within.as_millis()
                    ),
                })
            }
            opened => opened,
        }
    }

    /// The address of the node that serves the queue's slot.
    async fn owner(
        &self,
        connection: &mut MultiplexedConnection,
        asked: &ConnectionInfo,
    ) -> Result<ConnectionAddr, RedisConnectError> {
        let at = asked.addr().to_string();
        let mut slot = redis::cmd("CLUSTER");
        slot.arg("KEYSLOT").arg(&self.key);
        let slot: u16 = slot
            .query_async(connection)
            .await
            .map_err(|error| explain(&at, &error))?;
        let ranges: Vec<Vec<Value>> = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(connection)
            .await
            .map_err(|error| explain(&at, &error))?;
        let owner = ranges.iter().find_map(|range| owner_of(range, slot));
        match (owner, asked.addr()) {
            // A node that does not know its own address leaves it empty. The address is then that of the node that
            // answered.
            (Some((host, port)), ConnectionAddr::Tcp(own, _)) if host.is_empty() => {
                Ok(ConnectionAddr::Tcp(own.clone(), port))
            }
            (Some((host, port)), _) => Ok(ConnectionAddr::Tcp(host, port)),
            (None, _) => Err(RedisConnectError::SlotUnserved { at, slot }),
        }
    }

    async fn within<T>(
        &self,
        at: &str,
        work: impl Future<Output = Result<T, RedisConnectError>>,
    ) -> Result<T, RedisConnectError> {
        let ended = tokio::time::timeout(self.within, work).await;
        ended.unwrap_or_else(|_| {
            Err(RedisConnectError::TimedOut {
                at: at.to_owned(),
                within: self.within,
            })
        })
    }
}

/// Connects over TLS. `in_handshake` is `true` during the handshake.
async fn secured(
    at: &str,
    node: &ConnectionInfo,
    config: AsyncConnectionConfig,
    in_handshake: &AtomicBool,
) -> Result<MultiplexedConnection, RedisConnectError> {
    let failed = |why: String| RedisConnectError::Tls {
        at: at.to_owned(),
        why,
    };
    let unreachable = |error: std::io::Error| RedisConnectError::Unreachable {
        at: at.to_owned(),
        why: error.to_string(),
    };
    let ConnectionAddr::Tcp(host, port) = node.addr() else {
        return Err(failed("TLS needs a host and a port".to_owned()));
    };
    let connector = Connector::new(host).map_err(failed)?.without_http();
    let stream = TcpStream::connect((host.as_str(), *port)).await;
    let stream = stream.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    in_handshake.store(true, Ordering::Relaxed);
    let stream = connector
        .handshake(stream)
        .await
        .map_err(|error| failed(tls::explain(&error).unwrap_or_else(|| error.to_string())))?;
    in_handshake.store(false, Ordering::Relaxed);
    let opened =
        MultiplexedConnection::new_with_config(node.redis_settings(), stream, config).await;
    // A client certificate is refused only after the handshake, with the first answer.
    let (connection, driver) = opened.map_err(|error| match tls::explain(&error) {
        Some(why) => failed(why),
        None => explain(at, &error),
    })?;
    // The driver ends when the last clone of the connection is dropped.
    tokio::spawn(driver);
    Ok(connection)
}

/// Host and port of the master of a range of `CLUSTER SLOTS` that contains `slot`.
fn owner_of(range: &[Value], slot: u16) -> Option<(String, u16)> {
    let [from, to, master, ..] = range else {
        return None;
    };
    let (from, to): (u16, u16) = (number(from)?, number(to)?);
    let Value::Array(master) = master else {
        return None;
    };
    let host = redis::from_redis_value_ref::<Option<String>>(master.first()?);
    let host = host.ok()?.unwrap_or_default();
    let port = number(master.get(1)?)?;
    (from..=to).contains(&slot).then_some((host, port))
}

fn number(value: &Value) -> Option<u16> {
    redis::from_redis_value_ref(value).ok()
}

/// The message repeats no part of the URL, because a typing error may put the password anywhere.
fn parse_url(which: usize, url: &str) -> Result<Node, RedisConnectError> {
    let wrong = |why: &str| RedisConnectError::Url {
        which,
        why: why.to_owned(),
    };
    let (url, is_tls) = match url.split_once("://") {
        Some(("redis" | "valkey" | "unix" | "redis+unix", _)) => (url.to_owned(), false),
        // The library is built without TLS, and parses only the address.
        Some(("rediss" | "valkeys", rest)) => (format!("redis://{rest}"), true),
        _ => return Err(wrong("it does not begin with redis:// or rediss://")),
    };
    let parsed: Result<ConnectionInfo, RedisError> = url.parse();
    let node = parsed.map_err(|error| {
        let text = error.to_string();
        wrong(text.split(" - ").next().unwrap_or("it cannot be read"))
    })?;
    let redis = node.redis_settings().clone();
    let redis = redis.set_lib_name("concertctl", env!("CARGO_PKG_VERSION"));
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = node.set_redis_settings(redis).set_tcp_settings(tcp);
    Ok(Node { info, is_tls })
}

fn explain(at: &str, error: &RedisError) -> RedisConnectError {
    let at = at.to_owned();
    let code = error.code().unwrap_or_default();
    if error.kind() == ErrorKind::AuthenticationFailed || code == "WRONGPASS" {
        return RedisConnectError::PasswordWrong { at };
    }
    if code == "NOAUTH" {
        return RedisConnectError::PasswordNeeded { at };
    }
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default().to_owned();
    if error.is_io_error() {
        return RedisConnectError::Unreachable { at, why: text };
    }
    RedisConnectError::Refused { at, error: text }
}

/// The relevant parts of `INFO`.
#[derive(Debug)]
struct Info {
    /// standalone, cluster or sentinel.
    mode: String,
    replica: bool,
    evicts: Option<String>,
}

impl Info {
    fn parse(at: &str, text: &str) -> Result<Info, RedisConnectError> {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let mode = field("redis_mode").unwrap_or("standalone").to_owned();
        if mode == "sentinel" {
            return Err(RedisConnectError::Sentinel { at: at.to_owned() });
        }
        let found = field("redis_version").unwrap_or_default();
        let mut parts = found.split('.').map(|part| part.parse().unwrap_or(0));
        if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
            return Err(RedisConnectError::TooOld {
                at: at.to_owned(),
                found: found.to_owned(),
            });
        }
        let policy = field("maxmemory_policy").filter(|policy| policy.starts_with("allkeys"));
        let bounded = field("maxmemory").is_some_and(|bytes| bytes != "0");
        Ok(Info {
            mode,
            replica: field("role") == Some("slave"),
            evicts: policy.filter(|_| bounded).map(str::to_owned),
        })
    }

    fn connected(self, connection: MultiplexedConnection) -> Connected {
        Connected {
            connection,
            evicts: self.evicts,
        }
    }
}

/// Parses Redis's answers and addresses for the fuzz targets: `text` as `INFO` and as addresses, `bytes` as the
/// answer to `CLUSTER SLOTS`.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_replies(text: &str, bytes: &[u8]) {
    let _ = Info::parse("a:1", text);
    let _ = Nodes::parse(text, "{a}:b".to_owned(), Duration::from_secs(1));
    if let Ok(Value::Array(ranges)) = redis::parse_redis_value(bytes) {
        for range in ranges {
            if let Value::Array(range) = range {
                let _ = owner_of(&range, 7);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(urls: &str) -> Result<Nodes, RedisConnectError> {
        Nodes::parse(urls, "{a}:b".to_owned(), Duration::from_secs(1))
    }

    #[test]
    fn an_unusable_url_is_reported_by_number_and_without_its_password() {
        let wrong = [
            ("", "number 1"),
            ("localhost:6379", "redis://"),
            ("http://:hush@localhost", "redis://"),
            ("redis://:hush@localhost/zero", "database"),
            ("redis://:hush@localhost:port", "number 1"),
            ("redis://a,redis://:hush@b:c", "number 2"),
            ("rediss://:hush@localhost/zero", "database"),
        ];
        for (urls, named) in wrong {
            let error = parse(urls).expect_err(urls);
            let text = error.to_string();
            assert!(text.contains(named), "{urls}: {text}");
            assert!(!format!("{text}{error:?}").contains("hush"), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn several_urls_are_read_and_none_shows_its_password() {
        let nodes = parse("redis://me:hush@a:7000, redis://me:hush@b").expect("two good URLs");
        let shown = format!("{nodes:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert_eq!(nodes.given[1].info.addr().to_string(), "b:6379");
        assert!(!nodes.given[1].is_tls);
        let secured = parse("rediss://:hush@a:7000").expect("a good URL");
        assert!(secured.given[0].is_tls && !format!("{secured:?}").contains("hush"));
    }

    #[test]
    fn an_old_version_is_refused_by_number() {
        let text = |version: &str| format!("# Server\r\nredis_version:{version}\r\n");
        for old in ["6.0.16", "5.0.3", "2.8", "nonsense"] {
            let error = Info::parse("a:1", &text(old)).expect_err(old).to_string();
            assert!(error.contains(old) && error.contains("6.2"), "{error}");
        }
        for new in ["6.2.0", "7.0.15", "8.4", "10.1.2"] {
            assert!(Info::parse("a:1", &text(new)).is_ok(), "{new}");
        }
    }

    #[test]
    fn a_server_that_cannot_hold_the_queue_is_reported() {
        let sentinel = "redis_version:7.0.0\r\nredis_mode:sentinel\r\n";
        assert!(matches!(
            Info::parse("a:1", sentinel),
            Err(RedisConnectError::Sentinel { .. })
        ));
        let evicting = "redis_version:7.0.0\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n";
        let info = Info::parse("a:1", evicting).expect("usable");
        assert_eq!(info.evicts.as_deref(), Some("allkeys-lru"));
    }
}
