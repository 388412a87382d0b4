//! The run over time, with a bounded number of points.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Latency;
use crate::api::ops::QueueState;
use crate::load::model::{Class, Operation, UserState};
use crate::load::recorder::{BUYERS, Frame};

/// The largest number of points. A longer run has longer intervals.
const POINTS: usize = 1_200;
/// The largest number of marks.
const MARKS: usize = 1_000;

/// The run over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// The length of a point, in seconds.
    pub interval: f64,
    /// The points in order.
    pub points: Vec<Second>,
}

/// An interval of the run, mostly a second. Rates are its average, latencies are those of its worst second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// The end of the interval, in seconds since the first registration.
    pub second: f64,
    /// Finished requests per second.
    pub tps: f64,
    /// Successes per second.
    pub ok: f64,
    /// Intended refusals per second.
    pub refused: f64,
    /// Errors per second.
    pub errors: f64,
    /// The median latency of the successes outside the queue, from the due time, ms; absent without one.
    pub p50: Option<f64>,
    /// The 95th percentile of the same, ms.
    pub p95: Option<f64>,
    /// The 99th percentile of the same, ms.
    pub p99: Option<f64>,
    /// The 95th percentile of the requests to the queue, ms.
    pub queue_p95: Option<f64>,
    /// Users beyond the watermark, in the server's last answer.
    pub waiting: Option<u64>,
    /// The admitted-up-to watermark.
    pub admitted_mark: Option<u64>,
    /// Seats that buyers hold unpaid.
    pub held: u64,
    /// Seats that buyers have paid.
    pub sold: u64,
    /// The number of users by state, without empty states.
    pub users: BTreeMap<String, u64>,
}

/// An event of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// The time of the event, in seconds since the first registration.
    pub second: f64,
    /// The kind.
    pub kind: MarkKind,
    /// The event in a few words.
    pub text: String,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// A phase began.
    Phase,
    /// An operator gave a command.
    Control,
    /// Something failed, or a fault was injected.
    Fault,
    /// An alert or a threshold.
    Alert,
}

/// The state of users and queue at the end of a second.
pub(in crate::load) struct Snapshot<'a> {
    pub second: f64,
    pub users: &'a [(UserState, u64)],
    pub queue: Option<QueueState>,
}

/// Records the timeline during the run.
#[derive(Debug, Default)]
pub(in crate::load) struct TimelineRecorder {
    pub timeline: Timeline,
    pub marks: Vec<Mark>,
    /// The seconds that are not yet part of a point.
    pending: Vec<Second>,
}

impl TimelineRecorder {
    /// Adds the requests that ended within the last `length` seconds.
    pub(in crate::load) fn second(&mut self, frame: &Frame, length: f64, now: &Snapshot<'_>) {
        self.pending.push(point(frame, length, now));
        let interval = self.timeline.interval.max(1.0);
        self.timeline.interval = interval;
        if self.pending.len() as f64 >= interval {
            self.finish();
        }
        if self.timeline.points.len() >= POINTS {
            let pairs = self.timeline.points.chunks(2).filter_map(joined);
            self.timeline.points = pairs.collect();
            self.timeline.interval = 2.0 * interval;
        }
    }

    pub(in crate::load) fn mark(&mut self, second: f64, kind: MarkKind, text: impl Into<String>) {
        if self.marks.len() < MARKS {
            let text = text.into();
            self.marks.push(Mark { second, kind, text });
        }
    }

    /// Turns the pending seconds into a point.
    pub(in crate::load) fn finish(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.timeline.points.extend(joined(&pending));
    }
}

fn point(frame: &Frame, length: f64, now: &Snapshot<'_>) -> Second {
    let of = |class| -> u64 {
        let traffic_groups = 0..frame.groups();
        let counts = traffic_groups.map(|traffic| frame.count(traffic, Operation::ALL, class));
        counts.sum()
    };
    let per_second = |count: u64| count as f64 / length.max(1e-3);
    let (ok, refused, errors) = (of(Class::Ok), of(Class::Refused), of(Class::Error));
    let (queue, buying): (Vec<Operation>, Vec<Operation>) = Operation::ALL
        .iter()
        .partition(|operation| operation.is_queue());
    let latency = |operations: &[Operation]| {
        let cell = frame.total(BUYERS, operations, Class::Ok)?;
        Latency::if_any(&cell.latency)
    };
    let (bought, queued) = (latency(&buying), latency(&queue));
    let users = |state: UserState| {
        let found = now.users.iter().find(|(known, _)| *known == state);
        found.map_or(0, |(_, count)| *count)
    };
    Second {
        second: now.second,
        tps: per_second(ok + refused + errors),
        ok: per_second(ok),
        refused: per_second(refused),
        errors: per_second(errors),
        p50: bought.map(|latency| latency.p50),
        p95: bought.map(|latency| latency.p95),
        p99: bought.map(|latency| latency.p99),
        queue_p95: queued.map(|latency| latency.p95),
        waiting: now.queue.map(|queue| queue.waiting),
        admitted_mark: now.queue.map(|queue| queue.admitted_mark),
        held: users(UserState::Reserved) + users(UserState::Left),
        sold: users(UserState::Paid),
        users: super::by_name(now.users),
    }
}

/// Joins several points into one. `None` if there are none.
fn joined(points: &[Second]) -> Option<Second> {
    let mut last = points.last()?.clone();
    let mean = |of: fn(&Second) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let worst = |of: fn(&Second) -> Option<f64>| points.iter().filter_map(of).reduce(f64::max);
    last.tps = mean(|it| it.tps);
    last.ok = mean(|it| it.ok);
    last.refused = mean(|it| it.refused);
    last.errors = mean(|it| it.errors);
    last.p50 = worst(|it| it.p50);
    last.p95 = worst(|it| it.p95);
    last.p99 = worst(|it| it.p99);
    last.queue_p95 = worst(|it| it.queue_p95);
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_longer_intervals_and_no_more_points() {
        let mut recording = TimelineRecorder::default();
        let frame = Frame::default();
        for second in 1..=10_000 {
            let now = Snapshot {
                second: f64::from(second),
                users: &[],
                queue: None,
            };
            recording.second(&frame, 1.0, &now);
        }
        recording.finish();
        let timeline = recording.timeline;
        assert!(timeline.points.len() <= POINTS, "{}", timeline.points.len());
        assert_eq!(timeline.interval, 16.0);
        assert_eq!(timeline.points.last().map(|it| it.second), Some(10_000.0));
        assert!(
            timeline
                .points
                .is_sorted_by(|one, next| one.second < next.second)
        );
    }

    #[test]
    fn the_worst_second_stays_visible_in_its_interval() {
        let second = |tps: f64, p95: Option<f64>| Second {
            tps,
            p95,
            ..Second::default()
        };
        let both = joined(&[second(10.0, Some(900.0)), second(30.0, None)]).unwrap();
        assert_eq!((both.tps, both.p95), (20.0, Some(900.0)));
        assert_eq!(joined(&[]), None);
    }
}
