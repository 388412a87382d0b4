//! A fleet: its servers are one service and continue without a killed one.

use crate::assert_refused;
use crate::support::Fleet;

#[tokio::test]
async fn the_servers_of_a_fleet_are_one_service_and_continue_without_a_killed_one() {
    if Fleet::skipped() {
        return;
    }
    let mut fleet = Fleet::seeded(3, 1, 10, 5).await;
    let mut at_first = fleet.servers()[0].user(1);
    assert_eq!(at_first.register().await.status, 201);
    let mut at_second = fleet.servers()[1].user_with(&at_first);
    assert_refused!(at_second.register().await, 409, "queue.already-registered");

    fleet.kill(0);
    assert!(
        std::net::TcpStream::connect(fleet.servers()[0].api.trim_start_matches("http://")).is_err()
    );
    at_second.until_active().await;
    assert_eq!(at_second.reserve(3).await.status, 201);
    let at_third = fleet.servers()[2].user_with(&at_first);
    assert_eq!(at_third.seat_status(1, 3).await, "PENDING");

    fleet.restart(0).await;
    fleet.ready(0).await;
    let again = fleet.servers()[0].user_with(&at_first);
    assert_eq!(again.seat_status(1, 3).await, "PENDING");
}
