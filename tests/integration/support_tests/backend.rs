//! Backends: a server uses the parts that were started for it, and a server that does not use one is detected.

use std::sync::Arc;

use concertctl::settings::ServeSettings;

use crate::support::backend::{Backend, Parts};
use crate::support::postgres::ask;
use crate::support::{Embedded, PostgresEmbedded, PostgresRedis, Server, SqliteRedis};

/// The named parts answer, and an unused part is detected.
async fn check<B: Backend>() {
    if Server::<B>::skipped() {
        return;
    }
    let parts = Arc::new(Parts::start::<B>().await);
    let mut settings = ServeSettings::embedded("nowhere".into());
    parts.point(&mut settings);
    assert_eq!(settings.database_url.is_some(), B::POSTGRES);
    assert_eq!(settings.redis_url.is_some(), B::REDIS);
    let urls = [settings.database_url.as_ref(), settings.redis_url.as_ref()];
    let urls = urls
        .into_iter()
        .flatten()
        .map(|url| url.expose().to_owned());
    let told: Vec<String> = parts
        .environment()
        .into_iter()
        .map(|(_, url)| url)
        .collect();
    assert_eq!(
        urls.collect::<Vec<_>>(),
        told,
        "the same by flag and in process"
    );

    let unused = Arc::clone(&parts);
    let noticed = tokio::spawn(async move { unused.assert_used().await }).await;
    assert_eq!(noticed.is_err(), B::POSTGRES || B::REDIS, "{noticed:?}");
    if let (Some(url), Some(redis)) = (&settings.database_url, &parts.redis) {
        // A part that is used does not hide one that is not.
        ask(url.expose(), "CREATE TABLE used ()").await.unwrap();
        let half = Arc::clone(&parts);
        let noticed = tokio::spawn(async move { half.assert_used().await }).await;
        assert!(noticed.is_err());
        let _client = std::net::TcpStream::connect(redis.addr()).unwrap();
        parts.assert_used().await;
    }
}

#[tokio::test]
async fn parts_are_those_of_the_backend_and_are_missed_when_they_are_not_used() {
    check::<Embedded>().await;
    check::<SqliteRedis>().await;
    check::<PostgresEmbedded>().await;
    check::<PostgresRedis>().await;
}
