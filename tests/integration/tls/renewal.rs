//! The certificate of a running server is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Authority, Secured};
use crate::support::eventually;

/// Returns whether `localhost` answers with a certificate that a client of `authority` trusts.
async fn serves(server: &Secured, authority: &Authority) -> bool {
    let url = format!("{}/health/live", server.api());
    authority.client().get(url).send().await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_sighup_a_new_certificate_serves_and_no_request_is_lost() {
    let (first, second) = (Authority::new(), Authority::new());
    let pair = first.issue("server", &["localhost"]);
    let server = Secured::start(&pair, &[]).await;
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    // The clients keep their connections, as users do.
    let users: Vec<_> = (0..8)
        .map(|_| {
            let (client, url) = (first.client(), format!("{}/health/live", server.api()));
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.get(&url).send().await.expect("no request is lost");
                    assert_eq!(answer.status(), 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    eventually("the users are served", || async {
        (answered.load(Ordering::SeqCst) > 200).then_some(())
    })
    .await;
    let before = std::fs::read_to_string(server.data.path().join("server.json")).unwrap();
    pair.replace_by(&second.issue("next", &["localhost"]));
    server.hang_up();
    eventually("the second certificate serves", || async {
        serves(&server, &second).await.then_some(())
    })
    .await;
    assert!(
        !serves(&server, &first).await,
        "new connections get the new one"
    );
    let so_far = answered.load(Ordering::SeqCst);
    eventually("the open connections go on", || async {
        (answered.load(Ordering::SeqCst) > so_far + 200).then_some(())
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    for user in users {
        user.await.unwrap();
    }
    // Commands on the data directory trust the new certificate.
    eventually("server.json names the new certificate", || async {
        let now = std::fs::read_to_string(server.data.path().join("server.json")).unwrap();
        (now != before).then_some(())
    })
    .await;
    let listed = super::run(&["fault", "list", "--data-dir", server.dir()]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    // The server reaches its own metrics with the new certificate.
    let client = second.client();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.query(&client, "up").await, [1.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_files_is_noticed_and_a_bad_pair_is_refused() {
    let (first, second) = (Authority::new(), Authority::new());
    let pair = first.issue("server", &["localhost"]);
    let server = Secured::start(&pair, &[]).await;
    let client = first.client();
    // The certificate is new and the key is not, as in the middle of a renewal or after a mistake.
    let next = second.issue("next", &["localhost"]);
    std::fs::copy(&next.certificate, &pair.certificate).unwrap();
    let token = crate::support::token_of(server.data.path());
    // The query is the one in the runbook.
    let query = r#"{service_name="concertctl-api"} |= "the TLS files were""#;
    let line = eventually("the refusal is logged", || async {
        let url = format!("{}/loki/api/v1/query_range", server.ops());
        let asked = client
            .get(url)
            .bearer_auth(&token)
            .query(&[("query", query)]);
        let answer = asked.send().await.ok()?.text().await.ok()?;
        answer.contains("refused").then_some(answer)
    })
    .await;
    for part in [
        "does not belong to the certificate",
        "server.key.pem",
        "stays",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(serves(&server, &first).await, "the old pair stays");
    assert!(!serves(&server, &second).await);
    // The key is replaced too.
    std::fs::copy(&next.key, &pair.key).unwrap();
    eventually("the second certificate serves", || async {
        serves(&server, &second).await.then_some(())
    })
    .await;
}
