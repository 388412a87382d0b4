//! All measurements as text that can be parsed again: histograms in HdrHistogram's V2 encoding, in Base64. So the parts
//! of a run merge exactly, as if one process had measured all.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Class, ErrorKind, Operation};
use super::recorder::{Cell, Frame, histogram};

/// All histograms and counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Histograms {
    /// The traffic groups beside the buyers, in order.
    #[serde(rename = "crowds")]
    pub traffic_groups: Vec<String>,
    /// The requests of each operation and class.
    pub cells: Vec<CellText>,
    /// Errors by kind.
    #[serde(rename = "faults")]
    pub error_counts: Vec<ErrorCount>,
    /// The delay with which timed requests started, µs.
    pub lag: String,
    /// The wait of requests for a shared connection, µs.
    pub connection_wait: String,
    /// The difference between promised and real admissions, µs.
    pub eta_error: String,
    /// The number of connections that were opened.
    #[serde(default)]
    pub opened: u64,
    /// The time of TLS handshakes, µs; empty without TLS.
    #[serde(default)]
    pub handshakes: String,
    /// The number of handshakes that resumed a session.
    #[serde(default)]
    pub resumed: u64,
}

/// Requests of one operation and class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellText {
    /// 0: the buyers; above: the traffic groups.
    #[serde(rename = "crowd")]
    pub traffic: usize,
    /// The operation.
    pub operation: Operation,
    /// The outcome.
    pub class: Class,
    /// The latency from the due time, µs: Base64 of HdrHistogram V2.
    pub latency: String,
    /// The latency from the sending, µs.
    pub service: String,
    /// The times at which the first and the last request ended, in seconds since the beginning.
    pub span: Option<(f64, f64)>,
}

/// Errors of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorCount {
    /// 0: the buyers; above: the traffic groups.
    #[serde(rename = "crowd")]
    pub traffic: usize,
    /// The operation.
    pub operation: Operation,
    /// The kind of error.
    #[serde(rename = "fault")]
    pub error_kind: ErrorKind,
    /// The number of errors.
    pub count: u64,
}

impl Histograms {
    /// The histograms of `frame` in a run that began at `begun`.
    pub(super) fn of(frame: &Frame, traffic_groups: &[String], begun: Instant) -> Histograms {
        let since = |at: Instant| at.saturating_duration_since(begun).as_secs_f64();
        let (mut cells, mut error_counts) = (Vec::new(), Vec::new());
        for traffic in 0..frame.groups() {
            for operation in Operation::ALL.iter().copied() {
                for class in Class::ALL.iter().copied() {
                    let cell = frame.cell(traffic, operation, class);
                    cells.extend(
                        cell.filter(|it| !it.latency.is_empty())
                            .map(|cell| CellText {
                                traffic,
                                operation,
                                class,
                                latency: encode(&cell.latency),
                                service: encode(&cell.service),
                                span: cell.span.map(|(first, last)| (since(first), since(last))),
                            }),
                    );
                }
                error_counts.extend(frame.error_counts(traffic, operation).map(
                    |(error_kind, count)| ErrorCount {
                        traffic,
                        operation,
                        error_kind,
                        count,
                    },
                ));
            }
        }
        Histograms {
            traffic_groups: traffic_groups.to_vec(),
            cells,
            error_counts,
            lag: encode(&frame.lag),
            connection_wait: encode(&frame.connection_wait),
            eta_error: encode(&frame.eta_error),
            opened: frame.opened,
            handshakes: match frame.handshakes.is_empty() {
                true => String::new(),
                false => encode(&frame.handshakes),
            },
            resumed: frame.resumed,
        }
    }

