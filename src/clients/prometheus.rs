//! The Prometheus HTTP API: instant and range queries, and alerts of rules.
//!
//! The formats are those of the chapter "HTTP API" in Prometheus's documentation. Samples are `[unix seconds,
//! "value"]`.

mod rule_alerts;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

#[cfg(any(test, fuzzing))]
pub(crate) use rule_alerts::read_alerts;
pub use rule_alerts::{RuleAlert, RuleState};

use super::http::{ClientError, HttpSource, decode};

/// The longest query in a URL, in bytes. Proxies refuse longer URLs, so a longer query is sent as a form.
const MAX_ADDRESS: usize = 2_000;

/// The Prometheus API at one address.
#[derive(Clone, Debug)]
pub struct Prometheus(HttpSource);

/// Label names and values.
pub type Labels = BTreeMap<String, String>;

/// One series: its labels and its points, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The labels that identify the series.
    pub labels: Labels,
    /// Unix milliseconds and value. The value may be NaN or infinite.
    #[serde(with = "points")]
    pub points: Vec<(i64, f64)>,
}

/// JSON has neither NaN nor infinity, so such values are strings.
mod points {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Value {
        Number(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(
        points: &[(i64, f64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(points.iter().map(|(at, value)| match value.is_finite() {
            true => (at, Value::Number(*value)),
            false => (at, Value::Text(value.to_string())),
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(i64, f64)>, D::Error> {
        let point = |(at, value)| match value {
            Value::Number(value) => Ok((at, value)),
            Value::Text(text) => match text.parse() {
                Ok(value) => Ok((at, value)),
                Err(_) => Err(D::Error::custom(format_args!("{text:?} is no value"))),
            },
        };
        Vec::deserialize(from)?.into_iter().map(point).collect()
    }
}

impl Prometheus {
    /// A client of `source`.
    #[must_use]
    pub fn new(source: HttpSource) -> Prometheus {
        Prometheus(source)
    }

    /// The address of the source.
    #[must_use]
    pub fn source(&self) -> &HttpSource {
        &self.0
    }

    /// `GET /api/v1/query` at `at_ms` (Unix milliseconds). A scalar becomes one series without labels. Each series
    /// has one point.
    ///
    /// # Errors
    /// [`ClientError`]. After a refusal it contains Prometheus's own message.
    pub async fn instant(&self, query: &str, at_ms: i64) -> Result<Vec<Series>, ClientError> {
        instant(&self.0, "api/v1/query", query, at_ms).await
    }

    /// `GET /api/v1/query_range` from `start_ms` to `end_ms`, with a point every `step_ms`.
    ///
    /// # Errors
    /// [`ClientError`]. After a refusal it contains Prometheus's own message.
    pub async fn range(
        &self,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<Vec<Series>, ClientError> {
        let times = (start_ms, end_ms, step_ms);
        range(&self.0, "api/v1/query_range", query, times).await
    }

    /// `GET /api/v1/label/LABEL/values` of series between `start_ms` and `end_ms`.
    ///
    /// # Errors
    /// [`ClientError`]. After a refusal it contains Prometheus's own message.
    pub async fn label_values(
        &self,
        label: &str,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<String>, ClientError> {
        let path = format!("api/v1/label/{label}/values");
        self.texts(&path, start_ms, end_ms).await
    }

    /// `GET /api/v1/labels` of series between `start_ms` and `end_ms`.
    pub async fn label_names(
        &self,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<String>, ClientError> {
        self.texts("api/v1/labels", start_ms, end_ms).await
    }

    async fn texts(
        &self,
        path: &str,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<String>, ClientError> {
        let times = [("start", seconds(start_ms)), ("end", seconds(end_ms))];
        let request = self.0.get(path).query(&times);
        let answer: Texts = decode(&self.0.accepted(request).await?)?;
        Ok(answer.data)
    }
}

/// The series of `query` at `at_ms` (Unix milliseconds) from the API at `path`. This also serves Loki's API, whose
/// metric queries have the same format.
pub(super) async fn instant(
    source: &HttpSource,
    path: &str,
    query: &str,
    at_ms: i64,
) -> Result<Vec<Series>, ClientError> {
    ask(source, path, &[("query", query), ("time", &seconds(at_ms))]).await
}

/// Like `instant`, from `start_ms` to `end_ms` with a point every `step_ms`.
pub(super) async fn range(
    source: &HttpSource,
    path: &str,
    query: &str,
    (start_ms, end_ms, step_ms): (i64, i64, i64),
) -> Result<Vec<Series>, ClientError> {
    let parameters = [
        ("query", query),
        ("start", &seconds(start_ms)),
        ("end", &seconds(end_ms)),
        ("step", &seconds(step_ms)),
    ];
    ask(source, path, &parameters).await
}

async fn ask(
    source: &HttpSource,
    path: &str,
    parameters: &[(&str, &str)],
) -> Result<Vec<Series>, ClientError> {
    let bytes: usize = parameters.iter().map(|(_, value)| value.len()).sum();
    let request = if bytes > MAX_ADDRESS {
        source.request(reqwest::Method::POST, path).form(parameters)
    } else {
        source.get(path).query(parameters)
    };
    let answer = decode(&source.accepted(request).await?)?;
    if let Some(warning) = warning(&answer) {
        source.response_meta().warn(warning);
    }
    answered(answer)
}

/// The series of an answer's body.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_series(body: &[u8]) -> Result<Vec<Series>, ClientError> {
    answered(decode(body)?)
}

fn answered(answer: Answer) -> Result<Vec<Series>, ClientError> {
    match answer {
        Answer {
            data: Some(data), ..
        } => series(data),
        Answer { error, .. } => Err(ClientError::Refused {
            status: 200,
            message: error.unwrap_or_else(|| "the answer has neither data nor error".into()),
        }),
    }
}

/// The warning in an answer. VictoriaMetrics reports a partial answer, Prometheus and compatible servers list texts.
fn warning(answer: &Answer) -> Option<String> {
    if answer.is_partial == Some(true) {
        return Some("its answers are partial: a part of its storage is away".to_owned());
    }
    in_short(answer.warnings.as_deref().unwrap_or_default())
}

/// The first warning, and the number of the others.
pub(super) fn in_short(warnings: &[String]) -> Option<String> {
    let more = match warnings.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    warnings.first().map(|first| format!("{first}{more}"))
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

#[derive(Deserialize)]
struct Texts {
    data: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    data: Option<Data>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
    /// Sent by VictoriaMetrics.
    is_partial: Option<bool>,
}

/// Some servers send `null` for no series.
#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Option<Vec<Option<Item>>>),
    Matrix(Option<Vec<Option<Item>>>),
    Scalar(Sample),
    String(IgnoredAny),
}

/// Unix seconds and the value.
type Sample = (f64, Reading);

/// The value of a sample. Prometheus writes a text. Other servers and proxies also write a number, or `null` for a
/// value that is missing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reading {
    Text(String),
    Number(f64),
    Missing(()),
}

/// A series. The samples of a native histogram have their own fields.
#[derive(Deserialize)]
struct Item {
    metric: Option<Labels>,
    value: Option<Sample>,
    values: Option<Vec<Option<Sample>>>,
    histogram: Option<IgnoredAny>,
    histograms: Option<IgnoredAny>,
}

/// Names the functions that compute numbers from a native histogram.
const HISTOGRAM: &str = "the query gives native histograms, not numbers: \
                         take histogram_quantile(…), histogram_count(…) or histogram_sum(…) of it";

impl Item {
    fn series(self) -> Result<Found, ClientError> {
        let Item {
            metric,
            value,
            values,
            histogram,
            histograms,
        } = self;
        let is_histogram = histogram.is_some() || histograms.is_some();
        let values = values.into_iter().flatten().flatten();
        let samples = value.into_iter().chain(values);
        let points = samples.filter_map(|it| point(&it).transpose());
        let points: Vec<_> = points.collect::<Result<_, _>>()?;
        Ok(match (points.is_empty(), is_histogram) {
            (true, true) => Found::Histogram,
            (true, false) => Found::Nothing,
            (false, _) => Found::Series(Series {
                labels: metric.unwrap_or_default(),
                points,
            }),
        })
    }
}

/// The contents of an item.
enum Found {
    Series(Series),
    /// Only native histograms.
    Histogram,
    Nothing,
}

fn series(data: Data) -> Result<Vec<Series>, ClientError> {
    match data {
        Data::Vector(items) | Data::Matrix(items) => {
            let (mut series, mut has_histograms) = (Vec::new(), false);
            for item in items.unwrap_or_default().into_iter().flatten() {
                match item.series()? {
                    Found::Series(one) => series.push(one),
                    Found::Histogram => has_histograms = true,
                    Found::Nothing => {}
                }
            }
            // Series of numbers beside histograms are shown.
            if series.is_empty() && has_histograms {
                return Err(ClientError::Malformed(HISTOGRAM.into()));
            }
            Ok(series)
        }
        Data::Scalar(sample) => Ok(vec![Series {
            labels: Labels::new(),
            points: point(&sample)?.into_iter().collect(),
        }]),
        Data::String(_) => Err(ClientError::Malformed(
            "the query gives a text, not numbers: query a metric".into(),
        )),
    }
}

/// The time and the value of a sample. `None` when the value is missing.
fn point((at, reading): &Sample) -> Result<Option<(i64, f64)>, ClientError> {
    let value = match reading {
        Reading::Missing(()) => return Ok(None),
        Reading::Number(number) => *number,
        Reading::Text(text) => match text.as_str() {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            other => other
                .parse()
                .map_err(|_| ClientError::Malformed(format!("{other:?} is not a sample value")))?,
        },
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates on outside nonsense"
    )]
    let at_ms = (at * 1000.0).round() as i64;
    Ok(Some((at_ms, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Series>, ClientError> {
        series(decode::<Answer>(text.as_bytes())?.data.expect("data"))
    }

    #[test]
    fn vectors_matrices_and_scalars_become_series() {
        let vector = parse(
            r#"{"status":"success","data":{"resultType":"vector","result":[
                {"metric":{"status":"AVAILABLE"},"value":[1700000000.5,"12"]},
                {"metric":{},"value":[1700000000,"NaN"]}]}}"#,
        )
        .unwrap();
        assert_eq!(vector[0].labels["status"], "AVAILABLE");
        assert_eq!(vector[0].points, [(1_700_000_000_500, 12.0)]);
        assert!(vector[1].points[0].1.is_nan());

        let matrix = parse(
            r#"{"status":"success","data":{"resultType":"matrix","result":[
                {"metric":{},"values":[[1,"0.5"],[2,"+Inf"]]}]}}"#,
        )
        .unwrap();
        assert_eq!(matrix[0].points, [(1000, 0.5), (2000, f64::INFINITY)]);

        let scalar = parse(r#"{"data":{"resultType":"scalar","result":[3,"4"]}}"#).unwrap();
        assert_eq!(scalar[0].points, [(3000, 4.0)]);
    }

    #[test]
    fn nonsense_is_an_error_not_a_number() {
        let text =
            r#"{"data":{"resultType":"vector","result":[{"metric":{},"value":[1,"many"]}]}}"#;
        assert!(
            matches!(parse(text), Err(ClientError::Malformed(message)) if message.contains("many"))
        );
        assert!(decode::<Answer>(br#"{"data":{"resultType":"vector","result":3}}"#).is_err());
    }

    #[test]
    fn no_series_may_be_null() {
        for kind in ["vector", "matrix"] {
            let text = format!(r#"{{"data":{{"resultType":"{kind}","result":null}}}}"#);
            assert_eq!(parse(&text).unwrap(), []);
        }
    }

    #[test]
    fn native_histograms_are_called_so_and_numbers_beside_them_are_kept() {
        let vector = parse(
            r#"{"data":{"resultType":"vector","result":[{"metric":{},
                "histogram":[1,{"count":"7","sum":"2","buckets":[[0,"0.5","1","7"]]}]}]}}"#,
        );
        let message = vector.unwrap_err().to_string();
        assert!(message.contains("histogram_quantile"), "{message}");
        let matrix = parse(
            r#"{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]],
                "histograms":[[2,{"count":"7","sum":"2"}]]}]}}"#,
        );
        assert_eq!(matrix.unwrap()[0].points, [(1000, 2.0)]);
    }

    #[test]
    fn a_missing_part_does_not_cost_the_rest_of_an_answer() {
        let matrix = parse(
            r#"{"data":{"resultType":"matrix","result":[null,
                {"metric":null,"values":[[1,"2"],[2,null],null,[3,4.5]]},
                {"values":[[1,7]]},{"metric":{"a":"b"},"values":null}]}}"#,
        );
        let matrix = matrix.unwrap();
        let points: Vec<_> = matrix.iter().map(|one| one.points.as_slice()).collect();
        assert_eq!(points, [&[(1000, 2.0), (3000, 4.5)][..], &[(1000, 7.0)]]);
        let vector = parse(
            r#"{"data":{"resultType":"vector","result":[
                {"metric":{"a":"1"},"histogram":[1,{"count":"7","sum":"2"}]},
                {"metric":{"a":"2"},"value":[1,"3"]},{"metric":{"a":"3"},"value":[1,null]}]}}"#,
        );
        let vector = vector.unwrap();
        assert_eq!(vector.len(), 1, "{vector:?}");
        assert_eq!(vector[0].labels["a"], "2");
    }

    #[test]
    fn warnings_and_partial_answers_are_reported() {
        let warned_about = |more: &str| {
            let text = format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[]}}{more}}}"#
            );
            warning(&decode(text.as_bytes()).unwrap())
        };
        assert_eq!(warned_about(""), None);
        assert_eq!(warned_about(r#","isPartial":false,"warnings":null"#), None);
        let partial = warned_about(r#","isPartial":true"#).unwrap();
        assert!(partial.contains("partial"), "{partial}");
        let warned = warned_about(r#","warnings":["a store is away","and another"]"#);
        assert_eq!(warned.as_deref(), Some("a store is away (and 1 more)"));
    }

    #[test]
    fn times_are_written_in_seconds_with_milliseconds() {
        assert_eq!(seconds(1_700_000_000_005), "1700000000.005");
        assert_eq!(seconds(2000), "2.000");
    }
}
