//! Builds the summary of a run from its measurements, audits and verdict.

use super::Rehearsal;
use crate::api::ops::{Dataset, Status};
use crate::load::audit::Findings;
use crate::load::health::peak_memory;
use crate::load::histograms::Histograms;
use crate::load::judge::{self, Ending, Evidence, Judgement, MeasurementQuality};
use crate::load::model::UserState;
use crate::load::plan;
use crate::load::summary::{
    self, ConnectionSummary, ExemplarSummary, Fairness, GeneratorSummary, SCHEMA, Summary,
};

impl Rehearsal<'_> {
    pub(super) fn summary(self, status: Status, ending: Ending, findings: Findings) -> Summary {
        let (options, scenario) = (self.options, &self.options.scenario);
        let frame = &self.measured.totals.sum;
        let users = self.workers.run.users();
        let generator = self.generator();
        let judgement = self.judge(&users, &generator, ending, &findings);
        let groups: Vec<String> = scenario.traffic.keys().cloned().collect();
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
            server_version: status.version,
            dataset: status.dataset.unwrap_or_else(no_dataset),
            started_at: self.started_at.to_string(),
            load_reduced: self.load_reduced,
            elapsed_seconds: self.elapsed().as_secs_f64(),
            ending,
            verdict: judgement.verdict,
            reasons: judgement.reasons,
            thresholds: judgement.thresholds,
            users: summary::by_name(&users),
            operations: summary::operations(frame, &groups),
            statuses: frame.statuses,
            dropped: summary::dropped(frame, &groups),
            estimate: plan::beside(scenario, frame, findings.audit.as_ref()),
            audit: findings.audit,
            lookup: findings.lookup,
            unacknowledged: findings.unacknowledged,
            audit_problem: findings.problem,
            audits: self.server.audits(),
            server_memory: self.server.memory(),
            fairness: Fairness::of(frame),
            connections: ConnectionSummary::of(frame),
            generator,
            timeline: self.measured.timeline.timeline.clone(),
            marks: self.measured.timeline.marks.clone(),
            baseline: None,
            exemplars: ExemplarSummary::of(frame, &groups, self.begun),
            histograms: Histograms::of(frame, &groups, self.begun),
        }
    }

    fn generator(&self) -> GeneratorSummary {
        let generator = GeneratorSummary {
            busiest: self.workers.busiest(),
            memory: peak_memory(),
            ..self.workers.generator.clone()
        };
        generator.measured(&self.measured.totals.sum, &self.options.scenario)
    }

    fn judge(
        &self,
        users: &[(UserState, u64)],
        generator: &GeneratorSummary,
        ending: Ending,
        findings: &Findings,
    ) -> Judgement {
        let under_way = users.iter().filter(|(state, _)| !state.is_finished());
        let evidence = Evidence {
            frame: &self.measured.totals.sum,
            only_phase: self.options.phase,
            audit: findings.audit.as_ref(),
            worst_audit: self.server.audits().worst,
            lookup: findings.lookup.as_ref(),
            unacknowledged: Some(&findings.unacknowledged),
            unfinished: under_way.map(|(_, count)| count).sum(),
            generator_memory: generator.memory,
            server_memory: self.server.memory(),
            ending,
        };
        let quality = MeasurementQuality {
            limited: &generator.limited,
            load_reduced: self.load_reduced,
        };
        let windowed = self.measured.thresholds.judged();
        judge::judge(&self.options.scenario, &evidence, windowed, quality)
    }
}

/// The dataset of a server that has none, or of a target that is not a concertctl server.
pub(in crate::load) fn no_dataset() -> Dataset {
    Dataset {
        profile: String::new(),
        concerts: 0,
        dates: 0,
        seats: 0,
        users: 0,
        on_sale_concert: 1,
        on_sale_seats: 1,
        popular_seats: 0,
        seats_per_date: 1,
        seeded_at: String::new(),
    }
}
