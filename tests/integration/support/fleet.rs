//! Several servers of a service, each a process with its own data directory, on one database and one Redis.

use std::path::Path;

use concertctl::api::ops::AdmissionChange;
use futures_util::future::join_all;
use tempfile::TempDir;

use super::backend::{Backend, Parts, PostgresRedis};
use super::process::{ServerProcess, concertctl};
use super::{eventually, profile, seed};

/// The servers and what they share. Servers are numbered from 0.
pub struct Fleet {
    servers: Vec<ServerProcess>,
    dirs: Vec<TempDir>,
    /// Declared after the servers, so that the servers are dropped first.
    pub parts: Parts,
}

impl Fleet {
    /// Returns whether a program that a fleet needs is missing; prints a line then.
    pub fn skipped() -> bool {
        Fleet::skipped_on::<PostgresRedis>()
    }

    /// The same on another backend.
    pub fn skipped_on<B: Backend>() -> bool {
        Parts::missing::<B>().is_some_and(super::skipped)
    }

    /// Starts `count` servers without a dataset.
    pub async fn start_on<B: Backend>(count: usize) -> Fleet {
        let parts = Parts::start::<B>().await;
        let dirs: Vec<TempDir> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
        let servers = dirs.iter().map(|dir| launch(dir.path(), &parts));
        Fleet {
            servers: join_all(servers).await,
            dirs,
            parts,
        }
    }

    /// Starts `count` servers with `dates` × `seats` seats and `users` users that admit all users at once. Returns when
    /// every server is ready.
    pub async fn seeded(count: usize, dates: u32, seats: u32, users: u32) -> Fleet {
        Fleet::seeded_on::<PostgresRedis>(count, dates, seats, users).await
    }

    /// The same on another backend.
    pub async fn seeded_on<B: Backend>(count: usize, dates: u32, seats: u32, users: u32) -> Fleet {
        let fleet = Fleet::start_on::<B>(count).await;
        let first = &fleet.servers[0];
        seed(&first.ops, &profile(dates, seats, users)).await;
        fleet.parts.assert_used().await;
        fleet
            .admission(AdmissionChange {
                batch: Some(1_000_000),
                every_ms: Some(100),
                ..AdmissionChange::default()
            })
            .await;
        for server in 0..count {
            fleet.ready(server).await;
        }
        fleet
    }

    /// Changes the admission of the service through the first server.
    pub async fn admission(&self, change: AdmissionChange) {
        self.servers[0].ops.set_admission(&change).await.unwrap();
    }

    pub fn servers(&self) -> &[ServerProcess] {
        &self.servers
    }

    /// The data directory of a server.
    pub fn dir(&self, server: usize) -> &Path {
        self.dirs[server].path()
    }

    /// Kills a server with SIGKILL. Returns when it has ended.
    pub fn kill(&self, server: usize) {
        self.servers[server].signal_kill();
    }

    /// Starts a killed server again on its data directory, at another address.
    pub async fn restart(&mut self, server: usize) {
        self.servers[server] = launch(self.dirs[server].path(), &self.parts).await;
    }

    /// Waits until a server reports that it is ready.
    pub async fn ready(&self, server: usize) {
        let probe = self.servers[server].user(0);
        eventually("the server is ready", || async {
            (probe.get("/health/ready").await.status == 200).then_some(())
        })
        .await;
    }
}

async fn launch(dir: &Path, parts: &Parts) -> ServerProcess {
    let mut command = concertctl();
    // Not as flags, because the list of processes would show the passwords.
    command.envs(parts.environment());
    ServerProcess::with(command, dir, &[]).await
}
