//! The control law of admission that follows the objective: how many users a second the service can admit.
//!
//! It is a pure function of state and measurement, called once a [`STEP`]. It cuts the rate by a factor when the
//! service misses the objective, waits until the window shows only the time since the cut, and otherwise grows in small
//! steps. The tests run it against a simulated service (`plant.rs`).
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

/// The objective of the service: 95 % of the buying requests are answered within this. The alert rule `SlowBuying`
/// has the same value, and the histogram has a bound there. Half of it is the limit of `saturated` in
/// `booking::follow`.
pub const OBJECTIVE: Duration = Duration::from_millis(500);
/// The time between two decisions.
pub const STEP: Duration = Duration::from_secs(1);
/// The time that a measurement covers, in steps. It is long enough for [`MIN_SAMPLES`] in a small sale, and short
/// enough to show an incident within seconds.
pub const WINDOW: u32 = 10;
/// The latest part of the window, in steps. If only the older part is slow, a cut has already restored the latency.
pub const RECENT: u32 = 2;
/// The percentile of fewer samples is chance.
pub const MIN_SAMPLES: u64 = 20;

/// Share of the objective from which p95 is bad. Latency climbs steeply near capacity: when p95 reaches the objective,
/// the service already has a queue.
const BAD: f64 = 0.7;
/// Share of the objective below which the rate may grow. Between the two shares the rate holds, so that it does not
/// oscillate.
const ROOM: f64 = 0.5;
/// The factor of a cut. A smaller cut would not drain the service's queue within the window; a larger one would waste
/// capacity.
const CUT: f64 = 0.7;
/// The smallest number of samples per window that a cut leaves, as far as the number falls with the rate. With fewer
/// than [`MIN_SAMPLES`] the rate holds, so it could never grow again, however fast the service is.
const KEPT_SAMPLES: u64 = 2 * MIN_SAMPLES;
/// The share of the rate before the first cut that counts as good, because that rate itself was too high.
const REMEMBERED: f64 = 0.9;
/// Factor of growth a step, up to a rate that was good.
const BACK: f64 = 1.25;
/// Growth a step beyond the good rate, as a share of the cap: 10 % in one window.
const GROWTH: f64 = 0.01;
/// Share of the cap below which the rate never falls. Without admission there are no samples, so the rate would stay at
/// zero.
const FLOOR: f64 = 0.01;
/// Share of the cap at the start. The rate then climbs as on the way back to a good rate, and reaches the cap in seven
/// steps.
const START: f64 = 0.25;

/// The limits of the rate: the rate of the settings is the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cap {
    /// Users a second.
    rate: f64,
    /// Users a second.
    floor: f64,
}

impl Cap {
    /// The limits for `batch` users every `every`.
    #[must_use]
    pub fn of(batch: u64, every: Duration) -> Cap {
        #[expect(clippy::cast_precision_loss, reason = "batches are at most a million")]
        let batch = batch.max(1) as f64;
        let every = every.as_secs_f64().max(1e-3);
        let rate = batch / every;
        // At least one user an interval.
        let floor = (FLOOR * rate).max(1.0 / every).min(rate);
        Cap { rate, floor }
    }

    /// The highest rate, users a second.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.rate
    }

    /// The lowest rate, users a second.
    #[must_use]
    pub fn floor(self) -> f64 {
        self.floor
    }
}

/// The measurements of a server over the last window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measurement {
    /// Requests of buying that were answered, without refusals.
    pub samples: u64,
    /// 95th percentile of their latency.
    pub p95: Duration,
    /// 95th percentile of the latency in the last [`RECENT`] steps.
    pub recent_p95: Duration,
    /// Requests answered with 5xx.
    pub errors: u64,
    /// Age of the oldest request in progress.
    pub oldest: Duration,
    /// The 95th percentile of the wait for a database connection is more than half of the objective.
    pub saturated: bool,
    /// Users admitted during the window.
    pub admitted: u64,
}

