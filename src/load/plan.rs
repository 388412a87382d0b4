//! The capacity estimate: the load that a scenario should produce, computed before the run, and the measured
//! values beside it.

use super::model::{Class, Operation};
use super::recorder::{BUYERS, Frame, span_seconds};
use super::scenario::Scenario;
use super::summary::Expected;
use crate::api::ops::{Audit, Follow};

/// One line of the estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstimateLine {
    /// The estimated quantity.
    pub quantity: &'static str,
    /// The estimate, with its calculation.
    pub value: String,
}

/// The estimate of `scenario`, line by line.
#[must_use]
pub fn estimate(scenario: &Scenario) -> Vec<EstimateLine> {
    let estimate = &scenario.estimate;
    let users = f64::from(scenario.users);
    let window = estimate.window.0.as_secs_f64();
    let tps = users * f64::from(estimate.transactions) / window;
    let (admitted_low, admitted_high) = (tps * estimate.share_low, tps * estimate.share_high);
    // The same share of the users reaches a reservation, so the estimate uses the lower rate.
    let (seat_low, seat_high) = (
        admitted_low * estimate.share_low,
        admitted_low * estimate.share_high,
    );
    let admission = &scenario.admission;
    let every = admission.every.0.as_secs_f64();
    let batches = u64::from(scenario.users).div_ceil(admission.batch);
    // The first batch is admitted at once. Without buyers there is none.
    let admitted_after = batches.saturating_sub(1) as f64 * every;
    let range = |low: f64, high: f64| format!("{}–{} TPS", number(low), number(high));
    let line = |quantity, value| EstimateLine { quantity, value };
    vec![
        line("expected users", number(users)),
        line(
            "transactions per user",
            format!(
                "{}: choose date, choose seat, reserve, charge, pay",
                estimate.transactions
            ),
        ),
        line(
            "window",
            format!("{}, in which most requests arrive", estimate.window),
        ),
        line(
            "expected TPS",
            format!(
                "{} × {} / {} = {}",
                number(users),
                estimate.transactions,
                number(window),
                number(tps)
            ),
        ),
        line(
            "queue (register, status)",
            format!(
                "every user; what passes the queue is limited to {}",
                range(admitted_low, admitted_high)
            ),
        ),
        line("date / seat selection", range(admitted_low, admitted_high)),
        line(
            "reserve, charge, pay",
            format!(
                "{} each ({} of those past the queue succeed)",
                range(seat_low, seat_high),
                shares(scenario)
            ),
        ),
        line(
            "admission",
            format!(
                "{} every {}{}: {} a second, the last after {}",
                number(admission.batch as f64),
                admission.every,
                match admission.follow {
                    Follow::Settings => "",
                    Follow::Objective => " at most, following the objective",
                },
                number(admission.batch as f64 / every),
                time(admitted_after)
            ),
        ),
    ]
}

/// The estimate with the measured values. A rate is the number of requests of an operation divided by the
/// time from its first answer to its last.
pub(super) fn beside(scenario: &Scenario, frame: &Frame, audit: Option<&Audit>) -> Vec<Expected> {
    let count = |operation: Operation| -> u64 {
        let classes = Class::ALL.iter();
        classes
            .map(|class| frame.count(BUYERS, &[operation], *class))
            .sum()
    };
    let rate = |operation: Operation| {
        let classes = Class::ALL.iter();
        let cells = classes.filter_map(|class| frame.cell(BUYERS, operation, *class));
        let spans = cells.filter_map(|cell| cell.span);
        let whole = spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))?;
        Some(count(operation) as f64 / span_seconds(whole).max(1.0))
    };
    let per_second = |operations: &[Operation]| {
        let rates: Vec<String> = operations
            .iter()
            .filter_map(|it| Some(format!("{it} {}", number(rate(*it)?))))
            .collect();
        (!rates.is_empty()).then(|| format!("{} TPS", rates.join(", ")))
    };
    let measured = |quantity: &str| match quantity {
        "expected users" => Some(format!(
            "{} registered",
            number(count(Operation::Register) as f64)
        )),
        "queue (register, status)" => per_second(&[Operation::Register, Operation::Poll]),
        "date / seat selection" => per_second(&[Operation::Dates, Operation::Seats]),
        "reserve, charge, pay" => {
            let sold = audit.map(|it| format!("; {} seats sold", number(it.seats_sold as f64)));
            let rates = per_second(&[Operation::Reserve, Operation::Charge, Operation::Pay]);
            rates.map(|rates| rates + &sold.unwrap_or_default())
        }
        _ => None,
    };
    let lines = estimate(scenario).into_iter();
    lines
        .map(|line| Expected {
            quantity: line.quantity.to_owned(),
            expected: line.value,
            measured: measured(line.quantity),
        })
        .collect()
}

fn shares(scenario: &Scenario) -> String {
    let percent = |share: f64| (share * 100.0).round();
    format!(
        "{}–{} %",
        percent(scenario.estimate.share_low),
        percent(scenario.estimate.share_high)
    )
}

fn time(seconds: f64) -> String {
    if seconds >= 120.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{seconds:.0} s")
    }
}

/// A number with thousands separated, and one decimal below 10 unless it is whole.
pub(crate) fn number(value: f64) -> String {
    let whole = value.abs() >= 10.0 || value.fract().abs() < 1e-9;
    let text = if whole {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    };
    let (integer, rest) = text
        .split_once('.')
        .map_or((text.as_str(), String::new()), |(i, r)| {
            (i, format!(".{r}"))
        });
    let (sign, digits) = integer
        .strip_prefix('-')
        .map_or(("", integer), |digits| ("-", digits));
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_without_buyers_has_an_estimate() {
        let users = ["users=0".to_owned()];
        let lines = estimate(&Scenario::load("refresh-storm", &users).unwrap());
        let admission = lines.iter().find(|line| line.quantity == "admission");
        let admission = &admission.unwrap().value;
        assert!(admission.ends_with("the last after 0 s"), "{admission}");
    }

    #[test]
    fn the_reference_scenario_gives_the_reference_estimate() {
        let lines = estimate(&Scenario::load("onsale", &[]).unwrap());
        let value = |quantity: &str| {
            lines
                .iter()
                .find(|line| line.quantity == quantity)
                .unwrap()
                .value
                .clone()
        };
        assert_eq!(value("expected users"), "20,000");
        assert_eq!(value("expected TPS"), "20,000 × 5 / 10 = 10,000");
        assert_eq!(value("date / seat selection"), "1,000–2,000 TPS");
        assert_eq!(
            value("reserve, charge, pay"),
            "100–200 TPS each (10–20 % of those past the queue succeed)"
        );
        assert!(
            value("admission").ends_with("the last after 9.8 min"),
            "{}",
            value("admission")
        );
    }

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in [
            (1_234_567.0, "1,234,567"),
            (999.0, "999"),
            (3.25, "3.2"),
            (33.3, "33"),
            (-1_000.0, "-1,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
