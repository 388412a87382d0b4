//! Compares the player's actions with the plan. It grades the response, not the person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Action, Mitigation};
use super::plan::Sealed;
use crate::drill::file::{Cause, Inject};
use crate::drill::verdict::Verdict;
use crate::drill::{Moment, seconds};

/// The response of a blind drill's player. Times are seconds from the fault's beginning; negative: before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The plan as canonical JSON, as it was hashed.
    pub plan: String,
    /// The salt in front of it.
    pub salt: String,
    /// SHA-256 of salt and plan, which was printed before the fault.
    pub sha256: String,
    /// The right answer.
    pub cause: Cause,
    /// The first acknowledgement of an alert that fired; absent: none.
    pub acknowledged: Option<f64>,
    /// The first answer that was right in both parts; absent: none.
    pub localised: Option<f64>,
    /// The mitigation that ended the fault; absent: it ended by itself.
    pub mitigated: Option<f64>,
    /// The last answer's component is right.
    pub component_is_right: bool,
    /// The last answer's mechanism is right.
    pub mechanism_is_right: bool,
    /// Answers that were wrong in some part.
    pub wrong_answers: u64,
    /// Mitigations of another mechanism, which changed nothing.
    pub wrong_mitigations: u64,
    /// Everything that the player did, in order.
    pub actions: Vec<Taken>,
}

/// An action of the player.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// Seconds from the fault's beginning.
    pub at: f64,
    /// What was done.
    pub action: Action,
    /// Why it could not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The player's part of a drill, as recorded.
#[derive(Clone, Debug, Default)]
pub(in crate::drill) struct Played {
    pub(in crate::drill) actions: Vec<(Moment, Action, Option<String>)>,
    /// When a mitigation ended the fault.
    pub(in crate::drill) cleared: Option<Moment>,
}

/// Compares the player's actions with the one fault of the plan. `fired` returns whether an alert had fired before a
/// moment.
pub(in crate::drill) fn grade(
    sealed: &Sealed,
    inject: &Inject,
    played: &Played,
    began: Moment,
    fired: impl Fn(&str, Moment) -> bool,
) -> Response {
    let cause = &inject.cause;
    let at = |moment: Moment| seconds(began, moment);
    let since = played.actions.iter().filter(|(when, ..)| *when >= began);
    let acknowledged = since.clone().find_map(|(when, action, _)| match action {
        Action::Acknowledge(alert) if fired(alert, *when) => Some(*when),
        _ => None,
    });
    let answers = since.clone().filter_map(|(when, action, _)| match action {
        Action::Answer(answer) => Some((*when, answer)),
        _ => None,
    });
    let answers: Vec<(Moment, &Cause)> = answers.collect();
    let right = answers.iter().find(|(_, answer)| *answer == cause);
    let last = answers.last().map(|(_, answer)| *answer);
    let wrong_clear = |action: &Action| matches!(action, Action::Mitigate(Mitigation::Clear(mechanism)) if *mechanism != cause.mechanism);
    Response {
        plan: sealed.plan.clone(),
        salt: sealed.salt.clone(),
        sha256: sealed.sha256.clone(),
        cause: cause.clone(),
        acknowledged: acknowledged.map(at),
        localised: right.map(|(when, _)| at(*when)),
        mitigated: played.cleared.map(at),
        component_is_right: last.is_some_and(|it| it.component == cause.component),
        mechanism_is_right: last.is_some_and(|it| it.mechanism == cause.mechanism),
        wrong_answers: answers.iter().filter(|(_, it)| *it != cause).count() as u64,
        wrong_mitigations: played
            .actions
            .iter()
            .filter(|(_, it, _)| wrong_clear(it))
            .count() as u64,
        actions: played
            .actions
            .iter()
            .map(|(when, action, problem)| Taken {
                at: at(*when),
                action: action.clone(),
                problem: problem.clone(),
            })
            .collect(),
    }
}

impl Response {
    /// The steps of the response that are missing or wrong, one sentence each.
    #[must_use]
    pub fn shortcomings(&self) -> Vec<String> {
        let cause = &self.cause;
        let mut found = Vec::new();
        if !self.component_is_right {
            found.push(format!("the component was not named: {}", cause.component));
        }
        if !self.mechanism_is_right {
            found.push(format!("the mechanism was not named: {}", cause.mechanism));
        }
        if self.mitigated.is_none() {
            found.push("the fault was not mitigated: it ended by itself".to_owned());
        }
        found
    }

    /// Combines the drill's verdict with the response. An inconclusive drill does not judge the player.
    pub(in crate::drill) fn weigh(&self, verdict: Verdict) -> Verdict {
        let own = self.shortcomings();
        match verdict {
            Verdict::Passed if own.is_empty() => Verdict::Passed,
            Verdict::Passed => Verdict::Failed(own),
            Verdict::Failed(reasons) => Verdict::Failed(own.into_iter().chain(reasons).collect()),
            Verdict::Inconclusive(reasons) => Verdict::Inconclusive(reasons),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::file::Drill;

    const BEGAN: Moment = 100_000;

    fn graded(actions: &[(i64, Action)], cleared: Option<Moment>) -> Response {
        let drill = Drill::load("slow-charge").unwrap();
        let played = Played {
            actions: actions
                .iter()
                .map(|(second, action)| (BEGAN + second * 1_000, action.clone(), None))
                .collect(),
            cleared,
        };
        let fired = |alert: &str, at: Moment| alert == "SlowStatements" && at >= BEGAN + 5_000;
        grade(
            &Sealed::of(&drill, 7),
            &drill.injects[0],
            &played,
            BEGAN,
            fired,
        )
    }

    fn answer(component: &str, mechanism: &str) -> Action {
        Action::Answer(Cause {
            component: component.to_owned(),
            mechanism: mechanism.to_owned(),
        })
    }

    fn acknowledge(alert: &str) -> Action {
        Action::Acknowledge(alert.to_owned())
    }

    fn clear(mechanism: &str) -> Action {
        Action::Mitigate(Mitigation::Clear(mechanism.to_owned()))
    }

    #[test]
    fn times_count_from_the_fault_and_only_what_is_right() {
        let right = answer("database", "slow_statement");
        let response = graded(
            &[
                (-3, right.clone()),
                (2, acknowledge("SlowStatements")),
                (3, acknowledge("SlowBuying")),
                (6, acknowledge("SlowStatements")),
                (8, answer("database", "pool_exhaustion")),
                (9, clear("pool_exhaustion")),
                (10, right),
                (12, clear("slow_statement")),
            ],
            Some(BEGAN + 12_100),
        );
        assert_eq!(
            response.acknowledged,
            Some(6.0),
            "before it fired it is none"
        );
        assert_eq!(
            response.localised,
            Some(10.0),
            "before the fault it is a guess"
        );
        assert_eq!(response.mitigated, Some(12.1));
        assert_eq!((response.wrong_answers, response.wrong_mitigations), (1, 1));
        assert_eq!(response.weigh(Verdict::Passed), Verdict::Passed);
    }

    #[test]
    fn the_last_answer_counts_and_what_is_missing_fails_the_drill() {
        let right = answer("database", "slow_statement");
        let response = graded(&[(5, right), (9, answer("server", "latency"))], None);
        assert_eq!(response.localised, Some(5.0));
        let Verdict::Failed(reasons) = response.weigh(Verdict::Passed) else {
            panic!("{response:?}")
        };
        let expected = [
            "the component was not named: database",
            "the mechanism was not named: slow_statement",
            "the fault was not mitigated: it ended by itself",
        ];
        assert_eq!(reasons, expected);
    }
}