    /// The frame from which this was made, with histograms and errors only, in a run that begins at `begun`.
    ///
    /// # Errors
    /// A text is not a valid histogram, or it names a traffic group that the run does not have.
    pub(super) fn frame(&self, begun: Instant) -> Result<Frame, String> {
        let mut frame = Frame::of(self.traffic_groups.len() + 1);
        for text in &self.cells {
            let at = |seconds: f64| {
                let since = Duration::try_from_secs_f64(seconds).ok();
                let at = since.and_then(|since| begun.checked_add(since));
                at.ok_or_else(|| format!("{seconds} s is not a time within a run"))
            };
            let span = match text.span {
                Some((first, last)) => Some((at(first)?, at(last)?)),
                None => None,
            };
            let cell = Cell {
                latency: decode(&text.latency)?,
                service: decode(&text.service)?,
                span,
            };
            let put = frame.put(text.traffic, text.operation, text.class, cell);
            put.ok_or_else(|| format!("there is no traffic group {}", text.traffic))?;
        }
        for error_kind in &self.error_counts {
            let put = frame.put_errors(
                error_kind.traffic,
                error_kind.operation,
                error_kind.error_kind,
                error_kind.count,
            );
            put.ok_or_else(|| format!("there is no traffic group {}", error_kind.traffic))?;
        }
        frame.lag = decode(&self.lag)?;
        frame.connection_wait = decode(&self.connection_wait)?;
        frame.eta_error = decode(&self.eta_error)?;
        frame.opened = self.opened;
        frame.resumed = self.resumed;
        if !self.handshakes.is_empty() {
            frame.handshakes = decode(&self.handshakes)?;
        }
        Ok(frame)
    }
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a Vec takes every byte");
    STANDARD.encode(bytes)
}

fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let read: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("no histogram: {error}"))?;
    // The copy has the same bounds as all other histograms, whatever the text says.
    let mut ours = histogram();
    ours.add(&read)
        .map_err(|error| format!("not a histogram of this format: {error}"))?;
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::model::TraceIds;
    use crate::load::recorder::{BUYERS, Sample};
    use proptest::prelude::*;

    fn frame(begun: Instant, values: &[u64]) -> Frame {
        let mut frame = Frame::of(2);
        for (at, value) in values.iter().enumerate() {
            let error = at % 3 == 2;
            frame.record(&Sample {
                trace: TraceIds::default(),
                traffic: at % 2,
                user: 1,
                operation: Operation::ALL[at % 4],
                class: if error { Class::Error } else { Class::Ok },
                error_kind: error.then_some(ErrorKind::Timeout),
                status: if error { 0 } else { 200 },
                due: begun,
                sent: begun + Duration::from_micros(value / 2),
                done: begun + Duration::from_micros(*value),
            });
            frame.opened += 1;
            frame.resumed += u64::from(error);
            frame.handshakes.saturating_record(*value);
        }
        frame
    }

    proptest! {
        #[test]
        fn halves_that_were_written_and_read_back_merge_to_the_whole(
            values in proptest::collection::vec(1_u64..120_000_000, 0..200), cut in 0_usize..200,
        ) {
            let begun = Instant::now();
            let cut = cut.min(values.len()) / 12 * 12;
            let traffic_groups = ["crowd".to_owned()];
            let whole = frame(begun, &values);
            let mut merged = Frame::of(2);
            for half in [&values[..cut], &values[cut..]] {
                let text = Histograms::of(&frame(begun, half), &traffic_groups, begun);
                let json = serde_json::to_string(&text).unwrap();
                let read: Histograms = serde_json::from_str(&json).unwrap();
                merged.add(&read.frame(begun).unwrap());
            }
            let expected = Histograms::of(&whole, &traffic_groups, begun);
            let found = Histograms::of(&merged, &traffic_groups, begun);
            prop_assert_eq!(found.error_counts, expected.error_counts);
            prop_assert_eq!((found.opened, found.resumed), (expected.opened, expected.resumed));
            prop_assert_eq!(&found.handshakes, &expected.handshakes);
            prop_assert_eq!(found.cells.len(), expected.cells.len());
            for (found, expected) in found.cells.iter().zip(&expected.cells) {
                prop_assert_eq!(&found.latency, &expected.latency);
                prop_assert_eq!(&found.service, &expected.service);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text: String, bytes: Vec<u8>) {
            let _ = decode(&text);
            let _ = decode(&STANDARD.encode(bytes));
        }
    }

    #[test]
    fn an_unknown_traffic_group_is_an_error() {
        let begun = Instant::now();
        let mut text = Histograms::of(&frame(begun, &[1, 2, 3]), &["crowd".to_owned()], begun);
        assert_eq!(text.cells[0].traffic, BUYERS);
        for traffic in [9, usize::MAX] {
            text.cells[0].traffic = traffic;
            assert!(text.frame(begun).is_err());
        }
        text.cells[0].traffic = BUYERS;
        for second in [1e19, 1e300, -1.0] {
            text.cells[0].span = Some((0.0, second));
            assert!(text.frame(begun).is_err(), "{second}");
        }
    }
}
