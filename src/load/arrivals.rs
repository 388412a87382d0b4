//! Arrival schedules: the due times of an open executor.
//!
//! A shape is a rate over time. Arrivals are at the times at which the integral of the rate passes the whole numbers.
//! Poisson arrivals are at the times at which it passes the sums of exponential random numbers (time change of a unit
//! Poisson process, Çınlar, *Introduction to Stochastic Processes*, 1975, ch. 4).

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand_distr::{Distribution as _, Exp1};

use super::scenario::{Arrival, RampStage, Shape};

/// Separates these random numbers from others of the same seed.
const STREAM: u64 = 0x0a77_1fa1;

/// The arrival times since the start, in ascending order.
#[derive(Debug)]
pub(super) struct Arrivals {
    arrival: Arrival,
    rng: SmallRng,
    /// The integral of the rate at the next arrival.
    next: f64,
}

impl Arrivals {
    /// The same `seed` gives the same times.
    pub(super) fn new(mut arrival: Arrival, seed: u64) -> Arrivals {
        // A ramp with one stage may be written without the list of stages.
        if let (Shape::Ramp, true, Some(to)) =
            (arrival.shape, arrival.stages.is_empty(), arrival.to)
        {
            let over = arrival.over.unwrap_or_default();
            arrival.stages = vec![RampStage { to, over }];
        }
        let shape = arrival.shape;
        let mut arrivals = Arrivals {
            arrival,
            rng: SmallRng::seed_from_u64(seed ^ STREAM),
            next: 0.0,
        };
        if shape == Shape::Poisson {
            arrivals.next = arrivals.gap();
        }
        arrivals
    }

