//! The service under test: real servers in separate processes, with a private database and a private Redis.

use std::path::{Path, PathBuf};
use std::time::Duration;

use concertctl::api::ops::AdmissionChange;
use rustix::process::{Resource, Rlimit, Signal, prlimit};

use super::disk::SmallDisk;
use super::snapshot::Snapshot;
use super::traffic::{Sale, Shared};
use crate::support::backend::Parts;
use crate::support::process::{ServerProcess, after, concertctl};
use crate::support::{
    Database, MariaDb, MySqlRedis, Postgres, PostgresRedis, Redis, eventually, seed,
};

/// The kinds of servers, and their storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One server on the embedded database.
    Sqlite,
    /// Two servers on PostgreSQL and Redis.
    PostgresRedis,
    /// Two servers on MariaDB and Redis.
    MySqlRedis,
}

impl Backend {
    pub const ALL: [Backend; 3] = [Backend::Sqlite, Backend::PostgresRedis, Backend::MySqlRedis];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Sqlite => "sqlite",
            Backend::PostgresRedis => "postgres-redis",
            Backend::MySqlRedis => "mysql-redis",
        }
    }

    /// A program that the backend needs and that is not installed.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Backend::Sqlite => None,
            Backend::PostgresRedis => Parts::missing::<PostgresRedis>(),
            Backend::MySqlRedis => Parts::missing::<MySqlRedis>(),
        }
    }

    fn servers(self) -> usize {
        match self {
            Backend::Sqlite => 1,
            Backend::PostgresRedis | Backend::MySqlRedis => 2,
        }
    }
}

/// Holds and admissions end within a step or two, so that expiry is part of the run.
const RULES: [&str; 4] = ["--hold", "6s", "--active", "20s"];
/// Enough for a run of hours, and small enough to be filled quickly.
const SQLITE_DISK_MIB: u32 = 128;
const DATABASE_DISK_MIB: u32 = 384;
/// Keeps the log of PostgreSQL within its small disk.
const POSTGRES_SETTINGS: [(&str, &str); 1] = [("max_wal_size", "64MB")];

struct Slot {
    dir: PathBuf,
    process: ServerProcess,
    starts: u32,
}

/// Fields are dropped in this order: servers before the parts that they use, the disk last.
pub struct Service {
    pub backend: Backend,
    slots: Vec<Slot>,
    pub database: Option<Database>,
    pub redis: Option<Redis>,
    pub disk: Option<SmallDisk>,
    run_dir: PathBuf,
}

impl Service {
    /// Starts everything and seeds the dataset. Logs of the servers go to `run_dir`.
    pub async fn start(backend: Backend, sale: Sale, run_dir: &Path) -> Service {
        let mut service = Service {
            backend,
            slots: Vec::new(),
            database: None,
            redis: None,
            disk: None,
            run_dir: run_dir.to_owned(),
        };
        match backend {
            Backend::Sqlite => service.disk = SmallDisk::mount(SQLITE_DISK_MIB),
            Backend::PostgresRedis | Backend::MySqlRedis => {
                service.disk = SmallDisk::mount(DATABASE_DISK_MIB);
                let parent = service.disk.as_ref().map(SmallDisk::path);
                service.database = start_database(backend, parent).await;
                service.redis = Redis::start().await;
            }
        }
        for number in 0..backend.servers() {
            let dir = service.data_dir(number);
            let process = service.launch(number, &dir, 0).await;
            service.slots.push(Slot {
                dir,
                process,
                starts: 1,
            });
        }
        seed(&service.slots[0].process.ops, &profile(sale)).await;
        service
    }

    fn data_dir(&self, number: usize) -> PathBuf {
        let parent = match (&self.disk, self.backend) {
            (Some(disk), Backend::Sqlite) => disk.path(),
            _ => &self.run_dir,
        };
        let dir = parent.join(format!("server-{number}"));
        std::fs::create_dir_all(&dir).expect("the place for data is writable");
        dir
    }

    async fn launch(&self, number: usize, dir: &Path, starts: u32) -> ServerProcess {
        let mut command = if self.limits_files() {
            after("trap '' XFSZ")
        } else {
            concertctl()
        };
        let database = self.database.as_ref().map(Database::url);
        let redis = self.redis.as_ref().map(Redis::url);
        command.envs(database.map(|url| ("CONCERTCTL_DATABASE_URL", url)));
        command.envs(redis.map(|url| ("CONCERTCTL_REDIS_URL", url)));
        let log = self.run_dir.join(format!("server-{number}-{starts}.log"));
        let log = log.to_str().expect("the target directory has a plain name");
        let arguments = [&RULES[..], &["--log-file", log]].concat();
        ServerProcess::with(command, dir, &arguments).await
    }

