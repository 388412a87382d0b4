//! A private database that servers can share, PostgreSQL or MariaDB, with the functions that tests need of both.

use std::net::SocketAddr;

use super::{MariaDb, Postgres, mysql, postgres};

/// The kinds of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MariaDb,
}

impl Kind {
    /// The label value in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
        }
    }

    /// A program that the database needs here and that is not installed.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Kind::Postgres => Postgres::missing(),
            Kind::MariaDb => MariaDb::missing(),
        }
    }

    /// Starts it; `None`, with a printed line, if it is not installed.
    pub async fn start(self) -> Option<Database> {
        match self {
            Kind::Postgres => Postgres::start().await.map(Database::Postgres),
            Kind::MariaDb => MariaDb::start().await.map(Database::MariaDb),
        }
    }

    /// The schema or the database of a dataset.
    pub fn dataset(self, epoch: &str) -> String {
        match self {
            Kind::Postgres => format!("concertctl_{epoch}"),
            Kind::MariaDb => format!("concert_{epoch}"),
        }
    }
}

/// A running database.
pub enum Database {
    Postgres(Postgres),
    MariaDb(MariaDb),
}

/// Calls the same function on each kind.
macro_rules! each {
    ($self:ident, $database:ident => $call:expr) => {
        match $self {
            Database::Postgres($database) => $call,
            Database::MariaDb($database) => $call,
        }
    };
}

/// An open transaction with its locks. Dropping it rolls it back.
pub enum Holding {
    Postgres(postgres::Holding),
    MariaDb(mysql::Holding),
}

impl Holding {
    pub async fn commit(self) {
        match self {
            Holding::Postgres(mut held) => held.commit().await,
            Holding::MariaDb(mut held) => held.commit().await,
        }
    }
}

impl Database {
    pub fn kind(&self) -> Kind {
        match self {
            Database::Postgres(_) => Kind::Postgres,
            Database::MariaDb(_) => Kind::MariaDb,
        }
    }

    /// The URL for the user `concert`.
    pub fn url(&self) -> String {
        each!(self, database => database.url())
    }

