//! The figures of the panels: current and past values of each series. Pure.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clients::prometheus::Series;
use crate::tui::dashboard::panel::Query;
use crate::tui::sources::panels::{PANELS, Panel, PanelId};

/// The most points that are kept of a series: an hour at one a second, with a reserve.
const MAX_POINTS: usize = 4_000;
/// The most series that are kept of a panel.
const MAX_SERIES: usize = 32;

/// The points of a series for a chart, oldest first: Unix milliseconds and a finite value.
pub(crate) type Track = VecDeque<(i64, f64)>;

/// The figures of one panel.
#[derive(Clone, Debug, Default)]
pub(crate) struct PanelData {
    /// The points by the value of the panel's label; without a label, one entry under "".
    pub(crate) tracks: BTreeMap<String, Track>,
    /// The newest values, which may be infinite; empty if the newest answer had no series.
    pub(crate) now: BTreeMap<String, f64>,
    /// Whether the newest answers contain this panel: screens query only the panels that they show.
    is_current: bool,
    /// Whether the source ever answered this panel's query.
    pub(crate) asked: bool,
    /// The reason why the source refused the query.
    pub(crate) refused: Option<String>,
}

impl PanelData {
    /// The current value of the only series.
    pub(crate) fn value(&self) -> Option<f64> {
        self.now.get("").copied()
    }

    /// The figures; `None` if only a screen that was left queried them.
    pub(crate) fn current(&self) -> Option<&PanelData> {
        self.is_current.then_some(self)
    }
}

/// The figures of all panels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(BTreeMap<PanelId, PanelData>);

/// The series of a query, or the reason why the source refused it.
pub(crate) type QueryAnswer = Result<Vec<Series>, String>;

/// [`QueryAnswer`] as recordings store it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Recorded<S, R> {
    Series(S),
    Refused(R),
}

/// Answers by query, for `#[serde(with)]`.
pub(crate) mod answers {
    use super::{BTreeMap, Deserialize, Query, QueryAnswer, Recorded, Serialize};

    pub(super) type Answers = BTreeMap<Query, QueryAnswer>;

    pub(super) fn record(answers: &Answers) -> impl Serialize {
        let answers = answers.iter().map(|(query, answer)| match answer {
            Ok(series) => (query, Recorded::Series(series)),
            Err(reason) => (query, Recorded::Refused(reason)),
        });
        answers.collect::<BTreeMap<_, _>>()
    }

    pub(crate) fn serialize<S: serde::Serializer>(
        answers: &Answers,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        record(answers).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Answers, D::Error> {
        let recorded = BTreeMap::<Query, Recorded<_, _>>::deserialize(from)?.into_iter();
        let answer = |recorded| match recorded {
            Recorded::Series(series) => Ok(series),
            Recorded::Refused(reason) => Err(reason),
        };
        Ok(recorded
            .map(|(query, recorded)| (query, answer(recorded)))
            .collect())
    }
}

/// [`answers`] that may be absent.
pub(crate) mod optional_answers {
    use super::answers::{self, Answers};
    use super::{Deserialize, Serialize};

