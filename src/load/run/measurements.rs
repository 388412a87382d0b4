//! What a run measures: the totals, one point of the timeline each second, the live thresholds, and the request rate.

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
    /// The name of the first missed threshold that ends the run.
    pub(super) breach: Option<String>,
    options: &'s RunOptions,
    rate: RequestRate,
    second_since: Instant,
}

impl<'s> Measurements<'s> {
    pub(super) fn new(options: &'s RunOptions, begun: Instant) -> Measurements<'s> {
        Measurements {
            // One group for the buyers, and one for each traffic group.
            totals: Totals::of(options.scenario.traffic.len() + 1),
            thresholds: LiveThresholds::new(&options.scenario, options.phase),
            timeline: TimelineRecorder::default(),
            breach: None,
            options,
            rate: RequestRate::new(begun),
            second_since: begun,
        }
    }

    /// The request rate for the progress of the run. Call it once a tick: see [`RequestRate`].
    pub(super) fn rate(&mut self) -> f64 {
        self.rate.per_second(self.totals.sum.requests())
    }

    /// Returns whether the current second of the timeline is at least one second long.
    pub(super) fn is_second_over(&self) -> bool {
        self.second_since.elapsed() >= Duration::from_secs(1)
    }

    /// Ends the current second of the timeline and begins the next. `elapsed` is the age of the run in seconds.
    pub(super) fn next_second(&mut self, elapsed: f64, run: &RunContext, server: &ServerWatch) {
        let now = Instant::now();
        let length = now.duration_since(self.second_since).as_secs_f64();
        let users = run.users();
        let snapshot = Snapshot {
            second: elapsed,
            users: &users,
            queue: server.queue(),
        };
        let frame = &self.totals.second;
        self.timeline.second(frame, length, &snapshot);
        let breach = self
            .thresholds
            .second(frame, &self.totals.sum, elapsed, now);
        if let (Some(name), None) = (&breach, &self.breach) {
            let text = format!("{name} missed");
            self.timeline.mark(elapsed, MarkKind::Alert, text);
            self.breach = breach;
        }
        self.totals.next_second();
        self.second_since = now;
        // Marks that the watch of the server has reported since the last second.
        for text in server.take_marks() {
            self.timeline.mark(elapsed, MarkKind::Alert, text);
        }
    }

    /// The thresholds as the run stands now: the limits on groups of requests. The end of the run judges the business
    /// limits too.
    pub(super) fn thresholds_so_far(&self) -> Vec<Judged> {
        let evidence = Evidence {
            frame: &self.totals.sum,
            only_phase: self.options.phase,
            audit: None,
            worst_audit: 0,
            lookup: None,
            unacknowledged: None,
            unfinished: 0,
            generator_memory: None,
            server_memory: None,
            ending: Ending::Stopped,
        };
        let mut judged = judge::judge_requests(&self.options.scenario, &evidence);
        judged.extend(self.thresholds.judged());
        judged
    }
}

/// Requests per second over the last five calls. With one call each tick of 250 ms, they cover one second.
struct RequestRate(Vec<(Instant, u64)>);

impl RequestRate {
    fn new(begun: Instant) -> RequestRate {
        RequestRate(vec![(begun, 0)])
    }

    /// The rate up to now. `requests` is the count since the beginning of the run.
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
