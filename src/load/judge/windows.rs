//! Live thresholds: limits in every window of some seconds, and limits that end the run.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::groups::{Metric, Requests, Resolved};
use super::{Judged, Outcome, Relation};
use crate::load::recorder::Frame;

/// A group that is judged every second.
pub(in crate::load) struct LiveThreshold<'s> {
    group: Resolved<'s>,
    /// The length of a window in seconds. `None` means the whole run.
    window: Option<usize>,
    slots: VecDeque<Requests>,
    sum: Requests,
    limits: Vec<LiveLimit>,
}

struct LiveLimit {
    metric: Metric,
    limit: f64,
    /// The worst window, and the time at which it ended.
    worst: Option<(f64, f64)>,
    missed_since: Option<Instant>,
}

/// The groups of a scenario that are watched.
#[derive(Default)]
pub(in crate::load) struct LiveThresholds<'s>(Vec<LiveThreshold<'s>>);

impl<'s> LiveThresholds<'s> {
    pub(in crate::load) fn new(
        scenario: &'s crate::load::Scenario,
        only_phase: Option<crate::load::PhaseName>,
    ) -> LiveThresholds<'s> {
        let groups = Resolved::all(scenario, only_phase).into_iter();
        let watched = groups.filter(|it| it.group.window.is_some() || it.group.abort.is_some());
        LiveThresholds(watched.map(LiveThreshold::new).collect())
    }

    /// Adds the requests of one more second. `at` is the age of the run in seconds. Returns the limit that ends the
    /// run, if there is one.
    pub(in crate::load) fn second(
        &mut self,
        second: &Frame,
        sum: &Frame,
        at: f64,
        now: Instant,
    ) -> Option<String> {
        let watches = self.0.iter_mut();
        watches
            .filter_map(|watch| watch.second(second, sum, at, now))
            .next()
    }

    /// The judged limits over windows.
    pub(in crate::load) fn judged(&self) -> impl Iterator<Item = Judged> + '_ {
        self.0.iter().flat_map(LiveThreshold::judged)
    }
}

impl<'s> LiveThreshold<'s> {
    fn new(group: Resolved<'s>) -> LiveThreshold<'s> {
        let limits = group.limits().into_iter();
        let seconds = |window: Duration| usize::try_from(window.as_secs()).unwrap_or(1).max(1);
        LiveThreshold {
            window: group.group.window.map(|window| seconds(window.0)),
            slots: VecDeque::new(),
            sum: Requests::none(),
            limits: limits
                .map(|(metric, limit)| LiveLimit {
                    metric,
                    limit,
                    worst: None,
                    missed_since: None,
                })
                .collect(),
            group,
        }
    }

    fn second(&mut self, second: &Frame, sum: &Frame, at: f64, now: Instant) -> Option<String> {
        match self.window {
            Some(seconds) => {
                self.slide(self.group.requests(second), seconds);
                if self.slots.len() < seconds {
                    return None;
                }
            }
            None => self.sum = self.group.requests(sum),
        }
        let tolerance = self.group.group.abort.map(|abort| abort.0);
        let mut ends = None;
        for limit in &mut self.limits {
            let measured = self.sum.measure(limit.metric);
            if self.window.is_some() {
                limit.take(measured, at);
            }
            let judged = self.group.judged(limit.metric, limit.limit, measured);
            if judged.outcome != Outcome::Missed || judged.relation == Relation::AtLeast {
                limit.missed_since = None;
                continue;
            }
            let since = *limit.missed_since.get_or_insert(now);
            if tolerance.is_some_and(|tolerance| now.duration_since(since) >= tolerance) {
                ends = ends.or(Some(judged.name));
            }
        }
        ends
    }

    fn slide(&mut self, newest: Requests, seconds: usize) {
        let same_bounds = "all histograms here have the same bounds";
        self.sum.latency.add(&newest.latency).expect(same_bounds);
        self.sum.refused += newest.refused;
        self.sum.errors += newest.errors;
        self.slots.push_back(newest);
        if self.slots.len() <= seconds {
            return;
        }
        if let Some(oldest) = self.slots.pop_front() {
            let was_added = "what is taken out was put in";
            self.sum.latency.subtract(&oldest.latency).expect(was_added);
            self.sum.refused -= oldest.refused;
            self.sum.errors -= oldest.errors;
        }
    }

    fn judged(&self) -> Vec<Judged> {
        let Some(window) = self.window else {
            return Vec::new();
        };
        // A run that is shorter than the window is judged by its requests so far.
        let short = self.slots.len() < window;
        let limits = self.limits.iter();
        limits
            .map(|limit| {
                let worst = match short {
                    true => self.sum.measure(limit.metric).map(|value| (value, 0.0)),
                    false => limit.worst,
                };
                let measured = worst.map(|(value, _)| value);
                Judged {
                    window: Some(window as u64),
                    worst_at: worst.filter(|_| !short).map(|(_, at)| at),
                    ..self.group.judged(limit.metric, limit.limit, measured)
                }
            })
            .collect()
    }
}

impl LiveLimit {
    fn take(&mut self, measured: Option<f64>, at: f64) {
        let Some(measured) = measured else { return };
        if self.worst.is_none_or(|(worst, _)| measured > worst) {
            self.worst = Some((measured, at));
        }
    }
}
