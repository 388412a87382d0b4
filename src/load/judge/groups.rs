//! Threshold groups: which requests each group judges, and how it measures them over the run or over a part of it.

use hdrhistogram::Histogram;

use super::{Judged, Relation, Unit};
use crate::load::model::{Class, Operation, PhaseName};
use crate::load::recorder::{BUYERS, Frame, histogram, span_seconds};
use crate::load::scenario::{Group, Percentile, Scenario, Time};

/// The metric of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Avg,
    Percentile(Percentile),
    Max,
    ErrorRate,
    Rate,
    Successes,
    Requests,
}

impl Metric {
    fn name(self) -> String {
        let name = match self {
            Metric::Avg => "avg",
            Metric::Percentile(percentile) => return percentile.to_string(),
            Metric::Max => "max",
            Metric::ErrorRate => "error_rate",
            Metric::Rate => "rate",
            Metric::Successes => "successes",
            Metric::Requests => "requests",
        };
        name.to_owned()
    }

    const fn unit(self) -> Unit {
        match self {
            Metric::ErrorRate => Unit::Share,
            Metric::Rate => Unit::PerSecond,
            Metric::Successes | Metric::Requests => Unit::Count,
            _ => Unit::Milliseconds,
        }
    }

    pub(super) const fn relation(self) -> Relation {
        match self {
            Metric::Rate | Metric::Requests => Relation::AtLeast,
            _ => Relation::AtMost,
        }
    }
}

/// A group of thresholds with the requests that it judges.
#[derive(Clone, Debug)]
pub(super) struct Resolved<'s> {
    pub name: &'s str,
    pub group: &'s Group,
    traffic: usize,
    operations: Vec<Operation>,
}

impl<'s> Resolved<'s> {
    /// The groups of a scenario that have something to judge when only `only_phase` is measured.
    pub(super) fn all(scenario: &'s Scenario, only_phase: Option<PhaseName>) -> Vec<Resolved<'s>> {
        let groups = scenario.thresholds.groups.iter();
        groups
            .filter_map(|(name, group)| Resolved::new(scenario, name, group, only_phase))
            .collect()
    }

    fn new(
        scenario: &'s Scenario,
        name: &'s str,
        group: &'s Group,
        only_phase: Option<PhaseName>,
    ) -> Option<Resolved<'s>> {
        let is_traffic = |name: &str| scenario.traffic.contains_key(name);
        let mut operations = group.resolve(name, is_traffic)?;
        let traffic = match group.traffic(name, is_traffic) {
            // A phase that was not requested is not judged.
            None => {
                operations
                    .retain(|it| only_phase.is_none_or(|only_phase| it.phase() == only_phase));
                BUYERS
            }
            Some(traffic) => {
                let phase = scenario.traffic.get(traffic)?.phase.phase();
                if only_phase.is_some_and(|only_phase| only_phase != phase) {
                    return None;
                }
                scenario.traffic.keys().position(|known| known == traffic)? + 1
            }
        };
        (!operations.is_empty()).then_some(Resolved {
            name,
            group,
            traffic,
            operations,
        })
    }

    /// Its requests in `frame`.
    pub(super) fn requests(&self, frame: &Frame) -> Requests {
        let count = |class| frame.count(self.traffic, &self.operations, class);
        let ok = frame.total(self.traffic, &self.operations, Class::Ok);
        Requests {
            seconds: ok.as_ref().and_then(|cell| cell.span).map(span_seconds),
            latency: ok.map_or_else(histogram, |cell| cell.latency),
            refused: count(Class::Refused),
            errors: count(Class::Error),
        }
    }

    /// Its limits in the order of the report.
    pub(super) fn limits(&self) -> Vec<(Metric, f64)> {
        let group = self.group;
        let millis = |time: Option<Time>| time.map(|time| time.0.as_secs_f64() * 1e3);
        let count = |count: Option<u64>| count.map(|count| count as f64);
        let percentile =
            |(of, limit): (&Percentile, &Time)| (Metric::Percentile(*of), millis(Some(*limit)));
        let others = [
            (Metric::Max, millis(group.max)),
            (Metric::ErrorRate, group.error_rate),
            (Metric::Rate, group.rate),
            (Metric::Successes, count(group.successes)),
            (Metric::Requests, count(group.requests)),
        ];
        let set = std::iter::once((Metric::Avg, millis(group.avg)))
            .chain(group.percentiles.iter().map(percentile))
            .chain(others);
        set.filter_map(|(metric, limit)| Some((metric, limit?)))
            .collect()
    }

    pub(super) fn judged(&self, metric: Metric, limit: f64, measured: Option<f64>) -> Judged {
        let name = format!("{}.{}", self.name, metric.name());
        Judged::new(name, metric.unit(), metric.relation(), limit, measured)
    }
}

/// Requests of a group.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    /// The latency of the successes, in µs.
    pub latency: Histogram<u64>,
    pub refused: u64,
    pub errors: u64,
    /// The time from the first success to the last, in seconds.
    pub seconds: Option<f64>,
}

impl Requests {
    pub(super) fn none() -> Requests {
        Requests {
            latency: histogram(),
            refused: 0,
            errors: 0,
            seconds: None,
        }
    }

    /// The value of a metric. `None` if there is nothing to measure: no success for a latency or the rate, no request
    /// for the others.
    pub(super) fn measure(&self, metric: Metric) -> Option<f64> {
        let ok = self.latency.len();
        let all = ok + self.refused + self.errors;
        let some = |value: f64| (ok > 0).then_some(value / 1e3);
        let at = |quantile: f64| some(self.latency.value_at_quantile(quantile) as f64);
        match metric {
            Metric::Avg => some(self.latency.mean()),
            Metric::Percentile(percentile) => at(percentile.quantile()),
            Metric::Max => at(1.0),
            Metric::ErrorRate => (all > 0).then(|| self.errors as f64 / all as f64),
            // A shorter time than a second counts as a second.
            Metric::Rate => self.seconds.map(|seconds| ok as f64 / seconds.max(1.0)),
            Metric::Successes => (all > 0).then_some(ok as f64),
            Metric::Requests => (all > 0).then_some(all as f64),
        }
    }
}
