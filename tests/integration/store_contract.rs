//! The contract of all stores: the same calls have the same outcomes. Each test runs against SQLite,
//! PostgreSQL and MariaDB; features of only one of them have separate tests.

mod accounts;
mod audit;
mod dropped;
mod holds;
mod opened;
mod places;
mod reservations;
mod round_trips;
mod trouble;

pub use opened::{Opened, key};

/// Makes each `async fn name(db: &Opened)` a test for each store.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let db = super::Opened::sqlite().await;
                super::$name(&db).await;
                db.close().await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(db) = super::Opened::shared(crate::support::database::Kind::Postgres).await else { return };
                super::$name(&db).await;
                db.close().await;
            })+
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(db) = super::Opened::shared(crate::support::database::Kind::MariaDb).await else { return };
                super::$name(&db).await;
                db.close().await;
            })+
        }
    };
}
pub(crate) use contract;

/// Makes each `async fn name(kind: Kind)` a test on each shared database.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                Box::pin(super::$name(crate::support::database::Kind::Postgres)).await;
            })+
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                Box::pin(super::$name(crate::support::database::Kind::MariaDb)).await;
            })+
        }
    };
}
pub(crate) use on_each_database;
