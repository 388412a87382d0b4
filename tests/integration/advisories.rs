//! `scripts/advisories`: which advisory database it chooses, and when it skips the check or fails.
//!
//! A script replaces cargo-deny, because the test is about the choice and not about the check.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::process::{Ended, finish};

/// Runs git in `dir` without the settings of the user who runs the test.
fn git(dir: &Path, arguments: &[&str], date: &str) {
    let mut git = Command::new("git");
    git.arg("-C").arg(dir).args(arguments);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null");
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "a test");
        git.env(format!("GIT_{role}_EMAIL"), "test@example.invalid");
        git.env(format!("GIT_{role}_DATE"), date);
    }
    assert!(git.status().unwrap().success(), "{arguments:?}");
}

struct Case {
    /// The age of the local copy's last commit in days; `None` if there is no copy.
    age: Option<u64>,
    /// Whether the database can be fetched.
    fetched: bool,
    /// Whether its address answers.
    reachable: bool,
}

async fn check(case: &Case) -> Ended {
    let home = tempfile::tempdir().unwrap();
    let deny = home.path().join("cargo-deny");
    let fetch = if case.fetched { 0 } else { 1 };
    let script =
        format!("#!/bin/sh\nif [ \"$1\" = fetch ]; then exit {fetch}; fi\necho \"ran $*\"\n");
    std::fs::write(&deny, script).unwrap();
    std::fs::set_permissions(&deny, std::fs::Permissions::from_mode(0o755)).unwrap();
    let upstream = home.path().join("upstream");
    if case.reachable {
        std::fs::create_dir(&upstream).unwrap();
        git(&upstream, &["init", "--quiet"], "@0 +0000");
    }
    if let Some(days) = case.age {
        let copy = home.path().join("advisory-dbs/copy");
        std::fs::create_dir_all(&copy).unwrap();
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let date = format!("@{} +0000", since.as_secs() - days * 86_400);
        git(&copy, &["init", "--quiet"], &date);
        git(
            &copy,
            &["commit", "--quiet", "--allow-empty", "-m", "x"],
            &date,
        );
    }
    let mut command = Command::new(format!("{}/scripts/advisories", env!("CARGO_MANIFEST_DIR")));
    command.arg(&deny).env("CARGO_HOME", home.path());
    command.env("ADVISORY_URL", &upstream);
    finish(command).await
}

#[tokio::test]
async fn the_check_names_its_database_and_is_skipped_or_fails_with_a_reason() {
    let case = |age, fetched, reachable| Case {
        age,
        fetched,
        reachable,
    };
    for (case, code, message) in [
        (case(Some(1), true, true), 0, "the database is of 20"),
        (case(Some(29), false, false), 0, "the database is of 20"),
        (
            case(Some(31), false, false),
            0,
            "SKIPPED: advisories (the database is of 20",
        ),
        (case(Some(31), false, true), 1, "31 days old, although"),
        (case(Some(31), true, true), 1, "31 days old, although"),
        (
            case(None, false, false),
            0,
            "SKIPPED: advisories (no database",
        ),
        (case(None, false, true), 1, "can be reached but not fetched"),
    ] {
        let ended = check(&case).await;
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(code), "{all}");
        assert!(all.contains(message), "{message}: {all}");
        let ran = all.contains("ran check --disable-fetch advisories");
        assert_eq!(ran, code == 0 && !all.contains("SKIPPED"), "{all}");
    }
}
