//! The kinds of faults, how each begins and ends, and the order of the faults of a run.

use std::time::Duration;

use concertctl::api::ops::{AdmissionChange, Opening};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use super::service::{Backend, Service};
use super::traffic::Shared;
use crate::support::eventually;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KillServer,
    StallServer,
    StopServer,
    FillDisk,
    ChangeAdmission,
    FlushRedis,
    KillRedis,
    EmptyRedis,
    StallRedis,
    CutConnections,
    KillDatabase,
    StallDatabase,
}

/// The target of a fault. Two simultaneous faults have different targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Server,
    Database,
    Redis,
    Admission,
}

impl Kind {
    const SQLITE: [Kind; 5] = [
        Kind::KillServer,
        Kind::StallServer,
        Kind::StopServer,
        Kind::FillDisk,
        Kind::ChangeAdmission,
    ];
    const SHARED: [Kind; 12] = [
        Kind::KillServer,
        Kind::StallServer,
        Kind::StopServer,
        Kind::FillDisk,
        Kind::ChangeAdmission,
        Kind::FlushRedis,
        Kind::KillRedis,
        Kind::EmptyRedis,
        Kind::StallRedis,
        Kind::CutConnections,
        Kind::KillDatabase,
        Kind::StallDatabase,
    ];

    pub fn all(service: &Service) -> Vec<Kind> {
        let mut all = match service.backend {
            Backend::Sqlite => Kind::SQLITE.to_vec(),
            Backend::PostgresRedis | Backend::MySqlRedis => Kind::SHARED.to_vec(),
        };
        all.retain(|kind| *kind != Kind::FillDisk || service.can_fill_disk());
        all
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::KillServer => "kill -9 server",
            Kind::StallServer => "SIGSTOP server",
            Kind::StopServer => "SIGTERM server",
            Kind::FillDisk => "disk full",
            Kind::ChangeAdmission => "admission change",
            Kind::FlushRedis => "FLUSHALL",
            Kind::KillRedis => "kill Redis",
            Kind::EmptyRedis => "kill Redis, back empty",
            Kind::StallRedis => "SIGSTOP Redis",
            Kind::CutConnections => "cut database connections",
            Kind::KillDatabase => "kill database",
            Kind::StallDatabase => "SIGSTOP database",
        }
    }

    fn target(self) -> Target {
        match self {
            Kind::KillServer | Kind::StallServer | Kind::StopServer => Target::Server,
            Kind::FillDisk | Kind::CutConnections | Kind::KillDatabase | Kind::StallDatabase => {
                Target::Database
            }
            Kind::FlushRedis | Kind::KillRedis | Kind::EmptyRedis | Kind::StallRedis => {
                Target::Redis
            }
            Kind::ChangeAdmission => Target::Admission,
        }
    }
}

/// A fault of one step.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub kind: Kind,
    pub server: usize,
    /// The time from its beginning to the next event of the step.
    pub hold: Duration,
}

/// Draws faults: every kind once, in random order, before any comes again.
pub struct Deck {
    kinds: Vec<Kind>,
    pile: Vec<Kind>,
    servers: usize,
    pub random: StdRng,
}