    pub fn servers(&self) -> usize {
        self.slots.len()
    }

    pub fn process(&self, server: usize) -> &ServerProcess {
        &self.slots[server].process
    }

    pub fn addresses(&self) -> Vec<String> {
        let of = |slot: &Slot| slot.process.api.clone();
        self.slots.iter().map(of).collect()
    }

    /// Restarts a server that has ended, at another address.
    pub async fn restart(&mut self, server: usize, shared: &Shared) {
        let (dir, starts) = (self.slots[server].dir.clone(), self.slots[server].starts);
        let process = self.launch(server, &dir, starts).await;
        shared.client.addresses.write()[server].clone_from(&process.api);
        let slot = &mut self.slots[server];
        (slot.process, slot.starts) = (process, starts + 1);
    }

    /// Returns whether a limit on the size of files stands for a full disk, because nothing can be mounted.
    pub fn limits_files(&self) -> bool {
        self.backend == Backend::Sqlite && self.disk.is_none()
    }

    /// Returns whether a full disk can be simulated.
    pub fn can_fill_disk(&self) -> bool {
        self.disk.is_some() || self.limits_files()
    }

    /// Fills the disk: from now on no write that needs more space succeeds.
    pub fn fill_disk(&self) {
        match &self.disk {
            Some(disk) => disk.fill(),
            None => self.limit_files(Some(0)),
        }
    }

    /// Ends [`Service::fill_disk`], and restarts a database that stopped because of it.
    pub async fn free_disk(&mut self) {
        match &self.disk {
            Some(disk) => disk.free(),
            None => self.limit_files(None),
        }
        if let Some(database) = &mut self.database {
            database.revive().await;
        }
    }

    fn limit_files(&self, current: Option<u64>) {
        let limit = Rlimit {
            current,
            maximum: None,
        };
        let pid = self.slots[0].process.pid();
        prlimit(Some(pid), Resource::Fsize, limit).expect("it is a process of this user");
    }

    /// Ends the connections of the servers to the database.
    pub async fn cut_database_connections(&self) {
        let Some(database) = &self.database else {
            return;
        };
        for session in database.sessions().await {
            database.end_session(session).await;
        }
    }

    /// Changes the admission settings through a server. Returns whether the server accepted; it may be unreachable.
    pub async fn admission(&self, server: usize, change: &AdmissionChange) -> bool {
        let change = self.slots[server].process.ops.set_admission(change);
        let limit = Duration::from_secs(5);
        tokio::time::timeout(limit, change)
            .await
            .is_ok_and(|it| it.is_ok())
    }

    pub fn signal(&self, server: usize, signal: Signal) {
        self.process(server).signal(signal);
    }

    /// Reads the current rows of the database.
    pub async fn snapshot(&self) -> Snapshot {
        eventually("the database can be read", || async {
            match &self.database {
                Some(database) => Snapshot::of_shared(database).await.ok(),
                None => Snapshot::of_sqlite(&self.slots[0].dir).ok(),
            }
        })
        .await
    }

    /// Keeps the servers' files for an investigation.
    pub fn keep_data(&self) {
        if self.backend == Backend::Sqlite {
            let kept = self.run_dir.join("data");
            let copy = std::process::Command::new("cp")
                .arg("-Rp")
                .args([&self.slots[0].dir, &kept])
                .status();
            drop(copy);
        }
    }
}

/// Starts the database of a backend, with its data below `parent`.
async fn start_database(backend: Backend, parent: Option<&Path>) -> Option<Database> {
    if backend == Backend::MySqlRedis {
        let mysql = match parent {
            Some(parent) => MariaDb::start_below(parent).await,
            None => MariaDb::start().await,
        };
        return mysql.map(Database::MariaDb);
    }
    let postgres = match parent {
        Some(parent) => Postgres::start_below(parent, &POSTGRES_SETTINGS).await,
        None => Postgres::start().await,
    };
    postgres.map(Database::Postgres)
}

fn profile(sale: Sale) -> String {
    let (dates, seats, users) = (sale.dates, sale.seats_per_date, sale.users);
    format!(
        "name: soak\nconcerts: 1\ndates_per_concert: {dates}\nseats_per_date: {seats}\nusers: {users}\n\
         on_sale: {{ concert: 1, popular_share: 0.2 }}\nprices:\n  \
         - {{ up_to: {}, price: 90000 }}\n  - {{ up_to: {seats}, price: 50000 }}\n",
        seats / 4
    )
}
