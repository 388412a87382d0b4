//! Requests to look up in the server's traces: the slowest ones, and the latest failed ones.

use std::time::Instant;

use super::{Sample, micros};
use crate::load::model::{ErrorKind, Operation};

/// The number of requests of each kind.
const EACH: usize = 10;

/// A request that is kept by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// The traffic of the request, as in [`Sample`].
    pub traffic: usize,
    /// The call.
    pub operation: Operation,
    /// The kind of error, for errors.
    pub error_kind: Option<ErrorKind>,
    /// The status, or 0 when there was no answer.
    pub status: u16,
    /// The time at which it ended.
    pub done: Instant,
    /// The latency from the due time to the end of the answer, in µs.
    pub latency_us: u64,
    /// The trace of the request.
    pub trace_id: u128,
}

/// The recorded single requests.
#[derive(Clone, Debug, Default)]
pub struct Exemplars {
    /// The slowest requests with an answer, the slowest first.
    pub slowest: Vec<Exemplar>,
    /// The latest failed requests, the latest first.
    pub failed: Vec<Exemplar>,
}

impl Exemplars {
    pub(super) fn note(&mut self, sample: &Sample) {
        let due = sample.due.min(sample.sent);
        let latency_us = micros(sample.done.saturating_duration_since(due));
        let fast = self.slowest.len() >= EACH
            && self
                .slowest
                .last()
                .is_some_and(|last| latency_us <= last.latency_us);
        if fast && sample.error_kind.is_none() {
            return;
        }
        let request = Exemplar {
            traffic: sample.traffic,
            operation: sample.operation,
            error_kind: sample.error_kind,
            status: sample.status,
            done: sample.done,
            latency_us,
            trace_id: sample.trace.trace_id,
        };
        if sample.error_kind.is_some() {
            keep(&mut self.failed, request, |it| it.done);
        } else {
            keep(&mut self.slowest, request, |it| it.latency_us);
        }
    }

    pub(super) fn add(&mut self, other: &Exemplars) {
        for request in &other.slowest {
            keep(&mut self.slowest, *request, |it| it.latency_us);
        }
        for request in &other.failed {
            keep(&mut self.failed, *request, |it| it.done);
        }
    }

    pub(super) fn clear(&mut self) {
        self.slowest.clear();
        self.failed.clear();
    }
}

/// Inserts `request` in descending order.
fn keep<K: Ord>(list: &mut Vec<Exemplar>, request: Exemplar, key: impl Fn(&Exemplar) -> K) {
    let at = list.partition_point(|it| key(it) >= key(&request));
    if at < EACH {
        list.insert(at, request);
        list.truncate(EACH);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::load::model::{Class, TraceIds};

    fn sample(from: Instant, latency: u64, at: usize, failed: bool) -> Sample {
        let due = from + Duration::from_millis(at as u64);
        Sample {
            traffic: 0,
            user: 1,
            operation: Operation::Pay,
            class: if failed { Class::Error } else { Class::Ok },
            error_kind: failed.then_some(ErrorKind::Server),
            status: if failed { 500 } else { 200 },
            due,
            sent: due,
            done: due + Duration::from_micros(latency),
            trace: TraceIds {
                trace_id: at as u128 + 1,
                span_id: 1,
            },
        }
    }

    proptest! {
        #[test]
        fn of_any_requests_in_any_frames_the_slowest_are_kept(
            latencies in proptest::collection::vec((1_u64..5_000, any::<bool>()), 0..80),
            cut in 0_usize..80,
        ) {
            let from = Instant::now();
            let (mut first, mut second) = (Exemplars::default(), Exemplars::default());
            for (at, (latency, failed)) in latencies.iter().enumerate() {
                let frame = if at < cut { &mut first } else { &mut second };
                frame.note(&sample(from, *latency, at, *failed));
            }
            first.add(&second);
            let mut expected: Vec<u64> =
                latencies.iter().filter(|(_, failed)| !failed).map(|(us, _)| *us).collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.truncate(EACH);
            let kept: Vec<u64> = first.slowest.iter().map(|it| it.latency_us).collect();
            prop_assert_eq!(kept, expected);
            let failures = latencies.iter().filter(|(_, failed)| *failed).count();
            prop_assert_eq!(first.failed.len(), failures.min(EACH));
        }
    }
}
