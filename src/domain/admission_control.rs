//! The law of admission that follows the objective: how many people a second a service can let in.
//!
//! A pure function of state and measurement, called once a [`STEP`]. It cuts by a factor when the service is
//! outside the objective, waits until the window shows the cut alone, and grows in small steps otherwise.
//! The tests run it against a simulated service (`plant.rs`).
//!
//! ```text
//!            bad                      the window has passed
//! growing ─────────▶ cut, cool-down ─────────▶ bad: cut again
//!    ▲                                            │ good
//!    └── rate = good ◀── climbing back to `good` ◀┘
//! ```

use std::time::Duration;

#[cfg(test)]
mod plant;
#[cfg(test)]
mod tests;

/// What the service promises to a buyer: 95 % of the steps of buying within this. The alert rule
/// `ConcertSlowResponses` has the same value, and the histogram has it as a bound.
pub const OBJECTIVE: Duration = Duration::from_millis(500);
/// Between two decisions.
pub const STEP: Duration = Duration::from_secs(1);
/// What a measurement covers, in steps. Long enough for [`MIN_SAMPLES`] of a small sale; short enough that an
/// incident is seen in seconds.
pub const WINDOW: u32 = 10;
/// What is recent, in steps. A window that is slow only in its older part shows what a cut has mended.
pub const RECENT: u32 = 2;
/// With fewer the percentile is chance.
pub const MIN_SAMPLES: u64 = 20;

/// Share of the objective from which p95 is bad. Latency climbs steeply near capacity: at the objective
/// itself the queue in the service is there already.
const BAD: f64 = 0.7;
/// Share of the objective below which there is room to grow. Between the two the rate holds, so that it does not
/// hunt.
const ROOM: f64 = 0.5;
/// A cut. Smaller ones do not drain a queue within the window; larger ones waste capacity.
const CUT: f64 = 0.7;
/// A cut leaves so many samples a window, as far as they fall with the rate. At fewer than [`MIN_SAMPLES`] the rate
/// holds, so a rate that gives fewer would never grow again, however well the service is.
const KEPT_SAMPLES: u64 = 2 * MIN_SAMPLES;
/// Share of the rate before the first cut that is remembered as good: that rate itself was too much.
const REMEMBERED: f64 = 0.9;
/// Growth a step on the way back to a rate that was good.
const BACK: f64 = 1.25;
/// Growth a step into the unknown, as a share of the cap: a window of it adds 10 %.
const GROWTH: f64 = 0.01;
/// Never below this share of the cap: a closed door gives no samples, so it would stay closed.
const FLOOR: f64 = 0.01;
/// Share of the cap at the start. The climb to the cap is that back to a good rate: six steps.
const START: f64 = 0.25;

/// The rate that people set, which is the most that is admitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cap {
    /// People a second.
    rate: f64,
    /// People a second.
    floor: f64,
}

impl Cap {
    /// Of `batch` people each `every`.
    #[must_use]
    pub fn of(batch: u64, every: Duration) -> Cap {
        #[expect(clippy::cast_precision_loss, reason = "batches are at most a million")]
        let batch = batch.max(1) as f64;
        let every = every.as_secs_f64().max(1e-3);
        let rate = batch / every;
        // At least one person an interval.
        let floor = (FLOOR * rate).max(1.0 / every).min(rate);
        Cap { rate, floor }
    }

    /// People a second.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.rate
    }

    /// The least that is admitted, people a second.
    #[must_use]
    pub fn floor(self) -> f64 {
        self.floor
    }
}

/// What a server measured over the last window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measurement {
    /// Steps of buying that were answered, without refusals.
    pub samples: u64,
    /// 95th percentile of their time.
    pub p95: Duration,
    /// The same of the last [`RECENT`] steps.
    pub recent_p95: Duration,
    /// Those answered 5xx.
    pub errors: u64,
    /// Age of the oldest step under way, now.
    pub oldest: Duration,
    /// Requests wait for a database connection longer than the objective allows.
    pub saturated: bool,
    /// People let in during the window.
    pub admitted: u64,
}

impl Measurement {
    /// The worse of two servers in each figure. What is counted is added up.
    #[must_use]
    pub fn worst(self, other: Measurement) -> Measurement {
        // The percentile of a few samples is chance, on each server.
        let p95 = |of: &Measurement| match of.samples >= MIN_SAMPLES {
            true => of.p95,
            false => Duration::ZERO,
        };
        Measurement {
            samples: self.samples.saturating_add(other.samples),
            p95: p95(&self).max(p95(&other)),
            recent_p95: self.recent_p95.max(other.recent_p95),
            errors: self.errors.saturating_add(other.errors),
            oldest: self.oldest.max(other.oldest),
            saturated: self.saturated || other.saturated,
            admitted: self.admitted.saturating_add(other.admitted),
        }
    }
}

/// What the law remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// People a second.
    pub rate: f64,
    /// The rate up to which growth is fast: that before the trouble, less a little.
    pub good: f64,
    /// Steps until the window shows the last cut alone.
    pub cool_down: u32,
    /// From the first cut until the rate is good again.
    pub in_trouble: bool,
}

