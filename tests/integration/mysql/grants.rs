//! The rights in docker/mysql-grants.sql: they suffice, and each of them is needed.

use serde_json::json;

use super::start_up::run;
use crate::support::MariaDb;
use crate::support::mysql::ask;
use crate::support::process::ServerProcess;

const GRANTS: &str = include_str!("../../../docker/mysql-grants.sql");

/// A MariaDB whose user has only these rights, and none on the procedures that it creates.
async fn granted() -> Option<MariaDb> {
    let mysql = MariaDb::start_with(&["--automatic-sp-privileges=OFF"]).await?;
    // The image also does this before it runs the file.
    let before =
        "REVOKE ALL ON `concert%`.* FROM 'concert'@'%'; GRANT ALL ON `concert`.* TO 'concert'@'%'";
    mysql.sql(&format!("{before}; {GRANTS}")).await;
    Some(mysql)
}

/// Seeds a dataset, and lets a user buy one seat and cancel another. An error names the step that failed.
async fn sells(mysql: &MariaDb) -> Result<(), String> {
    let (dir, url) = (tempfile::tempdir().unwrap(), mysql.url());
    let seeded = run(dir.path(), &["seed", "demo", "--replace"], &url).await;
    if seeded.code != Some(0) {
        return Err(seeded.stderr);
    }
    let server = ServerProcess::start(dir.path(), &["--database-url", &url]).await;
    let mut user = server.user(1);
    let registered = user.register().await;
    if registered.status != 201 {
        return Err(registered.text);
    }
    user.until_active().await;
    let (first, second) = (user.reserved(1).await, user.reserved(2).await);
    assert_eq!(user.charge(json!(1_000_000)).await.status, 200);
    assert_eq!(user.cancel(second).await.status, 204);
    assert_eq!(user.pay(first).await.status, 200);
    assert_eq!(server.ops.audit().await.unwrap().violations(), 0);
    server.terminate();
    server.exited().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_rights_suffice_to_seed_to_sell_and_to_replace_the_dataset() {
    let Some(mysql) = granted().await else {
        return;
    };
    for _ in 0..2 {
        sells(&mysql).await.unwrap();
    }
    let datasets = "SELECT COUNT(*) FROM information_schema.schemata
                    WHERE schema_name LIKE 'concert\\_%'";
    assert_eq!(mysql.sql(datasets).await, "1", "the first was removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_the_shipped_rights_is_needed() {
    let Some(mysql) = granted().await else {
        return;
    };
    let (_, rights) = GRANTS.split_once("GRANT ").unwrap();
    let (rights, _) = rights.split_once("ON `").unwrap();
    let rights: Vec<&str> = rights.split(',').map(str::trim).collect();
    assert!(rights.len() > 5, "{rights:?}");
    for right in rights {
        let of = "ON `concert%`.*";
        let revoke = format!("REVOKE {right} {of} FROM 'concert'@'%'");
        mysql.sql(&revoke).await;
        let without = sells(&mysql).await;
        println!("without {right}: {without:?}");
        assert!(without.is_err(), "{right} is not needed");
        mysql
            .sql(&format!("GRANT {right} {of} TO 'concert'@'%'"))
            .await;
    }
    sells(&mysql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outside_the_service_is_granted() {
    let Some(mysql) = granted().await else {
        return;
    };
    for forbidden in [
        "CREATE DATABASE another",
        "SELECT user FROM mysql.user",
        "GRANT SELECT ON concert.* TO 'concert'@'localhost'",
        "SET GLOBAL max_connections = 10",
        "ALTER TABLE concert.concertctl_current ADD COLUMN more INT",
    ] {
        let refused = ask(&mysql.url(), forbidden).await;
        let refused = refused.expect_err(forbidden);
        assert!(refused.contains("denied"), "{forbidden}: {refused}");
    }
}

#[test]
fn the_page_of_several_servers_shows_the_same_rights() {
    let page = include_str!("../../../docs/deployment.md");
    let grant = GRANTS.find("GRANT ").unwrap();
    assert!(page.contains(&GRANTS[grant..]), "{}", &GRANTS[grant..]);
}
