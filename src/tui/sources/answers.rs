//! The answers to the queries of dashboards and of the Resources screen: for each query its series with their labels,
//! current and past values. Bounded and pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::loki::LogLine;
use crate::clients::prometheus::{Labels, Series};
use crate::tui::dashboard::panel::Query;
use crate::tui::sources::series::{QueryAnswer, Track};

/// The most series that are kept of a query; the others are counted.
pub(crate) const MAX_SERIES: usize = 60;
/// The most points that are kept of a series.
const MAX_POINTS: usize = 1_000;
/// The most log lines that are kept of a query.
pub(crate) const MAX_LINES: usize = 100;

/// A series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OneSeries {
    pub(crate) labels: Labels,
    pub(crate) track: Track,
    /// The current value, which may be infinite; `None` if the newest answer does not have the series.
    pub(crate) now: Option<f64>,
}

/// The answer to a metric query.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) series: Vec<OneSeries>,
    /// The number of series beyond [`MAX_SERIES`].
    pub(crate) left_out: usize,
    /// The reason why the source refused the query.
    pub(crate) refused: Option<String>,
}

/// The answer to a log query: its newest lines, oldest first.
pub(crate) type LogAnswer = Result<Vec<LogLine>, String>;

/// All answers by query; a missing query has no answer yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    metrics: BTreeMap<Query, Answer>,
    logs: BTreeMap<Query, LogAnswer>,
}

impl Answers {
    pub(crate) fn get(&self, query: &str) -> Option<&Answer> {
        self.metrics.get(query)
    }

    pub(crate) fn logs(&self, query: &str) -> Option<&LogAnswer> {
        self.logs.get(query)
    }

    /// Stores log lines, and drops answers to queries that are no longer `wanted`.
    pub(crate) fn apply_logs(
        &mut self,
        wanted: &BTreeSet<Query>,
        answers: Vec<(Query, LogAnswer)>,
    ) {
        self.logs.retain(|query, _| wanted.contains(query));
        for (query, answer) in answers {
            if wanted.contains(&query) {
                self.logs.insert(query, answer);
            }
        }
    }

    /// Drops answers to queries that are no longer `wanted`. Called only while the source answers, so that the last
    /// answers of a silent source stay.
    pub(crate) fn keep(&mut self, wanted: &BTreeSet<Query>) {
        self.metrics.retain(|query, _| wanted.contains(query));
    }

    /// Replaces the past of the answers to `wanted` queries.
    pub(crate) fn apply_past(
        &mut self,
        wanted: &BTreeSet<Query>,
        answers: &BTreeMap<Query, QueryAnswer>,
    ) {
        for (query, answer) in answers.iter().filter(|(query, _)| wanted.contains(*query)) {
            let kept = self.metrics.entry(Query::clone(query)).or_default();
            match answer {
                Err(reason) => kept.refused = Some(reason.clone()),
                Ok(series) => {
                    kept.refused = None;
                    kept.left_out = series.len().saturating_sub(MAX_SERIES);
                    kept.series = series.iter().take(MAX_SERIES).map(past).collect();
                }
            }
        }
    }

    /// Stores the values at `at` (Unix milliseconds) of the `wanted` queries. Keeps points `step` milliseconds apart,
    /// from `since` on.
    pub(crate) fn apply_now(
        &mut self,
        wanted: &BTreeSet<Query>,
        answers: &BTreeMap<Query, QueryAnswer>,
        at: i64,
        (step, since): (i64, i64),
    ) {
        for (query, answer) in answers.iter().filter(|(query, _)| wanted.contains(*query)) {
            let kept = self.metrics.entry(Query::clone(query)).or_default();
            match answer {
                Err(reason) => kept.refused = Some(reason.clone()),
                Ok(series) => {
                    kept.refused = None;
                    kept.take_now(series, at, step);
                }
            }
            for one in &mut kept.series {
                while one.track.front().is_some_and(|(old, _)| *old < since) {
                    one.track.pop_front();
                }
            }
            let alive = |one: &OneSeries| one.now.is_some() || !one.track.is_empty();
            kept.series.retain(alive);
        }
    }
}

impl Answer {
    fn take_now(&mut self, series: &[Series], at: i64, step: i64) {
        for one in &mut self.series {
            one.now = None;
        }
        let mut left_out = 0;
        for new in series {
            let known = self.series.iter().position(|old| old.labels == new.labels);
            let index = match known {
                Some(index) => index,
                None if self.series.len() < MAX_SERIES => {
                    self.series.push(OneSeries {
                        labels: new.labels.clone(),
                        ..OneSeries::default()
                    });
                    self.series.len() - 1
                }
                None => {
                    left_out += 1;
                    continue;
                }
            };
            let value = new.points.last().map(|(_, value)| *value);
            if let Some(value) = value.filter(|value| !value.is_nan()) {
                let kept = &mut self.series[index];
                kept.now = Some(value);
                // A chart has no place for infinity.
                if value.is_finite() {
                    push(&mut kept.track, at, value, step);
                }
            }
        }
        self.left_out = left_out;
    }
}

