//! The end of a run: everything measured and audited, judged and put into one summary.

use crate::api::ops::Status;
use crate::load::RunOptions;
use crate::load::audit::Findings;
use crate::load::judge::{self, Ending, Evidence};
use crate::load::summary::{self, Fairness, SCHEMA, Summary};

use super::{Rehearsal, no_dataset};

impl Rehearsal<'_> {
    pub(super) fn summary(
        &self,
        options: &RunOptions,
        status: &Status,
        ending: Ending,
        findings: Findings,
    ) -> Summary {
        let (frame, scenario) = (&self.totals.sum, &*self.run.scenario);
        let users = self.run.users();
        let under_way = users.iter().filter(|(state, _)| !state.is_finished());
        let unfinished = under_way.map(|(_, count)| count).sum();
        let mut generator = self.generator.clone();
        let shares = self
            .workers
            .iter()
            .filter_map(|worker| worker.clock.share());
        generator.busiest = shares.max_by(|one, other| one.running.total_cmp(&other.running));
        let generator = generator.measured(frame, scenario);
        let evidence = Evidence {
            frame,
            only: options.phase,
            audit: findings.audit.as_ref(),
            lookup: findings.lookup.as_ref(),
            unfinished,
            ending,
        };
        let thresholds = judge::thresholds(scenario, &evidence);
        let (verdict, reasons) =
            judge::verdict(&thresholds, ending, unfinished, &generator.limited);
        Summary {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            scenario: scenario.name.clone(),
            settings: scenario.clone(),
            phase: options.phase,
            target: self.target.clone(),
            server_version: status.version.clone(),
            dataset: status.dataset.clone().unwrap_or_else(no_dataset),
            started_at: self.started_at.to_string(),
            elapsed_seconds: self.elapsed().as_secs_f64(),
            ending,
            verdict,
            reasons,
            thresholds,
            users: summary::by_name(&users),
            operations: summary::operations(frame),
            statuses: frame.statuses,
            audit: findings.audit,
            lookup: findings.lookup,
            audit_problem: findings.problem,
            fairness: Fairness::of(frame),
            generator,
            timeline: self.timeline.clone(),
        }
    }
}
