//! The access record of an answered request.
//!
//! Almost every request makes a record, so this module writes it directly into the line. An event of `tracing` would
//! walk its fields twice and format them one by one. The sampler may drop the record of a fast read (GET or HEAD) with
//! a status below 400. It keeps all others.

use std::time::Duration;

use tracing::Level;

use super::json::{self, JsonString};
use super::output::{push_head, with_output};
use crate::telemetry::TraceContext;

/// The target of these records in filters.
const TARGET: &str = "concertctl::http";

/// The answer to a request. Its level is ERROR if the request failed, WARN for a failed probe, DEBUG if it is of no
/// interest, and INFO otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRecord<'a> {
    /// `GET`.
    pub method: &'a str,
    /// The route as written in the route table: `/accounts/{userId}`.
    pub route: &'a str,
    /// The status of the answer. From 500 on the request failed.
    pub status: u16,
    /// The time from the head of the request to the head of the answer.
    pub took: Duration,
    /// The user on whose behalf the request was made, if known.
    pub user: Option<i64>,
    /// False for requests to the operations API and for probes. Such a request is logged at DEBUG unless it fails.
    pub of_interest: bool,
    /// True for a route that only checks or describes the server. An answer from 500 on is then logged at WARN, not
    /// ERROR.
    pub is_probe: bool,
}

