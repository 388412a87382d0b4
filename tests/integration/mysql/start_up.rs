//! `serve` and `seed` with an unusable MySQL database: one line with the problem and advice, exit code 1, no password
//! in the output.
//! the output.

use std::path::Path;

use crate::support::MariaDb;
use crate::support::port::Port;
use crate::support::process::{Ended, ServerProcess, concertctl, finish};

const DATABASE: &str = "CONCERTCTL_DATABASE_URL";

pub(super) async fn run(dir: &Path, args: &[&str], url: &str) -> Ended {
    let mut command = concertctl();
    command.args(args).arg("--data-dir").arg(dir);
    command.env(DATABASE, url);
    finish(command).await
}

/// The end of a server that must not start.
pub(super) async fn serve(url: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let anywhere = ["--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0"];
    let args: Vec<&str> = ["serve"].into_iter().chain(anywhere).collect();
    run(dir.path(), &args, url).await
}

/// Checks that `serve` and `seed` refuse the database with an error that contains all of `named`.
pub(super) async fn is_refused(url: &str, named: &[&str]) {
    let serve = serve(url).await;
    let dir = tempfile::tempdir().unwrap();
    let seed = run(dir.path(), &["seed", "demo"], url).await;
    for ended in [serve, seed] {
        let output = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!output.contains("hush"), "{output}");
        ended.failed_with(1, named);
    }
}

#[tokio::test]
async fn an_invalid_url_or_an_unreachable_server_is_reported_with_advice() {
    is_refused("mysql://me:hush@localhost", &["names no database"]).await;
    is_refused(
        "mysql://me:hush@localhost/x?ssl-mode=on",
        &["verify-ca", "verify-identity"],
    )
    .await;
    let closed = Port::claim().addr().to_string();
    let url = format!("mysql://me:hush@{closed}/x");
    is_refused(&url, &[&closed, "cannot be reached", "host and port"]).await;
}

#[tokio::test]
async fn a_wrong_password_database_or_right_is_reported_with_advice() {
    let Some(mysql) = MariaDb::start().await else {
        return;
    };
    let at = mysql.addr().to_string();
    let wrong = mysql.url_with("concert", "hush-hush", "concert");
    is_refused(&wrong, &[&at, "password of concert", "database URL"]).await;
    let missing = mysql.url_with("concert", mysql.password(), "concert_nowhere");
    let named = ["\"concert_nowhere\"", "CREATE DATABASE concert_nowhere"];
    is_refused(&missing, &named).await;
    mysql
        .sql(
            "REVOKE ALL ON `concert%`.* FROM 'concert'@'%';
              GRANT ALL ON concert.* TO 'concert'@'%'",
        )
        .await;
    let dir = tempfile::tempdir().unwrap();
    let ended = run(dir.path(), &["seed", "demo"], &mysql.url()).await;
    ended.failed_with(1, &["a database of its own", "EXECUTE ON `concert%`.*"]);
}

#[tokio::test]
async fn a_second_server_without_a_shared_queue_is_refused_until_the_first_is_killed() {
    let Some(mysql) = MariaDb::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let url = mysql.url();
    let first = ServerProcess::start(dir.path(), &["--database-url", &url]).await;
    let refused = serve(&url).await;
    refused.failed_with(1, &["in use by another server", "--redis-url"]);
    first.signal_kill();
    let dir = tempfile::tempdir().unwrap();
    drop(ServerProcess::start(dir.path(), &["--database-url", &url]).await);
}

#[tokio::test]
async fn seeding_replaces_only_when_asked_and_removes_what_is_not_active() {
    let Some(mysql) = MariaDb::start().await else {
        return;
    };
    let (dir, url) = (tempfile::tempdir().unwrap(), mysql.url());
    let seed = |args: &'static [&str]| run(dir.path(), args, &url);
    assert_eq!(seed(&["seed", "demo"]).await.code, Some(0));
    let refused = seed(&["seed", "demo"]).await;
    refused.failed_with(1, &["exists already", "--replace"]);
    // The database of a seeding that was killed.
    mysql.sql("CREATE DATABASE concert_00000000000000aa").await;
    let replaced = seed(&["seed", "demo", "--replace"]).await;
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    let datasets = "SELECT COUNT(*) FROM information_schema.schemata
                    WHERE schema_name LIKE 'concert\\_%'";
    assert_eq!(mysql.sql(datasets).await, "1");
    let epoch = mysql.sql("SELECT epoch FROM concertctl_current").await;
    let rows = format!(
        "SELECT (SELECT COUNT(*) FROM concert_{epoch}.concerts), (SELECT MAX(number) FROM concert_{epoch}.seats),
                (SELECT COUNT(DISTINCT performance_date_id) FROM concert_{epoch}.seats)
                    - (SELECT COUNT(*) FROM concert_{epoch}.performance_dates),
                (SELECT MAX(id) - COUNT(*) FROM concert_{epoch}.seats)"
    );
    let demo = concertctl::seeding::Profile::find("demo").unwrap();
    let expected = format!("{}|{}|0|0", demo.concerts, demo.seats_per_date);
    assert_eq!(mysql.sql(&rows).await, expected);
}
