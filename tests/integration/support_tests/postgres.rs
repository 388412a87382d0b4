//! A private PostgreSQL: it ends when it is killed, keeps its data, and requires the password.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::support::Postgres;
use crate::support::kept::lives;
use crate::support::postgres::ask;

#[tokio::test]
async fn a_killed_postgres_has_ended_and_restarts_with_its_data() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    postgres.sql("CREATE TABLE kept AS SELECT 7 AS n").await;
    let family = postgres.processes();
    assert!(family.len() > 3, "{family:?}");
    postgres.kill();
    assert!(TcpStream::connect(("127.0.0.1", postgres.port())).is_err());
    assert!(!family.into_iter().any(lives));
    let url = postgres.url();
    postgres.restart().await;
    assert_eq!(postgres.url(), url);
    assert_eq!(postgres.sql("SELECT n, NULL FROM kept").await, "7|");
    postgres.stop_immediately();
    assert!(TcpStream::connect(postgres.addr()).is_err());
    postgres.restart().await;
    assert_eq!(postgres.sql("TABLE kept").await, "7");
}

#[tokio::test]
async fn postgres_requires_the_password_of_an_ordinary_user() {
    let Some(postgres) = Postgres::start_with(&[("fsync", "on")]).await else {
        return;
    };
    let who = "SELECT current_user, current_database(), usesuper FROM pg_user WHERE usename = current_user";
    let session = ask(&postgres.url(), who).await.unwrap();
    assert_eq!(session, "concert|concert|f");
    let psql = Command::new(Postgres::program("psql").unwrap())
        .args([&postgres.url(), "-Atc", who])
        .output();
    assert_eq!(
        String::from_utf8(psql.unwrap().stdout).unwrap().trim(),
        session
    );
    assert_eq!(Postgres::program("no-such-program"), None);
    assert_eq!(postgres.sql("SHOW fsync").await, "on");
    for (user, password, database, message) in [
        ("concert", "wr:o@n/g", "concert", "password"),
        ("nobody", postgres.password(), "concert", "password"),
        ("concert", postgres.password(), "none", "does not exist"),
    ] {
        let url = postgres.url_with(user, password, database);
        let refused = ask(&url, "SELECT 1").await.unwrap_err();
        assert!(refused.contains(message), "{user} {password}: {refused}");
    }
}

#[tokio::test]
async fn a_stalled_postgres_accepts_connections_and_answers_when_it_is_resumed() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let url = postgres.url();
    postgres.stall();
    let mut answer = tokio::spawn(async move { ask(&url, "SELECT 1").await });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
    assert!(early.is_err(), "{early:?}");
    TcpStream::connect(postgres.addr()).unwrap();
    postgres.resume();
    assert_eq!(answer.await.unwrap().unwrap(), "1");
}