impl State {
    /// Before the first measurement.
    #[must_use]
    pub fn start(cap: Cap) -> State {
        State {
            rate: (START * cap.rate).max(cap.floor),
            good: cap.rate,
            cool_down: 0,
            in_trouble: false,
        }
    }
}

/// Why a decision is as it is: the label of the metric and of the log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Too few samples: the rate holds.
    FewSamples,
    /// The rate was cut: answers of 5xx.
    Errors,
    /// The rate was cut: p95 is near the objective.
    Slow,
    /// The rate was cut: a request is older than the objective.
    Oldest,
    /// The rate was cut: requests wait for database connections.
    Connections,
    /// The service is outside, and the last cut is not in the window alone yet: the rate holds.
    CoolDown,
    /// The service is between good and bad: the rate holds.
    Near,
    /// Fewer wait than the rate admits: the rate holds.
    FewWaiting,
    /// Fewer steps of buying than people admitted: they do not come. The rate holds.
    FewBuying,
    /// The rate climbs back to what was good.
    Back,
    /// The rate grows.
    Growth,
    /// The rate is that of the settings.
    AtCap,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 12] = [
        Reason::FewSamples,
        Reason::Errors,
        Reason::Slow,
        Reason::Oldest,
        Reason::Connections,
        Reason::CoolDown,
        Reason::Near,
        Reason::FewWaiting,
        Reason::FewBuying,
        Reason::Back,
        Reason::Growth,
        Reason::AtCap,
    ];

    /// As metrics and log records write it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Reason::FewSamples => "few_samples",
            Reason::Errors => "errors",
            Reason::Slow => "slow",
            Reason::Oldest => "oldest_request",
            Reason::Connections => "connections",
            Reason::CoolDown => "cool_down",
            Reason::Near => "near_objective",
            Reason::FewWaiting => "few_waiting",
            Reason::FewBuying => "few_buying",
            Reason::Back => "back_to_good",
            Reason::Growth => "growth",
            Reason::AtCap => "at_cap",
        }
    }
}

/// What to do until the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// People a second.
    pub rate: f64,
    /// `false`: let nobody in until the next step.
    pub admits: bool,
    pub reason: Reason,
}

/// One step of the law. `waiting` is how many people wait in the queue.
#[must_use]
pub fn step(state: State, now: &Measurement, waiting: u64, cap: Cap) -> (State, Decision) {
    let mut next = State {
        rate: within(state.rate, cap),
        good: within(state.good, cap),
        cool_down: state.cool_down.saturating_sub(1),
        in_trouble: state.in_trouble,
    };
    let reason = decide(&mut next, now, waiting, cap);
    next.rate = within(next.rate, cap);
    if next.rate >= next.good {
        next.in_trouble = false;
    }
    let decision = Decision {
        rate: next.rate,
        admits: now.oldest <= OBJECTIVE,
        reason,
    };
    (next, decision)
}

fn decide(next: &mut State, now: &Measurement, waiting: u64, cap: Cap) -> Reason {
    if now.samples < MIN_SAMPLES {
        return Reason::FewSamples;
    }
    let bad = badness(now);
    if next.cool_down > 0 {
        return Reason::CoolDown;
    }
    if let Some(reason) = bad {
        if !next.in_trouble {
            next.good = within(REMEMBERED * next.rate, cap);
            next.in_trouble = true;
        }
        #[expect(clippy::cast_precision_loss, reason = "samples are fewer than 2^53")]
        let kept = KEPT_SAMPLES as f64 / now.samples as f64;
        next.rate *= kept.clamp(CUT, 1.0);
        next.cool_down = WINDOW;
        return reason;
    }
    grow(next, now, waiting, cap)
}

/// Why the service is outside of what it may be, if it is.
fn badness(now: &Measurement) -> Option<Reason> {
    let cases = [
        (now.errors > 0, Reason::Errors),
        (now.oldest > OBJECTIVE, Reason::Oldest),
        (now.saturated, Reason::Connections),
        (
            now.p95 > OBJECTIVE.mul_f64(BAD) && now.recent_p95 > OBJECTIVE.mul_f64(ROOM),
            Reason::Slow,
        ),
    ];
    let mut cases = cases.into_iter();
    cases.find_map(|(bad, reason)| bad.then_some(reason))
}

fn grow(next: &mut State, now: &Measurement, waiting: u64, cap: Cap) -> Reason {
    #[expect(clippy::cast_precision_loss, reason = "people are fewer than 2^53")]
    let waiting = waiting as f64;
    if now.p95 >= OBJECTIVE.mul_f64(ROOM) {
        return Reason::Near;
    }
    if next.rate >= cap.rate {
        return Reason::AtCap;
    }
    // A service that nobody uses is fast, which says nothing about a higher rate.
    if waiting < next.rate {
        return Reason::FewWaiting;
    }
    if now.samples < now.admitted {
        return Reason::FewBuying;
    }
    if next.rate < next.good {
        next.rate = (BACK * next.rate).min(next.good);
        return Reason::Back;
    }
    next.rate += GROWTH * cap.rate;
    Reason::Growth
}

/// A rate between floor and cap. What is no number, as of another server's state, becomes the floor.
fn within(rate: f64, cap: Cap) -> f64 {
    if rate.is_nan() {
        return cap.floor;
    }
    rate.clamp(cap.floor, cap.rate)
}
