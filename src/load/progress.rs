//! The progress of a run: a snapshot that is published about four times a second. Every view of a run reads it: the
//! progress output of the command line, the listener, the console and its recordings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judge::Judged;
use super::model::{Class, Operation, PhaseName, UserState};
use super::recorder::{BUYERS, Frame, Statuses};
use super::summary::Latency;
use crate::api::ops::{QueueState, SeedProgress};

/// The step of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// The target is checked.
    #[default]
    Connecting,
    /// The run waits for the dataset.
    Seeding(SeedProgress),
    /// Users are active. The value is the phase of most of them.
    Running(PhaseName),
    /// The run was ended by an operator, a limit, or the loss of the server, and waits for the last answers.
    Stopping,
    /// The results that clients saw are compared with the database.
    Auditing,
    /// The summary is complete.
    Finished,
}

impl Step {
    /// The name of the step in the API and in plain progress lines.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Step::Connecting => "connecting",
            Step::Seeding(_) => "seeding",
            Step::Running(phase) => phase.as_str(),
            Step::Stopping => "ending",
            Step::Auditing => "auditing",
            Step::Finished => "finished",
        }
    }

    /// A short description.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Step::Connecting => "looking at the server".to_owned(),
            Step::Seeding(seed) => format!(
                "seeding {} {:.0} %",
                seed.profile,
                100.0 * share(seed.rows_done, seed.rows_total)
            ),
            Step::Running(phase) => phase.to_string(),
            Step::Stopping => "awaiting the last answers".to_owned(),
            Step::Auditing => "comparing with the database".to_owned(),
            Step::Finished => "finished".to_owned(),
        }
    }
}

/// A phase that no user has reached yet counts as 0.
fn share(done: u64, total: u64) -> f64 {
    match total {
        0 => 0.0,
        total => done as f64 / total as f64,
    }
}

/// The progress of one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseProgress {
    /// The phase.
    pub phase: PhaseName,
    /// The number of users who have finished it.
    pub done: u64,
    /// The number of users who have reached it or will reach it.
    pub total: u64,
}

impl PhaseProgress {
    /// The finished share, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        share(self.done, self.total)
    }
}

/// The requests of one operation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationProgress {
    /// The operation.
    pub operation: Operation,
    /// The number of finished requests.
    pub count: u64,
    /// The number of intended refusals among them.
    pub refused: u64,
    /// The number of errors among them.
    pub errors: u64,
    /// The latency of the successes from their due times. Absent without a success.
    pub latency: Option<Latency>,
}

impl OperationProgress {
    /// The number of successes.
    #[must_use]
    pub const fn ok(&self) -> u64 {
        self.count.saturating_sub(self.refused + self.errors)
    }
}

/// A snapshot of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The scenario's name.
    pub scenario: String,
    /// The current step.
    pub step: Step,
    /// The time since the first registration.
    pub elapsed: Duration,
    /// The expected end on the same clock. Absent before the opening.
    pub expected_end: Option<Duration>,
    /// The phases of this run.
    pub phases: Vec<PhaseProgress>,
    /// The number of users by state.
    pub users: Vec<(UserState, u64)>,
    /// Finished requests per second, over the last second.
    pub tps: f64,
    /// The number of finished requests.
    pub requests: u64,
    /// The number of requests by class of status.
    pub statuses: Statuses,
    /// The operations with requests.
    pub operations: Vec<OperationProgress>,
    /// The p95 latency of the successes outside the queue, from their due times.
    pub p95: Option<Duration>,
    /// The number of seats that clients hold or have paid.
    pub seats_reserved: u64,
    /// The number of seats that clients have paid.
    pub seats_paid: u64,
    /// The server's queue in its last answer.
    pub queue: Option<QueueState>,
    /// The p99 of the time by which timed requests started late.
    pub lag_p99: Duration,
    /// The number of arrivals that could not start on schedule.
    pub dropped: u64,
    /// Whether an operator paused the run.
    pub paused: bool,
    /// The pace that an operator set. 1 is the scenario's own pace.
    pub pace: f64,
    /// The number of violations that the last audit found. Absent before the first audit.
    pub violations: Option<u64>,
    /// The current state of the thresholds.
    pub thresholds: Vec<Judged>,
}

