//! The Loki HTTP API: log lines of a range.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::http::{ClientError, HttpSource, decode};
use super::prometheus::Labels;

/// The Loki API at one address.
#[derive(Clone, Debug)]
pub struct Loki(HttpSource);

/// One log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Unix nanoseconds.
    pub at_ns: i64,
    /// Labels of its stream.
    pub labels: Labels,
    /// The line as it was logged.
    pub line: String,
}

impl Loki {
    /// Asks `source`.
    #[must_use]
    pub fn new(source: HttpSource) -> Loki {
        Loki(source)
    }

    /// Where it is.
    #[must_use]
    pub fn source(&self) -> &HttpSource {
        &self.0
    }

    /// `GET /loki/api/v1/query_range`: the newest `limit` lines that match `query` from `start_ns`
    /// (inclusive) to `end_ns` (exclusive), oldest first.
    ///
    /// # Errors
    /// [`ClientError`]; a refused query carries Loki's own message.
    pub async fn newest(
        &self,
        query: &str,
        start_ns: i64,
        end_ns: i64,
        limit: usize,
    ) -> Result<Vec<LogLine>, ClientError> {
        let request = self.0.get("loki/api/v1/query_range").query(&[
            ("query", query),
            ("start", &start_ns.to_string()),
            ("end", &end_ns.to_string()),
            ("limit", &limit.to_string()),
            ("direction", "backward"),
        ]);
        read_lines(&self.0.accepted(request).await?)
    }
}

/// The lines of an answer's body, oldest first.
pub(crate) fn read_lines(body: &[u8]) -> Result<Vec<LogLine>, ClientError> {
    lines(decode(body)?)
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Streams(Vec<Stream>),
    Matrix(IgnoredAny),
    Vector(IgnoredAny),
}

#[derive(Deserialize)]
struct Stream {
    stream: Labels,
    /// Nanoseconds as text, the line, and (since Loki 3) structured metadata.
    values: Vec<Vec<serde_json::Value>>,
}

fn lines(answer: Answer) -> Result<Vec<LogLine>, ClientError> {
    let Data::Streams(streams) = answer.data else {
        return Err(ClientError::Malformed(
            "the query gives numbers, not lines".into(),
        ));
    };
    let mut lines = Vec::new();
    for stream in streams {
        for value in stream.values {
            let at_ns = value
                .first()
                .and_then(|at| at.as_str())
                .and_then(|at| at.parse().ok());
            let line = value.get(1).and_then(|line| line.as_str());
            let (Some(at_ns), Some(line)) = (at_ns, line) else {
                return Err(ClientError::Malformed("a line without time or text".into()));
            };
            lines.push(LogLine {
                at_ns,
                labels: stream.stream.clone(),
                line: line.to_owned(),
            });
        }
    }
    lines.sort_by_key(|line| line.at_ns);
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::decode;

    #[test]
    fn lines_of_all_streams_come_oldest_first() {
        let answer = decode(
            br#"{"status":"success","data":{"resultType":"streams","result":[
                {"stream":{"level":"INFO"},"values":[["30","c"],["10","a"]]},
                {"stream":{"level":"WARN"},"values":[["20","b",{"trace_id":"x"}]]}],"stats":{}}}"#,
        )
        .unwrap();
        let lines = lines(answer).unwrap();
        let texts: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(lines[1].labels["level"], "WARN");
    }

    #[test]
    fn a_line_without_a_time_is_malformed() {
        let answer = decode(
            br#"{"data":{"resultType":"streams","result":[{"stream":{},"values":[["soon","a"]]}]}}"#,
        )
        .unwrap();
        assert!(matches!(lines(answer), Err(ClientError::Malformed(_))));
    }
}
