//! Backends of the service: the database and Redis beside a server, and the settings that make the server use them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use concertctl::secret::Secret;
use concertctl::settings::ServeSettings;

use super::database::{Database, Kind};
use super::{Postgres, Redis};

/// The parts that a server uses beside itself.
pub trait Backend {
    /// `None`: the embedded database.
    const DATABASE: Option<Kind> = None;
    /// Whether servers share a queue in Redis. Otherwise the queue is inside the process.
    const REDIS: bool = false;
}

/// The embedded database and queue.
pub enum Embedded {}

impl Backend for Embedded {}

/// The embedded database, with coordination by Redis.
pub enum SqliteRedis {}

impl Backend for SqliteRedis {
    const REDIS: bool = true;
}

/// PostgreSQL, with coordination inside the process.
pub enum PostgresEmbedded {}

impl Backend for PostgresEmbedded {
    const DATABASE: Option<Kind> = Some(Kind::Postgres);
}

/// PostgreSQL, with coordination by Redis, as on several servers.
pub enum PostgresRedis {}

impl Backend for PostgresRedis {
    const DATABASE: Option<Kind> = Some(Kind::Postgres);
    const REDIS: bool = true;
}

/// MariaDB, with coordination inside the process.
pub enum MySqlEmbedded {}

impl Backend for MySqlEmbedded {
    const DATABASE: Option<Kind> = Some(Kind::MariaDb);
}

/// MariaDB, with coordination by Redis, as on several servers.
pub enum MySqlRedis {}

impl Backend for MySqlRedis {
    const DATABASE: Option<Kind> = Some(Kind::MariaDb);
    const REDIS: bool = true;
}

/// The private database and Redis of a service.
pub struct Parts {
    pub database: Option<Database>,
    pub redis: Option<Redis>,
}

impl Parts {
    /// A program that the backend needs and that is not installed.
    pub fn missing<B: Backend>() -> Option<&'static str> {
        let database = B::DATABASE.and_then(Kind::missing);
        database.or_else(|| B::REDIS.then(Redis::missing).flatten())
    }

    /// Starts the parts of the backend. Fails if a program is missing: call [`missing`] before.
    pub async fn start<B: Backend>() -> Parts {
        let installed = "the test checked that it is installed";
        let mut parts = Parts {
            database: None,
            redis: None,
        };
        if let Some(kind) = B::DATABASE {
            parts.database = Some(kind.start().await.expect(installed));
        }
        if B::REDIS {
            parts.redis = Some(Redis::start().await.expect(installed));
        }
        parts
    }

    /// Sets the parts in the settings of a server.
    pub fn point(&self, settings: &mut ServeSettings) {
        let secret = |url: String| -> Secret { url.parse().unwrap() };
        settings.database_url = self.database.as_ref().map(Database::url).map(secret);
        settings.redis_url = self.redis.as_ref().map(Redis::url).map(secret);
    }

    /// The database, where servers share one.
    pub fn shared(&self) -> &Database {
        self.database.as_ref().expect("the backend has a database")
    }

    /// The same, to be stopped and started.
    pub fn shared_mut(&mut self) -> &mut Database {
        self.database.as_mut().expect("the backend has a database")
    }

    pub fn postgres(&self) -> Option<&Postgres> {
        self.database.as_ref().and_then(Database::postgres)
    }

    /// The same as environment variables, for a server in a process of its own.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let database = self.database.as_ref().map(Database::url);
        let redis = self.redis.as_ref().map(Redis::url);
        let database = database.map(|url| ("CONCERTCTL_DATABASE_URL", url));
        let redis = redis.map(|url| ("CONCERTCTL_REDIS_URL", url));
        database.into_iter().chain(redis).collect()
    }

    /// Fails if a server with a dataset does not use the parts, because its tests would prove nothing.
    pub async fn assert_used(&self) {
        if let Some(database) = &self.database {
            let tables = match database.kind() {
                Kind::Postgres => "SELECT count(*) FROM pg_tables WHERE tableowner = 'concert'",
                Kind::MariaDb => {
                    "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema LIKE 'concert%'"
                }
            };
            let count = database.sql(tables).await;
            assert_ne!(count, "0", "{:?} is not used", database.kind());
        }
        if let Some(redis) = &self.redis {
            // One of the clients is redis-cli itself.
            let clients = redis.cli(&["CLIENT", "LIST"]).lines().count();
            assert!(clients > 1, "Redis is not used");
        }
    }

    /// Runs statements in the active dataset. An error is the database's message. `dir` is the server's data directory.
    pub async fn tamper(&self, dir: &Path, statements: &str) -> Result<(), String> {
        let Some(database) = &self.database else {
            let database = rusqlite::Connection::open(dataset_file(dir)).unwrap();
            let done = database.execute_batch(statements);
            return done.map_err(|error| error.to_string());
        };
        let dataset = database.dataset().await;
        database.tamper(&dataset, statements).await.map(drop)
    }

    /// Makes the shared database take at least `delay` for every reservation. The embedded database has a setting for
    /// this.
    pub async fn slow_down(&self, delay: Duration) {
        let Some(database) = &self.database else {
            return;
        };
        let delay = delay.as_secs_f64();
        let trigger = match database.kind() {
            Kind::Postgres => format!(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN PERFORM pg_sleep({delay}); RETURN NULL; END';
                 CREATE TRIGGER slow AFTER INSERT ON reservations EXECUTE FUNCTION slow()"
            ),
            Kind::MariaDb => format!(
                "CREATE TRIGGER slow AFTER INSERT ON reservations FOR EACH ROW SET @slept = SLEEP({delay})"
            ),
        };
        let dataset = database.dataset().await;
        database.tamper(&dataset, &trigger).await.unwrap();
    }
}

/// The file of the active dataset in a data directory.
pub fn dataset_file(dir: &Path) -> PathBuf {
    let name = std::fs::read_to_string(dir.join("CURRENT")).unwrap();
    dir.join("datasets").join(format!("{}.db", name.trim()))
}