    #[derive(Deserialize)]
    struct Present(#[serde(with = "answers")] Answers);

    pub(crate) fn serialize<S: serde::Serializer>(
        answers: &Option<Answers>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        answers.as_ref().map(answers::record).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Answers>, D::Error> {
        Ok(Option::<Present>::deserialize(from)?.map(|present| present.0))
    }
}

impl Metrics {
    pub(crate) fn get(&self, id: PanelId) -> &PanelData {
        static NOTHING: std::sync::LazyLock<PanelData> =
            std::sync::LazyLock::new(PanelData::default);
        self.0.get(&id).unwrap_or(&NOTHING)
    }

    /// Stores the current values at `at` (Unix milliseconds), by query.
    pub(crate) fn apply_now(&mut self, at: i64, answers: &BTreeMap<Query, QueryAnswer>) {
        for panel in PANELS {
            let data = self.0.entry(panel.id).or_default();
            let answer = answers.get(panel.query);
            data.is_current = answer.is_some();
            let Some(answer) = answer else {
                continue;
            };
            data.now.clear();
            let series = match note(data, answer) {
                Some(series) => series,
                None => continue,
            };
            for one in series.iter().take(MAX_SERIES) {
                if let Some(&(_, value)) = one.points.last() {
                    data.now.insert(name(panel, one), value);
                }
            }
        }
        self.fill_zeros_now(answers);
        for panel in PANELS
            .iter()
            .filter(|panel| answers.contains_key(panel.query))
        {
            let data = self.0.entry(panel.id).or_default();
            data.now.retain(|_, value| !value.is_nan());
            for (name, value) in data.now.iter().filter(|(_, value)| value.is_finite()) {
                if data.tracks.len() < MAX_SERIES || data.tracks.contains_key(name) {
                    push(data.tracks.entry(name.clone()).or_default(), at, *value);
                }
            }
        }
    }

    /// Replaces the past by the answers of a range query, by query.
    pub(crate) fn apply_past(&mut self, answers: &BTreeMap<Query, QueryAnswer>) {
        for panel in PANELS {
            let Some(answer) = answers.get(panel.query) else {
                continue;
            };
            let data = self.0.entry(panel.id).or_default();
            let Some(series) = note(data, answer) else {
                continue;
            };
            data.tracks = series
                .iter()
                .take(MAX_SERIES)
                .map(|one| {
                    let finite = one
                        .points
                        .iter()
                        .copied()
                        .filter(|(_, value)| value.is_finite());
                    let skip = one.points.len().saturating_sub(MAX_POINTS);
                    (name(panel, one), finite.skip(skip).collect())
                })
                .collect();
        }
        for panel in PANELS
            .iter()
            .filter(|panel| answers.contains_key(panel.query))
        {
            let Some(other) = panel.zero_while else {
                continue;
            };
            let traffic: Vec<i64> = self
                .get(other)
                .tracks
                .get("")
                .into_iter()
                .flatten()
                .filter(|(_, value)| *value > 0.0)
                .map(|(at, _)| *at)
                .collect();
            let data = self.0.entry(panel.id).or_default();
            if data.tracks.is_empty() && data.refused.is_none() && !traffic.is_empty() {
                data.tracks.insert(
                    String::new(),
                    traffic.into_iter().map(|at| (at, 0.0)).collect(),
                );
            }
        }
    }

    fn fill_zeros_now(&mut self, answers: &BTreeMap<Query, QueryAnswer>) {
        for panel in PANELS
            .iter()
            .filter(|panel| answers.contains_key(panel.query))
        {
            let Some(other) = panel.zero_while else {
                continue;
            };
            let traffic = self.get(other).value().is_some_and(|value| value > 0.0);
            let data = self.0.entry(panel.id).or_default();
            if traffic && data.now.is_empty() && data.refused.is_none() {
                data.now.insert(String::new(), 0.0);
            }
        }
    }
}

fn note<'a>(data: &mut PanelData, answer: &'a QueryAnswer) -> Option<&'a [Series]> {
    data.asked = true;
    match answer {
        Ok(series) => {
            data.refused = None;
            Some(series)
        }
        Err(reason) => {
            data.refused = Some(reason.clone());
            None
        }
    }
}

fn name(panel: &Panel, series: &Series) -> String {
    panel
        .label
        .and_then(|label| series.labels.get(label))
        .cloned()
        .unwrap_or_default()
}

fn push(track: &mut Track, at: i64, value: f64) {
    if track.back().is_some_and(|(last, _)| *last >= at) {
        return; // The clock was set back: points must be in the order of time.
    }
    if track.len() >= MAX_POINTS {
        track.pop_front();
    }
    track.push_back((at, value));
}

/// The newest value not after `at`, and not older than `gap` milliseconds.
pub(crate) fn value_at(track: &Track, at: i64, gap: i64) -> Option<f64> {
    let (when, value) = *track.iter().rev().find(|(when, _)| *when <= at)?;
    (at - when <= gap).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::prometheus::Labels;
    use crate::tui::sources::panels::panel;

    fn one(points: &[(i64, f64)]) -> QueryAnswer {
        Ok(vec![Series {
            labels: Labels::new(),
            points: points.to_vec(),
        }])
    }

    fn answers<const N: usize>(list: [(PanelId, QueryAnswer); N]) -> BTreeMap<Query, QueryAnswer> {
        list.into_iter()
            .map(|(id, answer)| (panel(id).query.into(), answer))
            .collect()
    }

    #[test]
    fn an_empty_answer_is_no_value_and_leaves_a_gap() {
        let mut metrics = Metrics::default();
        metrics.apply_now(1000, &answers([(PanelId::P95, one(&[(1000, 0.2)]))]));
        metrics.apply_now(2000, &answers([(PanelId::P95, one(&[(2000, f64::NAN)]))]));
        metrics.apply_now(3000, &answers([(PanelId::P95, Ok(vec![]))]));
        let data = metrics.get(PanelId::P95);
        assert_eq!(data.value(), None);
        assert_eq!(data.tracks[""], [(1000, 0.2)]);
    }

    #[test]
    fn an_infinite_value_is_shown_and_not_drawn() {
        let mut metrics = Metrics::default();
        metrics.apply_now(1000, &answers([(PanelId::P95, one(&[(1000, 0.2)]))]));
        metrics.apply_now(
            2000,
            &answers([(PanelId::P95, one(&[(2000, f64::INFINITY)]))]),
        );
        let data = metrics.get(PanelId::P95);
        assert_eq!(data.value(), Some(f64::INFINITY));
        assert_eq!(data.tracks[""], [(1000, 0.2)]);
    }

    #[test]
    fn a_missing_error_series_means_zero_only_while_there_is_traffic() {
        let mut metrics = Metrics::default();
        let mut at = 0;
        let mut errors_with = |tps: QueryAnswer, errors: QueryAnswer| {
            at += 1000;
            metrics.apply_now(
                at,
                &answers([(PanelId::Tps, tps), (PanelId::Errors, errors)]),
            );
            metrics.get(PanelId::Errors).value()
        };
        assert_eq!(errors_with(one(&[(1, 5.0)]), Ok(vec![])), Some(0.0));
        assert_eq!(errors_with(one(&[(1, 0.0)]), Ok(vec![])), None);
        assert_eq!(errors_with(Ok(vec![]), Ok(vec![])), None);
        assert_eq!(errors_with(one(&[(1, 5.0)]), Err("no".into())), None);
        assert_eq!(errors_with(one(&[(1, 5.0)]), one(&[(1, 7.5)])), Some(7.5));
    }

    #[test]
    fn the_past_is_replaced_and_its_nan_points_are_gaps() {
        let mut metrics = Metrics::default();
        metrics.apply_now(9000, &answers([(PanelId::Tps, one(&[(9000, 1.0)]))]));
        let past = one(&[(1000, 2.0), (2000, f64::NAN), (3000, 4.0)]);
        metrics.apply_past(&answers([
            (PanelId::Tps, past),
            (PanelId::Errors, Ok(vec![])),
        ]));
        assert_eq!(
            metrics.get(PanelId::Tps).tracks[""],
            [(1000, 2.0), (3000, 4.0)]
        );
        assert_eq!(
            metrics.get(PanelId::Errors).tracks[""],
            [(1000, 0.0), (3000, 0.0)]
        );
    }

    #[test]
    fn points_and_series_are_bounded_and_points_are_in_the_order_of_time() {
        let mut metrics = Metrics::default();
        for at in 0..MAX_POINTS as i64 + 10 {
            metrics.apply_now(at, &answers([(PanelId::Tps, one(&[(at, 1.0)]))]));
        }
        metrics.apply_now(5, &answers([(PanelId::Tps, one(&[(5, 1.0)]))]));
        assert_eq!(metrics.get(PanelId::Tps).tracks[""].len(), MAX_POINTS);
        let many = (0..100)
            .map(|n| Series {
                labels: Labels::from([("status".into(), n.to_string())]),
                points: vec![(1, 1.0)],
            })
            .collect();
        metrics.apply_now(1, &answers([(PanelId::Seats, Ok(many))]));
        assert_eq!(metrics.get(PanelId::Seats).tracks.len(), MAX_SERIES);
    }

    #[test]
    fn of_the_past_too_no_more_is_kept_than_the_bounds_say() {
        let mut metrics = Metrics::default();
        let long: Vec<_> = (0..MAX_POINTS as i64 + 9).map(|at| (at, 1.0)).collect();
        let of_status = |n: i32| Series {
            labels: Labels::from([("status".into(), n.to_string())]),
            points: long.clone(),
        };
        let many: Vec<_> = (0..100).map(of_status).collect();
        metrics.apply_past(&answers([(PanelId::Seats, Ok(many.clone()))]));
        let tracks = &metrics.get(PanelId::Seats).tracks;
        assert_eq!(tracks.len(), MAX_SERIES);
        assert!(tracks.values().all(|track| track.len() == MAX_POINTS));
        metrics.apply_now(1, &answers([(PanelId::Seats, Ok(many))]));
        assert_eq!(metrics.get(PanelId::Seats).now.len(), MAX_SERIES);
    }
}
