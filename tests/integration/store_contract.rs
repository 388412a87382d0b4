//! The contract of all stores: the same calls have the same outcomes. Each test runs against SQLite,
//! PostgreSQL and MariaDB; features of only one of them have separate tests.

mod accounts;
mod audit;
mod dropped;
mod holds;
mod mysql_trouble;
mod opened;
mod places;
mod reservations;
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
                let Some(db) = super::Opened::postgres().await else { return };
                super::$name(&db).await;
                db.close().await;
            })+
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(db) = super::Opened::mysql().await else { return };
                super::$name(&db).await;
                db.close().await;
            })+
        }
    };
}
pub(crate) use contract;