impl Deck {
    pub fn new(service: &Service, seed: u64) -> Deck {
        Deck {
            kinds: Kind::all(service),
            pile: Vec::new(),
            servers: service.servers(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// One fault, or two on different targets.
    pub fn draw(&mut self) -> Vec<Fault> {
        if self.pile.is_empty() {
            self.pile.clone_from(&self.kinds);
            self.pile.shuffle(&mut self.random);
        }
        let first = self.pile.pop().expect("there are kinds");
        let mut kinds = vec![first];
        if self.random.random_bool(0.3) {
            let others = |kind: &&Kind| kind.target() != first.target();
            let others: Vec<Kind> = self.kinds.iter().filter(others).copied().collect();
            kinds.push(others[self.random.random_range(0..others.len())]);
        }
        kinds.into_iter().map(|kind| self.fault(kind)).collect()
    }

    fn fault(&mut self, kind: Kind) -> Fault {
        let hold = match kind {
            // Sometimes longer than the time-outs of clients and leases.
            Kind::StallServer | Kind::StallRedis | Kind::StallDatabase
                if self.random.random_bool(0.3) =>
            {
                5_000..6_500
            }
            _ => 300..2_000,
        };
        Fault {
            kind,
            server: self.random.random_range(0..self.servers),
            hold: Duration::from_millis(self.random.random_range(hold)),
        }
    }
}

/// Batches and intervals that let the queue grow and shrink.
fn usual(random: &mut StdRng) -> AdmissionChange {
    AdmissionChange {
        batch: Some(random.random_range(5..=LARGEST_BATCH)),
        every_ms: Some(random.random_range(100..600)),
        paused: Some(false),
        opening: Some(Opening::Now),
        follow: None,
    }
}

/// The largest batch of a run.
pub const LARGEST_BATCH: u64 = 40;

fn unusual(random: &mut StdRng) -> AdmissionChange {
    let (paused, opening) = match random.random_range(0..4) {
        0 => (Some(true), None),
        1 => (None, Some(Opening::Closed)),
        2 => {
            let soon = super::journal::unix_ms() + random.random_range(200..1_500);
            (None, Some(Opening::At(soon)))
        }
        _ => (None, None),
    };
    AdmissionChange {
        paused,
        opening,
        ..usual(random)
    }
}

/// Opens the sale with usual settings. Returns when a server has accepted them.
pub async fn open_sale(service: &Service, random: &mut StdRng) {
    let change = usual(random);
    let server = random.random_range(0..service.servers());
    eventually("the admission is set", || async {
        service.admission(server, &change).await.then_some(())
    })
    .await;
}

impl Fault {
    /// A description such as "kill -9 server 1".
    pub fn describe(&self) -> String {
        match self.kind.target() {
            Target::Server => format!("{} {}", self.kind.name(), self.server),
            _ => self.kind.name().to_owned(),
        }
    }

    pub async fn begin(&self, service: &mut Service, random: &mut StdRng) {
        match self.kind {
            Kind::KillServer => service.process(self.server).signal_kill(),
            Kind::StallServer => service.signal(self.server, Signal::STOP),
            Kind::StopServer => service.process(self.server).terminate(),
            Kind::FillDisk => service.fill_disk(),
            Kind::CutConnections => service.cut_database_connections().await,
            Kind::ChangeAdmission => {
                // A server with another fault may not accept the change; that is no violation.
                service.admission(self.server, &unusual(random)).await;
            }
            Kind::FlushRedis => {
                redis(service).cli(&["FLUSHALL"]);
            }
            Kind::KillRedis | Kind::EmptyRedis => redis(service).kill(),
            Kind::StallRedis => redis(service).stall(),
            Kind::KillDatabase => database(service).kill(),
            Kind::StallDatabase => database(service).stall(),
        }
    }

    pub fn fills_the_disk(&self) -> bool {
        matches!(self.kind, Kind::FillDisk)
    }

    /// Ends the fault and restores what it broke. Returns a violation, if there is one. `full_disk`: the step also fills
    /// the disk.
    pub async fn end(
        &self,
        service: &mut Service,
        shared: &Shared,
        random: &mut StdRng,
        full_disk: bool,
    ) -> Option<String> {
        match self.kind {
            Kind::KillServer => service.restart(self.server, shared).await,
            Kind::StallServer => service.signal(self.server, Signal::CONT),
            Kind::StopServer => {
                let code = service.process(self.server).exited().await.code();
                service.restart(self.server, shared).await;
                // On a full disk, SQLite cannot write its log into the database file. The server then exits with 1.
                let may_leave_log = full_disk && service.database.is_none();
                if code != Some(0) && !(may_leave_log && code == Some(1)) {
                    return Some(format!(
                        "SIGTERM: server {} ended with {code:?}",
                        self.server
                    ));
                }
            }
            Kind::FillDisk => service.free_disk().await,
            Kind::CutConnections => service.cut_database_connections().await,
            Kind::ChangeAdmission => open_sale(service, random).await,
            Kind::FlushRedis => {
                redis(service).cli(&["FLUSHALL"]);
            }
            Kind::KillRedis => redis(service).restart().await,
            Kind::EmptyRedis => redis(service).restart_empty().await,
            Kind::StallRedis => redis(service).resume(),
            Kind::KillDatabase => database(service).restart().await,
            Kind::StallDatabase => database(service).resume(),
        }
        None
    }

    /// The order in which faults end. A server does not start without its database and Redis, so it is restarted after
    /// them; settings come last.
    pub fn order_of_end(&self) -> u8 {
        match self.kind.target() {
            Target::Database | Target::Redis => 0,
            Target::Server => 1,
            Target::Admission => 2,
        }
    }
}

fn redis(service: &mut Service) -> &mut crate::support::Redis {
    service
        .redis
        .as_mut()
        .expect("the kind is drawn where there is one")
}

fn database(service: &mut Service) -> &mut crate::support::Database {
    service
        .database
        .as_mut()
        .expect("the kind is drawn where there is one")
}
