//! What a run shows of itself while it is under way, and writes down for its timeline.

use std::time::{Duration, Instant};

use super::{Rehearsal, Step};
use crate::load::judge::{self, Ending, Evidence};
use crate::load::scenario::Shape;
use crate::load::summary::{MarkKind, Now};

impl Rehearsal<'_> {
    /// Publishes where the run is.
    pub(super) fn show(&mut self, step: Step) {
        let elapsed = self.elapsed();
        let tps = match step {
            Step::Running(_) => self.pace.per_second(self.totals.sum.requests()),
            _ => 0.0,
        };
        let queue = *self.seen.queue.lock();
        let users = self.run.users();
        let expected_end = self.expected_end();
        let thresholds = self.thresholds_so_far();
        let violations = self.seen.audits.lock().last;
        let (frame, only) = (&self.totals.sum, self.run.only);
        let tempo = &self.run.tempo;
        self.progress.send_modify(|progress| {
            progress.step = step;
            progress.elapsed = elapsed;
            progress.expected_end = expected_end;
            progress.tps = tps;
            progress.queue = queue;
            progress.paused = tempo.is_paused();
            progress.pace = tempo.factor();
            progress.violations = violations;
            progress.thresholds = thresholds;
            progress.place(users, only);
            progress.take(frame);
        });
    }

    /// The limits on requests as they stand; the business is judged at the end.
    fn thresholds_so_far(&self) -> Vec<judge::Judged> {
        let evidence = Evidence {
            frame: &self.totals.sum,
            only: self.run.only,
            audit: None,
            worst_audit: 0,
            lookup: None,
            unacknowledged: None,
            unfinished: 0,
            ending: Ending::Stopped,
        };
        judge::requests(&self.run.scenario, &evidence, &self.watches)
    }

    pub(super) fn mark(&mut self, kind: MarkKind, text: &str) {
        let second = self.elapsed().as_secs_f64();
        self.recording.mark(second, kind, text);
    }

    /// Ends the second that is being recorded.
    pub(super) fn next_second(&mut self) {
        let now = Instant::now();
        let (second, length) = (self.elapsed().as_secs_f64(), self.second_since.elapsed());
        let users = self.run.users();
        let shown = Now {
            second,
            users: &users,
            queue: *self.seen.queue.lock(),
        };
        let frame = &self.totals.second;
        self.recording.second(frame, length.as_secs_f64(), &shown);
        let breach = self.watches.second(frame, &self.totals.sum, second, now);
        if let (Some(name), None) = (&breach, &self.breach) {
            let text = format!("{name} missed");
            self.recording.mark(second, MarkKind::Alert, text);
            self.breach = breach;
        }
        self.totals.next_second();
        self.second_since = now;
        for text in self.seen.news.lock().drain(..) {
            self.recording.mark(second, MarkKind::Alert, text);
        }
    }

    /// When the last batch will have been let in and its users have thought as long as they may.
    fn expected_end(&self) -> Option<Duration> {
        let opened = self.run.has_opened()?;
        let scenario = &self.run.scenario;
        let batches = u64::from(scenario.users)
            .div_ceil(scenario.admission.batch)
            .saturating_sub(1);
        let every = scenario.admission.every.0;
        let mut admission = every.checked_mul(u32::try_from(batches).ok()?)?;
        if scenario.arrival.shape != Shape::Burst {
            admission = admission.max(self.run.arrivals.last().copied().unwrap_or_default());
        }
        let think = &scenario.think;
        let steps = [
            think.dates,
            think.seats,
            think.reserve,
            think.charge,
            think.pay,
        ];
        let thinking: Duration = steps.iter().map(|step| step.nearly_longest()).sum();
        let crowds = scenario.traffic.values();
        let crowds = crowds.map(|crowd| crowd.after.0 + crowd.lasts.0);
        let longest = crowds.fold(admission + thinking, Duration::max);
        Some((opened - self.begun + longest).min(scenario.limits.duration.0))
    }
}
