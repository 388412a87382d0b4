//! Moves and freezes the time axis of the charts, moves the cursor, and collects the marks. Pure.

use crate::api::ops::{AdmissionState, Follow};
use crate::tui::format::{one_line, short, unix_ms};
use crate::tui::model::Model;
use crate::tui::screens::alerts::name;
use crate::tui::sources::panels::{PanelId, panel};
use crate::tui::sources::series::value_at;
use crate::tui::time_view::{Mark, MarkKind};
use crate::tui::window;
use crate::tui::zoom::Window;

/// The number of steps of the cursor across a chart.
const STEPS: i64 = 60;
/// The most phases of rehearsals that are kept.
const MOST_PHASES: usize = 64;
/// The most cuts of the rate of admission that are kept. At most six a minute occur.
const MOST_CUTS: usize = 256;

/// All marks, oldest first.
pub(crate) fn marks(model: &Model) -> Vec<Mark> {
    let phases = model.load.begun.iter().map(|(at, text)| Mark {
        at: *at,
        kind: MarkKind::Phase,
        text: text.clone(),
    });
    let alerts = model.alerts.list.iter().filter_map(|alert| {
        Some(Mark {
            at: unix_ms(&alert.starts_at)?,
            kind: MarkKind::Alert,
            text: name(alert),
        })
    });
    let actions = model.audit.iter().map(|entry| Mark {
        at: entry.at,
        kind: MarkKind::Action,
        text: format!("{}: {}", entry.who, entry.action),
    });
    let cuts = model.cuts.iter().map(|(at, text)| Mark {
        at: *at,
        kind: MarkKind::Action,
        text: text.clone(),
    });
    let mut marks: Vec<_> = phases.chain(alerts).chain(actions).chain(cuts).collect();
    marks.extend(model.faults.marks.iter().cloned());
    marks.sort_by_key(|mark| mark.at);
    marks
}

/// Notes that a phase of the rehearsal begins now.
pub(crate) fn phase_begins(model: &mut Model, text: &str) {
    let begun = &mut model.load.begun;
    if begun.len() >= MOST_PHASES {
        begun.pop_front();
    }
    begun.push_back((model.now, one_line(text)));
}

/// Marks a cut of the rate of admission that the server made to keep the objective. Increases are small steps, which
/// the chart of the rate shows.
pub(crate) fn rate_decided(model: &mut Model, now: &AdmissionState) {
    let follows = |of: &AdmissionState| of.follow == Follow::Objective;
    let before = model.status.as_ref().map(|status| &status.admission);
    let Some(before) = before.filter(|before| follows(before) && follows(now)) else {
        return;
    };
    let is_setting = (before.batch, before.every_ms) != (now.batch, now.every_ms);
    if is_setting || now.rate >= before.rate {
        return;
    }
    let (from, to) = (short(before.rate), short(now.rate));
    let text = format!("admission follows the objective: {from} → {to} a second");
    if model.cuts.len() >= MOST_CUTS {
        model.cuts.pop_front();
    }
    model.cuts.push_back((model.now, text));
}

/// Pans by half a chart. At the present the charts become live again.
pub(crate) fn pan(model: &mut Model, forth: bool) {
    let Window { end, span } = window::shown(model);
    let by = if forth { span / 2 } else { -span / 2 };
    let end = end.saturating_add(by);
    model.time.end = (end < model.now).then_some(end);
}

/// Freezes the charts or makes them live again.
pub(crate) fn freeze(model: &mut Model) {
    model.time.end = match model.time.end {
        Some(_) => None,
        None => Some(model.now),
    };
}

/// Moves the cursor by a step. At the edge the charts pan with it.
pub(crate) fn step(model: &mut Model, forth: bool) {
    let Window { end, span } = window::shown(model);
    let step = (span / STEPS).max(1_000);
    let Some(at) = model.time.cursor else {
        model.time.cursor = Some(end - span / 2);
        return;
    };
    let at = (at + if forth { step } else { -step }).min(model.now);
    model.time.cursor = Some(at);
    if at < end - span {
        pan(model, false);
    } else if at > end {
        pan(model, true);
    }
}

