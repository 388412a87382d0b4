//! The end of a run: everything measured and audited, judged and put into one summary.

use crate::api::ops::Status;
use crate::load::RunOptions;
use crate::load::audit::Findings;
use crate::load::export::Histograms;
use crate::load::judge::{self, Ending, Evidence, Worth};
use crate::load::plan;
use crate::load::summary::{self, AuditsDuring, Fairness, NotedRequests, SCHEMA, Summary};

use super::Rehearsal;
use super::starting::no_dataset;

impl Rehearsal<'_> {
    fn worth<'a>(&self, limited: &'a [String]) -> Worth<'a> {
        let eased = self.eased;
        Worth { limited, eased }
    }

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
        generator.memory = crate::load::health::peak_memory();
        let generator = generator.measured(frame, scenario);
        let audits = *self.seen.audits.lock();
        let evidence = Evidence {
            frame,
            only: options.phase,
            audit: findings.audit.as_ref(),
            worst_audit: audits.worst,
            lookup: findings.lookup.as_ref(),
            unacknowledged: Some(&findings.unacknowledged),
            unfinished,
            ending,
        };
        let thresholds = judge::thresholds(scenario, &evidence, &self.watches);
        let (verdict, reasons) = judge::verdict(
            &thresholds,
            ending,
            unfinished,
            self.worth(&generator.limited),
        );
        Summary {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: scenario.name.clone(),
            settings: scenario.clone(),
            phase: options.phase,
            shards: match options.shard.of {
                1 => Vec::new(),
                of => vec![format!("{}/{of}", options.shard.index + 1)],
            },
            target: self.target.clone(),
            server_version: status.version.clone(),
            dataset: status.dataset.clone().unwrap_or_else(no_dataset),
            started_at: self.started_at.to_string(),
            eased: self.eased,
            elapsed_seconds: self.elapsed().as_secs_f64(),
            ending,
            verdict,
            reasons,
            thresholds,
            users: summary::by_name(&users),
            operations: summary::operations(frame, &self.crowds),
            statuses: frame.statuses,
            dropped: summary::dropped(frame, &self.crowds),
            estimate: plan::beside(scenario, frame, findings.audit.as_ref()),
            audit: findings.audit,
            lookup: findings.lookup,
            unacknowledged: findings.unacknowledged,
            audit_problem: findings.problem,
            audits: AuditsDuring {
                count: audits.count,
                worst: audits.worst,
            },
            fairness: Fairness::of(frame),
            generator,
            timeline: self.recording.timeline.clone(),
            marks: self.recording.marks.clone(),
            baseline: None,
            noted: NotedRequests::of(frame, &self.crowds, self.begun),
            histograms: Histograms::of(frame, &self.crowds, self.begun),
        }
    }
}
