use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::{MetricType, TsdbConfig};

fn store() -> Arc<Tsdb> {
    let db = Tsdb::new(TsdbConfig::default());
    for t in 0..10 {
        for path in ["/a", "/b\"c"] {
            let labels = Labels::from_pairs([("__name__", "hits_total"), ("path", path)]);
            db.append(&labels, t * 1000, t as f64).unwrap();
        }
    }
    db.set_metadata("hits_total", |m| {
        m.kind = MetricType::Counter;
        m.help = "Hits.".to_owned();
    });
    Arc::new(db)
}

async fn send(request: Request<Body>) -> (StatusCode, Value) {
    let app = routes(store(), QueryLimits::default());
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get_json(uri: &str) -> (StatusCode, Value) {
    send(Request::get(uri).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_instant_query_answers_in_prometheus_s_shape() {
    let (status, body) =
        get_json("/api/v1/query?query=hits_total%7Bpath%3D%22/a%22%7D&time=4.5").await;
    assert_eq!(status, 200);
    let expected = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"__name__": "hits_total", "path": "/a"}, "value": [4.5, "4"]},
    ]}});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_form_works_like_a_query_string() {
    let form = "query=sum(hits_total)&start=1&end=3&step=1s";
    let request = Request::post("/api/v1/query_range")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let (_, body) = send(request).await;
    assert_eq!(
        body["data"],
        json!({"resultType": "matrix", "result": [
            {"metric": {}, "values": [[1, "2"], [2, "4"], [3, "6"]]},
        ]})
    );
}

#[tokio::test]
async fn errors_have_prometheus_s_shape_and_status() {
    for (uri, status, kind, part) in [
        (
            "query?query=sum(",
            400,
            "bad_data",
            "invalid parameter \"query\"",
        ),
        (
            "query?query=up&time=x",
            400,
            "bad_data",
            "cannot parse \"x\" to a valid timestamp",
        ),
        (
            "query_range?query=up&start=2&end=1&step=1",
            400,
            "bad_data",
            "end timestamp must not be before start time",
        ),
        (
            "query_range?query=up&start=1&end=2&step=0",
            400,
            "bad_data",
            "zero or negative query resolution step widths",
        ),
        (
            "query_range?query=up&start=0&end=11001&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "query_range?query=up%5B5m%5D&start=0&end=1&step=1",
            400,
            "bad_data",
            "invalid expression type \"range vector\"",
        ),
        (
            "query?query=hits_total%2Bon()hits_total&time=5",
            422,
            "execution",
            "found duplicate series for the match group {} on the right hand-side",
        ),
        (
            "query?query=up&timeout=0s",
            503,
            "timeout",
            "query timed out",
        ),
        ("series", 400, "bad_data", "no match[] parameter provided"),
        (
            "label/a-b/values",
            400,
            "bad_data",
            "invalid label name: \"a-b\"",
        ),
    ] {
        let (got, body) = get_json(&format!("/api/v1/{uri}")).await;
        assert_eq!(
            (got.as_u16(), &body["status"], &body["errorType"]),
            (status, &json!("error"), &json!(kind)),
            "{uri}"
        );
        let message = body["error"].as_str().unwrap();
        assert!(message.contains(part), "{uri}: {message}");
    }
}

#[tokio::test]
async fn tells_what_series_labels_and_metrics_there_are() {
    let (_, body) = get_json("/api/v1/series?match[]=hits_total%7Bpath!%3D%22/a%22%7D").await;
    assert_eq!(
        body["data"],
        json!([{"__name__": "hits_total", "path": "/b\"c"}])
    );
    let (_, body) = get_json("/api/v1/labels").await;
    assert_eq!(body["data"], json!(["__name__", "path"]));
    let (_, body) = get_json("/api/v1/label/path/values?start=0&end=5").await;
    assert_eq!(body["data"], json!(["/a", "/b\"c"]));
    let (_, body) = get_json("/api/v1/label/path/values?start=100").await;
    assert_eq!(body["data"], json!([]));
    let (_, body) = get_json("/api/v1/metadata").await;
    assert_eq!(
        body["data"],
        json!({"hits_total": [{"type": "counter", "help": "Hits.", "unit": ""}]})
    );
    let (_, body) = get_json("/api/v1/status/buildinfo").await;
    assert_eq!(body["data"]["version"], json!("2.42.0"));
}
