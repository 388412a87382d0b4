//! The time range of the charts: fitted to the data, or zoomed. Pure.

use crate::tui::model::{Model, RunView};
use crate::tui::sources::panels::PanelId;
use crate::tui::zoom::{FETCHED, Window, Zoom};

/// The spans for fitted charts, in seconds. They are few, so that the scale does not change every second.
const FITS: &[i64] = &[30, 60, 120, FETCHED.0];
/// The shortest span of a rehearsal's chart, in milliseconds.
const MIN_RUN_SPAN_MS: i64 = 15_000;
/// The time for which a chart continues after the end of its rehearsal, in milliseconds.
const AFTER_RUN_MS: i64 = 3_000;

/// The window of the live charts: from the first traffic within [`FETCHED`] to now, or to the time at which they are
/// frozen.
pub(crate) fn live(model: &Model) -> Window {
    let end = model.time.end.unwrap_or(model.now);
    let span = match model.zoom {
        Zoom::Fixed(_) => model.zoom.span_ms(),
        Zoom::Fit => {
            let age = first_traffic(model, end - FETCHED.0 * 1000).map_or(0, |at| end - at);
            let fits = FITS.iter().find(|span| **span * 1000 >= age);
            fits.unwrap_or(&FETCHED.0) * 1000
        }
    };
    Window { end, span }
}

/// The time of the first point with traffic since `since`.
fn first_traffic(model: &Model, since: i64) -> Option<i64> {
    let tracks = model.metrics.get(PanelId::Tps).tracks.values();
    let points = tracks.filter_map(|track| {
        track
            .iter()
            .find(|(at, tps)| *at >= since && *tps > 0.0)
            .map(|(at, _)| *at)
    });
    points.min()
}

/// The window of a rehearsal's chart: the whole rehearsal and a short time after it.
pub(crate) fn of_run(model: &Model, run: &RunView) -> Window {
    let first = run.tps.front().map_or(model.now, |(at, _)| *at);
    let end = match run.tps.back() {
        Some((last, _)) if !run.is_under_way() => model.now.min(last + AFTER_RUN_MS),
        _ => model.now,
    };
    let end = model.time.end.map_or(end, |still| end.min(still));
    let span = match model.zoom {
        Zoom::Fixed(_) => model.zoom.span_ms(),
        Zoom::Fit => (end - first).max(MIN_RUN_SPAN_MS),
    };
    Window { end, span }
}

/// The window for cursor, pan and zoom. The drawing calls [`live`] or [`of_run`] itself.
pub(crate) fn shown(model: &Model) -> Window {
    match (&model.load.run, model.screen) {
        (Some(run), crate::tui::model::Screen::Load) => of_run(model, run),
        _ => live(model),
    }
}

/// The label at the right edge of the live charts: `now`, or the time at which they are frozen.
pub(crate) fn end_name(model: &Model) -> String {
    match model.time.end {
        Some(end) => model.settings.zone.clock(end),
        None => "now".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clients::prometheus::{Labels, Series};
    use crate::tui::sources::panels::panel;

    const NOW: i64 = 10_000_000;

    /// A model with traffic only during the last `seconds`.
    fn busy_since(seconds: i64) -> Model {
        let mut model = Model {
            now: NOW,
            ..Model::default()
        };
        let points = (0..=300).map(|back| {
            let tps = if back <= seconds { 5.0 } else { 0.0 };
            (NOW - back * 1000, tps)
        });
        let mut points: Vec<_> = points.collect();
        points.reverse();
        let series = Series {
            labels: Labels::new(),
            points,
        };
        let past = BTreeMap::from([(panel(PanelId::Tps).query.into(), Ok(vec![series]))]);
        model.metrics.apply_past(&past);
        model
    }

    #[test]
    fn the_charts_grow_with_the_time_of_traffic() {
        let span = |seconds| live(&busy_since(seconds)).span / 1000;
        let seconds = [0, 14, 31, 60, 61, 119, 150, 300];
        assert_eq!(seconds.map(span), [30, 30, 60, 60, 120, 120, 300, 300]);
        let idle = Model {
            now: NOW,
            ..Model::default()
        };
        assert_eq!(
            live(&idle),
            Window {
                end: NOW,
                span: 30_000
            }
        );
    }

    #[test]
    fn zooming_starts_at_the_visible_range_and_stops_at_the_limits() {
        let spans = |step: fn(i64) -> Zoom| {
            let mut span = 60_000;
            (0..6)
                .map(|_| {
                    span = step(span).span_ms();
                    span / 1000
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(spans(Zoom::wider), [120, 300, 900, 3600, 3600, 3600]);
        assert_eq!(spans(Zoom::closer), [30, 30, 30, 30, 30, 30]);
        assert_eq!(Zoom::wider(14_000).span_ms(), 30_000);
    }
}
