//! A server inside the test process, on the backend that the test is compiled for.

use std::marker::PhantomData;
use std::time::Duration;

use concertctl::api::ops::{AdmissionChange, Audit, LookupAnswer, LookupRequest, Status};
use concertctl::clients::ops::Ops;
use concertctl::serve::Running;
use concertctl::settings::ServeSettings;
use tempfile::TempDir;

use super::backend::{Backend, Embedded, Parts};
use super::{User, active_requests, ops_client, profile, quiet_logs, seed};

/// A server with the embedded backend, as `serve` starts it without flags.
pub type TestServer = Server<Embedded>;

/// A server on a temporary data directory and free ports, with the parts of its backend.
///
/// A test for several backends uses `super::TestServer`, begins with [`needs!`], and is listed in `backends/`.
///
/// [`needs!`]: crate::needs
pub struct Server<B: Backend> {
    running: Option<Running>,
    pub api: String,
    pub ops_url: String,
    pub ops_token: String,
    pub ops: Ops,
    pub dir: TempDir,
    /// Declared after `running`, so that the server of a failed test is dropped first.
    pub parts: Parts,
    backend: PhantomData<B>,
}

/// Ends a test whose backend needs a program that is not installed.
#[macro_export]
macro_rules! needs {
    ($server:ty) => {
        if <$server>::skipped() {
            return;
        }
    };
}

impl<B: Backend> Server<B> {
    /// Returns whether a program that this backend needs is missing; prints a line then.
    pub fn skipped() -> bool {
        Parts::missing::<B>().is_some_and(super::skipped)
    }

    /// A server without a dataset.
    pub async fn empty() -> Server<B> {
        Server::with(|_| {}).await
    }

    /// A server without a dataset, with other settings.
    pub async fn with(change: impl FnOnce(&mut ServeSettings)) -> Server<B> {
        let parts = Parts::start::<B>().await;
        Server::on(tempfile::tempdir().unwrap(), parts, change).await
    }

    /// The same in a data directory, with parts that were started before.
    pub async fn on(
        dir: TempDir,
        parts: Parts,
        change: impl FnOnce(&mut ServeSettings),
    ) -> Server<B> {
        let mut settings = ServeSettings::embedded(dir.path().to_owned());
        // No limit per token, because tests with many clients use few tokens. Tests of the limit set it.
        settings.limits.token = None;
        parts.point(&mut settings);
        change(&mut settings);
        let running = concertctl::serve::start(settings, &quiet_logs())
            .await
            .unwrap();
        let api = format!("http://{}", running.api_addr);
        let ops_url = format!("http://{}", running.ops_addr);
        let ops_token = running.ops_token.clone();
        let ops = ops_client(&ops_url, &ops_token);
        Server {
            running: Some(running),
            api,
            ops_url,
            ops_token,
            ops,
            dir,
            parts,
            backend: PhantomData,
        }
    }

    /// A server with `dates` × `seats` seats and `users` users that admits all users at once.
    pub async fn seeded(dates: u32, seats: u32, users: u32) -> Server<B> {
        let server = Server::empty().await;
        seed(&server.ops, &profile(dates, seats, users)).await;
        server.parts.assert_used().await;
        server.admit_everybody().await;
        server
    }

    /// The same with reservations that take at least `delay`.
    pub async fn slow(dates: u32, seats: u32, users: u32, delay: Duration) -> Server<B> {
        let server = Server::with(|settings| settings.store.commit_delay = delay).await;
        seed(&server.ops, &profile(dates, seats, users)).await;
        server.parts.assert_used().await;
        server.parts.slow_down(delay).await;
        server.admit_everybody().await;
        server
    }

    /// Stops the server and starts another one on its directory with its parts.
    pub async fn restarted(mut self) -> Server<B> {
        self.halt().await;
        Server::on(self.dir, self.parts, |_| {}).await
    }

    pub async fn admit_everybody(&self) {
        self.admission(AdmissionChange {
            batch: Some(1_000_000),
            every_ms: Some(100),
            ..AdmissionChange::default()
        })
        .await;
    }

    pub async fn admission(&self, change: AdmissionChange) {
        self.ops.set_admission(&change).await.unwrap();
    }

    pub async fn status(&self) -> Status {
        self.ops.status().await.unwrap()
    }

    pub async fn audit(&self) -> Audit {
        self.ops.audit().await.unwrap()
    }

    pub async fn lookup(&self, request: &LookupRequest) -> LookupAnswer {
        self.ops.lookup(request).await.unwrap()
    }

    pub async fn active_requests(&self) -> i64 {
        active_requests(&self.ops_url).await
    }

    /// Runs statements in the active dataset, as a defect or a manual change would. An error is the database's message.
    pub async fn tamper(&self, statements: &str) -> Result<(), String> {
        self.parts.tamper(self.dir.path(), statements).await
    }

    /// A user who has not registered.
    pub fn stranger(&self, id: i64) -> User {
        User::new(&self.api, id)
    }

    /// A registered user.
    pub async fn registered(&self, id: i64) -> User {
        let mut user = self.stranger(id);
        let answer = user.register().await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        user
    }

    /// A registered and admitted user.
    pub async fn admitted(&self, id: i64) -> User {
        let user = self.registered(id).await;
        user.until_active().await;
        user
    }

    /// Stops the server and keeps its directory.
    pub async fn halt(&mut self) {
        if let Some(running) = self.running.take() {
            // Some tests break the database before the stop.
            drop(running.stop().await);
        }
    }

    pub async fn stop(mut self) {
        self.halt().await;
    }
}
