//! A simulated service: admitted users think, send requests, and these queue for a number of workers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::{Cap, Decision, Measurement, OBJECTIVE, RECENT, State, WINDOW, step};

/// Milliseconds of simulated time.
pub(super) type Ms = u64;

/// Requests of one user: list seats, reserve, charge, pay.
const REQUESTS: u32 = 4;
const WORKERS: usize = 4;
/// Users a second that the service can serve.
pub(super) const CAPACITY: f64 = 40.0;
/// The server answers 503 after this time.
const TIMEOUT: Ms = 10_000;
/// The time between two advances of the watermark.
const ENTRY: Ms = 100;

/// Random numbers from a seed (SplitMix64), so that a run can be repeated.
pub(super) struct Chance(u64);

impl Chance {
    /// A number in 0..1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One simulated second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Second {
    pub(super) rate: f64,
    /// 95th percentile of the requests answered in this second, ms.
    pub(super) p95: Ms,
    pub(super) errors: u64,
    pub(super) served: u64,
    /// Users who were admitted in this second.
    pub(super) admitted: u64,
}

/// The parameters of a run.
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) cap: Cap,
    pub(super) controlled: bool,
    pub(super) seconds: u32,
    /// The capacity in a second of the run, as a share of [`CAPACITY`].
    pub(super) capacity: fn(u32) -> f64,
    /// The time that is added to each request before it needs a worker, independent of the load; by the second.
    pub(super) delay: fn(u32) -> Ms,
}

pub(super) struct Plant {
    chance: Chance,
    now: Ms,
    delay: Ms,
    /// Requests that will need a worker: the time, the time of sending, and the number of requests left after it.
    due: BinaryHeap<Reverse<(Ms, Ms, u32)>>,
    /// Requests that wait for a worker: the start of the wait, and the number of requests left.
    queue: VecDeque<(Ms, u32)>,
    /// Busy workers: the end of the work, the start of the request's wait, and the number of requests left.
    busy: Vec<(Ms, Ms, u32)>,
    /// For each second: the latencies of the answers, and the number of errors.
    answers: Vec<(Vec<Ms>, u64)>,
    admitted: Vec<u64>,
}

impl Plant {
    fn new(seed: u64) -> Plant {
        Plant {
            chance: Chance(seed),
            now: 0,
            delay: 0,
            due: BinaryHeap::new(),
            queue: VecDeque::new(),
            busy: Vec::new(),
            answers: vec![Default::default()],
            admitted: vec![0],
        }
    }

    /// Admits users. Each user learns of it at the next poll.
    fn admit(&mut self, people: u64) {
        for _ in 0..people {
            let poll = (self.chance.next() * 1_000.0) as Ms;
            self.send(poll, REQUESTS - 1);
        }
        *self.admitted.last_mut().unwrap() += people;
    }

    /// Schedules a request in `wait` milliseconds.
    fn send(&mut self, wait: Ms, left: u32) {
        let at = self.now + wait;
        self.due.push(Reverse((at + self.delay, at, left)));
    }

    /// Simulates one millisecond at a share `capacity` of the full capacity.
    fn tick(&mut self, capacity: f64) {
        self.now += 1;
        let now = self.now;
        while let Some(&Reverse((at, sent, left))) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            self.queue.push_back((sent, left));
        }
        while let Some(&(since, _)) = self.queue.front()
            && now - since >= TIMEOUT
        {
            self.queue.pop_front();
            self.answers.last_mut().unwrap().1 += 1;
        }
        let (ended, busy): (Vec<_>, _) = self.busy.drain(..).partition(|busy| busy.0 <= now);
        self.busy = busy;
        for (_, since, left) in ended {
            self.answers.last_mut().unwrap().0.push(now - since);
            if left > 0 {
                let think = 1_000.0 + 2_000.0 * self.chance.next();
                self.send(think as Ms, left - 1);
            }
        }
        while self.busy.len() < WORKERS
            && let Some((since, left)) = self.queue.pop_front()
        {
            let mean = 1_000.0 * WORKERS as f64 / (CAPACITY * f64::from(REQUESTS)) / capacity;
            // Half of the time is fixed, half is random.
            let takes = mean * (0.5 - 0.5 * (1.0 - self.chance.next()).ln());
            self.busy.push((now + takes.max(1.0) as Ms, since, left));
        }
    }

    fn measure(&self) -> Measurement {
        let from = self.answers.len().saturating_sub(WINDOW as usize);
        let window = &self.answers[from..];
        let of = |part: &[(Vec<Ms>, u64)]| -> Vec<Ms> {
            part.iter().flat_map(|it| it.0.iter().copied()).collect()
        };
        let recent = window.len().saturating_sub(RECENT as usize);
        let (mut times, mut recent) = (of(window), of(&window[recent..]));
        let errors = window.iter().map(|it| it.1).sum();
        let delayed = self.due.iter().map(|it| it.0.1);
        let delayed = delayed.filter(|sent| *sent <= self.now);
        let waiting = delayed.chain(self.queue.iter().map(|it| it.0));
        let oldest = waiting.chain(self.busy.iter().map(|it| it.1)).min();
        Measurement {
            samples: times.len() as u64 + errors,
            p95: Duration::from_millis(p95(&mut times)),
            recent_p95: Duration::from_millis(p95(&mut recent)),
            errors,
            oldest: Duration::from_millis(oldest.map_or(0, |since| self.now - since)),
            saturated: false,
            admitted: self.admitted[from..].iter().sum(),
        }
    }
}

fn p95(times: &mut [Ms]) -> Ms {
    times.sort_unstable();
    let at = (times.len() as f64 * 0.95) as usize;
    times.get(at).or(times.last()).copied().unwrap_or(0)
}

/// Simulates a sale whose queue never empties.
pub(super) fn run(setting: &Setting) -> Vec<Second> {
    let mut plant = Plant::new(setting.seed);
    let mut state = State::start(setting.cap);
    let mut decision = Decision {
        rate: state.rate,
        admits: true,
        reason: super::Reason::Growth,
    };
    let (mut seconds, mut credit) = (Vec::new(), 0.0);
    for second in 0..setting.seconds {
        let rate = match setting.controlled {
            true => decision.rate,
            false => setting.cap.rate(),
        };
        plant.delay = (setting.delay)(second);
        for ms in 0..1_000 {
            if ms % ENTRY == 0 && (decision.admits || !setting.controlled) {
                credit += rate * ENTRY as f64 / 1e3;
                plant.admit(credit as u64);
                credit = credit.fract();
            }
            plant.tick((setting.capacity)(second));
        }
        if setting.controlled {
            (state, decision) = step(state, &plant.measure(), u64::MAX, setting.cap);
        }
        let (times, errors) = plant.answers.last_mut().unwrap();
        seconds.push(Second {
            rate,
            p95: p95(times),
            errors: *errors,
            served: times.len() as u64,
            admitted: plant.admitted.last().copied().unwrap_or_default(),
        });
        plant.answers.push(Default::default());
        plant.admitted.push(0);
    }
    seconds
}

impl Second {
    pub(super) fn is_within_objective(&self) -> bool {
        self.errors == 0 && u128::from(self.p95) <= OBJECTIVE.as_millis()
    }
}
