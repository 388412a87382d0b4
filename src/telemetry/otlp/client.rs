//! The HTTP client of pushes. It reads the answers itself, because the SDK's exporters reduce them to one error text.
//!
//! It follows <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>. A push is delivered if the answer is a
//! success and OTLP. Records that a success rejects are lost. The statuses 429, 502, 503 and 504 are retried, not
//! before `Retry-After`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use super::delivery::{Delivery, Refusal, Retry, Signal};
use crate::http_client::{blocking_builder, cause, retry_after};

/// The longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Pushes one signal.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::blocking::Client,
    delivery: Arc<Delivery>,
}

impl Client {
    /// A client that pushes to `url`.
    pub(super) fn new(
        url: &str,
        timeout: Duration,
        delivery: Arc<Delivery>,
    ) -> anyhow::Result<Client> {
        let builder = blocking_builder(url).map_err(anyhow::Error::msg)?;
        let build = move || {
            builder
                .timeout(timeout)
                // A redirect leads to a web page and not to a collector.
                .redirect(reqwest::redirect::Policy::none())
                .build()
        };
        // It must not be built within an async runtime.
        let built = std::thread::spawn(build).join();
        let http = built.map_err(|_| anyhow::anyhow!("the OTLP client could not be built"))?;
        Ok(Client {
            http: http.context("the OTLP client")?,
            delivery,
        })
    }

    fn refused(&self, refusal: Refusal) -> HttpError {
        let why = refusal.why.clone();
        self.delivery.refused(refusal);
        why.into()
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.send_bytes(request).await.map_err(|error| {
            self.refused(Refusal {
                why: cause(error.as_ref()),
                retry: Retry::Soon,
            })
        })?;
        match judge(self.delivery.signal(), &answer, Timestamp::now()) {
            Ok(None) => self.delivery.accepted_whole(),
            Ok(Some(rejected)) => self.delivery.rejected(rejected.count, &rejected.why),
            Err(refusal) => return Err(self.refused(refusal)),
        }
        Ok(answer)
    }
}

/// The part of an accepted push that the collector rejected.
#[derive(Debug, PartialEq, Eq)]
struct Rejected {
    count: u64,
    why: String,
}

/// Returns whether a push was delivered, and which part was rejected.
fn judge(
    signal: Signal,
    answer: &Response<Bytes>,
    now: Timestamp,
) -> Result<Option<Rejected>, Refusal> {
    let status = answer.status();
    if !status.is_success() {
        return Err(failure(status, answer.headers(), now));
    }
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.map(|kind| String::from_utf8_lossy(kind.as_bytes()));
    let named = kind.as_deref().unwrap_or("no content type").to_owned();
    // An empty message has no bytes and may have no content type.
    let is_protobuf = kind.map_or(answer.body().is_empty(), |kind| {
        kind.starts_with("application/x-protobuf")
    });
    let message = is_protobuf.then(|| partial_success(signal, answer.body()));
    let Some(Ok((count, why))) = message else {
        let named: String = named.chars().take(60).collect();
        return Err(Refusal {
            why: format!(
                "it answers {} with {named}, which is no OTLP: is the address that of a collector?",
                status.as_u16()
            ),
            retry: Retry::Soon,
        });
    };
    let count = u64::try_from(count).unwrap_or(0);
    Ok((count > 0 || !why.is_empty()).then_some(Rejected { count, why }))
}

fn partial_success(signal: Signal, body: &[u8]) -> Result<(i64, String), prost::DecodeError> {
    Ok(match signal {
        Signal::Logs => ExportLogsServiceResponse::decode(body)?
            .partial_success
            .map(|it| (it.rejected_log_records, it.error_message)),
        Signal::Traces => ExportTraceServiceResponse::decode(body)?
            .partial_success
            .map(|it| (it.rejected_spans, it.error_message)),
        Signal::Metrics => ExportMetricsServiceResponse::decode(body)?
            .partial_success
            .map(|it| (it.rejected_data_points, it.error_message)),
    }
    .unwrap_or_default())
}

fn failure(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Refusal {
    let after = retry_after(headers, now);
    let retry = match (status.as_u16(), after) {
        (429 | 502 | 503 | 504, Some(after)) => Retry::After(after.min(LONGEST_PAUSE)),
        (429 | 502 | 503 | 504, None) => Retry::Soon,
        _ => Retry::Never,
    };
    let why = format!("it answers {}", status.as_u16());
    Refusal { why, retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: Option<&str>, body: &[u8]) -> Response<Bytes> {
        let mut answer = Response::builder().status(status);
        if let Some(kind) = kind {
            answer = answer.header("content-type", kind);
        }
        answer.body(Bytes::copy_from_slice(body)).unwrap()
    }

    fn judged(answer: &Response<Bytes>) -> Result<Option<Rejected>, Refusal> {
        judge(Signal::Logs, answer, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_an_answer_in_otlp_is_a_delivery() {
        let protobuf = Some("application/x-protobuf");
        for delivered in [
            answer(200, protobuf, b""),
            answer(200, None, b""),
            // Loki's OTLP endpoint answers like this.
            answer(204, None, b""),
        ] {
            assert_eq!(judged(&delivered).unwrap(), None, "{delivered:?}");
        }
        for other in [
            answer(200, Some("text/html"), b"<html>"),
            answer(200, Some("text/plain"), b""),
            answer(200, None, b"ok"),
            answer(200, protobuf, b"ok"),
        ] {
            let refusal = judged(&other).unwrap_err();
            assert!(refusal.why.contains("no OTLP"), "{refusal:?}");
        }
    }

    #[test]
    fn a_partial_rejection_is_reported() {
        let partial = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess {
            rejected_log_records: 3,
            error_message: "too old".to_owned(),
        };
        let body = ExportLogsServiceResponse {
            partial_success: Some(partial),
        };
        let answer = answer(200, Some("application/x-protobuf"), &body.encode_to_vec());
        let why = "too old".to_owned();
        assert_eq!(judged(&answer).unwrap(), Some(Rejected { count: 3, why }));
    }

    #[test]
    fn a_failure_is_tried_again_if_it_passes_and_not_before_it_is_asked_for() {
        let failed = |status: u16, after: Option<&str>| {
            let mut answer = answer(status, None, b"");
            if let Some(after) = after {
                let headers = answer.headers_mut();
                headers.insert("retry-after", after.parse().unwrap());
            }
            judged(&answer).unwrap_err().retry
        };
        let seconds = |seconds| Retry::After(Duration::from_secs(seconds));
        assert_eq!(failed(503, None), Retry::Soon);
        assert_eq!(failed(503, Some("7")), seconds(7));
        assert_eq!(
            failed(429, Some("Thu, 01 Jan 1970 00:00:09 GMT")),
            seconds(9)
        );
        assert_eq!(failed(429, Some("86400")), Retry::After(LONGEST_PAUSE));
        assert_eq!(failed(502, Some("soon")), Retry::Soon);
        for never in [301, 400, 401, 404, 413, 500, 501] {
            assert_eq!(failed(never, Some("1")), Retry::Never, "{never}");
        }
    }
}
