//! Loki's responses: lines, series, and the cost of a query.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::response::Response;
use serde::Serialize;
use serde::ser::{SerializeSeq as _, SerializeTuple as _, Serializer};

use super::eval::{Budget, ResultLine, ResultSeries, ResultStream};
use super::store::Labels;
use crate::embedded::request;

/// The response encoding that gives the labels of lines apart from those of streams.
pub(super) const CATEGORIZE_LABELS: &str = "categorize-labels";

#[derive(Serialize)]
struct Envelope<'a, T> {
    status: &'static str,
    data: &'a T,
}

pub(super) fn success<T: Serialize>(data: &T) -> Response {
    let envelope = Envelope {
        status: "success",
        data,
    };
    request::json("application/json; charset=UTF-8", &envelope)
}

#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(flatten)]
    pub(super) data: Data,
    pub(super) stats: Stats,
}

#[derive(Serialize)]
#[serde(tag = "resultType", rename_all = "lowercase")]
pub(super) enum Data {
    Streams {
        #[serde(rename = "encodingFlags", skip_serializing_if = "Option::is_none")]
        flags: Option<[&'static str; 1]>,
        result: Vec<StreamJson>,
    },
    Matrix {
        result: Vec<SeriesJson>,
    },
    Vector {
        result: Vec<InstantJson>,
    },
    Scalar {
        result: Point,
    },
}

impl Data {
    pub(super) fn streams(streams: Vec<ResultStream>, categorize: bool) -> Data {
        Data::Streams {
            flags: categorize.then_some([CATEGORIZE_LABELS]),
            result: streams.into_iter().map(StreamJson::from).collect(),
        }
    }

    pub(super) fn matrix(series: impl IntoIterator<Item = ResultSeries>) -> Data {
        Data::Matrix {
            result: series.into_iter().map(SeriesJson::from).collect(),
        }
    }

    pub(super) fn scalar(at_ns: i64, number: f64) -> Data {
        Data::Scalar {
            result: (at_ns, number).into(),
        }
    }

    pub(super) fn vector(series: impl IntoIterator<Item = ResultSeries>) -> Data {
        Data::Vector {
            result: series.into_iter().filter_map(instant).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct StreamJson {
    stream: Labels,
    values: Vec<LineJson>,
}

/// `["nanoseconds", "line"]`, with the line's own labels if the client wants them apart.
struct LineJson(ResultLine);

impl Serialize for LineJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LineJson(line) = self;
        let mut entry = serializer.serialize_seq(None)?;
        entry.serialize_element(&line.timestamp_ns.to_string())?;
        entry.serialize_element(&line.line)?;
        if let Some(own) = &line.own {
            let kinds = [
                ("structuredMetadata", &own.metadata),
                ("parsed", &own.parsed),
            ];
            let own: BTreeMap<_, _> = kinds
                .into_iter()
                .filter(|(_, labels)| !labels.is_empty())
                .collect();
            entry.serialize_element(&own)?;
        }
        entry.end()
    }
}

impl From<ResultStream> for StreamJson {
    fn from(stream: ResultStream) -> Self {
        StreamJson {
            stream: stream.labels,
            values: stream.entries.into_iter().map(LineJson).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SeriesJson {
    metric: Labels,
    values: Vec<Point>,
}

impl From<ResultSeries> for SeriesJson {
    fn from(series: ResultSeries) -> Self {
        SeriesJson {
            metric: series.labels,
            values: series.points.into_iter().map(Point::from).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct InstantJson {
    metric: Labels,
    value: Point,
}

fn instant(series: ResultSeries) -> Option<InstantJson> {
    let point = series.points.into_iter().next()?;
    Some(InstantJson {
        metric: series.labels,
        value: point.into(),
    })
}

/// `[seconds, "value"]`, with at most three decimals in the seconds.
pub(super) struct Point {
    timestamp_ms: i64,
    value: f64,
}

impl From<(i64, f64)> for Point {
    fn from((timestamp_ns, value): (i64, f64)) -> Self {
        Point {
            timestamp_ms: timestamp_ns.div_euclid(1_000_000),
            value,
        }
    }
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        if self.timestamp_ms % 1000 == 0 {
            pair.serialize_element(&(self.timestamp_ms / 1000))?;
        } else {
            pair.serialize_element(&(self.timestamp_ms as f64 / 1e3))?;
        }
        pair.serialize_element(&value_text(self.value))?;
        pair.end()
    }
}

/// The text of a value as Loki writes it: without an exponent, and infinity in Go's spelling.
fn value_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// The part of Loki's statistics that its clients show.
#[derive(Serialize)]
pub(super) struct Stats {
    summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    bytes_processed_per_second: u64,
    lines_processed_per_second: u64,
    total_bytes_processed: usize,
    total_lines_processed: usize,
    exec_time: f64,
}

impl Stats {
    pub(super) fn new(budget: &Budget, started: Instant) -> Stats {
        let seconds = started.elapsed().as_secs_f64();
        let per_second = |count: usize| (count as f64 / seconds.max(1e-6)) as u64;
        Stats {
            summary: Summary {
                bytes_processed_per_second: per_second(budget.bytes),
                lines_processed_per_second: per_second(budget.lines),
                total_bytes_processed: budget.bytes,
                total_lines_processed: budget.lines,
                exec_time: seconds,
            },
        }
    }
}