    /// The same at another address, such as a proxy's.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        each!(self, database => database.url_at(addr))
    }

    pub fn addr(&self) -> SocketAddr {
        each!(self, database => database.addr())
    }

    /// Kills it with SIGKILL. Returns when it has ended.
    pub fn kill(&mut self) {
        each!(self, database => database.kill());
    }

    /// Starts it again on its data after ending a running one. Returns when it answers.
    pub async fn restart(&mut self) {
        each!(self, database => database.restart().await);
    }

    /// Starts it again if it has ended by itself. Returns when it answers.
    pub async fn revive(&mut self) {
        each!(self, database => database.revive().await);
    }

    /// Ends it as an operator does: it takes no more work, and closes all connections. Returns when it has ended.
    pub fn shut_down(&mut self) {
        each!(self, database => database.shut_down());
    }

    /// Stops it with SIGSTOP: connections can still be made and stay open, but nothing answers.
    pub fn stall(&mut self) {
        each!(self, database => database.stall());
    }

    /// Continues it after [`Database::stall`].
    pub fn resume(&mut self) {
        each!(self, database => database.resume());
    }

    /// Runs statements with all rights. Returns a line for each row, with columns separated by `|`.
    pub async fn sql(&self, statements: &str) -> String {
        each!(self, database => database.sql(statements).await)
    }

    /// The same. An error is the message of the database or of the connection.
    async fn ask(&self, statements: &str) -> Result<String, String> {
        match self {
            Database::Postgres(it) => postgres::ask(&it.superuser(), statements).await,
            Database::MariaDb(it) => mysql::ask(&it.superuser(), statements).await,
        }
    }

    /// The schema or the database of the active dataset.
    pub async fn dataset(&self) -> String {
        self.try_dataset().await.unwrap()
    }

    /// The same. An error is the message of the database or of the connection.
    pub async fn try_dataset(&self) -> Result<String, String> {
        let current = match self {
            Database::Postgres(_) => "concertctl.current",
            Database::MariaDb(_) => "concert.concertctl_current",
        };
        let epoch = self.ask(&format!("SELECT epoch FROM {current}")).await?;
        Ok(self.kind().dataset(&epoch))
    }

    /// Runs the statements of a test for all databases in a dataset, with all rights. An error is the database's
    /// message.
    pub async fn tamper(&self, dataset: &str, statements: &str) -> Result<String, String> {
        match self {
            Database::Postgres(postgres) => {
                let statements = format!("SET search_path TO {dataset}; {statements}");
                postgres::ask(&postgres.superuser(), &statements).await
            }
            Database::MariaDb(mysql) => mysql.tamper(dataset, statements).await,
        }
    }

    /// Begins a transaction with all rights, runs the statements in it, and leaves it open.
    pub async fn hold(&self, statements: &str) -> Holding {
        match self {
            Database::Postgres(postgres) => Holding::Postgres(postgres.hold(statements).await),
            Database::MariaDb(mysql) => Holding::MariaDb(mysql.hold(statements).await),
        }
    }

    /// Blocks reads and writes of these tables by other sessions until the result is dropped.
    pub async fn hold_tables(&self, tables: &[&str]) -> Holding {
        let dataset = self.dataset().await;
        let tables = |mode: &str| {
            let named = tables
                .iter()
                .map(|table| format!("{dataset}.{table}{mode}"));
            named.collect::<Vec<_>>().join(", ")
        };
        let lock = match self {
            Database::Postgres(_) => {
                format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables(""))
            }
            Database::MariaDb(_) => format!("LOCK TABLES {}", tables(" WRITE")),
        };
        self.hold(&lock).await
    }

    /// The ids of the sessions of the servers.
    pub async fn sessions(&self) -> Vec<i64> {
        let sessions = match self {
            Database::Postgres(_) => {
                "SELECT pid FROM pg_stat_activity WHERE usename = 'concert' ORDER BY pid"
            }
            Database::MariaDb(_) => {
                "SELECT id FROM information_schema.processlist WHERE user = 'concert' ORDER BY id"
            }
        };
        let ids = self.sql(sessions).await;
        ids.lines().map(|id| id.parse().unwrap()).collect()
    }

    /// Ends a session, which may have ended already.
    pub async fn end_session(&self, id: i64) {
        let end = match self {
            Database::Postgres(_) => format!("SELECT pg_terminate_backend({id})"),
            Database::MariaDb(_) => format!("KILL {id}"),
        };
        drop(self.ask(&end).await);
    }

    /// The number of open transactions of the servers' sessions.
    pub async fn open_transactions(&self) -> usize {
        match self {
            Database::Postgres(postgres) => {
                let sql = "SELECT pid FROM pg_stat_activity
                    WHERE usename = 'concert' AND xact_start IS NOT NULL";
                postgres.sql(sql).await.lines().count()
            }
            Database::MariaDb(_) => {
                let transactions = self.innodb_lines("---TRANSACTION").await;
                let open = transactions.iter().filter(|line| line.contains("ACTIVE"));
                open.count()
            }
        }
    }

    /// The number of sessions that wait for a lock of another session.
    pub async fn waiting(&self) -> usize {
        match self {
            Database::Postgres(postgres) => {
                let sql = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
                postgres.sql(sql).await.lines().count()
            }
            Database::MariaDb(_) => self.innodb_lines("LOCK WAIT").await.len(),
        }
    }

    /// The lines of InnoDB's status that begin with `begins`. Unlike the table `innodb_trx`, it is never out of date.
    async fn innodb_lines(&self, begins: &str) -> Vec<String> {
        let status = self.sql("SHOW ENGINE INNODB STATUS").await;
        let lines = status.lines().filter(|line| line.starts_with(begins));
        lines.map(str::to_owned).collect()
    }

    pub fn postgres(&self) -> Option<&Postgres> {
        match self {
            Database::Postgres(postgres) => Some(postgres),
            Database::MariaDb(_) => None,
        }
    }
}
