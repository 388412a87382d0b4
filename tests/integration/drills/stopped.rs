//! The stop conditions of a drill.

use serde_json::Value;

use super::endless::{Endless, data_directory, operations};
use super::on_server::OnServer;
use super::{drill, stderr};
use crate::support::eventually;

#[tokio::test]
async fn a_stop_condition_ends_a_drill_at_once_and_takes_its_fault_back() {
    let on = OnServer::start().await;
    let text = drill("{ kind: errors, share: 1, for: 5m }", "{ recovered: 30s }");
    let mut command = on.drill(&format!("{text}stop: {{ buying.failed: 3 }}\n"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("stop.buying.failed: 3"),
        "{}",
        stderr(&output)
    );
    assert_eq!(on.faults().await, Some(0));
    let report = std::fs::read(on.dir.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let report = &report["drills"][0];
    assert_eq!(report["verdict"], "inconclusive");
    let seconds = report["seconds"].as_array().unwrap();
    let last = seconds.last().unwrap()[0].as_f64().unwrap();
    assert!(last < 120.0, "it did not wait for the end of its fault");
}

/// No fault loses an acknowledged payment, so the test removes one from the database.
#[tokio::test]
async fn a_lost_payment_ends_a_drill_at_once() {
    let drill = Endless::start("{ kind: clock_step, seconds: 60, for: 5m }");
    drill
        .until("the server serves", |dir| operations(dir).is_some())
        .await;
    let payments = "SELECT count(*) FROM reservations WHERE status = 1";
    let removed = eventually("payments are removed", || async {
        let data = data_directory(drill.dir())?;
        let datasets = std::fs::read_dir(data.join("datasets")).ok()?.flatten();
        let mut files = datasets.map(|entry| entry.path());
        let file = files.find(|path| path.extension().is_some_and(|it| it == "db"))?;
        let connection = rusqlite::Connection::open(file).ok()?;
        let paid: i64 = connection.query_row(payments, [], |row| row.get(0)).ok()?;
        let removal = "UPDATE reservations SET status = 3 WHERE status = 1";
        (paid > 3)
            .then(|| connection.execute(removal, []))
            .transpose()
            .ok()?
    })
    .await;
    assert!(removed > 3);
    let mut drill = drill;
    let code = drill.process.0.wait().unwrap().code();
    assert_eq!(code, Some(3));
    drill.leaves_nothing().await;
}
