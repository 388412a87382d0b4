//! The OpenAPI document: a snapshot pins it, and a fuzzer checks the server against it.

mod document;
mod requests;

use std::collections::{BTreeMap, BTreeSet};

use concertctl::api::ops::AdmissionChange;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, User, eventually};
use document::{Document, Operation};
use requests::{Holder, Maker, Request};

/// The number of generated requests for each operation.
const REQUESTS: usize = 400;

async fn described(server: &TestServer) -> Value {
    let answer = server.stranger(1).get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    answer.json()
}

#[tokio::test]
async fn the_described_api_is_the_one_that_was_agreed() {
    let server = TestServer::empty().await;
    let mut document = described(&server).await;
    document["info"]["version"] = json!("(this version)");
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    server.stop().await;
}

#[tokio::test]
async fn the_document_can_be_used_by_tools() {
    let server = TestServer::empty().await;
    let root = described(&server).await;
    assert!(root["openapi"].as_str().unwrap().starts_with("3.1"));
    let document = Document::new(root.clone());
    let operations = document.operations();
    let ids: BTreeSet<&str> = operations.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), operations.len(), "operationIds are unique");
    for one in &operations {
        let id = &one.id;
        let success = one.responses.keys().filter(|status| **status < 300);
        assert_eq!(success.count(), 1, "{id} has one way to succeed");
        for name in one.path.split(['{', '}']).skip(1).step_by(2) {
            let declared =
                |(known, place, _): &(String, String, Value)| known == name && place == "path";
            assert!(one.parameters.iter().any(declared), "{id} lacks {name}");
        }
        for (status, response) in &one.responses {
            let text = response["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{id} {status} is described");
        }
    }
    all_references_lead_somewhere(&document, &root);
    server.stop().await;
}

fn all_references_lead_somewhere(document: &Document, value: &Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("$ref") {
                document.resolve(value);
            }
            let inner = fields.values();
            inner.for_each(|value| all_references_lead_somewhere(document, value));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|value| all_references_lead_somewhere(document, value)),
        _ => {}
    }
}

/// Tokens in every state: admitted, waiting, used up, and of a replaced dataset.
async fn holders(server: &TestServer) -> Vec<Holder> {
    let old = server.registered(1).await;
    crate::support::seed(&server.ops, &crate::support::profile(3, 20, 60)).await;
    server.admit_everybody().await;
    let holder = |user: &User, reservation| Holder {
        user: user.id,
        token: user.token.clone().unwrap(),
        reservation,
    };
    let mut all = vec![holder(&old, 1)];
    for id in 1..=30 {
        let mut user = server.admitted(id).await;
        let reservation = user.reserved(id).await;
        all.push(holder(&user, reservation));
        if id <= 20 {
            assert_eq!(user.charge(json!(1_000)).await.status, 200);
        }
        if id <= 4 {
            assert_eq!(user.pay(reservation).await.status, 200);
            // Admitted again, with a paid reservation.
            assert_eq!(user.register().await.status, 201);
            user.until_active().await;
            all.push(holder(&user, reservation));
        }
    }
    let paused = AdmissionChange {
        paused: Some(true),
        ..AdmissionChange::default()
    };
    server.admission(paused).await;
    for id in 31..=34 {
        let user = server.registered(id).await;
        all.push(holder(&user, id));
    }
    all
}

async fn send(client: &reqwest::Client, api: &str, request: &Request) -> Answer {
    let url = format!("{api}{}", request.path);
    let mut call = client.request(request.method.clone(), url);
    call = call.headers(request.headers.clone());
    if let Some(body) = &request.body {
        call = call.body(body.clone());
    }
    User::send(call).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_gets_an_answer_that_the_document_does_not_declare() {
    let seed = match std::env::var("CONCERTCTL_FUZZ_SEED") {
        Ok(text) => text.parse().expect("CONCERTCTL_FUZZ_SEED is a number"),
        Err(_) => 20_261_123,
    };
    let server = TestServer::seeded(1, 5, 5).await;
    let holders = holders(&server).await;
    let document = Document::new(described(&server).await);
    let operations = document.operations();
    let mut maker = Maker::new(seed, &document, &holders);
    let client = crate::support::client();
    let mut seen: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for round in 0..REQUESTS * operations.len() {
        // Alternate operations, so that each finds the results of the others.
        let operation = &operations[round % operations.len()];
        let request = maker.request(operation);
        let answer = send(&client, &server.api, &request).await;
        let objection = match answer.status {
            500.. => Some("a server error".to_owned()),
            _ => document.objection(operation, &answer),
        };
        assert!(
            objection.is_none(),
            "{}: {}\nCONCERTCTL_FUZZ_SEED={seed}, request {round}: {request:?}\n{answer:?}",
            operation.id,
            objection.unwrap_or_default()
        );
        seen.entry(&operation.id).or_default().insert(answer.status);
    }
    every_declared_answer_was_given(&operations, &seen, seed);
    assert_eq!(server.audit().await.violations(), 0, "seed {seed}");
    eventually("no request is left under way", || async {
        (server.active_requests().await == 0).then_some(())
    })
    .await;
    server.stop().await;
}

/// Statuses that are declared for every operation. The tests of strictness and of the rate limit provoke them with slow
/// and large bodies, `Expect` headers, and too many requests of a token.
const OF_EVERY_CALL: &[u16] = &[408, 413, 417, 429];

/// Declared answers that the fuzzer cannot provoke: to a malformed Host, which its client does not send, and to a
/// missing account of a user with a token, which only an edited database can have.
const NOT_PROVOKED: &[(&str, u16)] = &[
    ("charge", 404),
    ("getBalance", 404),
    ("getLiveness", 400),
    ("getReadiness", 400),
    ("getDescription", 400),
];

/// Checks that each declared answer was given, so that the document declares no unused answer and the fuzzer reaches
/// everything.
fn every_declared_answer_was_given(
    operations: &[Operation],
    seen: &BTreeMap<&str, BTreeSet<u16>>,
    seed: u64,
) {
    for operation in operations {
        let id = operation.id.as_str();
        for status in operation.responses.keys().filter(|status| **status < 500) {
            let elsewhere = OF_EVERY_CALL.contains(status) || NOT_PROVOKED.contains(&(id, *status));
            let provoked = seen[id].contains(status) || elsewhere;
            assert!(provoked, "{id} never answered {status}; seed {seed}");
        }
    }
}
