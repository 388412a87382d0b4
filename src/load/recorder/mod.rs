//! Measurements: the records of each worker thread, and their sum.
//!
//! A worker records into a [`Frame`] behind a lock. The lock is taken only while the reader swaps the frame for an
//! empty one, and the reader does the merging. The memory depends on the kinds of requests, not on their number.
//! Latencies are HdrHistograms of microseconds with three significant digits, from 1 µs to [`LONGEST_US`]. Longer
//! latencies count as that long.

mod exemplars;
mod totals;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::exemplars::{Exemplar, Exemplars};
pub use self::totals::{Recorder, Totals};
use super::model::{Class, ErrorKind, Operation, TraceIds};

/// The longest latency that histograms hold, in microseconds: 2 minutes.
pub const LONGEST_US: u64 = 120_000_000;

/// The index of the buyers. The traffic groups are numbered from 1.
pub const BUYERS: usize = 0;

const CELLS: usize = Operation::ALL.len() * Class::ALL.len();

/// A histogram of microseconds.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are constant and valid")
}

/// A duration in whole microseconds, at least 1, because a histogram has no 0.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The traffic of the request: [`BUYERS`], or the index of a traffic group.
    pub traffic: usize,
    /// The virtual user who sent it.
    pub user: i64,
    /// The call.
    pub operation: Operation,
    /// The outcome.
    pub class: Class,
    /// The kind of error, for errors.
    pub error_kind: Option<ErrorKind>,
    /// The status, or 0 when there was no answer.
    pub status: u16,
    /// The due time.
    pub due: Instant,
    /// The time of sending.
    pub sent: Instant,
    /// The time at which the answer was complete.
    pub done: Instant,
    /// The ids that were sent with it.
    pub trace: TraceIds,
}

/// The requests of one operation and class. Each operation belongs to one phase.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The latency from the due time to the end of the answer, in µs.
    pub latency: Histogram<u64>,
    /// The time from the sending to the end of the answer, in µs.
    pub service: Histogram<u64>,
    /// The times at which the first and the last of them ended.
    pub span: Option<(Instant, Instant)>,
}

impl Cell {
    fn new() -> Cell {
        Cell {
            latency: histogram(),
            service: histogram(),
            span: None,
        }
    }

    fn add(&mut self, other: &Cell) {
        merge(&mut self.latency, &other.latency);
        merge(&mut self.service, &other.service);
        self.span = match (self.span, other.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, two) => one.or(two),
        };
    }
}

/// The length of a span, in seconds.
#[must_use]
pub fn span_seconds((first, last): (Instant, Instant)) -> f64 {
    last.duration_since(first).as_secs_f64()
}

fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    into.add(from)
        .expect("all histograms here have the same bounds");
}

/// The number of requests by class of status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Statuses {
    /// 2xx
    pub success: u64,
    /// 4xx (and the few that are neither)
    pub client: u64,
    /// 5xx
    pub server: u64,
    /// No answer.
    pub none: u64,
}

impl Statuses {
    /// The counts with their names on the wire.
    #[must_use]
    pub const fn by_class(self) -> [(&'static str, u64); 4] {
        [
            ("2xx", self.success),
            ("4xx", self.client),
            ("5xx", self.server),
            ("none", self.none),
        ]
    }

    /// The sum of both.
    #[must_use]
    pub const fn plus(self, other: Statuses) -> Statuses {
        Statuses {
            success: self.success + other.success,
            client: self.client + other.client,
            server: self.server + other.server,
            none: self.none + other.none,
        }
    }

    /// All requests.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.success + self.client + self.server + self.none
    }
}

/// All measurements, either of one worker since the last swap or of all workers over the run.
#[derive(Clone, Debug)]
pub struct Frame {
    cells: Vec<Option<Box<Cell>>>,
    error_counts: Vec<[u64; ErrorKind::ALL.len()]>,
    /// The number of requests by class of status.
    pub statuses: Statuses,
    /// The delay of the generator's own timers, in µs.
    pub lag: Histogram<u64>,
    /// The wait of requests for a shared connection, in µs.
    pub connection_wait: Histogram<u64>,
    /// The number of connections that were opened.
    pub opened: u64,
    /// The times of TLS handshakes, in µs. No latency includes them.
    pub handshakes: Histogram<u64>,
    /// The number of handshakes that resumed a session.
    pub resumed: u64,
    /// The difference between the promised and the real admission, in µs.
    pub eta_error: Histogram<u64>,
    /// The number of inversions: a user waited although a later place was already admitted.
    pub inversions: u64,
    /// The number of WAIT and ACTIVE answers that were checked for inversions.
    pub order_checks: u64,
    /// The number of arrivals that could not start on schedule, by traffic group.
    pub dropped: Vec<u64>,
    /// Requests to look up in traces.
    pub exemplars: Exemplars,
}

impl Default for Frame {
    fn default() -> Frame {
        Frame::of(1)
    }
}

