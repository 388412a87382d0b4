//! Several servers on one MariaDB and one Redis.

use serde_json::json;

use crate::support::fleet::Fleet;
use crate::support::{MySqlRedis, eventually, profile, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_servers_sell_each_seat_once_and_survive_the_loss_of_one() {
    if Fleet::skipped_on::<MySqlRedis>() {
        return;
    }
    let mut fleet = Fleet::seeded_on::<MySqlRedis>(2, 1, 20, 40).await;
    let mut users = Vec::new();
    for id in 1..=20 {
        let server = &fleet.servers()[usize::try_from(id % 2).unwrap()];
        let mut user = server.user(id);
        assert_eq!(user.register().await.status, 201);
        user.until_active().await;
        users.push(user);
    }
    // All users want the same five seats.
    let mut sold = 0;
    for seat in 1..=5 {
        let wishes = users.iter().map(|user| user.reserve(seat));
        let answers = futures_util::future::join_all(wishes).await;
        let won = answers.iter().filter(|answer| answer.status == 201).count();
        assert!(won <= 1, "seat {seat} was sold {won} times");
        sold += won;
    }
    assert!(sold > 0);
    fleet.kill(1);
    // The second user is on the other server.
    let charged = users[1].charge(json!(100)).await;
    assert_eq!(charged.status, 200, "{}", charged.text);
    fleet.restart(1).await;
    fleet.ready(1).await;
    let audit = fleet.servers()[1].ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
    assert_eq!(audit.reservations, u64::try_from(sold).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_switches_to_a_new_dataset() {
    if Fleet::skipped_on::<MySqlRedis>() {
        return;
    }
    let fleet = Fleet::seeded_on::<MySqlRedis>(2, 1, 20, 40).await;
    seed(&fleet.servers()[0].ops, &profile(1, 7, 40)).await;
    eventually("the other server follows", || async {
        let status = fleet.servers()[1].ops.status().await.ok()?;
        (status.dataset?.seats == 14).then_some(())
    })
    .await;
    let audit = fleet.servers()[1].ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
}
