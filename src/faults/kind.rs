//! What can be injected, and within which bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Longest that an injected fault stays.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// Longest delay that is added to a request or a statement.
pub const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Statuses of injected errors: those that the API documents for a service in trouble.
pub const STATUSES: [u16; 2] = [500, 503];
/// More connections than any pool has.
const MOST_CONNECTIONS: RangeInclusive<usize> = 1..=1_000;

/// Statements by the names under which they are measured and logged; `commit` is the commit of a group
/// of writes in the embedded database.
pub const STATEMENTS: &[&str] = &[
    "account.charge",
    "account.read",
    "audit.count",
    "audit.lookup",
    "catalog.read",
    "commit",
    "idempotency.forget",
    "idempotency.read",
    "ping",
    "queue.admit",
    "queue.read",
    "queue.register",
    "queue.register_next",
    "queue.restore",
    "queue.save_admission",
    "reservation.cancel",
    "reservation.create",
    "reservation.expire",
    "reservation.pay",
    "reservation.refuse",
    "reservations.read",
    "seat.read",
    "seats.count",
    "seats.read",
];

/// A kind of fault. One of each can be on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests are answered 5xx.
    Errors,
    /// Requests take longer.
    Latency,
    /// Statements take longer.
    SlowStatement,
    /// Connections to the database are taken.
    PoolExhaustion,
    /// The link to Redis is cut.
    RedisCut,
}

impl Kind {
    /// All kinds; `ALL[kind as usize] == kind`.
    pub const ALL: [Kind; 5] = [
        Kind::Errors,
        Kind::Latency,
        Kind::SlowStatement,
        Kind::PoolExhaustion,
        Kind::RedisCut,
    ];

    /// The name in metrics, logs and the operations API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Errors => "errors",
            Kind::Latency => "latency",
            Kind::SlowStatement => "slow_statement",
            Kind::PoolExhaustion => "pool_exhaustion",
            Kind::RedisCut => "redis_cut",
        }
    }

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// How a link is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// What is sent gets lost: nobody answers.
    #[default]
    Hang,
    /// What is sent is refused at once.
    Refuse,
}

/// A fault with its settings. Routes are `METHOD /path` as the route table has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A share of the requests to these routes is answered with that status, and nothing is done.
    Errors {
        /// 0 to 1.
        share: f64,
        /// One of [`STATUSES`].
        status: u16,
        /// Which requests.
        routes: Vec<String>,
    },
    /// A share of the requests to these routes waits before anything is done.
    Latency {
        /// 0 to 1.
        share: f64,
        /// How long, up to [`LONGEST_DELAY`].
        delay: Duration,
        /// Which requests.
        routes: Vec<String>,
    },
    /// A statement takes that much longer, and holds its connection meanwhile.
    SlowStatement {
        /// One of [`STATEMENTS`]; `None`: all of them.
        statement: Option<String>,
        /// How much, up to [`LONGEST_DELAY`].
        delay: Duration,
    },
    /// Connections to the database are lent to nobody else.
    PoolExhaustion {
        /// How many; `None`: all.
        connections: Option<usize>,
    },
    /// Nothing gets through to Redis.
    RedisCut {
        /// How that looks from here.
        how: Cut,
    },
}

impl Fault {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Fault::Errors { .. } => Kind::Errors,
            Fault::Latency { .. } => Kind::Latency,
            Fault::SlowStatement { .. } => Kind::SlowStatement,
            Fault::PoolExhaustion { .. } => Kind::PoolExhaustion,
            Fault::RedisCut { .. } => Kind::RedisCut,
        }
    }

    /// What is wrong with the settings, if anything: which one, what it is, what it may be.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Fault::Errors { share, status, .. } => {
                if !STATUSES.contains(status) {
                    return Err(format!("status is {status}: it can be 500 or 503"));
                }
                in_share(*share)
            }
            Fault::Latency { share, delay, .. } => {
                in_share(*share)?;
                in_delay(*delay)
            }
            Fault::SlowStatement { statement, delay } => {
                if let Some(unknown) = statement
                    .as_deref()
                    .filter(|name| !STATEMENTS.contains(name))
                {
                    let known = STATEMENTS.join(", ");
                    return Err(format!(
                        "statement {unknown:?} is not known; there are {known}; without one, all are slow"
                    ));
                }
                in_delay(*delay)
            }
            Fault::PoolExhaustion { connections } => match connections {
                Some(number) if !MOST_CONNECTIONS.contains(number) => Err(format!(
                    "connections is {number}: it can be 1 to {}; without it, all are taken",
                    MOST_CONNECTIONS.end()
                )),
                _ => Ok(()),
            },
            Fault::RedisCut { .. } => Ok(()),
        }
    }
}

fn in_share(share: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(format!("share is {share}: it can be 0 to 1"))
}

fn in_delay(delay: Duration) -> Result<(), String> {
    if !delay.is_zero() && delay <= LONGEST_DELAY {
        return Ok(());
    }
    Err(format!(
        "delay is {} ms: it can be 1 to {} ms",
        delay.as_millis(),
        LONGEST_DELAY.as_millis()
    ))
}

/// What is wrong with the time a fault is to stay, if anything.
pub(super) fn check_length(length: Duration) -> Result<(), String> {
    if !length.is_zero() && length <= LONGEST {
        return Ok(());
    }
    Err(format!(
        "for is {} ms: it can be 1 to {} ms",
        length.as_millis(),
        LONGEST.as_millis()
    ))
}
