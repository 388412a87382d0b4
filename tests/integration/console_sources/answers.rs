//! Answers of servers with Prometheus's API, answers of proxies before them, and missing answers.

use super::access::{ok, once, source, texts};
use crate::fake_sources::Fake;

/// The output of the console with this Prometheus.
async fn printed(prometheus: &str, more: &[&str]) -> String {
    let fake = Fake::start().await;
    let mut args = texts(&["--ops-url", &fake.url(), "--prometheus-url", prometheus]);
    args.extend(texts(more));
    let output = once(args, vec![("COLUMNS", "200".into())]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

async fn answering(answer: String) -> String {
    let (port, _) = source(answer, false).await;
    printed(&format!("http://127.0.0.1:{port}"), &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_instead_of_prometheus_is_reported_as_a_web_page() {
    let page = "<!doctype html><html><head><title>Sign in</title></head></html>";
    let text = answering(ok(page)).await;
    let reason = "metrics: the address answers with a web page (Sign in): is this Prometheus?";
    assert!(text.contains(reason), "{text}");
    let refused = format!(
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    );
    let text = answering(refused).await;
    assert!(
        text.contains("refused (502): a web page (Sign in)"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn null_means_no_series_and_a_partial_answer_is_marked() {
    let body = |more: &str| {
        let answer = r#"{"status":"success","data":{"resultType":"vector","result":null}"#;
        ok(&format!("{answer}{more}}}"))
    };
    let text = answering(body("")).await;
    assert!(
        text.contains("● metrics") && text.contains("no traffic"),
        "{text}"
    );
    let text = answering(body(r#","isPartial":true"#)).await;
    assert!(
        text.contains("▲ metrics: its answers are partial"),
        "{text}"
    );
    let text = answering(body(r#","warnings":["store 2 is away"]"#)).await;
    assert!(text.contains("▲ metrics: store 2 is away"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_out_of_sources_can_be_set() {
    // The source accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let text = printed(&url, &["--source-timeout", "300ms"]).await;
    assert!(text.contains("no answer within 0.3 s"), "{text}");
    let vars = vec![("CONCERTCTL_SOURCE_TIMEOUT", "1h".to_owned())];
    let output = once(Vec::new(), vars).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("must be from 200ms to 30s"), "{errors}");
    assert_eq!(output.status.code(), Some(2));
}
