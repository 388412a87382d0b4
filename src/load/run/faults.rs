//! The faults of a scenario. The operations API injects each at its time.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;

use crate::load::RunOptions;
use crate::load::ops::Ops;
use crate::load::scenario::Fault;

/// The time from the opening of the sale to the fault, and the fault.
type Due = (Duration, Fault);

/// The faults of a run.
pub(super) struct Faults {
    /// The faults that are not injected yet, the earliest first.
    waiting: VecDeque<Due>,
    /// The injections whose result was not taken yet.
    injecting: JoinSet<InjectionResult>,
    injected: Vec<Fault>,
}

/// The result of an injection.
struct InjectionResult {
    fault: Fault,
    problem: Option<String>,
}

/// The outcome of an injection.
pub(super) enum FaultEvent {
    /// The fault was injected. The text is for the timeline.
    Begun(String),
    /// The fault could not be injected, so the run is not the one that the scenario describes.
    NotInjected(String),
}

impl Faults {
    /// The faults of the scenario. If several generators share the run, only the first injects faults. Their times
    /// depend only on the seed.
    pub(super) fn of(options: &RunOptions) -> Faults {
        let mut random = SmallRng::seed_from_u64(options.scenario.seed);
        let faults = options.scenario.faults.iter();
        let mut waiting: Vec<Due> = faults
            .filter(|_| options.shard.index == 0)
            .map(|it| {
                let at = random.random_range(it.at.from.0..=it.at.to.0);
                (at, it.fault.clone())
            })
            .collect();
        waiting.sort_by_key(|(at, _)| *at);
        Faults {
            waiting: waiting.into(),
            injecting: JoinSet::new(),
            injected: Vec::new(),
        }
    }

    /// Begins the injections that are due `since_opening`, without waiting for them, and returns the results of earlier
    /// ones.
    pub(super) fn inject_due(&mut self, since_opening: Duration, ops: &Ops) -> Vec<FaultEvent> {
        while self
            .waiting
            .front()
            .is_some_and(|(at, _)| *at <= since_opening)
        {
            if let Some((_, fault)) = self.waiting.pop_front() {
                self.injecting.spawn(inject(fault, ops.clone()));
            }
        }
        let mut events = Vec::new();
        while let Some(Ok(injection)) = self.injecting.try_join_next() {
            let kind = injection.fault.kind.as_str();
            events.push(match injection.problem {
                None => FaultEvent::Begun(format!("{kind} for {}", injection.fault.length)),
                Some(problem) => FaultEvent::NotInjected(format!(
                    "the fault {kind} could not be injected: {problem}"
                )),
            });
            self.injected.push(injection.fault);
        }
        events
    }

    /// The reasons for the faults that were not injected before the run ended.
    pub(super) fn not_reached(&self) -> Vec<String> {
        let waiting = self.waiting.iter();
        waiting
            .map(|(_, fault)| {
                let kind = fault.kind.as_str();
                format!("the run was over before the fault {kind} was injected")
            })
            .collect()
    }

    /// Ends the faults that may still be active. If the server does not answer, a fault ends by itself.
    pub(super) async fn end(&mut self, ops: &Ops) {
        while let Some(injection) = self.injecting.join_next().await {
            self.injected
                .extend(injection.map(|injection| injection.fault));
        }
        for fault in self.injected.drain(..) {
            drop(ops.end_fault(fault.kind).await);
        }
    }
}

async fn inject(fault: Fault, ops: Ops) -> InjectionResult {
    let problem = match fault.injected() {
        Ok(injected) => {
            let injected = ops.inject(&injected, fault.length.0).await;
            injected.err().map(|error| error.to_string())
        }
        Err(problem) => Some(problem),
    };
    InjectionResult { fault, problem }
}