    fn gap(&mut self) -> f64 {
        match self.arrival.shape {
            Shape::Poisson => Exp1.sample(&mut self.rng),
            _ => 1.0,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    /// `None` when no further arrival comes within a day.
    fn next(&mut self) -> Option<Duration> {
        let at = self.arrival.instant(self.next)?;
        self.next += self.gap();
        Some(at)
    }
}

impl Arrival {
    /// The time of arrival number `count`, in seconds of the schedule.
    fn instant(&self, count: f64) -> Option<Duration> {
        let (rate, to) = (self.rate, self.to.unwrap_or(self.rate));
        let over = self.over.map_or(0.0, |over| over.0.as_secs_f64());
        let seconds = match self.shape {
            Shape::Burst => 0.0,
            Shape::Constant | Shape::Poisson => count / rate,
            Shape::Ramp => self.staged(count),
            Shape::Spike => {
                let at = self.at.map_or(0.0, |at| at.0.as_secs_f64());
                let (before, during) = (rate * at, to * over);
                if count < before {
                    count / rate
                } else if count < before + during {
                    at + (count - before) / to
                } else {
                    at + over + (count - before - during) / rate
                }
            }
        };
        const LONGEST: f64 = 24.0 * 3600.0;
        (seconds <= LONGEST).then(|| Duration::from_secs_f64(seconds.max(0.0)))
    }
}

impl Arrival {
    /// The time of arrival number `count` in a ramp of stages. After the last stage, the last rate continues.
    fn staged(&self, count: f64) -> f64 {
        let (mut begun, mut rate, mut left) = (0.0, self.rate, count);
        for stage in &self.stages {
            let over = stage.over.0.as_secs_f64();
            let during = (rate + stage.to) / 2.0 * over;
            if left < during {
                return begun + ramp(left, rate, stage.to, over);
            }
            left -= during;
            begun += over;
            rate = stage.to;
        }
        // The time is infinite when the ramp ends at 0.
        match left > 0.0 {
            true => begun + left / rate,
            false => begun,
        }
    }
}

/// The time at which the integral of a rate that goes from `from` to `to` in `over` seconds reaches `count`.
fn ramp(count: f64, from: f64, to: f64, over: f64) -> f64 {
    let slope = (to - from) / over;
    if count <= 0.0 {
        return 0.0;
    }
    if slope.abs() < 1e-9 {
        return count / from;
    }
    // from·t + slope·t²/2 = count, in the form that loses no digits when `from` is large.
    let root = (from * from + 2.0 * slope * count).max(0.0).sqrt();
    2.0 * count / (from + root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::Time;
    use proptest::prelude::*;

    fn arrival(shape: Shape, rate: f64, to: Option<f64>) -> Arrival {
        Arrival {
            shape,
            rate,
            to,
            at: Some(Time::from_secs(2)),
            over: Some(Time::from_secs(10)),
            ..Arrival::default()
        }
    }

    fn within(arrival: Arrival, seconds: u64) -> usize {
        let end = Duration::from_secs(seconds);
        Arrivals::new(arrival, 7).take_while(|at| *at < end).count()
    }

    #[test]
    fn as_many_come_as_the_shape_says() {
        assert_eq!(within(arrival(Shape::Constant, 50.0, None), 10), 500);
        assert_eq!(within(arrival(Shape::Ramp, 0.0, Some(100.0)), 10), 500);
        assert_eq!(within(arrival(Shape::Ramp, 100.0, Some(0.0)), 10), 500);
        assert_eq!(within(arrival(Shape::Ramp, 10.0, Some(30.0)), 20), 500);
        // 2 s at 10, 10 s at 100, 2 s at 10.
        assert_eq!(within(arrival(Shape::Spike, 10.0, Some(100.0)), 14), 1_040);
        let random = within(arrival(Shape::Poisson, 100.0, None), 100);
        assert!((9_500..10_500).contains(&random), "{random}");
    }

    #[test]
    fn a_ramp_goes_through_its_stages() {
        let stage = |to, seconds| RampStage {
            to,
            over: Time::from_secs(seconds),
        };
        let ramp = Arrival {
            shape: Shape::Ramp,
            rate: 0.0,
            stages: vec![
                stage(100.0, 10),
                stage(100.0, 5),
                stage(0.0, 10),
                stage(0.0, 5),
                stage(20.0, 1),
            ],
            ..Arrival::default()
        };
        // The rate goes up, stays, goes down to zero, stays, goes up again, and continues at the last rate.
        for (seconds, came) in [
            (10, 500),
            (15, 1_000),
            (25, 1_500),
            (30, 1_500),
            (31, 1_510),
            (41, 1_710),
        ] {
            let counted = within(ramp.clone(), seconds);
            assert!(counted.abs_diff(came) <= 1, "{seconds} s: {counted}");
        }
        let over = Arrival {
            stages: vec![stage(10.0, 2), stage(0.0, 2)],
            ..ramp
        };
        assert_eq!(
            Arrivals::new(over, 7).count(),
            21,
            "no user arrives after the last stage"
        );
    }

    #[test]
    fn the_gaps_of_poisson_arrivals_vary_as_much_as_their_mean() {
        let instants: Vec<f64> = Arrivals::new(arrival(Shape::Poisson, 100.0, None), 3)
            .take(20_000)
            .map(|at| at.as_secs_f64())
            .collect();
        let gaps: Vec<f64> = instants.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let variation = variance.sqrt() / mean;
        assert!((0.95..1.05).contains(&variation), "{variation}");
    }

    proptest! {
        #[test]
        fn instants_ascend_and_a_seed_gives_the_same(
            which in 0_usize..4, rate in 1.0..5_000.0_f64, to in 0.1..5_000.0_f64, seed: u64,
        ) {
            let shape = [Shape::Constant, Shape::Poisson, Shape::Ramp, Shape::Spike][which];
            let arrival = arrival(shape, rate, Some(to));
            let take = || Arrivals::new(arrival.clone(), seed).take(500).collect::<Vec<_>>();
            let instants = take();
            prop_assert!(instants.is_sorted());
            prop_assert_eq!(instants, take());
        }
    }
}