fn cell_index(traffic: usize, operation: Operation, class: Class) -> usize {
    traffic * CELLS + operation.index() * Class::ALL.len() + class.index()
}

impl Frame {
    /// An empty frame for this number of groups: the buyers and the traffic groups.
    #[must_use]
    pub fn of(groups: usize) -> Frame {
        Frame {
            cells: vec![None; groups * CELLS],
            error_counts: vec![Default::default(); groups * Operation::ALL.len()],
            dropped: vec![0; groups],
            statuses: Statuses::default(),
            lag: histogram(),
            connection_wait: histogram(),
            opened: 0,
            handshakes: histogram(),
            resumed: 0,
            eta_error: histogram(),
            inversions: 0,
            order_checks: 0,
            exemplars: Exemplars::default(),
        }
    }

    /// Records one request.
    pub fn record(&mut self, sample: &Sample) {
        self.exemplars.note(sample);
        let index = cell_index(sample.traffic, sample.operation, sample.class);
        let cell = self.cells[index].get_or_insert_with(|| Box::new(Cell::new()));
        let since = |from: Instant| micros(sample.done.saturating_duration_since(from));
        cell.latency
            .saturating_record(since(sample.due.min(sample.sent)));
        cell.service.saturating_record(since(sample.sent));
        cell.span = Some(match cell.span {
            Some((first, last)) => (first.min(sample.done), last.max(sample.done)),
            None => (sample.done, sample.done),
        });
        if let Some(error_kind) = sample.error_kind {
            let row = sample.traffic * Operation::ALL.len() + sample.operation.index();
            self.error_counts[row][error_kind.index()] += 1;
        }
        match sample.status {
            0 => self.statuses.none += 1,
            200..=299 => self.statuses.success += 1,
            500..=599 => self.statuses.server += 1,
            _ => self.statuses.client += 1,
        }
    }

    /// Adds the measurements of `other`.
    pub fn add(&mut self, other: &Frame) {
        for (into, from) in self.cells.iter_mut().zip(&other.cells) {
            if let Some(from) = from {
                into.get_or_insert_with(|| Box::new(Cell::new())).add(from);
            }
        }
        for (into, from) in self
            .error_counts
            .iter_mut()
            .flatten()
            .zip(other.error_counts.iter().flatten())
        {
            *into += from;
        }
        self.statuses = self.statuses.plus(other.statuses);
        merge(&mut self.lag, &other.lag);
        merge(&mut self.connection_wait, &other.connection_wait);
        merge(&mut self.eta_error, &other.eta_error);
        merge(&mut self.handshakes, &other.handshakes);
        self.opened += other.opened;
        self.resumed += other.resumed;
        self.exemplars.add(&other.exemplars);
        self.inversions += other.inversions;
        self.order_checks += other.order_checks;
        for (into, from) in self.dropped.iter_mut().zip(&other.dropped) {
            *into += from;
        }
    }

    /// The requests of one operation and class, if there are any.
    #[must_use]
    pub fn cell(&self, traffic: usize, operation: Operation, class: Class) -> Option<&Cell> {
        self.cells
            .get(cell_index(traffic, operation, class))?
            .as_deref()
    }

    /// Replaces the requests of a cell by those measured elsewhere. `None` when there is no such cell.
    pub(super) fn put(
        &mut self,
        traffic: usize,
        operation: Operation,
        class: Class,
        cell: Cell,
    ) -> Option<()> {
        let known = traffic < self.groups();
        let place = known.then(|| &mut self.cells[cell_index(traffic, operation, class)])?;
        *place = Some(Box::new(cell));
        Some(())
    }

    /// Replaces the number of errors of a kind in the same way.
    pub(super) fn put_errors(
        &mut self,
        traffic: usize,
        operation: Operation,
        error_kind: ErrorKind,
        count: u64,
    ) -> Option<()> {
        if traffic >= self.groups() {
            return None;
        }
        let row = traffic * Operation::ALL.len() + operation.index();
        self.error_counts[row][error_kind.index()] = count;
        Some(())
    }

    /// The requests of these operations with this outcome.
    #[must_use]
    pub fn total(&self, traffic: usize, operations: &[Operation], class: Class) -> Option<Cell> {
        let mut total: Option<Cell> = None;
        for operation in operations {
            match (&mut total, self.cell(traffic, *operation, class)) {
                (Some(total), Some(cell)) => total.add(cell),
                (None, Some(cell)) => total = Some(cell.clone()),
                (_, None) => {}
            }
        }
        total
    }

    /// The number of requests with this outcome, without their latencies.
    #[must_use]
    pub fn count(&self, traffic: usize, operations: &[Operation], class: Class) -> u64 {
        let cells = operations
            .iter()
            .filter_map(|operation| self.cell(traffic, *operation, class));
        cells.map(|cell| cell.latency.len()).sum()
    }