impl Measurement {
    /// Joins the measurements of all servers: the sum of what each counts alone, the worst of each other figure.
    #[must_use]
    pub fn of_servers(all: &[Measurement]) -> Measurement {
        // The percentile of few samples is chance. It counts only if no server has more.
        let has_enough = |of: &&Measurement| of.samples >= MIN_SAMPLES;
        let nobody_has = !all.iter().any(|of| has_enough(&of));
        let judged = all.iter().filter(|of| nobody_has || has_enough(of));
        let sum = |of: fn(&Measurement) -> u64| all.iter().map(of).fold(0, u64::saturating_add);
        let longest = |of: fn(&Measurement) -> Duration| all.iter().map(of).max();
        Measurement {
            samples: sum(|of| of.samples),
            p95: judged.map(|of| of.p95).max().unwrap_or_default(),
            recent_p95: longest(|of| of.recent_p95).unwrap_or_default(),
            errors: sum(|of| of.errors),
            oldest: longest(|of| of.oldest).unwrap_or_default(),
            saturated: all.iter().any(|of| of.saturated),
            // Each server sees the whole queue.
            admitted: all.iter().map(|of| of.admitted).max().unwrap_or_default(),
        }
    }
}

/// The state that the law keeps between two steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Users a second.
    pub rate: f64,
    /// The rate up to which growth is fast: a little below the rate before the first cut.
    pub good: f64,
    /// Steps until the window shows only the time since the last cut.
    pub cool_down: u32,
    /// True from the first cut until the rate is good again.
    pub in_trouble: bool,
}

impl State {
    /// The state before the first measurement.
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

/// The reason of a decision: a label of the metric and of the log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Too few samples: the rate holds.
    FewSamples,
    /// The rate was cut: requests were answered with 5xx.
    Errors,
    /// The rate was cut: p95 is near the objective.
    Slow,
    /// The rate was cut: a request has been in progress for longer than the objective.
    Oldest,
    /// The rate was cut: requests wait for database connections.
    Connections,
    /// The service misses the objective, and the window still shows time before the last cut: the rate holds.
    CoolDown,
    /// p95 is between good and bad: the rate holds.
    Near,
    /// Fewer users wait than the rate admits: the rate holds.
    FewWaiting,
    /// The admitted users send few requests: the rate holds.
    FewBuying,
    /// The rate climbs back to the good rate.
    Back,
    /// The rate grows.
    Growth,
    /// The rate is at its upper limit.
    AtCap,
}

impl Reason {
    /// All reasons.
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

    /// The word in metrics and log records.
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

/// The decision until the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Users a second.
    pub rate: f64,
    /// `false`: admit no user until the next step.
    pub admits: bool,
    pub reason: Reason,
}

/// Makes one step of the law. `waiting` is the number of users in the queue.
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
    // While a request is older than the objective, no user is admitted. After a whole window without admissions, users
    // are admitted at the lowest rate, so that the queue advances and the service is measured during a long incident.
    let is_slow = now.oldest > OBJECTIVE;
    let (rate, admits) = match (is_slow, now.admitted) {
        (true, 0) => (cap.floor, true),
        _ => (next.rate, !is_slow),
    };
    let decision = Decision {
        rate,
        admits,
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
        let kept = match reason {
            Reason::Slow => KEPT_SAMPLES,
            _ => MIN_SAMPLES,
        } as f64
            / now.samples as f64;
        next.rate *= kept.clamp(CUT, 1.0);
        next.cool_down = WINDOW;
        return reason;
    }
    grow(next, now, waiting, cap)
}

/// The reason why the service misses the objective, if it does.
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
    #[expect(clippy::cast_precision_loss, reason = "users are fewer than 2^53")]
    let waiting = waiting as f64;
    if now.p95 >= OBJECTIVE.mul_f64(ROOM) {
        return Reason::Near;
    }
    if next.rate >= cap.rate {
        return Reason::AtCap;
    }
    // An idle service is fast, which proves nothing about a higher rate.
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

/// `rate` within the limits of `cap`. NaN, which another server's state may hold, becomes the floor.
fn within(rate: f64, cap: Cap) -> f64 {
    if rate.is_nan() {
        return cap.floor;
    }
    rate.clamp(cap.floor, cap.rate)
}
