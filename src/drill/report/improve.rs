//! The improvements after a drill: one piece of advice for each expectation that was not met, for each measurement
//! above the worst case, and for each false alarm, with the place of its rule.

use super::content::{Improvement, Report};
use super::format::{budget, figure};
use crate::drill::verdict::{Expectation, FalseAlarm, Outcome, Step, Verdict};

/// One improvement for each expectation that was not met, each measurement above the worst case, and each false alarm.
pub(super) fn improvements(report: &Report) -> Vec<Improvement> {
    if let Verdict::Inconclusive(reasons) = &report.verdict {
        // An inconclusive drill's measurements prove nothing about the rules.
        let advice = format!(
            "Nothing was judged. Remove the reason and run the drill again: {}.",
            reasons.join("; ")
        );
        return vec![Improvement {
            alert: None,
            rule: None,
            advice,
        }];
    }
    let of_expectations = report.expectations.iter().filter_map(|it| {
        let advice = advice(it, report)?;
        Some(Improvement {
            alert: it.alert.clone(),
            rule: it.rule.clone(),
            advice,
        })
    });
    let alarms = report.false_alarms.iter().map(|it| Improvement {
        alert: Some(it.alert.clone()),
        rule: it.rule.clone(),
        advice: of_false_alarm(it),
    });
    of_expectations.chain(alarms).collect()
}

fn advice(it: &Expectation, report: &Report) -> Option<String> {
    let what = &it.what;
    let (measured, limit) = (figure(it.measured), budget(it.budget));
    let fault = report.basis.faults.get(it.inject);
    let fault = fault.map_or("the fault", String::as_str);
    let above = it.above_prediction.then(|| {
        format!(
            "{what}: {measured} is later than the worst case of {} by rule and settings. Either the machine was \
             too busy to scrape and evaluate in time, or the program's prediction is wrong: report it.",
            figure(it.predicted)
        )
    });
    let place = it.rule.as_deref().unwrap_or("the rule file");
    let found = match (it.outcome, it.step) {
        (Outcome::Met, _) => return above,
        (Outcome::NotExercised, _) => format!(
            "{what}: it could not happen, because a step before it did not. Improve that step first."
        ),
        (Outcome::Missed, Step::Fires) => format!(
            "{what}: it did not within {limit}. Evaluate the rule's expression at {place} over the time of the \
             fault: does it read a metric that {fault} changes, is its limit too high, does its `for` outlast \
             the fault?"
        ),
        (Outcome::Late, Step::Fires) => format!(
            "{what}: after {measured}, the budget is {limit}. Shorten the window or the `for` of the rule at \
             {place}, or scrape and evaluate more often; where that is not possible, raise the budget."
        ),
        (Outcome::Missed, Step::Notifies) => format!(
            "{what}: the alert of {place} fired and nobody was notified. Look whether Alertmanager's route sends \
             its labels to a receiver, whether a silence or an inhibition holds it back, and whether the receiver \
             answers."
        ),
        (Outcome::Late, Step::Notifies) => format!(
            "{what}: {measured} after firing, the budget is {limit}. Shorten `group_wait` (--group-wait), and look \
             how long the receiver takes to answer. The rule stands at {place}."
        ),
        (Outcome::Missed | Outcome::Late, Step::Resolves) => format!(
            "{what}: {}, the budget is {limit} from the fault's end. Shorten the window of the rule at {place}, \
             shorten `group_interval` (--group-interval), and see that the receiver gets resolved notices.",
            happened(it)
        ),
        (Outcome::Missed | Outcome::Late, Step::Serves) => format!(
            "{what}: {measured}, the budget is {limit}. {fault} must not reach users: compare the failed and the \
             slow requests of that time with the beginning of the fault."
        ),
        (Outcome::Missed | Outcome::Late, Step::Recovers) => format!(
            "{what}: {}, the budget is {limit} from the fault's end. See in the charts what stayed slow: \
             queued requests, lost connections, retries.",
            happened(it)
        ),
    };
    Some(match above {
        Some(above) => format!("{found} {above}"),
        None => found,
    })
}

fn happened(it: &Expectation) -> String {
    match it.measured {
        Some(seconds) => format!("after {}", figure(Some(seconds))),
        None => "not until the end of the watch".to_owned(),
    }
}

fn of_false_alarm(alarm: &FalseAlarm) -> String {
    let place = alarm.rule.as_deref().unwrap_or("a rule that is in no file");
    format!(
        "{} fired at {} although nothing expects it. Raise the limit or the `for` of the rule at {place}; if it is a \
         known consequence of the fault, name it under `may_fire`.",
        alarm.alert,
        figure(Some(alarm.at))
    )
}
