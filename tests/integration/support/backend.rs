//! Backends of the service: PostgreSQL or MariaDB, and Redis, beside a server, and the settings that make the server use them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use concertctl::secret::Secret;
use concertctl::settings::ServeSettings;

use super::postgres::ask;
use super::{MariaDb, Postgres, Redis};

/// The parts that a server uses beside itself.
pub trait Backend {
    const POSTGRES: bool;
    const MYSQL: bool = false;
    const REDIS: bool;
}

/// The embedded database, with coordination inside the process.
pub enum Embedded {}

impl Backend for Embedded {
    const POSTGRES: bool = false;
    const REDIS: bool = false;
}

/// The embedded database, with coordination by Redis.
pub enum SqliteRedis {}

impl Backend for SqliteRedis {
    const POSTGRES: bool = false;
    const REDIS: bool = true;
}

/// PostgreSQL, with coordination inside the process.
pub enum PostgresEmbedded {}

impl Backend for PostgresEmbedded {
    const POSTGRES: bool = true;
    const REDIS: bool = false;
}

/// PostgreSQL, with coordination by Redis, as on several servers.
pub enum PostgresRedis {}

impl Backend for PostgresRedis {
    const POSTGRES: bool = true;
    const REDIS: bool = true;
}

/// MariaDB, with coordination inside the process.
pub enum MySqlEmbedded {}

impl Backend for MySqlEmbedded {
    const POSTGRES: bool = false;
    const MYSQL: bool = true;
    const REDIS: bool = false;
}

/// MariaDB, with coordination by Redis, as on several servers.
pub enum MySqlRedis {}

impl Backend for MySqlRedis {
    const POSTGRES: bool = false;
    const MYSQL: bool = true;
    const REDIS: bool = true;
}

/// The private database and Redis of a service.
pub struct Parts {
    pub postgres: Option<Postgres>,
    pub mysql: Option<MariaDb>,
    pub redis: Option<Redis>,
}

impl Parts {
    /// A program that the backend needs and that is not installed.
    pub fn missing<B: Backend>() -> Option<&'static str> {
        let postgres = B::POSTGRES.then(Postgres::missing).flatten();
        let mysql = || B::MYSQL.then(MariaDb::missing).flatten();
        let database = postgres.or_else(mysql);
        database.or_else(|| B::REDIS.then(Redis::missing).flatten())
    }

    /// Starts the parts of the backend. Fails if a program is missing: call [`missing`] before.
    pub async fn start<B: Backend>() -> Parts {
        let mut parts = Parts {
            postgres: None,
            mysql: None,
            redis: None,
        };
        if B::POSTGRES {
            parts.postgres = Some(
                Postgres::start()
                    .await
                    .expect("the test checked that it is installed"),
            );
        }
        if B::MYSQL {
            parts.mysql = Some(
                MariaDb::start()
                    .await
                    .expect("the test checked that it is installed"),
            );
        }
        if B::REDIS {
            parts.redis = Some(
                Redis::start()
                    .await
                    .expect("the test checked that it is installed"),
            );
        }
        parts
    }

    /// Sets the parts in the settings of a server.
    pub fn point(&self, settings: &mut ServeSettings) {
        let secret = |url: String| -> Secret { url.parse().unwrap() };
        settings.database_url = self.database_url().map(secret);
        settings.redis_url = self.redis.as_ref().map(Redis::url).map(secret);
    }

    /// The URL of the database, if the server uses one.
    fn database_url(&self) -> Option<String> {
        let postgres = self.postgres.as_ref().map(Postgres::url);
        postgres.or_else(|| self.mysql.as_ref().map(MariaDb::url))
    }

    /// The same as environment variables, for a server in a process of its own.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let database = self.database_url();
        let redis = self.redis.as_ref().map(Redis::url);
        let database = database.map(|url| ("CONCERTCTL_DATABASE_URL", url));
        let redis = redis.map(|url| ("CONCERTCTL_REDIS_URL", url));
        database.into_iter().chain(redis).collect()
    }

    /// Fails if a server with a dataset does not use the parts, because then its tests prove nothing.
    pub async fn assert_used(&self) {
        if let Some(postgres) = &self.postgres {
            let tables = "SELECT count(*) FROM pg_tables WHERE tableowner = 'concert'";
            assert_ne!(postgres.sql(tables).await, "0", "PostgreSQL is not used");
        }
        if let Some(mysql) = &self.mysql {
            let current = "SELECT COUNT(*) FROM concert.concertctl_current";
            assert_eq!(mysql.sql(current).await, "1", "MariaDB is not used");
        }
        if let Some(redis) = &self.redis {
            // One of the clients is redis-cli itself.
            let clients = redis.cli(&["CLIENT", "LIST"]).lines().count();
            assert!(clients > 1, "Redis is not used");
        }
    }

    /// Runs statements in the active dataset. An error is the database's message. `dir` is the server's data directory.
    pub async fn tamper(&self, dir: &Path, statements: &str) -> Result<(), String> {
        if let Some(mysql) = &self.mysql {
            let epoch = mysql
                .sql("SELECT epoch FROM concert.concertctl_current")
                .await;
            return mysql.tamper(&format!("concert_{epoch}"), statements).await;
        }
        let Some(postgres) = &self.postgres else {
            let database = rusqlite::Connection::open(dataset_file(dir)).unwrap();
            let done = database.execute_batch(statements);
            return done.map_err(|error| error.to_string());
        };
        in_dataset(postgres, statements).await
    }

    /// Makes the shared database take at least `delay` for every reservation. The embedded database has a setting for this.
    pub async fn slow_down(&self, delay: Duration) {
        if let Some(mysql) = &self.mysql {
            let epoch = mysql
                .sql("SELECT epoch FROM concert.concertctl_current")
                .await;
            let trigger = format!(
                "CREATE TRIGGER concert_{epoch}.slow AFTER INSERT ON concert_{epoch}.reservations
                 FOR EACH ROW SET @slept = SLEEP({})",
                delay.as_secs_f64()
            );
            mysql.sql(&trigger).await;
        }
        let Some(postgres) = &self.postgres else {
            return;
        };
        let trigger = format!(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_sleep({}); RETURN NULL; END';
             CREATE TRIGGER slow AFTER INSERT ON reservations EXECUTE FUNCTION slow()",
            delay.as_secs_f64()
        );
        in_dataset(postgres, &trigger).await.unwrap();
    }
}

/// Runs statements in the schema of the active dataset, as the superuser.
async fn in_dataset(postgres: &Postgres, statements: &str) -> Result<(), String> {
    let epoch = postgres.sql("SELECT epoch FROM concertctl.current").await;
    let statements = format!("SET search_path TO concertctl_{epoch}; {statements}");
    ask(&postgres.superuser(), &statements).await.map(drop)
}

/// The file of the active dataset in a data directory.
pub fn dataset_file(dir: &Path) -> PathBuf {
    let name = std::fs::read_to_string(dir.join("CURRENT")).unwrap();
    dir.join("datasets").join(format!("{}.db", name.trim()))
}
