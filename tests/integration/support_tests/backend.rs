//! Backends: a server uses the parts that were started for it, and a server that does not use one is detected.

use std::sync::Arc;

use concertctl::settings::ServeSettings;

use crate::support::backend::{Backend, Parts};
use crate::support::database::Kind;
use crate::support::{
    Embedded, MySqlEmbedded, MySqlRedis, PostgresEmbedded, PostgresRedis, Server, SqliteRedis,
    mysql, postgres,
};

/// Checks that the parts of the backend answer, and that an unused part is detected.
async fn check<B: Backend>() {
    if Server::<B>::skipped() {
        return;
    }
    let parts = Arc::new(Parts::start::<B>().await);
    let mut settings = ServeSettings::embedded("nowhere".into());
    parts.point(&mut settings);
    assert_eq!(settings.database_url.is_some(), B::DATABASE.is_some());
    assert_eq!(settings.redis_url.is_some(), B::REDIS);
    let urls = [settings.database_url.as_ref(), settings.redis_url.as_ref()];
    let urls = urls
        .into_iter()
        .flatten()
        .map(|url| url.expose().to_owned());
    let named: Vec<String> = parts
        .environment()
        .into_iter()
        .map(|(_, url)| url)
        .collect();
    assert_eq!(
        urls.collect::<Vec<_>>(),
        named,
        "flags and settings name the same parts"
    );

    let unused = Arc::clone(&parts);
    let noticed = tokio::spawn(async move { unused.assert_used().await }).await;
    assert_eq!(
        noticed.is_err(),
        B::DATABASE.is_some() || B::REDIS,
        "{noticed:?}"
    );
    if let (Some(url), Some(redis)) = (&settings.database_url, &parts.redis) {
        // A used part does not hide an unused one.
        let (url, table) = (url.expose(), "CREATE TABLE used (id INT)");
        match parts.shared().kind() {
            Kind::Postgres => postgres::ask(url, table).await.unwrap(),
            Kind::MariaDb => mysql::ask(url, table).await.unwrap(),
        };
        let half = Arc::clone(&parts);
        let noticed = tokio::spawn(async move { half.assert_used().await }).await;
        assert!(noticed.is_err());
        let _client = std::net::TcpStream::connect(redis.addr()).unwrap();
        parts.assert_used().await;
    }
}

#[tokio::test]
async fn a_backend_has_its_parts_and_an_unused_part_is_detected() {
    check::<Embedded>().await;
    check::<SqliteRedis>().await;
    check::<PostgresEmbedded>().await;
    check::<PostgresRedis>().await;
    check::<MySqlEmbedded>().await;
    check::<MySqlRedis>().await;
}
