//! A private Redis restarts with or without its data; a cluster divides the keys.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::kept::within;
use crate::support::{Redis, RedisCluster};

#[tokio::test]
async fn a_killed_redis_restarts_with_its_data_or_empty() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    assert_eq!(redis.cli(&["SET", "a", "1"]), "OK");
    redis.kill();
    assert!(TcpStream::connect(redis.addr()).is_err());
    assert!(redis.processes().is_empty());
    let url = redis.url();
    redis.restart().await;
    assert_eq!((redis.url(), redis.cli(&["GET", "a"])), (url, "1".into()));
    redis.restart_empty().await;
    assert_eq!(redis.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn a_stalled_redis_answers_when_it_is_resumed() {
    let Some(mut redis) = Redis::with(&["--databases", "3"]).await else {
        return;
    };
    redis.stall();
    let (port, mut cli) = (redis.port().to_string(), Command::new("redis-cli"));
    let cli = cli.args(["-p", &port, "CONFIG", "GET", "databases"]);
    let mut asked = cli.stdout(Stdio::piped()).spawn().unwrap();
    let answered = within(Duration::from_millis(300), || {
        asked.try_wait().unwrap().is_some()
    });
    redis.resume();
    let output = asked.wait_with_output().unwrap().stdout;
    assert!(!answered);
    assert_eq!(String::from_utf8(output).unwrap(), "databases\n3\n");
}

#[tokio::test]
async fn a_redis_with_a_password_requires_it() {
    let Some(redis) = Redis::with_password().await else {
        return;
    };
    let secret = redis.url();
    let secret = secret
        .strip_prefix("redis://:")
        .unwrap()
        .split('@')
        .next()
        .unwrap();
    assert_eq!(redis.cli(&["SET", "a", "1"]), "OK");
    assert!(redis.cli(&["AUTH", "wrong"]).contains("WRONGPASS"));
    let port = redis.port().to_string();
    let ask = |password: &str| {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &port, "GET", "a"])
            .env("REDISCLI_AUTH", password);
        String::from_utf8(cli.output().unwrap().stdout).unwrap()
    };
    assert!(ask("wrong").contains("NOAUTH"));
    assert_eq!(ask(secret), "1\n");
}

#[tokio::test]
async fn a_cluster_divides_the_keys_and_is_complete_after_a_node_returns() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return;
    };
    assert_eq!(cluster.urls().len(), 3);
    // "foo" belongs to slot 12,182, which the last node owns.
    let moved = cluster.nodes()[0].cli(&["SET", "foo", "1"]);
    assert!(moved.starts_with("MOVED 12182 "), "{moved}");
    let last = &mut cluster.nodes()[2];
    assert!(moved.ends_with(&last.addr().to_string()), "{moved}");
    assert_eq!(last.cli(&["SET", "foo", "1"]), "OK");
    last.restart().await;
    cluster.whole().await;
    assert_eq!(cluster.nodes()[2].cli(&["GET", "foo"]), "1");
}
