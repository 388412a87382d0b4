//! Three servers that share a database and Redis.

use std::time::Instant;

use super::{DATES, PER_DATE, Sale, Step, Traffic, USERS, books_are_right, print_figures};
use crate::support::process::{AT_ANY_SPEED, concertctl, finish};
use crate::support::{Backend, Fleet, eventually, token_of};
use concertctl::api::ops::AdmissionChange;

const BATCH: u64 = 20;
const EVERY_MS: u64 = 200;

on_each_database!(
    three_servers_rehearse_an_on_sale_as_one,
    one_of_three_servers_killed_leaves_the_sale_to_the_others,
);

/// The base URLs of the servers of a fleet.
fn apis(fleet: &Fleet) -> Vec<String> {
    let servers = fleet.servers().iter();
    servers.map(|server| server.api.clone()).collect()
}

/// Asserts that no batch is larger than set, and that there were no more batches than intervals.
async fn batches_are_exact(fleet: &Fleet) {
    let database = fleet.parts.shared();
    let query = "SELECT mark, at FROM admissions ORDER BY mark";
    let rows = database.tamper(&database.dataset().await, query).await;
    let rows = rows.unwrap();
    let batches: Vec<(u64, u64)> = rows
        .lines()
        .filter_map(|row| row.split_once('|'))
        .map(|(watermark, at)| (watermark.parse().unwrap(), at.parse().unwrap()))
        .collect();
    for pair in batches.windows(2) {
        assert!(
            pair[1].0 - pair[0].0 <= BATCH,
            "a batch was doubled: {pair:?}"
        );
    }
    let span = batches.last().unwrap().1 - batches[0].1;
    let most = span / EVERY_MS + 2;
    assert!(
        batches.len() as u64 <= most,
        "{} in {span} ms",
        batches.len()
    );
}

/// The counter `concert_queue_admitted_total`, over all servers.
async fn admitted(fleet: &Fleet) -> u64 {
    let mut sum = 0.0;
    for server in fleet.servers() {
        let text = server.user(0).metrics(&server.ops_url).await;
        let named = |line: &&str| line.starts_with("concert_queue_admitted_total");
        let values = text.lines().filter(named);
        sum += values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>();
    }
    sum as u64
}

async fn three_servers_rehearse_an_on_sale_as_one<B: Backend>() {
    if Fleet::skipped_on::<B>() {
        return;
    }
    let fleet = Fleet::start_on::<B>(3).await;
    let servers = fleet.servers();
    let out = fleet.dir(0).join("summary.json");
    let mut load = concertctl();
    // The largest number of users that three servers in a debug build can serve on two cores.
    load.args(["load", "onsale-short", "--reseed", "--quiet"])
        .args(["--set", "users=600", "--set", "admission.batch=60"])
        // The test judges the queue and the books, not the speed of the machine.
        .args(AT_ANY_SPEED)
        .args(["--target", &apis(&fleet).join(",")])
        .args(["--ops-url", &servers[0].ops_url])
        .arg("--out")
        .arg(&out)
        .env("CONCERTCTL_OPS_TOKEN", token_of(fleet.dir(0)));
    let ended = finish(load).await;
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&out).unwrap_or_default()).unwrap_or_default();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(summary["verdict"], "passed", "{ended:?}");

    // There are ten batches, one per second. A server without these settings would estimate a wait of a minute.
    let off = summary["fairness"]["etaError"]["p95"].as_f64().unwrap();
    assert!(off < 20_000.0, "promises are off by {off} ms");

    let audit = servers[1].ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
    let status = servers[2].ops.status().await.unwrap();
    let watermark = status.queue.admitted_mark;
    assert_eq!(
        admitted(&fleet).await,
        watermark,
        "each batch was admitted once"
    );
    assert_eq!(watermark, audit.places, "every user was admitted once");
    for server in servers {
        let text = server.user(0).metrics(&server.ops_url).await;
        let served = text.lines().filter(|line| {
            line.starts_with("http_server_request_duration_seconds_count")
                && line.contains("/queue")
        });
        assert!(served.count() > 0, "every server took part");
        assert!(
            !text.contains("http_response_status_code=\"5"),
            "no 5xx: {text}"
        );
    }
    println!("three servers: {watermark} admitted in whole batches, audit {audit:?}");
}

async fn one_of_three_servers_killed_leaves_the_sale_to_the_others<B: Backend>() {
    if Fleet::skipped_on::<B>() {
        return;
    }
    let count = |number: i64| u32::try_from(number).unwrap();
    let fleet = Fleet::seeded_on::<B>(3, count(DATES), count(PER_DATE), count(USERS)).await;
    let servers = fleet.servers();
    let change = AdmissionChange {
        batch: Some(BATCH),
        every_ms: Some(EVERY_MS),
        ..AdmissionChange::default()
    };
    fleet.admission(change).await;
    let traffic = Traffic::start(Sale {
        apis: apis(&fleet),
        users: USERS,
        seats: DATES * PER_DATE,
        per_date: PER_DATE,
        width: 48,
    });
    let sold = |count: usize| {
        let traffic = &traffic;
        let so_far = traffic.count(Step::Reserve, 201);
        async move {
            eventually("people buy", || async {
                (traffic.count(Step::Reserve, 201) >= so_far + count).then_some(())
            })
            .await;
        }
    };
    sold(50).await;
    let begun = Instant::now();
    sold(50).await;
    let from = Instant::now();
    fleet.kill(1);
    let watermark = || async {
        let status = servers[2].ops.status().await.unwrap();
        status.queue.admitted_mark
    };
    let before = watermark().await;
    eventually("ten more batches are admitted", || async {
        (watermark().await >= before + 10 * BATCH).then_some(())
    })
    .await;
    let took = from.elapsed();
    sold(100).await;
    let to = Instant::now();
    sold(50).await;
    let report = traffic.stop().await;
    books_are_right(&servers[0].ops, &report.facts).await;
    print_figures("one of three servers killed", &report, (begun, from, to));
    println!("  ten batches after the kill took {took:.1?}");

    // Requests in progress at the killed server got no answer. The other servers returned no error.
    let answers = report.by_status(begun, Instant::now());
    assert!(
        !answers.keys().any(|(_, status)| *status >= 500),
        "{answers:?}"
    );
    batches_are_exact(&fleet).await;
}
