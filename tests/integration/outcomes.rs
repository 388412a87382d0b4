//! A decided write is answered with its decision, however slow it is. Answers and database agree.

use std::time::Duration;

use concertctl::api::ops::Fault;
use futures_util::future::join_all;
use serde_json::json;

use crate::needs;
use crate::repeats::pay_keyed;
use crate::support::backend::{Backend, Embedded, MySqlEmbedded, PostgresEmbedded};
use crate::support::server::Server;
use crate::support::{Answer, User, eventually};

/// Users who each hold a seat and can pay for it.
async fn payers<B: Backend>(server: &Server<B>, count: i64) -> Vec<(User, i64)> {
    let mut payers = Vec::new();
    for id in 1..=count {
        let user = server.admitted(id).await;
        user.charge(json!(1_000)).await;
        let reservation = user.reserved(id).await;
        payers.push((user, reservation));
    }
    payers
}

/// Sends each payment once, ends the fault that makes them slow, and repeats those with an unknown outcome.
async fn answered_and_done<B: Backend>(
    server: &Server<B>,
    payers: &[(User, i64)],
) -> (usize, usize) {
    let paying = payers.iter().map(|(user, id)| pay_keyed(user, *id, "k"));
    let answers = join_all(paying).await;
    server.ops.end_faults(None).await.unwrap();
    server.tamper(UNDO).await.ok();
    let mut unknown = 0;
    let mut answered = 0;
    for (answer, (user, id)) in answers.iter().zip(payers) {
        let paid = match is_unknown(answer) {
            true => {
                unknown += 1;
                let resolved = eventually("the outcome is known", || async {
                    let again = pay_keyed(user, *id, "k").await;
                    (again.status != 503).then_some(again.status)
                });
                resolved.await == 200
            }
            false => {
                assert!([200, 503].contains(&answer.status), "{}", answer.text);
                answer.status == 200
            }
        };
        answered += usize::from(paid);
    }
    // If a later write has ended, all earlier writes have ended too.
    let other = server.registered(50).await;
    eventually("writes go on", || async {
        (other.charge(json!(1)).await.status == 200).then_some(())
    })
    .await;
    let audit = server.audit().await;
    assert_eq!(audit.violations(), 0, "{audit:?}");
    assert_eq!(
        u64::try_from(answered).unwrap(),
        audit.reservations_paid,
        "answered and done payments differ; {unknown} unknown"
    );
    (answered, unknown)
}

fn is_unknown(answer: &Answer) -> bool {
    answer.status == 503 && answer.problem().1 == "outcome.unknown"
}

/// Removes the trigger that makes payments slow in PostgreSQL.
const UNDO: &str = "DROP TRIGGER slow_payment ON ledger; DROP FUNCTION slow_payment()";

async fn slow_payments<B: Backend>(server: &Server<B>, delay_ms: u64) {
    let slow = Fault::SlowStatement {
        delay: Duration::from_millis(delay_ms),
        statement: Some("reservation.pay".to_owned()),
    };
    let length = Duration::from_secs(120);
    let injected = server.ops.inject_fault(&slow, length, None);
    injected.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_answered_and_done_agree_when_the_embedded_database_is_slow() {
    let server = Server::<Embedded>::seeded(1, 40, 50).await;
    let payers = payers(&server, 12).await;
    slow_payments(&server, 1_500).await;
    let (answered, _) = answered_and_done(&server, &payers).await;
    assert!(
        (1..12).contains(&answered),
        "some are done in time: {answered}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_outlasts_every_time_out_is_unknown_and_its_repeat_resolves_it() {
    let server = Server::<Embedded>::seeded(1, 40, 50).await;
    let payers = payers(&server, 3).await;
    slow_payments(&server, 14_000).await;
    let (answered, unknown) = answered_and_done(&server, &payers).await;
    assert_eq!(
        (answered, unknown),
        (1, 1),
        "the other payments never began"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_answered_and_done_agree_when_postgres_is_slow() {
    needs!(Server<PostgresEmbedded>);
    let server = Server::<PostgresEmbedded>::seeded(1, 40, 50).await;
    let payers = payers(&server, 40).await;
    slow_payments(&server, 3_000).await;
    let (answered, _) = answered_and_done(&server, &payers).await;
    assert!(answered > 0, "some are done in time");
    server.stop().await;
}

/// The statement itself is slow, and its time-out ends it in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_answered_and_done_agree_when_postgres_cancels_them() {
    needs!(Server<PostgresEmbedded>);
    let server = Server::<PostgresEmbedded>::seeded(1, 40, 50).await;
    let payers = payers(&server, 12).await;
    let slow = "CREATE FUNCTION slow_payment() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_sleep(2 + 4 * random()); RETURN NEW; END';
        CREATE TRIGGER slow_payment BEFORE INSERT ON ledger FOR EACH ROW
            WHEN (NEW.kind = 1) EXECUTE FUNCTION slow_payment()";
    server.tamper(slow).await.unwrap();
    answered_and_done(&server, &payers).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_answered_and_done_agree_when_mysql_is_slow() {
    needs!(Server<MySqlEmbedded>);
    let server = Server::<MySqlEmbedded>::seeded(1, 40, 50).await;
    let payers = payers(&server, 40).await;
    slow_payments(&server, 3_000).await;
    let (answered, _) = answered_and_done(&server, &payers).await;
    assert!(answered > 0, "some are done in time");
    server.stop().await;
}

/// The statement itself is slow, and its time-out ends it in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_answered_and_done_agree_when_mysql_interrupts_them() {
    needs!(Server<MySqlEmbedded>);
    let server = Server::<MySqlEmbedded>::seeded(1, 40, 50).await;
    let payers = payers(&server, 12).await;
    let slow = "CREATE TRIGGER slow_payment BEFORE INSERT ON ledger FOR EACH ROW
        SET @slept = IF(NEW.kind = 1, SLEEP(2 + 4 * RAND()), 0)";
    server.tamper(slow).await.unwrap();
    answered_and_done(&server, &payers).await;
    server.stop().await;
}
