//! The Loki HTTP API: log lines of a range, and metric queries.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::{ClientError, HttpSource, decode};
use super::prometheus::{self, Labels, Series};

/// The Loki API at one address.
#[derive(Clone, Debug)]
pub struct Loki(HttpSource);

/// One log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Unix nanoseconds.
    pub at_ns: i64,
    /// The labels of its stream, its structured metadata, and the labels from the query's stages. In this order, the
    /// later one wins.
    pub labels: Labels,
    /// The line as it was logged. For a record from OTLP, this is its message.
    pub line: String,
}

impl Loki {
    /// A client of `source`.
    #[must_use]
    pub fn new(source: HttpSource) -> Loki {
        Loki(source)
    }

    /// The address of the source.
    #[must_use]
    pub fn source(&self) -> &HttpSource {
        &self.0
    }

    /// `GET /loki/api/v1/query_range`: the newest `limit` lines that match `query` from `start_ns` (inclusive) to
    /// `end_ns` (exclusive), the oldest first.
    ///
    /// # Errors
    /// [`ClientError`]. After a refusal it contains Loki's own message.
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
        // Without this header Loki returns a stream for each set of metadata.
        let request = request.header("X-Loki-Response-Encoding-Flags", "categorize-labels");
        let answer: Answer = decode(&self.0.accepted(request).await?)?;
        let warnings = answer.warnings.as_deref().unwrap_or_default();
        if let Some(warning) = prometheus::in_short(warnings) {
            self.0.response_meta().warn(warning);
        }
        lines(answer)
    }
}

impl Loki {
    /// `GET /loki/api/v1/query` of a metric query at `at_ms` (Unix milliseconds); each series has one point.
    ///
    /// # Errors
    /// [`ClientError`]; a refused query carries Loki's own message.
    pub async fn instant(&self, query: &str, at_ms: i64) -> Result<Vec<Series>, ClientError> {
        prometheus::instant(&self.0, "loki/api/v1/query", query, at_ms).await
    }

    /// `GET /loki/api/v1/query_range` of a metric query from the first to the second time, a point every
    /// third (all in milliseconds).
    ///
    /// # Errors
    /// [`ClientError`]; a refused query carries Loki's own message.
    pub async fn range(
        &self,
        query: &str,
        times: (i64, i64, i64),
    ) -> Result<Vec<Series>, ClientError> {
        prometheus::range(&self.0, "loki/api/v1/query_range", query, times).await
    }
}

/// The lines of an answer's body, oldest first.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_lines(body: &[u8]) -> Result<Vec<LogLine>, ClientError> {
    lines(decode(body)?)
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
    /// Such as the warning that a part of the storage did not answer.
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    /// Some servers send `null` for no streams.
    Streams(Option<Vec<Stream>>),
    Matrix(IgnoredAny),
    Vector(IgnoredAny),
}

#[derive(Deserialize)]
struct Stream {
    stream: Labels,
    /// Nanoseconds as text, the line, and the line's own labels if it has any.
    values: Vec<Vec<Value>>,
}

fn lines(answer: Answer) -> Result<Vec<LogLine>, ClientError> {
    let Data::Streams(streams) = answer.data else {
        return Err(ClientError::Malformed(
            "the query gives numbers, not lines".into(),
        ));
    };
    let mut lines = Vec::new();
    for stream in streams.unwrap_or_default() {
        for value in stream.values {
            let at_ns = value
                .first()
                .and_then(|at| at.as_str())
                .and_then(|at| at.parse().ok());
            let line = value.get(1).and_then(|line| line.as_str());
            let (Some(at_ns), Some(line)) = (at_ns, line) else {
                return Err(ClientError::Malformed("a line without time or text".into()));
            };
            let mut labels = stream.stream.clone();
            if let Some(own) = value.get(2) {
                add_own(&mut labels, own);
            }
            lines.push(LogLine {
                at_ns,
                labels,
                line: line.to_owned(),
            });
        }
    }
    lines.sort_by_key(|line| line.at_ns);
    Ok(lines)
}

/// Adds a line's own labels: from one object, or from one object per origin (`{"structuredMetadata": {…}, "parsed":
/// {…}}`).
fn add_own(labels: &mut Labels, own: &Value) {
    let Value::Object(own) = own else {
        return;
    };
    for kind in ["structuredMetadata", "parsed"] {
        if let Some(Value::Object(own)) = own.get(kind) {
            add_texts(labels, own);
        }
    }
    add_texts(labels, own);
}

fn add_texts(labels: &mut Labels, own: &serde_json::Map<String, Value>) {
    for (name, value) in own {
        if let Value::String(value) = value {
            labels.insert(name.clone(), value.clone());
        }
    }
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
        assert_eq!(lines[1].labels["trace_id"], "x");
    }

    #[test]
    fn labels_of_a_line_stand_beside_those_of_its_stream() {
        let answer = decode(
            br#"{"data":{"resultType":"streams","encodingFlags":["categorize-labels"],"result":[
                {"stream":{"service_name":"api"},"values":[
                    ["1","a",{"structuredMetadata":{"status":"500","level":"x"},"parsed":{"level":"y"}}],
                    ["2","b",{}],["3","c"]]}]}}"#,
        )
        .unwrap();
        let lines = lines(answer).unwrap();
        let labels: Vec<Vec<(&str, &str)>> = lines
            .iter()
            .map(|line| {
                line.labels
                    .iter()
                    .map(|(n, v)| (n.as_str(), v.as_str()))
                    .collect()
            })
            .collect();
        let of_stream = ("service_name", "api");
        assert_eq!(
            labels,
            [
                vec![("level", "y"), of_stream, ("status", "500")],
                vec![of_stream],
                vec![of_stream]
            ]
        );
    }

    #[test]
    fn no_streams_may_be_null() {
        let answer = decode(br#"{"data":{"resultType":"streams","result":null}}"#).unwrap();
        assert_eq!(lines(answer).unwrap(), []);
    }

    #[tokio::test]
    async fn a_warning_beside_the_lines_is_recorded() {
        let body = r#"{"status":"success","warnings":["an ingester is away","more"],
            "data":{"resultType":"streams","result":[]}}"#;
        let source = crate::clients::http::tests::answering("", body.as_bytes()).await;
        let loki = Loki::new(source);
        loki.newest("{a=\"b\"}", 0, 1, 1).await.unwrap();
        let warning = loki.source().response_meta().warning();
        assert_eq!(warning.as_deref(), Some("an ingester is away (and 1 more)"));
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
