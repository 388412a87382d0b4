//! `serve` and `seed` with an unusable PostgreSQL or Redis: one line with the problem and advice, exit code 1, no
//! password in the output, no files left.

use std::path::Path;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::database::Kind;
use crate::support::port::Port;
use crate::support::process::{Ended, Running, ServerProcess, concertctl, finish};
use crate::support::{Postgres, Redis, profile, seed};

const DATABASE: &str = "CONCERTCTL_DATABASE_URL";
const REDIS: &str = "CONCERTCTL_REDIS_URL";

async fn run(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = concertctl();
    command.args(args).arg("--data-dir").arg(dir);
    command.envs(environment.iter().copied());
    finish(command).await
}

async fn serve(environment: &[(&str, &str)]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let anywhere = ["--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0"];
    let args: Vec<&str> = ["serve"].into_iter().chain(anywhere).collect();
    let ended = run(dir.path(), &args, environment).await;
    assert!(!dir.path().join("server.json").exists());
    ended
}

/// Checks that `serve` and `seed` refuse the database with an error that contains all of `named`.
async fn database_is_refused(url: &str, named: &[&str]) {
    let serve = serve(&[(DATABASE, url)]).await;
    let dir = tempfile::tempdir().unwrap();
    let seed = run(dir.path(), &["seed", "demo"], &[(DATABASE, url)]).await;
    for ended in [serve, seed] {
        no_password(url, &ended);
        ended.failed_with(1, named);
    }
}

async fn redis_is_refused(url: &str, named: &[&str]) {
    let ended = serve(&[(REDIS, url)]).await;
    no_password(url, &ended);
    ended.failed_with(1, named);
}

fn no_password(url: &str, ended: &Ended) {
    let credentials = url.rsplit_once('@').map(|(before, _)| before);
    let password = credentials
        .and_then(|it| it.rsplit_once(':'))
        .map(|it| it.1);
    let output = format!("{}{}", ended.stdout, ended.stderr);
    for password in password.into_iter().chain(["hush"]) {
        assert!(!output.contains(password), "{output}");
    }
}

#[tokio::test]
async fn an_invalid_database_url_is_reported_with_advice() {
    database_is_refused("http://a:hush@localhost/x", &["postgres://", "mysql://"]).await;
    database_is_refused("postgres:///nowhere", &["host"]).await;
    database_is_refused("postgres://me:hu@sh@localhost/x", &["%40"]).await;
    let tls = "postgres://me:hush@localhost/x?sslmode=on";
    database_is_refused(tls, &["sslmode=on", "verify-full"]).await;
    database_is_refused("hush", &["postgres://"]).await;
}

#[tokio::test]
async fn a_missing_database_and_a_server_that_is_not_postgres_are_reported() {
    let closed = Port::claim().addr().to_string();
    let url = format!("postgres://me:hush@{closed}/x");
    database_is_refused(&url, &[&closed, "cannot be reached", "host and port"]).await;

    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = stranger.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = stranger.accept().await {
            let mut asked = [0; 64];
            drop(connection.read(&mut asked).await);
            drop(
                connection
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .await,
            );
        }
    });
    database_is_refused(&format!("postgres://me:hush@{at}/x"), &[&at]).await;
}

#[tokio::test]
async fn a_wrong_password_user_or_database_is_reported_with_advice() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let at = postgres.addr().to_string();
    let wrong = postgres.url_with("concert", "hush-hush", "concert");
    database_is_refused(&wrong, &[&at, "password of concert", "database URL"]).await;
    let missing = postgres.url_with("concert", postgres.password(), "nowhere");
    database_is_refused(&missing, &["\"nowhere\"", "createdb nowhere"]).await;
    let unknown = postgres.url_with("nobody", "hush-hush", "concert");
    database_is_refused(&unknown, &[&at, "nobody"]).await;
    postgres
        .sql("REVOKE CREATE ON DATABASE concert FROM concert; ALTER DATABASE concert OWNER TO postgres")
        .await;
    database_is_refused(&postgres.url(), &["permission", "grant"]).await;
}

#[tokio::test]
async fn a_second_server_without_a_shared_queue_is_refused() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let url = postgres.url();
    let first = ServerProcess::start(dir.path(), &["--database-url", &url]).await;
    database_in_use(&url).await;
    drop(first);
}

