//! A server of this process, on whichever backend a test is compiled for.

use std::marker::PhantomData;
use std::time::Duration;

use concertctl::api::ops::{AdmissionChange, Audit, LookupAnswer, LookupRequest, Status};
use concertctl::clients::ops::Ops;
use concertctl::serve::Running;
use concertctl::settings::ServeSettings;
use tempfile::TempDir;

use super::backend::{Backend, Embedded, Parts};
use super::{User, active_requests, ops_client, profile, quiet_logs, seed};

/// A server with nothing beside it, as `serve` starts it without flags.
pub type TestServer = Server<Embedded>;

/// A server on a temporary data directory and free ports, with the parts of its backend.
///
/// A test that is to run on several backends takes `super::TestServer`, begins with [`needs!`], and
/// is listed in `backends/`.
///
/// [`needs!`]: crate::needs
pub struct Server<B: Backend> {
    running: Option<Running>,
    pub api: String,
    pub ops_url: String,
    pub ops_token: String,
    pub ops: Ops,
    pub dir: TempDir,
    /// After `running`, so that a server whose test fails does not lose them first.
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
    /// Whether a program is missing that this backend needs; said in a line.
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

    async fn on(dir: TempDir, parts: Parts, change: impl FnOnce(&mut ServeSettings)) -> Server<B> {
        let mut settings = ServeSettings::embedded(dir.path().to_owned());
        // Tests of many clients use few tokens; those of the limit set it.
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

    /// A server with `dates` × `seats` seats on sale and `users` users, letting everybody in at once.
    pub async fn seeded(dates: u32, seats: u32, users: u32) -> Server<B> {
        let server = Server::empty().await;
        seed(&server.ops, &profile(dates, seats, users)).await;
        server.parts.assert_used().await;
        server.admit_everybody().await;
        server
    }

    /// The same where whatever reserves a seat takes at least `delay`.
    pub async fn slow(dates: u32, seats: u32, users: u32, delay: Duration) -> Server<B> {
        let server = Server::with(|settings| settings.store.commit_delay = delay).await;
        seed(&server.ops, &profile(dates, seats, users)).await;
        server.parts.assert_used().await;
        server.parts.slow_down(delay).await;
        server.admit_everybody().await;
        server
    }

    /// Another server in its place: on its directory, with its parts, as after a stop in good order.
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

    /// Does to the dataset in force what a defect or a hand in the database would; what the database
    /// says where it refuses.
    pub async fn tamper(&self, statements: &str) -> Result<(), String> {
        self.parts.tamper(self.dir.path(), statements).await
    }

    /// A user that has not registered.
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
            running.stop().await;
        }
    }

    pub async fn stop(mut self) {
        self.halt().await;
    }
}
