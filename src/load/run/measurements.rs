//! The measurements during a run: the totals, the timeline second by second, the live thresholds, and the progress.

use std::time::{Duration, Instant};

use super::server_watch::ServerWatch;
use crate::load::RunOptions;
use crate::load::judge::{self, Ending, Evidence, Judged, LiveThresholds};
use crate::load::recorder::Totals;
use crate::load::summary::{MarkKind, Snapshot, TimelineRecorder};
use crate::load::worker::RunContext;

/// All measurements so far.
pub(super) struct Measurements<'s> {
    pub(super) totals: Totals,
    pub(super) thresholds: LiveThresholds<'s>,
    pub(super) timeline: TimelineRecorder,
    /// The missed threshold that ends the run.
    pub(super) breach: Option<String>,
    options: &'s RunOptions,
    rate: RequestRate,
    second_since: Instant,
}

impl<'s> Measurements<'s> {
    pub(super) fn new(options: &'s RunOptions, begun: Instant) -> Measurements<'s> {
        Measurements {
            totals: Totals::of(options.scenario.traffic.len() + 1),
            thresholds: LiveThresholds::new(&options.scenario, options.phase),
            timeline: TimelineRecorder::default(),
            breach: None,
            options,
            rate: RequestRate::new(begun),
            second_since: begun,
        }
    }

    /// Requests per second over about the last second.
    pub(super) fn rate(&mut self) -> f64 {
        self.rate.per_second(self.totals.sum.requests())
    }

    pub(super) fn is_second_over(&self) -> bool {
        self.second_since.elapsed() >= Duration::from_secs(1)
    }

    /// Ends the current second. `second` is the time since the beginning, in seconds.
    pub(super) fn next_second(&mut self, second: f64, run: &RunContext, server: &ServerWatch) {
        let now = Instant::now();
        let length = now.duration_since(self.second_since).as_secs_f64();
        let users = run.users();
        let snapshot = Snapshot {
            second,
            users: &users,
            queue: server.queue(),
        };
        let frame = &self.totals.second;
        self.timeline.second(frame, length, &snapshot);
        let breach = self.thresholds.second(frame, &self.totals.sum, second, now);
        if let (Some(name), None) = (&breach, &self.breach) {
            let text = format!("{name} missed");
            self.timeline.mark(second, MarkKind::Alert, text);
            self.breach = breach;
        }
        self.totals.next_second();
        self.second_since = now;
        for text in server.take_news() {
            self.timeline.mark(second, MarkKind::Alert, text);
        }
    }

    /// The current state of the limits on requests. Business limits are judged only at the end.
    pub(super) fn thresholds_so_far(&self) -> Vec<Judged> {
        let evidence = Evidence {
            frame: &self.totals.sum,
            only_phase: self.options.phase,
            audit: None,
            worst_audit: 0,
            lookup: None,
            unacknowledged: None,
            unfinished: 0,
            ending: Ending::Stopped,
        };
        let mut judged = judge::requests(&self.options.scenario, &evidence);
        judged.extend(self.thresholds.judged());
        judged
    }
}

/// Requests per second over about the last second.
struct RequestRate(Vec<(Instant, u64)>);

impl RequestRate {
    fn new(begun: Instant) -> RequestRate {
        RequestRate(vec![(begun, 0)])
    }

    fn per_second(&mut self, requests: u64) -> f64 {
        let now = Instant::now();
        self.0.push((now, requests));
        if self.0.len() > 5 {
            self.0.remove(0);
        }
        let (from, before) = self.0[0];
        let seconds = now.duration_since(from).as_secs_f64();
        match seconds > 0.0 {
            true => requests.saturating_sub(before) as f64 / seconds,
            false => 0.0,
        }
    }
}