/// Adds a point, or replaces the last one if that is less than a step after the one before it.
fn push(track: &mut Track, at: i64, value: f64, step: i64) {
    if track.back().is_some_and(|(last, _)| *last >= at) {
        return; // The clock was set back: points must be in the order of time.
    }
    let before_last = track
        .len()
        .checked_sub(2)
        .and_then(|index| track.get(index));
    if before_last.is_some_and(|(before, _)| at - before <= step) {
        track.pop_back();
    }
    if track.len() >= MAX_POINTS {
        track.pop_front();
    }
    track.push_back((at, value));
}

fn past(series: &Series) -> OneSeries {
    let finite = series
        .points
        .iter()
        .copied()
        .filter(|(_, value)| value.is_finite());
    let skip = series.points.len().saturating_sub(MAX_POINTS);
    OneSeries {
        labels: series.labels.clone(),
        track: finite.skip(skip).collect(),
        now: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(i64, f64)]) -> Series {
        Series {
            labels: Labels::from([("name".to_owned(), name.to_owned())]),
            points: points.to_vec(),
        }
    }

    fn answered(answer: QueryAnswer) -> BTreeMap<Query, QueryAnswer> {
        BTreeMap::from([("q".into(), answer)])
    }

    #[test]
    fn series_are_separate_and_one_that_ends_leaves_a_gap() {
        let wanted = BTreeSet::from(["q".into()]);
        let mut answers = Answers::default();
        let past = vec![
            series("a", &[(1_000, 1.0), (2_000, f64::NAN)]),
            series("b", &[(1_000, 5.0)]),
        ];
        answers.apply_past(&wanted, &answered(Ok(past)));
        let now = vec![series("b", &[(9, 6.0)]), series("c", &[(9, 7.0)])];
        answers.apply_now(&wanted, &answered(Ok(now)), 3_000, (1_000, 0));
        let kept = &answers.get("q").unwrap().series;
        let shown: Vec<_> = kept.iter().map(|one| (one.now, one.track.len())).collect();
        assert_eq!(shown, [(None, 1), (Some(6.0), 2), (Some(7.0), 1)]);
        answers.apply_now(&wanted, &answered(Ok(vec![])), 70_000, (1_000, 10_000));
        assert!(
            answers.get("q").unwrap().series.is_empty(),
            "old points are dropped"
        );
    }

    #[test]
    fn series_beyond_the_bound_are_counted_and_unwanted_answers_are_dropped() {
        let wanted = BTreeSet::from(["q".into()]);
        let mut answers = Answers::default();
        let many: Vec<_> = (0..100)
            .map(|n| series(&n.to_string(), &[(1, 1.0)]))
            .collect();
        answers.apply_now(&wanted, &answered(Ok(many)), 1_000, (1_000, 0));
        let kept = answers.get("q").unwrap();
        assert_eq!(
            (kept.series.len(), kept.left_out),
            (MAX_SERIES, 100 - MAX_SERIES)
        );
        answers.apply_now(
            &BTreeSet::new(),
            &answered(Err("no".into())),
            2_000,
            (1_000, 0),
        );
        assert_eq!(answers.get("q").unwrap().refused, None);
        answers.keep(&BTreeSet::new());
        assert_eq!(answers.get("q"), None);
    }

    #[test]
    fn an_infinite_value_is_current_and_in_no_chart() {
        let wanted = BTreeSet::from(["q".into()]);
        let mut answers = Answers::default();
        let infinite = vec![series("a", &[(9, f64::NEG_INFINITY)])];
        answers.apply_now(&wanted, &answered(Ok(infinite)), 1_000, (1_000, 0));
        let kept = &answers.get("q").unwrap().series[0];
        assert_eq!((kept.now, kept.track.len()), (Some(f64::NEG_INFINITY), 0));
    }

    #[test]
    fn points_are_a_step_apart_and_the_newest_is_the_current_value() {
        let mut track = Track::new();
        for second in 0..100 {
            push(&mut track, second * 1_000, second as f64, 24_000);
        }
        assert!(track.len() <= 7, "{track:?}");
        assert_eq!(track.back(), Some(&(99_000, 99.0)));
    }

    #[test]
    fn of_the_past_too_no_more_is_kept_than_the_bounds_say() {
        let wanted = BTreeSet::from(["q".into()]);
        let mut answers = Answers::default();
        let long: Vec<_> = (0..MAX_POINTS as i64 + 9).map(|at| (at, 1.0)).collect();
        let many = (0..100).map(|n| series(&n.to_string(), &long)).collect();
        answers.apply_past(&wanted, &answered(Ok(many)));
        let kept = answers.get("q").unwrap();
        assert_eq!(
            (kept.series.len(), kept.left_out),
            (MAX_SERIES, 100 - MAX_SERIES)
        );
        let track = &kept.series[0].track;
        assert_eq!((track.len(), track.front()), (MAX_POINTS, Some(&(9, 1.0))));
        let mut track = Track::new();
        (0..MAX_POINTS as i64 + 9).for_each(|at| push(&mut track, at, 1.0, 0));
        assert_eq!(track.len(), MAX_POINTS);
    }
}
