//! `concertctl fault` injects, lists and ends faults.

use crate::support::process::run;
use crate::support::{TestServer, User};

#[tokio::test]
async fn faults_are_injected_listed_and_cleared_from_the_command_line() {
    let server = TestServer::seeded(1, 10, 10).await;
    let dir = server.dir.path().to_str().unwrap();
    let none = run(&["fault", "list", "--data-dir", dir]).await;
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (Some(0), "no fault is injected\n"),
        "{}",
        none.stderr
    );
    let errors = ["fault", "errors", "--share", "1", "--for", "5m"];
    let injected = run(&[&errors[..], &["--data-dir", dir]].concat()).await;
    assert_eq!(injected.code, Some(0), "{}", injected.stderr);
    assert!(injected.stdout.starts_with("errors: until 20"));
    assert_eq!(server.stranger(1).get("/concerts").await.status, 500);
    let slow = ["fault", "slow-statement", "--delay", "50ms", "--for", "5m"];
    let injected = run(&[&slow[..], &["--data-dir", dir]].concat()).await;
    assert_eq!(injected.code, Some(0), "{}", injected.stderr);
    let both = run(&[
        "fault",
        "list",
        "--target",
        &server.ops_url,
        "--data-dir",
        dir,
    ])
    .await;
    assert!(
        both.stdout.contains("errors: until") && both.stdout.contains(r#"{"delayMs":50}"#),
        "{}",
        both.stdout
    );
    let left = run(&["fault", "clear", "slow-statement", "--data-dir", dir]).await;
    assert!(left.stdout.starts_with("errors"), "{}", left.stdout);
    let left = run(&["fault", "clear", "--data-dir", dir]).await;
    assert_eq!(left.stdout, "no fault is injected\n", "{}", left.stderr);
    assert_eq!(server.stranger(1).get("/concerts").await.status, 200);
    server.assert_no_faults().await;
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_command_is_refused_with_the_reason() {
    let server = TestServer::empty().await;
    let dir = server.dir.path().to_str().unwrap();
    let here = ["--data-dir", dir];
    let with = |args: &[&'static str]| args.to_vec();
    for (args, code, named) in [
        (
            with(&["errors", "--share", "2", "--for", "5s"]),
            2,
            "is not a share from 0 to 1",
        ),
        (with(&["errors", "--share", "1"]), 2, "--for"),
        (with(&["errors", "--share", "1", "--for=-5s"]), 2, "-5s"),
        (with(&["redis-cut", "--for", "5s"]), 1, "no Redis"),
        (with(&["clear", "earthquake"]), 2, "earthquake"),
    ] {
        let args = [&["fault"], &args[..], &here].concat();
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(named), "{ended:?}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let nowhere = nowhere.path().to_str().unwrap();
    let list = run(&["fault", "list", "--data-dir", nowhere]).await;
    list.failed_with(1, &["--target"]);
    let target = ["fault", "clear", "--data-dir", nowhere, "--target"];
    let clear = run(&[&target[..], &[server.ops_url.as_str()]].concat()).await;
    clear.failed_with(1, &["ops-token"]);
    let seen = User::new(&server.ops_url, 0).get("/ops/v1/faults").await;
    assert_eq!(seen.text, r#"{"faults":[]}"#);
    server.stop().await;
}