    /// The number of groups of users: the buyers and the groups of other traffic.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.dropped.len()
    }

    /// The errors of `operation` by kind, without kinds that did not occur.
    pub fn error_counts(
        &self,
        traffic: usize,
        operation: Operation,
    ) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        let row = traffic * Operation::ALL.len() + operation.index();
        let counts = ErrorKind::ALL.iter().copied().zip(self.error_counts[row]);
        counts.filter(|(_, count)| *count > 0)
    }

    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.statuses.total()
    }

    /// The number of requests with any answer.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.requests() - self.statuses.none
    }

    fn clear(&mut self) {
        for cell in self.cells.iter_mut().flatten() {
            cell.latency.reset();
            cell.service.reset();
            cell.span = None;
        }
        self.error_counts.fill(Default::default());
        self.dropped.fill(0);
        self.statuses = Statuses::default();
        self.lag.reset();
        self.connection_wait.reset();
        self.eta_error.reset();
        self.handshakes.reset();
        self.opened = 0;
        self.resumed = 0;
        self.exemplars.clear();
        self.inversions = 0;
        self.order_checks = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(at: Instant, due: u64, sent: u64, done: u64, class: Class) -> Sample {
        let after = |us| at + Duration::from_micros(us);
        Sample {
            trace: TraceIds::default(),
            traffic: BUYERS,
            user: 1,
            operation: Operation::Reserve,
            class,
            error_kind: (class == Class::Error).then_some(ErrorKind::Server),
            status: if class == Class::Error { 503 } else { 201 },
            due: after(due),
            sent: after(sent),
            done: after(done),
        }
    }

    #[test]
    fn latency_counts_from_the_planned_instant_and_service_time_from_sending() {
        let mut frame = Frame::default();
        frame.record(&sample(Instant::now(), 0, 900_000, 1_000_000, Class::Ok));
        let cell = frame.cell(BUYERS, Operation::Reserve, Class::Ok).unwrap();
        assert!(cell.latency.equivalent(cell.latency.max(), 1_000_000));
        assert!(cell.service.equivalent(cell.service.max(), 100_000));
    }

    #[test]
    fn refusals_and_errors_stay_out_of_the_latency_of_successes() {
        let (mut frame, now) = (Frame::default(), Instant::now());
        frame.record(&sample(now, 0, 0, 1_000, Class::Ok));
        frame.record(&sample(now, 0, 0, 9_000_000, Class::Refused));
        frame.record(&sample(now, 0, 0, 9_000_000, Class::Error));
        let ok = frame
            .total(BUYERS, &[Operation::Reserve], Class::Ok)
            .unwrap();
        assert_eq!((ok.latency.len(), ok.latency.max() < 1_002), (1, true));
        assert_eq!(
            frame
                .error_counts(BUYERS, Operation::Reserve)
                .collect::<Vec<_>>(),
            [(ErrorKind::Server, 1)]
        );
        assert_eq!((frame.statuses.success, frame.statuses.server), (2, 1));
    }

    #[test]
    fn a_latency_beyond_the_longest_counts_as_the_longest() {
        let mut frame = Frame::default();
        frame.record(&sample(Instant::now(), 0, 0, 10 * LONGEST_US, Class::Ok));
        let ok = frame
            .total(BUYERS, &[Operation::Reserve], Class::Ok)
            .unwrap();
        assert!(ok.latency.max() >= LONGEST_US);
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_the_sorted_values(
            mut values in proptest::collection::vec(1_u64..LONGEST_US, 1..400),
            percentile in 1_u32..=100,
        ) {
            // Two recorders and two swaps, so that the test covers merging.
            let (recorders, mut totals, now) = ([Recorder::of(1), Recorder::of(1)], Totals::of(1), Instant::now());
            for (at, value) in values.iter().enumerate() {
                recorders[at % 2].with(|frame| frame.record(&sample(now, 0, 0, *value, Class::Ok)));
                if at == values.len() / 2 {
                    totals.collect(&recorders[0]);
                }
            }
            recorders.iter().for_each(|recorder| totals.collect(recorder));
            values.sort_unstable();
            let rank = (values.len() * percentile as usize).div_ceil(100).max(1);
            // 0.55 × 100 is 55.00000000000001, so a rank that is met exactly may be one higher.
            let ranks = [rank - 1, rank.min(values.len() - 1)];
            let cell = totals.sum.total(BUYERS, &[Operation::Reserve], Class::Ok).unwrap();
            prop_assert_eq!(cell.latency.len(), values.len() as u64);
            let measured = cell.latency.value_at_quantile(f64::from(percentile) / 100.0);
            let near = |expected: u64| {
                let apart = measured.abs_diff(expected);
                apart <= 1 || apart as f64 / expected as f64 <= 0.001
            };
            let agrees = ranks.into_iter().any(|rank| near(values[rank]));
            prop_assert!(agrees, "{} {:?}", measured, ranks.map(|rank| values[rank]));
        }
    }
}