impl Progress {
    /// The number of users in that state.
    #[must_use]
    pub fn users_in(&self, state: UserState) -> u64 {
        self.users
            .iter()
            .find(|(known, _)| *known == state)
            .map_or(0, |(_, count)| *count)
    }

    /// Adds the measurements so far.
    pub(super) fn measure(&mut self, frame: &Frame) {
        self.requests = frame.requests();
        self.statuses = frame.statuses;
        self.lag_p99 = Duration::from_micros(frame.lag.value_at_quantile(0.99));
        self.operations = Operation::ALL
            .iter()
            .filter_map(|operation| operation_so_far(frame, *operation))
            .collect();
        let buying: Vec<Operation> = Operation::ALL
            .iter()
            .copied()
            .filter(|operation| !operation.is_queue())
            .collect();
        self.dropped = frame.dropped.iter().sum();
        let ok = frame.total(BUYERS, &buying, Class::Ok);
        self.p95 = ok.map(|ok| Duration::from_micros(ok.latency.value_at_quantile(0.95)));
    }

    /// Counts the users by phase.
    pub(super) fn count_users(
        &mut self,
        users: Vec<(UserState, u64)>,
        only_phase: Option<PhaseName>,
    ) {
        self.users = users;
        let of = |states: &[UserState]| {
            states
                .iter()
                .map(|state| self.users_in(*state))
                .sum::<u64>()
        };
        let all: u64 = self.users.iter().map(|(_, count)| count).sum();
        let settled = of(&[UserState::Paid, UserState::Left]);
        let (arriving, reserved) = (of(&[UserState::Arriving]), of(&[UserState::Reserved]));
        let through = settled + reserved + of(&[UserState::WithoutSeat, UserState::PhaseDone]);
        let gave_up = of(&[UserState::GaveUp]);
        let phases = [
            (PhaseName::Register, all - arriving.min(all), all),
            (PhaseName::Open, through + gave_up, all),
            (PhaseName::Pay, settled, settled + reserved),
        ];
        let wanted = |phase: PhaseName| only_phase.is_none_or(|only_phase| phase <= only_phase);
        let phases = phases.into_iter().filter(|(phase, ..)| wanted(*phase));
        self.phases = phases
            .map(|(phase, done, total)| PhaseProgress { phase, done, total })
            .collect();
        self.seats_paid = self.users_in(UserState::Paid);
        let holding = if only_phase == Some(PhaseName::Open) {
            UserState::PhaseDone
        } else {
            UserState::Reserved
        };
        self.seats_reserved = settled + self.users_in(holding);
    }
}

fn operation_so_far(frame: &Frame, operation: Operation) -> Option<OperationProgress> {
    let count = |class| frame.count(BUYERS, &[operation], class);
    let (ok, refused, errors) = (count(Class::Ok), count(Class::Refused), count(Class::Error));
    if ok + refused + errors == 0 {
        return None;
    }
    let cell = frame.cell(BUYERS, operation, Class::Ok);
    Some(OperationProgress {
        operation,
        count: ok + refused + errors,
        refused,
        errors,
        latency: cell.and_then(|cell| Latency::if_any(&cell.latency)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_without_users_has_not_begun() {
        assert_eq!(share(0, 0), 0.0);
        assert_eq!(share(1, 4), 0.25);
    }

    #[test]
    fn a_recorded_snapshot_is_read_back_unchanged() {
        let operation = OperationProgress {
            operation: Operation::Pay,
            count: 4,
            refused: 1,
            errors: 1,
            latency: Some(Latency::default()),
        };
        let progress = Progress {
            step: Step::Seeding(SeedProgress::default()),
            phases: vec![PhaseProgress {
                phase: PhaseName::Open,
                done: 1,
                total: 2,
            }],
            users: vec![(UserState::WithoutSeat, 3)],
            operations: vec![operation],
            p95: Some(Duration::from_micros(1_234)),
            queue: Some(QueueState::default()),
            ..Progress::default()
        };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        assert_eq!(operation.ok(), 2);
    }
}