async fn database_in_use(url: &str) {
    let ended = serve(&[(DATABASE, url)]).await;
    ended.failed_with(1, &["in use by another server", "--redis-url"]);
}

/// Registers a user in a new dataset of the database.
async fn sell(url: &str) {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &["--database-url", url]).await;
    seed(&server.ops, &profile(1, 5, 5)).await;
    assert_eq!(server.user(1).register().await.status, 201);
    server.terminate();
    assert!(server.exited().await.success());
}

/// Checks that a server on the database has the sale.
async fn has_the_sale(url: &str) {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &["--database-url", url]).await;
    assert_eq!(server.ops.status().await.unwrap().queue.registered, 1);
}

#[tokio::test]
async fn a_database_that_lost_the_row_of_its_dataset_is_refused_and_keeps_the_sale() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let Some(database) = kind.start().await else {
            continue;
        };
        let url = database.url();
        sell(&url).await;
        let namespace = database.dataset().await;
        let row = match kind {
            Kind::Postgres => "concertctl.current",
            Kind::MariaDb => "concertctl_current",
        };
        database.sql(&format!("DELETE FROM {row}")).await;
        let insert = format!("run `INSERT INTO {row} (epoch) VALUES ");
        let named = [namespace.as_str(), &insert, "seed --replace"];
        let dir = tempfile::tempdir().unwrap();
        let environment = [(DATABASE, url.as_str())];
        let seeded = run(dir.path(), &["seed", "demo"], &environment).await;
        seeded.failed_with(1, &named);
        let served = serve(&environment).await;
        served.failed_with(1, &named);

        let statement = served.stderr.split('`').nth(1).unwrap();
        database.sql(statement).await;
        has_the_sale(&url).await;
    }
}

#[tokio::test]
async fn a_start_in_the_middle_of_a_restore_of_postgres_is_refused_and_the_restore_goes_on() {
    let (Some(here), Some(elsewhere)) = (Postgres::start().await, Postgres::start().await) else {
        return;
    };
    sell(&here.url()).await;
    let dir = tempfile::tempdir().unwrap();
    let dump = dir.path().join("concert.dump").display().to_string();
    let program = |name: &str, args: &[&str]| {
        let mut command = std::process::Command::new(Postgres::program(name).unwrap());
        let output = command.args(args).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {args:?}: {errors}");
    };
    let file = format!("--file={dump}");
    program("pg_dump", &["--format=custom", &file, &here.url()]);
    let database = format!("--dbname={}", elsewhere.url());
    for section in ["pre-data", "data", "post-data"] {
        let section = format!("--section={section}");
        program("pg_restore", &[&database, "--no-owner", &section, &dump]);
        if section == "--section=pre-data" {
            let refused = serve(&[(DATABASE, &elsewhere.url())]).await;
            refused.failed_with(1, &["finish the restore"]);
        }
    }
    has_the_sale(&elsewhere.url()).await;
}

#[tokio::test]
async fn an_unusable_redis_is_reported_with_advice() {
    redis_is_refused("http://me:hush@localhost", &["redis://"]).await;
    let closed = Port::claim().addr().to_string();
    let secured = format!("rediss://:hush@{closed}");
    redis_is_refused(&secured, &[&closed, "cannot be reached"]).await;
    let url = format!("redis://:hush@{closed}");
    redis_is_refused(&url, &[&closed, "cannot be reached"]).await;
    let Some(redis) = Redis::with_password().await else {
        return;
    };
    let at = redis.addr().to_string();
    let named = [&at, "asks for a password", "redis://:password@"];
    redis_is_refused(&format!("redis://{at}"), &named).await;
    let wrong = format!("redis://:hush-hush@{at}");
    redis_is_refused(&wrong, &[&at, "refuses"]).await;
}

#[tokio::test]
async fn a_server_that_is_stopped_while_it_starts_reports_that() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = concertctl();
    command.args(["serve", "--api-addr", "127.0.0.1:0", "--ops-addr"]);
    command.args(["127.0.0.1:0", "--data-dir"]).arg(dir.path());
    command.env(DATABASE, format!("postgres://me:hush@{at}/x"));
    let serve = Running::start(command);
    let _connection = silent.accept().await.unwrap();
    serve.signal(Signal::TERM);
    let ended = serve.ended().await;
    // The exit code shows that the server ended the start itself: an unhandled signal would give none.
    ended.failed_with(1, &[]);
}
