//! Finds out whether users are served within the objective, in each second, from the load generator's measurements.

use std::collections::{HashMap, VecDeque};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use super::Moment;
use super::file::Hypothesis;
use crate::load::model::{Class, Operation};
use crate::load::recorder::{BUYERS, Sample};

/// The most seconds that are kept: longer than any drill.
const MOST: usize = 7_200;
/// The most people that are distinguished: more than any drill has.
const MOST_PEOPLE: usize = 1_000_000;
/// The longest latency that the histogram distinguishes, in µs.
const LONGEST: u64 = 60_000_000;

/// The results of the buying requests in one second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Second {
    /// The beginning of the second.
    pub at: Moment,
    /// Requests outside of the queue that ended.
    pub requests: u64,
    /// The errors among them.
    pub errors: u64,
    /// The time from their due time within which 95 % of the successes were served, in ms; `None` without a success.
    pub p95_ms: Option<f64>,
    /// The second met the objective. A second without answers counts as met, unless a request that was answered later was
    /// due for longer than the objective allows.
    pub met: bool,
}

struct Current {
    at: Moment,
    requests: u64,
    errors: u64,
    latency: Histogram<u64>,
}

/// Counts requests into seconds. The workers of the load generator write to it, and the drill reads it.
pub(super) struct Objective {
    hypothesis: Hypothesis,
    state: Mutex<State>,
}

struct State {
    current: Current,
    seconds: VecDeque<Second>,
    /// The last time at which a request of each person failed or took too long.
    harmed: HashMap<i64, Moment>,
    /// Buying requests that failed.
    failed: u64,
    /// Payments of buyers that were acknowledged.
    paid: u64,
}

impl State {
    /// Marks the seconds from `from` to `to` without an answer as outside of the objective: in this time a user waited
    /// longer than the limit. This is known only when the late answer arrives.
    fn mark_unanswered(&mut self, from: Moment, to: Moment) {
        let waited = |second: &&mut Second| second.at + 1_000 > from;
        let seconds = self.seconds.iter_mut().rev().take_while(waited);
        for second in seconds.filter(|second| second.requests == 0 && second.at < to) {
            second.met = false;
        }
    }

    fn harm(&mut self, user: i64, now: Moment) {
        if self.harmed.len() < MOST_PEOPLE || self.harmed.contains_key(&user) {
            self.harmed.insert(user, now);
        }
    }
}

impl std::fmt::Debug for Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objective").finish_non_exhaustive()
    }
}

impl Objective {
    pub(super) fn new(hypothesis: Hypothesis, now: Moment) -> Objective {
        // The bounds are valid: at least 1, and two significant figures.
        let latency = Histogram::new_with_bounds(1, LONGEST, 2)
            .unwrap_or_else(|_| Histogram::new(2).expect("valid"));
        let current = Current {
            at: now,
            requests: 0,
            errors: 0,
            latency,
        };
        Objective {
            hypothesis,
            state: Mutex::new(State {
                current,
                seconds: VecDeque::new(),
                harmed: HashMap::new(),
                failed: 0,
                paid: 0,
            }),
        }
    }

    /// Counts one request that ended at `now`.
    pub(super) fn count(&self, sample: &Sample, now: Moment) {
        if sample.operation.is_queue() {
            return;
        }
        let mut state = self.state.lock();
        self.turn(&mut state, now);
        let latency = sample.done.saturating_duration_since(sample.due);
        let beyond = latency.saturating_sub(self.hypothesis.p95.0);
        if !beyond.is_zero() {
            let beyond = i64::try_from(beyond.as_millis()).unwrap_or(i64::MAX);
            state.mark_unanswered(now.saturating_sub(beyond), now);
        }
        let is_slow = sample.class == Class::Ok && !beyond.is_zero();
        if is_slow || sample.class == Class::Error {
            state.harm(sample.user, now);
        }
        state.failed += u64::from(sample.class == Class::Error);
        let paid = sample.operation == Operation::Pay && sample.class == Class::Ok;
        state.paid += u64::from(paid && sample.traffic == BUYERS);
        let current = &mut state.current;
        current.requests += 1;
        match sample.class {
            Class::Ok => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
                current.latency.saturating_record(micros.max(1));
            }
            Class::Refused => {}
            Class::Error => current.errors += 1,
        }
    }

    /// Buying requests that failed.
    pub(super) fn failed(&self) -> u64 {
        self.state.lock().failed
    }

    /// Payments of buyers that were acknowledged.
    pub(super) fn paid(&self) -> u64 {
        self.state.lock().paid
    }

    /// All seconds that are over, without the current one.
    pub(super) fn seconds(&self, now: Moment) -> Vec<Second> {
        let mut state = self.state.lock();
        self.turn(&mut state, now);
        state.seconds.iter().copied().collect()
    }

    /// The number of people who since `from` had a request that failed or took longer than the objective.
    pub(super) fn harmed_since(&self, from: Moment) -> u64 {
        let state = self.state.lock();
        let harmed = state.harmed.values().filter(|at| **at >= from);
        harmed.count() as u64
    }

    /// The number of seconds in a row, up to now, that had requests and met the objective.
    pub(super) fn met_for(&self, now: Moment) -> usize {
        let seconds = self.seconds(now);
        let with_traffic = |second: &&Second| second.met && second.requests > 0;
        seconds.iter().rev().take_while(with_traffic).count()
    }

    /// Closes the seconds that are over at `now`.
    fn turn(&self, state: &mut State, now: Moment) {
        while now >= state.current.at + 1_000 {
            let current = &mut state.current;
            let p95 = current.latency.value_at_quantile(0.95) as f64 / 1e3;
            let p95_ms = (!current.latency.is_empty()).then_some(p95);
            let limit = self.hypothesis.p95.0.as_secs_f64() * 1e3;
            let failed =
                current.errors as f64 > self.hypothesis.error_rate * current.requests as f64;
            let second = Second {
                at: current.at,
                requests: current.requests,
                errors: current.errors,
                p95_ms,
                met: !failed && p95_ms.is_none_or(|p95| p95 <= limit),
            };
            // After a long pause, only the seconds that will be kept are filled in.
            let skipped = (now - current.at) / 1_000 - 1;
            current.at += 1_000 * (skipped - MOST as i64).max(0) + 1_000;
            current.requests = 0;
            current.errors = 0;
            current.latency.reset();
            state.seconds.push_back(second);
            if state.seconds.len() > MOST {
                state.seconds.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::model::TraceIds;
    use std::time::{Duration, Instant};

    /// A seat map that was answered after `latency`.
    fn answer(latency: Duration) -> Sample {
        let due = Instant::now();
        Sample {
            traffic: BUYERS,
            user: 1,
            operation: Operation::Seats,
            class: Class::Ok,
            error_kind: None,
            status: 200,
            due,
            sent: due,
            done: due + latency,
            trace: TraceIds::default(),
        }
    }

    #[test]
    fn seconds_in_which_people_wait_and_nobody_is_answered_do_not_meet_the_objective() {
        let objective = Objective::new(Hypothesis::default(), 0);
        objective.count(&answer(Duration::from_millis(20)), 500);
        // A request that is due at 1 s is answered at 6.2 s. The next one is due at 9 s.
        objective.count(&answer(Duration::from_millis(5_200)), 6_200);
        objective.count(&answer(Duration::from_millis(20)), 9_000);
        let seconds = objective.seconds(10_000);
        let met: Vec<bool> = seconds.iter().map(|second| second.met).collect();
        let served = [true];
        let waited = [false; 6];
        assert_eq!(met, [&served[..], &waited, &[true; 3]].concat());
    }
}