/// Puts the cursor on an instant.
pub(crate) fn put(model: &mut Model, at: i64) {
    model.time.cursor = Some(at.min(model.now));
}

/// The figures at the cursor and the nearest mark, in one line.
pub(crate) fn at_cursor(model: &Model) -> Option<String> {
    let at = model.time.cursor?;
    let gap = model.zoom.gap_ms();
    let figure = |id: PanelId| {
        let panel = panel(id);
        let track = model.metrics.get(id).tracks.values().next()?;
        let value = value_at(track, at, gap)?;
        Some(format!("{} {}", panel.title, panel.unit.text(value)))
    };
    let ids = [
        PanelId::Tps,
        PanelId::Errors,
        PanelId::P95,
        PanelId::Waiting,
    ];
    let mut parts = vec![format!("at {}", model.settings.zone.clock(at))];
    let before = parts.len();
    parts.extend(ids.into_iter().filter_map(figure));
    if parts.len() == before {
        parts.push("no data".into());
    }
    let near = window::shown(model).span / STEPS;
    let marks = marks(model).into_iter();
    let nearest = marks
        .filter(|mark| (mark.at - at).abs() <= near)
        .min_by_key(|mark| (mark.at - at).abs());
    parts.extend(nearest.map(|mark| format!("{} {}", mark.kind.sign(), mark.text)));
    Some(parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sources::series::Track;

    const NOW: i64 = 10_000_000;

    fn model() -> Model {
        Model {
            now: NOW,
            ..Model::default()
        }
    }

    #[test]
    fn panning_back_freezes_the_charts_and_panning_to_the_present_makes_them_live() {
        let mut model = model();
        pan(&mut model, false);
        assert_eq!(model.time.end, Some(NOW - 15_000), "half of the 30 s shown");
        assert_eq!(window::live(&model).end, NOW - 15_000);
        model.now += 1_000;
        assert_eq!(window::live(&model).end, NOW - 15_000, "it stands still");
        pan(&mut model, true);
        pan(&mut model, true);
        assert_eq!(model.time.end, None);
    }

    #[test]
    fn the_same_key_freezes_and_unfreezes() {
        let mut model = model();
        freeze(&mut model);
        assert_eq!(model.time.end, Some(NOW));
        freeze(&mut model);
        assert_eq!(model.time.end, None);
    }

    #[test]
    fn the_cursor_begins_in_the_middle_never_leaves_the_chart_and_never_passes_now() {
        let mut model = model();
        step(&mut model, true);
        assert_eq!(model.time.cursor, Some(NOW - 15_000));
        for _ in 0..100 {
            step(&mut model, false);
            let Window { end, span } = window::shown(&model);
            let at = model.time.cursor.unwrap();
            assert!((end - span..=end).contains(&at), "{at} in {end} - {span}");
        }
        for _ in 0..500 {
            step(&mut model, true);
        }
        assert_eq!(model.time.cursor, Some(NOW));
        assert_eq!(model.time.end, None, "at the present it follows the time");
    }

    #[test]
    fn no_value_is_taken_across_a_gap() {
        let track: Track = [(1_000, 1.0), (2_000, 2.0), (60_000, 3.0)].into();
        let at = |at| value_at(&track, at, 5_000);
        assert_eq!(
            [at(500), at(2_500), at(30_000), at(61_000)],
            [None, Some(2.0), None, Some(3.0)]
        );
    }

    #[test]
    fn phases_are_bounded_and_marked_in_order() {
        let mut model = model();
        for number in 0..100 {
            model.now = NOW + number;
            phase_begins(&mut model, &number.to_string());
        }
        let marks = marks(&model);
        assert_eq!(marks.len(), MOST_PHASES);
        assert!(marks.is_sorted_by_key(|mark| mark.at));
        assert_eq!(marks.last().unwrap().text, "99");
    }
}
