//! Axes: the positions of values, and the round values that get a label.

use crate::load::plan::number;

/// The distances between labels, in seconds.
const STEPS: [f64; 17] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0,
    3_600.0, 7_200.0,
];
/// Runs shorter than this show seconds.
const SECONDS: f64 = 120.0;

/// The time axis that charts share. A rehearsal's axis begins at 0, the first registration. A drill's begins before 0,
/// the start of its fault.
pub(crate) struct Time {
    begin: f64,
    end: f64,
}

impl Time {
    /// An axis up to the latest of `seconds`.
    pub(super) fn until(seconds: impl Iterator<Item = f64>) -> Time {
        Time::of(seconds.filter(|second| *second >= 0.0))
    }

    /// An axis from 0, or from the earliest of `seconds` if it is earlier, to the latest.
    pub(crate) fn of(seconds: impl Iterator<Item = f64>) -> Time {
        let finite = seconds.filter(|it| it.is_finite());
        let (begin, end) = finite.fold((0.0_f64, 0.0_f64), |(begin, end), it| {
            (begin.min(it), end.max(it))
        });
        let begin = begin.max(-1e9);
        let end = end.min(1e9);
        Time {
            begin,
            end: if end > begin { end } else { begin + 1.0 },
        }
    }

    pub(super) fn begin(&self) -> f64 {
        self.begin
    }

    fn length(&self) -> f64 {
        self.end - self.begin
    }

    pub(crate) fn end(&self) -> f64 {
        self.end
    }

    /// The position of an instant, 0 to 1.
    pub(crate) fn at(&self, second: f64) -> f64 {
        within((second - self.begin) / self.length())
    }

    /// The instants with a label.
    pub(super) fn ticks(&self) -> Vec<f64> {
        // A narrow page has no space for more labels.
        let most = if self.length() < SECONDS { 7.0 } else { 5.0 };
        let least = self.length() / most;
        let step = STEPS.into_iter().find(|step| *step >= least);
        let step = step.unwrap_or_else(|| nice(least / 3_600.0) * 3_600.0);
        let before = multiples(step, -self.begin);
        let before = before.into_iter().skip(1).rev().map(|second| -second);
        before.chain(multiples(step, self.end)).collect()
    }
}

/// An axis of values.
#[derive(Debug, PartialEq)]
pub(super) enum Scale {
    /// Begins at 0.
    Linear {
        /// The value at the top.
        top: f64,
        /// The distance between two labels.
        step: f64,
    },
    /// Powers of ten.
    Log {
        /// The exponent at the bottom.
        low: i32,
        /// The exponent at the top.
        high: i32,
    },
}

impl Scale {
    /// An axis from 0 to a round number that is at least as large as all `values`.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Scale {
        let finite = values.filter(|it| it.is_finite());
        let most = finite.fold(1.0, f64::max).min(1e15);
        let step = nice(most / 4.0);
        let top = (most / step - 1e-9).ceil() * step;
        Scale::Linear { top, step }
    }

    /// An axis over the powers of ten around `values`. Values of 0 or less are left out.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Scale {
        let logs = values.filter(|it| it.is_finite() && *it > 0.0);
        let logs = logs.map(|it| it.log10().clamp(-3.0, 12.0));
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), it| {
            (low.min(it), high.max(it))
        });
        if low > high {
            return Scale::Log { low: 0, high: 1 };
        }
        // The exponents lie between -3 and 13.
        let low = (low + 1e-9).floor() as i32;
        let high = (high - 1e-9).ceil() as i32;
        Scale::Log {
            low,
            high: high.max(low + 1),
        }
    }

    /// The position of a value, from 0 at the bottom to 1 at the top.
    pub(super) fn at(&self, value: f64) -> f64 {
        match self {
            Scale::Linear { top, .. } => within(value / top),
            Scale::Log { .. } if value <= 0.0 => 0.0,
            Scale::Log { low, high } => {
                within((value.log10() - f64::from(*low)) / f64::from(high - low))
            }
        }
    }

    /// The values with a label.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self {
            Scale::Linear { top, step } => multiples(*step, *top),
            Scale::Log { low, high } if high - low == 1 => {
                let one = 10_f64.powi(*low);
                [1.0, 2.0, 5.0, 10.0].map(|it| it * one).to_vec()
            }
            Scale::Log { low, high } => {
                let every = ((high - low) as usize).div_ceil(5);
                let powers = (*low..=*high).step_by(every);
                powers.map(|power| 10_f64.powi(power)).collect()
            }
        }
    }
}

