//! Requests that Grafana sends besides its queries.

use concertctl::embedded::loki::LokiConfig;
use serde_json::{Value, json};

use super::Server;

#[tokio::test]
async fn grafanas_health_check_is_answered() {
    let server = Server::start(LokiConfig::default()).await;
    let params = [
        ("query", "vector(1)+vector(1)"),
        ("time", "4000000000000000000"),
    ];
    let data = server.data("query", &params).await;
    assert_eq!(data["resultType"], "vector");
    assert_eq!(
        data["result"],
        json!([{"metric": {}, "value": [4_000_000_000_i64, "2"]}])
    );
    let data = server.range("vector(3)", &[("step", "60")]).await;
    assert_eq!(
        data["result"],
        json!([{"metric": {}, "values": [[1_699_999_980, "3"], [1_700_000_040, "3"], [1_700_000_100, "3"]]}])
    );
}

#[tokio::test]
async fn grafanas_other_requests_are_answered() {
    let server = Server::with_lines().await;
    let get = async |path: &str, more: &[(&str, &str)]| -> Value {
        let mut params = vec![("start", "1700000000"), ("end", "1700000060")];
        params.extend(more);
        let (status, body) = server.get(path, &params).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    let all = ("query", r#"{service_name=~".+"}"#);
    let stats = get("index/stats", &[all]).await;
    assert_eq!(
        (&stats["streams"], &stats["entries"]),
        (&json!(4), &json!(5))
    );
    let volume = get("index/volume", &[all]).await;
    let first = &volume["data"]["result"][0];
    assert_eq!(first["metric"], json!({"service_name": "concertctl-api"}));
    let api_bytes = stats["bytes"].as_u64().unwrap() - "not json at all".len() as u64;
    assert_eq!(first["value"][1], api_bytes.to_string());
    let by_label = get(
        "index/volume",
        &[all, ("aggregateBy", "labels"), ("targetLabels", "level")],
    )
    .await;
    assert_eq!(
        by_label["data"]["result"][0]["metric"],
        json!({"level": ""})
    );
    let range = get("index/volume_range", &[all, ("step", "60")]).await;
    assert_eq!(range["data"]["resultType"], "matrix");
    assert_eq!(range["data"]["result"].as_array().unwrap().len(), 2);
    let labels = get("detected_labels", &[all]).await;
    assert_eq!(
        labels["detectedLabels"],
        json!([{"label": "level", "cardinality": 3}, {"label": "service_name", "cardinality": 2}])
    );
    let fields = get("detected_fields", &[all]).await;
    let status = fields["fields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["label"] == "additional_data_status")
        .unwrap();
    assert_eq!(
        *status,
        json!({"label": "additional_data_status", "type": "int", "cardinality": 3, "parsers": ["json"]})
    );
    let values = get("detected_field/additional_data_status/values", &[all]).await;
    assert_eq!(values["values"], json!(["200", "201", "503"]));
    assert_eq!(get("patterns", &[all]).await["data"], json!([]));
    assert_eq!(get("format_query", &[all]).await["data"], all.1);
    assert!(get("status/buildinfo", &[]).await["version"].is_string());
    let ready = server.base.replace("/loki/api/v1", "/ready");
    assert_eq!(
        crate::support::client()
            .get(ready)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "ready\n"
    );
    let form = [all, ("start", "1700000000"), ("end", "1700000060")];
    let url = format!("{}/index/stats", server.base);
    let posted = server.client.post(url).form(&form).send().await.unwrap();
    assert_eq!(posted.json::<Value>().await.unwrap(), stats);
    for (path, params) in [
        ("index/volume", vec![("query", "{")]),
        ("index/volume", vec![all, ("limit", "0")]),
        ("detected_fields", vec![("query", r#"rate({a="b"}[1m])"#)]),
        ("format_query", vec![("query", "x y")]),
        ("patterns", vec![("query", "{level")]),
    ] {
        assert_eq!(server.get(path, &params).await.0, 400, "{path} {params:?}");
    }
}
