//! The support code of the tests: running servers, and users who send requests over TCP.

pub mod backend;
pub mod collector;
pub mod database;
pub mod fleet;
pub mod kept;
pub mod metric_names;
pub mod mysql;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod server;
pub mod user;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use concertctl::api::ops::{SeedPhase, SeedRequest};
use concertctl::clients::ops::Ops;
use concertctl::clients::{Access, HttpSource, Secret};
use concertctl::telemetry::{LogConfig, LogLimits, LogOutput, Logs, TraceConfig, logs};

pub use backend::{
    Backend, Embedded, MySqlEmbedded, MySqlRedis, PostgresEmbedded, PostgresRedis, SqliteRedis,
};
pub use database::Database;
pub use fleet::Fleet;
pub use mysql::MariaDb;
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use redis::{Redis, RedisCluster};
pub use server::{Server, TestServer};
pub use user::{Answer, User};

/// The longest wait for any condition.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition, which is checked every few milliseconds; fails the test after [`PATIENCE`].
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

/// The path of a program on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}

/// Prints that a test is skipped because a program is not installed; with `CI` set this is a failure. Always true.
pub fn skipped(program: &'static str) -> bool {
    let everything = std::env::var_os("CI").is_some();
    assert!(
        !everything,
        "{program} is not installed; scripts/test installs it"
    );
    eprintln!("skipped: no {program}");
    true
}

/// The log of the test process, which goes to the embedded stores only.
pub fn quiet_logs() -> Logs {
    logs::init(LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: "info".to_owned(),
        queue: 65_536,
        limits: LogLimits::default(),
        traces: TraceConfig::default(),
    })
    .unwrap()
}

/// A profile of two concerts, each with `dates` × `seats` seats, and of `users` users. The first concert is on sale.
pub fn profile(dates: u32, seats: u32, users: u32) -> String {
    format!(
        "name: test\nconcerts: 2\ndates_per_concert: {dates}\nseats_per_date: {seats}\nusers: {users}\n\
         on_sale: {{ concert: 1, popular_share: 0.2 }}\nprices:\n  - {{ up_to: {seats}, price: 1000 }}\n"
    )
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

/// The log or trace store of a server, with its token.
pub fn guarded_source(url: &str, token: &str) -> HttpSource {
    let mut access = Access::default();
    access.bearer(&Secret::new(token)).unwrap();
    HttpSource::with_access(url, access).unwrap()
}

/// Seeds through the operations API and waits for the end.
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

/// A client for the servers under test.
pub fn client() -> reqwest::Client {
    concertctl::http_client::builder().build().unwrap()
}

/// The operations token of a data directory.
pub fn token_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("ops-token"))
        .unwrap()
        .trim()
        .to_owned()
}