/// Limits the share to 0 to 1.
fn within(share: f64) -> f64 {
    if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// The smallest of 1, 2, 5, 10, 20, … that is at least `least`.
fn nice(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
    let found = steps.into_iter().find(|step| *step >= least - 1e-9);
    found.unwrap_or(10.0 * power)
}

fn multiples(step: f64, end: f64) -> Vec<f64> {
    let count = (end / step + 1e-9).floor().clamp(0.0, 100.0) as u32;
    (0..=count).map(|it| f64::from(it) * step).collect()
}

/// Formats an instant of the run: in seconds, or in minutes and hours if the run is long.
pub(crate) fn clock(second: f64, end: f64) -> String {
    let second = if second.is_finite() {
        second.clamp(-1e9, 1e9)
    } else {
        0.0
    };
    if end < SECONDS {
        let text = format!("{second:.1}");
        let text = text.strip_suffix(".0").unwrap_or(&text);
        return format!("{} s", if text == "-0" { "0" } else { text });
    }
    let whole = second.abs().round() as u64;
    let sign = if second < 0.0 && whole > 0 { "-" } else { "" };
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{sign}{minutes}:{seconds:02}"),
        _ => format!("{sign}{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Formats a round time in ms for an axis.
pub(super) fn round_millis(value: f64) -> String {
    match value {
        value if value >= 1e3 => format!("{} s", number(value / 1e3)),
        value if value >= 0.999 => format!("{value:.0} ms"),
        value => format!("{:.0} µs", value * 1e3),
    }
}

/// Formats a count with few characters.
pub(super) fn short(value: f64) -> String {
    let tenths = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").unwrap_or(&text).to_owned()
    };
    match value {
        value if value >= 1e9 => format!("{value:.0e}"),
        value if value >= 1e6 => format!("{}M", tenths(value / 1e6)),
        value if value >= 1e4 => format!("{}k", tenths(value / 1e3)),
        value if value < 1.0 && value > 0.0 => format!("{}", (value * 100.0).round() / 100.0),
        value => number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(ticks: Vec<f64>, name: fn(f64) -> String) -> Vec<String> {
        ticks.into_iter().map(name).collect()
    }

    #[test]
    fn an_axis_of_counts_has_few_round_names_and_nothing_above_it() {
        for (most, names) in [
            (0.0, vec!["0", "0.5", "1"]),
            (7.0, vec!["0", "2", "4", "6", "8"]),
            (812.0, vec!["0", "500", "1,000"]),
            (9_000.0, vec!["0", "5,000", "10k"]),
            (2e6, vec!["0", "500k", "1M", "1.5M", "2M"]),
        ] {
            let scale = Scale::linear([most].into_iter());
            assert_eq!(named(scale.ticks(), short), names, "{most}");
            assert!(scale.at(most) <= 1.0 && scale.at(0.0) == 0.0);
        }
    }

    #[test]
    fn an_axis_of_latencies_runs_over_powers_of_ten() {
        let of = |values: &[f64]| Scale::log(values.iter().copied());
        let names = named(of(&[0.3, 1_500.0]).ticks(), round_millis);
        assert_eq!(names, ["100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]);
        let names = named(of(&[12.0, 30.0]).ticks(), round_millis);
        assert_eq!(names, ["10 ms", "20 ms", "50 ms", "100 ms"]);
        assert_eq!(of(&[10.0]), Scale::Log { low: 1, high: 2 });
        assert!(of(&[1e-9, 1e300]).ticks().len() <= 6);
        assert!((of(&[1.0, 100.0]).at(10.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_and_nonsense_have_an_axis_too() {
        for values in [vec![], vec![0.0], vec![f64::NAN, f64::INFINITY, -1.0]] {
            let of = || values.iter().copied();
            for scale in [Scale::linear(of()), Scale::log(of())] {
                assert!((2..=6).contains(&scale.ticks().len()), "{scale:?}");
                for value in [f64::NAN, f64::INFINITY, -5.0, 0.0, 1e300] {
                    assert!((0.0..=1.0).contains(&scale.at(value)), "{scale:?} {value}");
                }
            }
            let time = Time::until(of());
            assert_eq!((time.end(), time.at(f64::NAN)), (1.0, 0.0));
        }
    }

    #[test]
    fn an_axis_that_begins_before_the_fault_names_instants_on_both_sides_of_it() {
        let time = Time::of([-25.0, 40.0].into_iter());
        let found: Vec<String> = time
            .ticks()
            .iter()
            .map(|it| clock(*it, time.end()))
            .collect();
        assert_eq!(
            found,
            ["-20 s", "-10 s", "0 s", "10 s", "20 s", "30 s", "40 s"]
        );
        assert_eq!((time.at(-25.0), time.at(40.0)), (0.0, 1.0));
        assert_eq!(clock(-65.0, 300.0), "-1:05");
    }

    #[test]
    fn instants_are_few_and_round() {
        for (end, names) in [
            (8.0, vec!["0 s", "2 s", "4 s", "6 s", "8 s"]),
            (
                61.0,
                vec!["0 s", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s"],
            ),
            (200.0, vec!["0:00", "1:00", "2:00", "3:00"]),
            (
                9_000.0,
                vec!["0:00", "30:00", "1:00:00", "1:30:00", "2:00:00", "2:30:00"],
            ),
        ] {
            let time = Time::until([end].into_iter());
            let ticks = time.ticks();
            let found: Vec<String> = ticks.into_iter().map(|it| clock(it, end)).collect();
            assert_eq!(found, names, "{end}");
        }
        assert!(Time::until([1e8].into_iter()).ticks().len() <= 6);
    }
}
