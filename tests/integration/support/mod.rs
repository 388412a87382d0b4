//! The language of the tests: servers that really run, users that really ask over TCP.

pub mod kept;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
mod tests;
pub mod user;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use concertctl::api::ops::{
    AdmissionChange, Audit, LookupAnswer, LookupRequest, SeedPhase, SeedRequest, Status,
};
use concertctl::clients::ops::Ops;
use concertctl::clients::{HttpSource, Secret};
use concertctl::serve::Running;
use concertctl::settings::ServeSettings;
use concertctl::telemetry::{LogConfig, LogOutput, Logs, logs};
use tempfile::TempDir;

pub use postgres::Postgres;
pub use proxy::Proxy;
pub use redis::{Redis, RedisCluster};
pub use user::{Answer, User};

/// Longest that any condition is awaited.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits a condition, asking again every few milliseconds; fails the test after [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Where a program is found on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}

/// Says that a test is skipped for the lack of a program; a failure where everything should be there.
/// True, always.
pub fn skipped(program: &'static str) -> bool {
    let everything = std::env::var_os("CI").is_some();
    assert!(
        !everything,
        "{program} is not installed; scripts/test installs it"
    );
    eprintln!("skipped: no {program}");
    true
}

/// Logging of the test process: nowhere but to the embedded stores.
pub fn quiet_logs() -> Logs {
    logs::init(LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: "info".to_owned(),
        queue: 65_536,
    })
    .unwrap()
}

/// A profile of one concert: `dates` × `seats` seats, `users` users.
pub fn profile(dates: u32, seats: u32, users: u32) -> String {
    format!(
        "name: test\nconcerts: 2\ndates_per_concert: {dates}\nseats_per_date: {seats}\nusers: {users}\n\
         on_sale: {{ concert: 1, popular_share: 0.2 }}\nprices:\n  - {{ up_to: {seats}, price: 1000 }}\n"
    )
}

/// A server of this process, on a temporary data directory and free ports.
pub struct TestServer {
    running: Option<Running>,
    pub api: String,
    pub ops_url: String,
    pub ops_token: String,
    pub ops: Ops,
    pub dir: TempDir,
}

impl TestServer {
    /// A server without a dataset.
    pub async fn empty() -> TestServer {
        TestServer::with(|_| {}).await
    }

    /// A server without a dataset, with other settings.
    pub async fn with(change: impl FnOnce(&mut ServeSettings)) -> TestServer {
        TestServer::on_with(tempfile::tempdir().unwrap(), change).await
    }

    /// A server on a directory that another one left.
    pub async fn on(dir: TempDir) -> TestServer {
        TestServer::on_with(dir, |_| {}).await
    }

    async fn on_with(dir: TempDir, change: impl FnOnce(&mut ServeSettings)) -> TestServer {
        let mut settings = ServeSettings::embedded(dir.path().to_owned());
        change(&mut settings);
        let running = concertctl::serve::start(settings, &quiet_logs())
            .await
            .unwrap();
        let api = format!("http://{}", running.api_addr);
        let ops_url = format!("http://{}", running.ops_addr);
        let ops_token = running.ops_token.clone();
        let ops = ops_client(&ops_url, &ops_token);
        TestServer {
            running: Some(running),
            api,
            ops_url,
            ops_token,
            ops,
            dir,
        }
    }

    /// A server with `dates` × `seats` seats on sale and `users` users, letting everybody in at once.
    pub async fn seeded(dates: u32, seats: u32, users: u32) -> TestServer {
        let server = TestServer::empty().await;
        seed(&server.ops, &profile(dates, seats, users)).await;
        server.admit_everybody().await;
        server
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

    /// The directory of a server that is stopped.
    pub fn into_dir(self) -> TempDir {
        assert!(self.running.is_none(), "still running");
        self.dir
    }

    pub async fn stop(mut self) {
        self.halt().await;
    }
}

/// The gauge `http_server_active_requests`, as scraped from an operations listener.
pub async fn active_requests(ops_url: &str) -> i64 {
    let text = User::new(ops_url, 0).get("/metrics").await.text;
    let named = |line: &&str| line.starts_with("http_server_active_requests");
    let samples = text.lines().filter(named);
    let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as i64
}

pub fn ops_client(url: &str, token: &str) -> Ops {
    Ops::new(HttpSource::new(url).unwrap(), Some(Secret::new(token)))
}

/// Seeds through the operations API and awaits the end.
pub async fn seed(ops: &Ops, profile: &str) {
    let request = SeedRequest {
        profile: None,
        profile_yaml: Some(profile.to_owned()),
        replace: true,
    };
    ops.seed(&request).await.unwrap();
    let phase = eventually("the seeding ends", || async {
        let at = ops.seed_progress().await.unwrap();
        (at.phase != SeedPhase::Running).then_some(at)
    })
    .await;
    assert_eq!(phase.phase, SeedPhase::Done, "{phase:?}");
}

/// The operations token of a data directory.
pub fn token_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("ops-token"))
        .unwrap()
        .trim()
        .to_owned()
}
