//! Tests of addresses, of refusals, and of secrets that must not be shown.

use super::*;
use crate::secret::Secret;

#[test]
fn base_addresses_take_host_port_and_paths_and_name_what_is_wrong() {
    let base = |text| HttpSource::new(text).map(|source| source.base().to_owned());
    assert_eq!(base("127.0.0.1:8081"), Ok("http://127.0.0.1:8081/".into()));
    assert_eq!(
        base("http://prom:9090/prefix?x=1"),
        Ok("http://prom:9090/prefix/".into())
    );
    assert_eq!(base("https://prom"), Ok("https://prom/".into()));
    for wrong in ["http://", "http://:9090", "ftp://x", "http://a:99999"] {
        let error = base(wrong).expect_err(wrong).to_string();
        assert!(
            error.contains(wrong) && error.contains("http://HOST:PORT"),
            "{error}"
        );
    }
}

#[test]
fn a_password_is_in_no_error_and_no_debug_text() {
    let source = HttpSource::new("http://me:hunter2@prom:9090/x").unwrap();
    assert_eq!(source.base(), "http://prom:9090/x/");
    let debug = format!("{source:?}");
    assert!(
        !debug.contains("hunter2") && !debug.contains("bWU6"),
        "{debug}"
    );
    for wrong in ["ftp://me:hunter2@x", "http://me:hunter2@", "me:hunter2/@:x"] {
        let error = HttpSource::new(wrong).expect_err(wrong);
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
    }
    assert_eq!(without_password("http://a/b@c"), "http://…@c");
    assert_eq!(without_password("prom:9090"), "prom:9090");
}

#[test]
fn paths_are_joined_under_the_base() {
    let source = HttpSource::new("http://prom:9090/prefix").unwrap();
    assert_eq!(
        source.url("api/v1/query").as_str(),
        "http://prom:9090/prefix/api/v1/query"
    );
    assert_eq!(source.authority(), "prom:9090");
}

#[test]
fn a_refusal_repeats_the_message_of_the_source_without_control_characters() {
    let message = |body: &str| refusal(StatusCode::CONFLICT, body.as_bytes()).to_string();
    assert_eq!(
        message(r#"{"detail":"a dataset is there"}"#),
        "refused (409): a dataset is there"
    );
    assert_eq!(
        message(r#"{"status":"error","error":"bad \u001b[31m query"}"#),
        "refused (409): bad  [31m query"
    );
    assert_eq!(message(r#""plain""#), "refused (409): plain");
    assert_eq!(message("first\nsecond"), "refused (409): first");
    assert_eq!(message(""), "refused (409): Conflict");
    let long = message(&"x".repeat(5_000));
    assert_eq!(long, format!("refused (409): {}…", "x".repeat(299)));
    let whole = "x".repeat(300);
    assert_eq!(message(&whole), format!("refused (409): {whole}"));
}

#[test]
fn a_secret_is_not_in_its_debug_text() {
    let secret = Secret::new("hunter2\n");
    assert_eq!(secret.expose(), "hunter2");
    assert!(!format!("{secret:?}").contains("hunter"));
}

#[test]
fn a_web_page_is_called_one_with_its_title() {
    let page = b"\n<!DOCTYPE html>\n<html><head><TITLE>Sign in \x1b[2J</title></head></html>";
    let read: Result<serde_json::Value, _> = decode(page);
    let message = read.unwrap_err().to_string();
    assert_eq!(
        message,
        "the address answers with a web page (Sign in  [2J)"
    );
    let read: Result<serde_json::Value, _> = decode(b"<html></html>");
    assert_eq!(read.unwrap_err(), ClientError::WebPage(String::new()));
    let read: Result<serde_json::Value, _> = decode(b"<xml/>");
    assert!(matches!(read, Err(ClientError::Malformed(_))));
    let refused = refusal(
        StatusCode::BAD_GATEWAY,
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>",
    );
    assert_eq!(
        refused.to_string(),
        "refused (502): a web page (502 Bad Gateway)"
    );
}

#[test]
fn a_wrong_answer_is_described_without_the_words_of_a_library() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Matrix,
        Vector,
    }
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only how it is refused matters")]
    struct Answer {
        kinds: Vec<Kind>,
    }
    for (body, expected) in [
        ("", "unusable answer: it is empty"),
        (" \n", "unusable answer: it is empty"),
        ("{\"kinds\":", "unusable answer: it ends too early"),
        (
            "upstream error",
            "unusable answer: it is not JSON, it begins with \"upstream error\"",
        ),
        (
            "{\"kinds\":[\"streams\"]}",
            "unusable answer: line 1, column 19: kinds[0]: `streams` is not known here. There are matrix, vector",
        ),
        (
            "{}",
            "unusable answer: line 1, column 2: `kinds` is missing: add it",
        ),
    ] {
        let error = decode::<Answer>(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, expected);
    }
}

/// A source that gives this answer once; `head` has more header lines.
pub(in crate::clients) async fn answering(head: &str, body: &[u8]) -> HttpSource {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{head}\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), body].concat();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    });
    HttpSource::new(&address.to_string())
        .unwrap()
        .with_timeout(Duration::from_secs(20))
}

#[tokio::test]
async fn a_compressed_answer_is_called_so() {
    for encoding in ["gzip", "deflate"] {
        let head = format!("Content-Encoding: {encoding}\r\n");
        let source = answering(&head, b"\x1f\x8b\x08").await;
        let error = source
            .json::<Vec<u8>>(source.get("x"))
            .await
            .unwrap_err()
            .to_string();
        let expected = format!("it is compressed ({encoding}), which was not asked for");
        assert!(error.contains(&expected), "{error}");
    }
    let source = answering("Content-Encoding: identity\r\n", b"[1]").await;
    assert_eq!(source.json::<Vec<u8>>(source.get("x")).await, Ok(vec![1]));
    let error = decode::<Vec<u8>>(b"\x1f\x8b\x08").unwrap_err().to_string();
    assert!(error.contains("compressed (gzip)"), "{error}");
}

#[test]
fn a_byte_order_mark_before_the_json_is_skipped() {
    assert_eq!(
        decode::<Vec<u8>>("\u{feff}[1, 2]".as_bytes()),
        Ok(vec![1, 2])
    );
    let refused = refusal(
        StatusCode::BAD_REQUEST,
        "\u{feff}{\"error\":\"no\"}".as_bytes(),
    );
    assert_eq!(refused.to_string(), "refused (400): no");
}
