//! Refused settings of faults, and the errors.

use reqwest::Method;
use serde_json::{Value, json};

use crate::assert_refused;
use crate::support::{Answer, TestServer, User};

/// Calls the operations API without the typed client, which cannot send invalid requests.
async fn call(server: &TestServer, method: Method, path: &str, body: Option<Value>) -> Answer {
    let url = format!("{}/ops/v1/faults{path}", server.ops_url);
    let mut call = crate::support::client()
        .request(method, url)
        .bearer_auth(&server.ops_token);
    if let Some(body) = body {
        call = call.json(&body);
    }
    User::send(call).await
}

#[tokio::test]
async fn invalid_settings_are_refused_by_name_and_nothing_is_injected() {
    let server = TestServer::empty().await;
    let bad = [
        ("errors", json!({"forMs": 1000, "share": 2}), "share is 2"),
        (
            "errors",
            json!({"forMs": 1000, "share": -0.5}),
            "share is -0.5",
        ),
        ("errors", json!({"forMs": 1000}), "share is missing"),
        ("errors", json!({"share": 1}), "forMs"),
        ("errors", json!({"forMs": -5, "share": 1}), "forMs is -5"),
        ("errors", json!({"forMs": 0, "share": 1}), "for is 0s"),
        (
            "errors",
            json!({"forMs": 3_600_001, "share": 1}),
            "1ms to 1h",
        ),
        (
            "errors",
            json!({"forMs": 1, "share": 1, "status": 404}),
            "status is 404",
        ),
        (
            "errors",
            json!({"forMs": 1, "share": 1, "routes": []}),
            "routes is empty",
        ),
        (
            "errors",
            json!({"forMs": 1, "share": 1, "routes": ["GET /quue"]}),
            "GET /quue",
        ),
        (
            "errors",
            json!({"forMs": 1, "share": 1, "delayMs": 1}),
            "delayMs is no setting",
        ),
        (
            "errors",
            json!({"forMs": 1, "share": 1, "chance": 1}),
            "chance",
        ),
        (
            "errors",
            json!({"forMs": 1, "share": 1, "by": "a\nb"}),
            "by has 1 to 64",
        ),
        (
            "errors",
            json!({"forMs": 1, "share": 1, "by": "x".repeat(65)}),
            "by has 1 to 64",
        ),
        (
            "latency",
            json!({"forMs": 1, "delayMs": -1}),
            "delayMs is -1",
        ),
        (
            "latency",
            json!({"forMs": 1, "delayMs": 30_001}),
            "delay is 30s1ms",
        ),
        ("latency", json!({"forMs": 1}), "delayMs is missing"),
        (
            "slow_statement",
            json!({"forMs": 1, "delayMs": 1, "statement": "x"}),
            "\"x\"",
        ),
        (
            "pool_exhaustion",
            json!({"forMs": 1, "connections": 0}),
            "connections is 0",
        ),
        (
            "pool_exhaustion",
            json!({"forMs": 1, "connections": -1}),
            "connections is -1",
        ),
        ("redis_cut", json!({"forMs": 1, "how": "slowly"}), "slowly"),
        ("clock_step", json!({"forMs": 1}), "seconds is missing"),
        ("clock_step", json!({"forMs": 1, "seconds": 0}), "but not 0"),
        (
            "disk_full",
            json!({"forMs": 1, "how": "hang"}),
            "how is no setting",
        ),
    ];
    for (kind, body, named) in bad {
        let answer = call(&server, Method::PUT, &format!("/{kind}"), Some(body)).await;
        assert_refused!(&answer, 400, "request.malformed");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(named), "{kind}: {named}: {detail}");
    }
    server.assert_no_faults().await;
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_kind_and_a_missing_link_are_reported() {
    let server = TestServer::empty().await;
    let body = || Some(json!({"forMs": 1000}));
    for method in [Method::PUT, Method::DELETE] {
        let answer = call(&server, method, "/earthquake", body()).await;
        assert_refused!(&answer, 404, "route.unknown");
        assert!(answer.text.contains("redis_cut"), "{}", answer.text);
    }
    let long = format!("/{}", "x".repeat(1_000));
    let answer = call(&server, Method::PUT, &long, body()).await;
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(!detail.contains(&"x".repeat(65)), "{detail}");
    let answer = call(&server, Method::PUT, "/redis_cut", body()).await;
    assert_refused!(&answer, 409, "ops.conflict");
    assert!(answer.text.contains("no Redis"), "{}", answer.text);
    server.assert_no_faults().await;
    server.stop().await;
}

#[tokio::test]
async fn without_a_token_faults_can_be_listed_but_not_changed() {
    let server = TestServer::empty().await;
    let url = format!("{}/ops/v1/faults", server.ops_url);
    let client = crate::support::client();
    let body = json!({"forMs": 1000, "share": 1});
    let one = format!("{url}/errors");
    for call in [
        client.put(&one).json(&body),
        client.put(&one).json(&body).bearer_auth("guessed"),
        client.delete(&one),
        client.delete(&url),
    ] {
        assert_refused!(User::send(call).await, 401, "ops.unauthorized");
    }
    let seen = User::send(client.get(&url)).await;
    assert_eq!((seen.status, seen.json()), (200, json!({"faults": []})));
    server.assert_no_faults().await;
    server.stop().await;
}

#[tokio::test]
async fn every_route_of_the_api_can_be_named() {
    let server = TestServer::empty().await;
    let document = server.stranger(1).get("/openapi.json").await.json();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert!(routes.len() >= 13, "{routes:?}");
    let body = json!({"forMs": 1000, "share": 0, "routes": routes});
    let answer = call(&server, Method::PUT, "/errors", Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    server.stop().await;
}
