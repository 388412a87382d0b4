//! Processes that a test started end with it, even if the test itself is killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::support::kept::{lives, within};
use crate::support::postgres::ask;
use crate::support::process::Guard;
use crate::support::{PATIENCE, Postgres, Redis, eventually, skipped};

/// Not a test by itself: it starts servers, prints their processes, and runs until it is killed or its reader closes
/// the pipe.
#[tokio::test]
#[ignore = "is run by the test below"]
#[allow(clippy::print_stdout, reason = "its parent reads its output")]
async fn an_owner_of_servers() {
    let (Some(mut postgres), Some(mut redis)) = (Postgres::start().await, Redis::start().await)
    else {
        return;
    };
    let Some(mut stalled) = Postgres::start().await else {
        return;
    };
    // A busy session, which does not notice that its server has ended.
    let busy = "DO $$ BEGIN LOOP NULL; END LOOP; END $$";
    let url = postgres.url();
    tokio::spawn(async move { ask(&url, busy).await });
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND usename = 'concert'";
    eventually("the session is busy", || async {
        (postgres.sql(running).await == "1").then_some(())
    })
    .await;
    let servers = [postgres.processes(), stalled.processes(), redis.processes()];
    stalled.stall();
    for pid in servers.concat() {
        println!("process {}", pid.as_raw_nonzero());
    }
    for dir in [postgres.dir(), stalled.dir(), redis.dir()] {
        println!("directory {}", dir.display());
    }
    println!("all");
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await;
}

#[test]
fn no_process_outlives_a_killed_owner() {
    if Postgres::missing()
        .or(Redis::missing())
        .is_some_and(skipped)
    {
        return;
    }
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner
        .args(["--exact", "support_tests::owner::an_owner_of_servers"])
        .args(["--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut owner = Guard(owner.spawn().unwrap());
    let lines = BufReader::new(owner.0.stdout.take().unwrap()).lines();
    let lines = lines.map(Result::unwrap).take_while(|line| line != "all");
    let lines: Vec<String> = lines.collect();
    let after = |what: &str| -> Vec<&str> {
        lines
            .iter()
            .filter_map(|line| line.strip_prefix(what))
            .collect()
    };
    let pids = after("process ");
    let alive = || -> Vec<&str> {
        let pid = |pid: &str| Pid::from_raw(pid.parse().unwrap()).unwrap();
        pids.iter()
            .copied()
            .filter(|text| lives(pid(text)))
            .collect()
    };
    let directories = after("directory ");
    // Some processes may have ended: workers of the database end by themselves.
    assert!(alive().len() > 10, "{lines:?}");
    assert!(directories.len() == 3 && directories.iter().all(|dir| Path::new(dir).exists()));
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    assert!(within(PATIENCE, || alive().is_empty()), "{:?}", alive());
    let removed = || !directories.iter().any(|dir| Path::new(dir).exists());
    assert!(within(PATIENCE, removed), "{directories:?}");
    // Segments of shared memory, of which the system has only a few thousand, are freed with their last user.
    let segments = || std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let given_back = || {
        let segments = segments();
        let fields = segments.lines().map(str::split_whitespace);
        let mut creators = fields.filter_map(|mut line| line.nth(4));
        !creators.any(|creator| pids.contains(&creator))
    };
    assert!(within(PATIENCE, given_back), "{}", segments());
}
