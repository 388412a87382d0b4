//! PostgreSQL over TLS: the certificates that each `sslmode` accepts, and the messages about refused ones.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use concertctl::store::postgres::{Database, PgOptions};

use super::{Authority, Pair};
use crate::support::{Postgres, eventually};

/// A PostgreSQL with this certificate.
async fn secured(pair: &Pair) -> Option<Postgres> {
    let postgres = Postgres::start().await?;
    let data = postgres.dir().join("data");
    let files = [
        (&pair.certificate, data.join("server.crt")),
        (&pair.key, data.join("server.key")),
    ];
    for (from, to) in &files {
        give(from, to);
    }
    // This statement cannot run in a transaction, so it has its own call.
    postgres.sql("ALTER SYSTEM SET ssl = on").await;
    postgres.sql("SELECT pg_reload_conf()").await;
    eventually("the server speaks TLS", || async {
        (postgres.sql("SHOW ssl").await == "on").then_some(())
    })
    .await;
    Some(postgres)
}

/// Copies a file for the user who owns the directory. PostgreSQL accepts no key that others can read.
fn give(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    let owner = to.parent().unwrap().metadata().unwrap();
    chown(to, Some(owner.uid()), Some(owner.gid())).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o600)).unwrap();
}

/// Connects by the name `localhost` with these parameters of the URL.
async fn connect(postgres: &Postgres, parameters: &str) -> Result<Database, String> {
    let url = postgres.url().replace("127.0.0.1", "localhost");
    at(&format!("{url}?{parameters}")).await
}

async fn at(url: &str) -> Result<Database, String> {
    let database = Database::connect(url, PgOptions::default()).await;
    database.map_err(|error| error.to_string())
}

/// The sessions of the store: how many are encrypted, and how many are not.
async fn sessions(postgres: &Postgres) -> String {
    let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'concert'";
    postgres.sql(sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sslmode_accepts_what_libpq_accepts() {
    let (authority, other) = (Authority::new(), Authority::new());
    let Some(postgres) = secured(&authority.issue("database", &["localhost"])).await else {
        return;
    };
    let ca = authority.ca();
    let verified = ["require", "verify-ca", "verify-full"];
    let verified = verified.map(|mode| format!("sslmode={mode}&sslrootcert={ca}"));
    let plain = ["sslmode=prefer", "", "sslmode=require"].map(str::to_owned);
    for parameters in plain.into_iter().chain(verified) {
        let database = connect(&postgres, &parameters).await.unwrap();
        // The connection stays in the pool.
        assert_eq!(database.current().await.unwrap(), None);
        eventually("the connection is the only one", || async {
            (sessions(&postgres).await == "1|0").then_some(())
        })
        .await;
        drop(database);
        eventually("the connection ends", || async {
            (sessions(&postgres).await == "0|0").then_some(())
        })
        .await;
    }
    let unencrypted = connect(&postgres, "sslmode=disable").await.unwrap();
    assert_eq!(unencrypted.current().await.unwrap(), None);
    assert_eq!(sessions(&postgres).await, "0|1");
    for mode in ["require", "verify-ca", "verify-full"] {
        let parameters = format!("sslmode={mode}&sslrootcert={}", other.ca());
        let refused = connect(&postgres, &parameters).await.unwrap_err();
        one_line(&refused, &["does not trust", "sslrootcert"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_verify_full_checks_the_name() {
    let authority = Authority::new();
    let Some(postgres) = secured(&authority.issue("database", &["elsewhere.example"])).await else {
        return;
    };
    let ca = authority.ca();
    connect(&postgres, &format!("sslmode=verify-ca&sslrootcert={ca}"))
        .await
        .unwrap();
    let refused = connect(&postgres, &format!("sslmode=verify-full&sslrootcert={ca}"))
        .await
        .unwrap_err();
    one_line(&refused, &["elsewhere.example", "localhost"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_refused_where_it_is_verified() {
    let authority = Authority::new();
    let Some(postgres) = secured(&authority.issue_expired("database", &["localhost"])).await else {
        return;
    };
    connect(&postgres, "sslmode=require").await.unwrap();
    let parameters = format!("sslmode=verify-ca&sslrootcert={}", authority.ca());
    let refused = connect(&postgres, &parameters).await.unwrap_err();
    one_line(&refused, &["expired", "renew it"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_refused_by_require() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let refused = connect(&postgres, "sslmode=require").await.unwrap_err();
    one_line(&refused, &["TLS", "sslmode"]);
    connect(&postgres, "sslmode=prefer").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_presented() {
    let authority = Authority::new();
    let Some(postgres) = secured(&authority.issue("database", &["localhost"])).await else {
        return;
    };
    let data = postgres.dir().join("data");
    give(Path::new(authority.ca()), &data.join("root.crt"));
    let rules = "hostssl all concert all scram-sha-256 clientcert=verify-ca\n\
                 host all postgres all scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), rules).unwrap();
    postgres
        .sql("ALTER SYSTEM SET ssl_ca_file = 'root.crt'")
        .await;
    postgres.sql("SELECT pg_reload_conf()").await;
    eventually("a client without certificate is refused", || async {
        connect(&postgres, "sslmode=require").await.err()
    })
    .await;
    let pair = authority.issue("client", &["client"]);
    let files = [pair.certificate.display(), pair.key.display()];
    let parameters = format!("sslmode=require&sslcert={}&sslkey={}", files[0], files[1]);
    eventually("the certificate is accepted", || async {
        connect(&postgres, &parameters).await.ok()
    })
    .await;
}

fn one_line(error: &str, parts: &[&str]) {
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
}