impl AccessRecord<'_> {
    fn failed(&self) -> bool {
        self.status >= 500
    }

    fn level(&self) -> Level {
        match (self.failed(), self.of_interest) {
            (true, _) if self.is_probe => Level::WARN,
            (true, _) => Level::ERROR,
            (false, true) => Level::INFO,
            (false, false) => Level::DEBUG,
        }
    }

    /// Returns whether the log's filter accepts the record. Each level has its own call site, which caches the result.
    fn is_wanted(&self) -> bool {
        match (self.failed(), self.of_interest) {
            (true, _) if self.is_probe => tracing::event_enabled!(target: TARGET, Level::WARN),
            (true, _) => tracing::event_enabled!(target: TARGET, Level::ERROR),
            (false, true) => tracing::event_enabled!(target: TARGET, Level::INFO),
            (false, false) => tracing::event_enabled!(target: TARGET, Level::DEBUG),
        }
    }

    /// Logs the record with the ids of `context`.
    pub(in crate::telemetry) fn log(&self, context: TraceContext) {
        if self.is_wanted() {
            with_output(|output| {
                let Some(weight) = output.sampler.weight(self) else {
                    return;
                };
                let service = output.service_name;
                output.line(self.level(), service, |line, at| {
                    push_head(line, at, self.level(), Some(context), service);
                    self.write(line, weight);
                });
            });
        }
    }

    /// Writes message and fields. `weight` is the number of requests that this record stands for.
    fn write(&self, line: &mut Vec<u8>, weight: u64) {
        let mut message = JsonString::message(line);
        message.push(self.method);
        message.push(" ");
        message.push(self.route);
        message.push(if self.failed() { " failed with " } else { " " });
        message.push(itoa::Buffer::new().format(self.status));
        message.close();
        line.extend_from_slice(b",\"additional_data\":{\"target\":\"");
        line.extend_from_slice(TARGET.as_bytes());
        line.extend_from_slice(b"\",\"method\":");
        json::push_str(line, self.method);
        line.extend_from_slice(b",\"route\":");
        json::push_str(line, self.route);
        line.extend_from_slice(b",\"status\":");
        json::push_int(line, self.status);
        line.extend_from_slice(b",\"duration_ms\":");
        json::push_thousandths(line, self.took.as_micros());
        line.extend_from_slice(b",\"weight\":");
        json::push_int(line, weight);
        if let Some(user) = self.user {
            line.extend_from_slice(b",\"user\":");
            json::push_int(line, user);
        }
        line.extend_from_slice(b"}}\n");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::{Value, json};

    use super::super::{LogConfig, LogLimits, LogOutput, build};
    use super::*;
    use crate::telemetry::{RequestSpan, TraceConfig};

    const ASKED: AccessRecord<'_> = AccessRecord {
        method: "GET",
        route: "/accounts/{userId}",
        status: 200,
        took: Duration::from_micros(1_730),
        user: Some(17),
        of_interest: true,
        is_probe: false,
    };

    /// The lines that `record` logs with this filter.
    fn lines(filter: &str, record: AccessRecord<'_>) -> Vec<String> {
        let (subscriber, logs) = build(LogConfig {
            service_name: "concertctl-api",
            output: LogOutput::None,
            filter: filter.to_owned(),
            queue: 10,
            limits: LogLimits::default(),
            traces: TraceConfig::default(),
        })
        .unwrap();
        let mut records = logs.subscribe(10);
        let context = TraceContext {
            trace_id: 0xabc,
            span_id: 0xd,
            parent_span_id: Some(0xe),
            sampled: None,
        };
        tracing::subscriber::with_default(subscriber, || {
            RequestSpan::begin(context, Instant::now(), false).log_access(&record);
        });
        assert!(logs.flush(Duration::from_secs(10)));
        let mut lines = Vec::new();
        while let Some(record) = records.try_recv() {
            lines.push(record.line().to_owned());
        }
        lines
    }

    fn value(record: AccessRecord<'_>) -> Value {
        let lines = lines("debug", record);
        serde_json::from_str(&lines[0]).unwrap_or_else(|e| panic!("{e}: {lines:?}"))
    }

    #[test]
    fn it_says_who_asked_what_and_how_that_ended() {
        let line = &lines("info", ASKED)[0];
        let (_time, rest) = line.split_at("{\"timestamp\":\"2026-11-23T05:49:40.123456Z".len());
        let expected = "\",\"level\":\"INFO\",\"trace_id\":\"00000000000000000000000000000abc\",\
                        \"span_id\":\"000000000000000d\",\"parent_span_id\":\"000000000000000e\",\
                        \"service_name\":\"concertctl-api\",\"message\":\"GET /accounts/{userId} 200\",\
                        \"additional_data\":{\"target\":\"concertctl::http\",\"method\":\"GET\",\
                        \"route\":\"/accounts/{userId}\",\"status\":200,\"duration_ms\":1.73,\"weight\":1,\"user\":17}}";
        assert_eq!(rest, expected);
    }

    #[test]
    fn a_failure_is_logged_as_error_and_a_request_without_interest_as_debug() {
        let failed = AccessRecord {
            status: 503,
            user: None,
            of_interest: false,
            ..ASKED
        };
        let line = value(failed);
        assert_eq!(
            (&line["level"], &line["message"]),
            (
                &json!("ERROR"),
                &json!("GET /accounts/{userId} failed with 503")
            )
        );
        assert_eq!(line["additional_data"].get("user"), None);
        let quiet = AccessRecord {
            of_interest: false,
            ..ASKED
        };
        assert_eq!(value(quiet)["level"], "DEBUG");
        assert_eq!(lines("info", quiet), [""; 0]);
        let probe = AccessRecord {
            is_probe: true,
            ..failed
        };
        assert_eq!(value(probe)["level"], "WARN");
        assert_eq!(lines("error", probe), [""; 0]);
    }

    #[test]
    fn a_filter_takes_it_away_by_level_or_by_name() {
        for (filter, expected) in [
            ("info", 1),
            ("warn", 0),
            ("info,concertctl::http=error", 0),
            ("error,concertctl::http=info", 1),
        ] {
            assert_eq!(lines(filter, ASKED).len(), expected, "{filter}");
        }
    }

    #[test]
    fn durations_are_milliseconds_to_the_microsecond() {
        for (micros, expected) in [
            (0, "0"),
            (7, "0.007"),
            (90, "0.09"),
            (500, "0.5"),
            (731, "0.731"),
            (12_000, "12"),
            (12_345_678, "12345.678"),
        ] {
            let took = Duration::from_micros(micros);
            let line = &lines("info", AccessRecord { took, ..ASKED })[0];
            let expected = format!("\"duration_ms\":{expected},");
            assert!(line.contains(&expected), "{expected} in {line}");
        }
    }

    #[test]
    fn a_strange_route_is_escaped() {
        let route = "/a\"\n\u{1}";
        let line = value(AccessRecord { route, ..ASKED });
        assert_eq!(line["additional_data"]["route"], route);
        assert_eq!(line["message"], format!("GET {route} 200"));
    }
}
