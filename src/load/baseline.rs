//! Compares a run with a baseline and reports differences beyond the noise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::summary::{OperationSummary, Summary};

/// Smaller differences of latencies, in ms, count as noise whatever their share. Timers and schedulers cause them.
const LEAST_MS: f64 = 1.0;
/// Smaller differences of error rates count as noise.
const LEAST_SHARE: f64 = 0.001;
/// A percentile with fewer requests above it does not predict the next run.
const ABOVE: f64 = 10.0;

/// The change of a figure since the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Better, beyond the noise.
    Better,
    /// The same, within the noise.
    Same,
    /// Worse, beyond the noise.
    Worse,
    /// There are too few requests to compare.
    TooFew,
}

/// One figure beside the baseline's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// The operation, after its traffic group if it is not the buyers', and the measured figure: `reserve.p95`.
    pub name: String,
    /// The figure of the baseline: ms, requests a second, or a share.
    pub before: f64,
    /// The figure of this run.
    pub now: f64,
    /// The result of the comparison.
    pub change: Change,
}

/// The comparison of a run with an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The start of the earlier run.
    pub started_at: String,
    /// The server's version in the earlier run.
    pub server_version: String,
    /// The relative difference below which a change counts as noise, 0 to 1.
    pub noise: f64,
    /// Every figure that both runs have.
    pub compared: Vec<Compared>,
}

impl Baseline {
    /// The names of the figures that became worse.
    #[must_use]
    pub fn worse(&self) -> Vec<&str> {
        let compared = self.compared.iter();
        let worse = compared.filter(|it| it.change == Change::Worse);
        worse.map(|it| it.name.as_str()).collect()
    }
}

/// Compares `now` with `before`. A relative difference below `noise` counts as equal.
///
/// # Errors
/// One line that says how the two runs differ, if they did not do the same.
pub fn compare(now: &Summary, before: &Summary, noise: f64) -> Result<Baseline, String> {
    alike(now, before)?;
    let mut compared = Vec::new();
    for row in &now.operations {
        let same =
            |it: &&OperationSummary| (it.operation, &it.traffic) == (row.operation, &row.traffic);
        if let Some(old) = before.operations.iter().find(same) {
            compare_rows(row, old, noise, &mut compared);
        }
    }
    Ok(Baseline {
        started_at: before.started_at.clone(),
        server_version: before.server_version.clone(),
        noise,
        compared,
    })
}

fn alike(now: &Summary, before: &Summary) -> Result<(), String> {
    let mut settings = (now.settings.clone(), before.settings.clone());
    // Thresholds do not change what a run does.
    settings.0.thresholds.clone_from(&settings.1.thresholds);
    // The name is compared separately, and is not written with the settings.
    settings.0.name.clone_from(&settings.1.name);
    let data = |of: &Summary| {
        (
            of.dataset.profile.clone(),
            of.dataset.seats,
            of.dataset.users,
        )
    };
    let servers = |of: &Summary| of.target.split(',').count();
    let cores = |of: &Summary| of.generator.cores;
    let differs = if now.scenario != before.scenario {
        format!("the scenarios {} and {}", now.scenario, before.scenario)
    } else if settings.0 != settings.1 {
        "the scenario's settings".to_owned()
    } else if now.phase != before.phase {
        "the phase that was measured".to_owned()
    } else if data(now) != data(before) {
        "the datasets".to_owned()
    } else if servers(now) != servers(before) {
        "the number of servers".to_owned()
    } else if cores(now) != cores(before) {
        format!(
            "the machines, of {} and {} cores",
            cores(now),
            cores(before)
        )
    } else {
        return Ok(());
    };
    Err(format!(
        "the baseline is of another kind of run: {differs} differ"
    ))
}

fn compare_rows(
    now: &OperationSummary,
    before: &OperationSummary,
    noise: f64,
    into: &mut Vec<Compared>,
) {
    let name = |metric: &str| match &now.traffic {
        Some(traffic) => format!("{traffic}.{}.{metric}", now.operation),
        None => format!("{}.{metric}", now.operation),
    };
    if let (Some(new), Some(old)) = (now.latency, before.latency) {
        let few = now.ok.min(before.ok) as f64;
        let percentiles = [
            ("p50", 0.5, new.p50, old.p50),
            ("p95", 0.95, new.p95, old.p95),
            ("p99", 0.99, new.p99, old.p99),
        ];
        for (metric, quantile, new, old) in percentiles {
            let change = match few * (1.0 - quantile) < ABOVE {
                true => Change::TooFew,
                false => change(new, old, (noise * old).max(LEAST_MS), false),
            };
            into.push(Compared {
                name: name(metric),
                before: old,
                now: new,
                change,
            });
        }
    }
    into.push(Compared {
        name: name("rate"),
        before: before.rate,
        now: now.rate,
        change: change(now.rate, before.rate, noise * before.rate, true),
    });
    let share = |row: &OperationSummary| row.errors as f64 / row.count.max(1) as f64;
    let (new, old) = (share(now), share(before));
    if new > 0.0 || old > 0.0 {
        into.push(Compared {
            name: name("error_rate"),
            before: old,
            now: new,
            change: change(new, old, (noise * old).max(LEAST_SHARE), false),
        });
    }
}

fn change(now: f64, before: f64, band: f64, more_is_better: bool) -> Change {
    match now - before {
        apart if apart.abs() <= band => Change::Same,
        apart if (apart > 0.0) == more_is_better => Change::Better,
        _ => Change::Worse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::model::{Operation, PhaseName};
    use crate::load::summary::Latency;

    fn row(ok: u64, p50: f64, rate: f64, errors: u64) -> OperationSummary {
        let latency = Latency {
            avg: p50,
            p50,
            p95: 2.0 * p50,
            p99: 4.0 * p50,
            max: 9.0 * p50,
        };
        OperationSummary {
            traffic: None,
            operation: Operation::Reserve,
            phase: PhaseName::Open,
            count: ok + errors,
            rate,
            ok,
            refused: 0,
            errors,
            error_counts: Default::default(),
            latency: Some(latency),
            service: None,
            refusal_latency: None,
            error_latency: None,
        }
    }

    fn changes(now: &OperationSummary, before: &OperationSummary) -> Vec<(String, Change)> {
        let mut compared = Vec::new();
        compare_rows(now, before, 0.1, &mut compared);
        let changes = compared.into_iter();
        changes.map(|it| (it.name, it.change)).collect()
    }

    #[test]
    fn differences_within_the_noise_are_equal_and_larger_ones_are_reported() {
        use Change::{Better, Same, Worse};
        let before = row(10_000, 20.0, 500.0, 0);
        let of = |now: &OperationSummary| -> Vec<Change> {
            changes(now, &before)
                .into_iter()
                .map(|(_, it)| it)
                .collect()
        };
        assert_eq!(of(&row(10_000, 21.9, 460.0, 0)), [Same; 4]);
        assert_eq!(of(&row(10_000, 23.0, 440.0, 0)), [Worse; 4]);
        assert_eq!(of(&row(10_000, 17.0, 560.0, 0)), [Better; 4]);
        assert_eq!(of(&row(10_000, 20.0, 500.0, 100))[4], Worse, "errors");
    }

    #[test]
    fn a_percentile_of_few_requests_is_not_compared_and_a_millisecond_is_nothing() {
        let before = row(300, 0.2, 500.0, 0);
        let now = row(300, 0.6, 500.0, 0);
        let compared = changes(&now, &before);
        assert_eq!(compared[0], ("reserve.p50".to_owned(), Change::Same));
        assert_eq!(compared[2], ("reserve.p99".to_owned(), Change::TooFew));
    }
}
